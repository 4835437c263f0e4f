package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A test is a test function, a fuzz function, a scenario of package adaptertest or
// a case of package storetest.
type test struct {
	name string // "TestX", "adaptertest: a scenario", "storetest: Case"
	file string // from the top of the repository
	tags []string
}

// find returns the tests of the repository in the order of their files.
func find(top string) ([]test, error) {
	var all []test
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (name == "node_modules" || name == "testdata" || strings.HasPrefix(name, ".") && path != top) {
			return filepath.SkipDir
		}
		folder := filepath.Base(filepath.Dir(path))
		suite := folder == "adaptertest" || folder == "storetest"
		if !strings.HasSuffix(path, "_test.go") && (!suite || !strings.HasSuffix(path, ".go")) {
			return nil
		}
		rel, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		found, err := inFile(path, filepath.ToSlash(rel), folder)
		all = append(all, found...)
		return err
	})
	return all, err
}

var (
	isTest = regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w*$`)
	isCase = regexp.MustCompile(`^[A-Z]\w*$`)
)

// inFile returns the tests of a file in a folder of that name.
func inFile(path, file, folder string) (all []test, err error) {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, path, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	tags := make(map[int][]string) // by the line that they are about
	for _, group := range f.Comments {
		for _, comment := range group.List {
			if text, ok := strings.CutPrefix(comment.Text, "// Standards: "); ok {
				tags[files.Position(group.End()).Line+1] = strings.Split(text, ", ")
			}
		}
	}
	add := func(name string, pos token.Pos) {
		line := files.Position(pos).Line
		all = append(all, test{name, file, tags[line]})
		delete(tags, line)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && isTest.MatchString(n.Name.Name) && n.Name.Name != "TestMain" {
				add(n.Name.Name, n.Pos())
			}
		case *ast.CompositeLit:
			if len(n.Elts) != 2 || strings.HasSuffix(file, "_test.go") {
				break
			}
			name, ok := firstString(n.Elts[0])
			_, isFunc := n.Elts[1].(*ast.FuncLit)
			switch {
			case !ok:
			case folder == "adaptertest" && isFunc, folder == "storetest" && isCase.MatchString(name):
				add(folder+": "+name, n.Pos())
			}
		}
		return true
	})
	for line := range tags {
		return nil, fmt.Errorf("%s:%d: no test follows the comment with standards", file, line)
	}
	slices.SortFunc(all, func(a, b test) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// firstString returns the text of a string literal, the first one of a sum.
func firstString(e ast.Expr) (string, bool) {
	for {
		sum, ok := e.(*ast.BinaryExpr)
		if !ok {
			break
		}
		e = sum.X
	}
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}
