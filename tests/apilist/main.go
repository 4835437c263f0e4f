// Apilist compares what the released modules export with the lists that are
// kept in api/, one file for each package and one line for each name: a name
// that changes or disappears then shows in the diff of the change that did it.
//
// Run from anywhere in the repository, it tells what differs and fails; with
// -write it brings the lists up to date.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/constant"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	write := flag.Bool("write", false, "write the lists instead of comparing with them")
	flag.Parse()
	differ, err := run(*write)
	if err != nil {
		fmt.Fprintln(os.Stderr, "apilist:", err)
		os.Exit(2)
	}
	if differ {
		fmt.Println("\nThe exported API changed. If that is meant, run `make api` and say so in CHANGELOG.md.")
		os.Exit(1)
	}
}

func run(write bool) (differ bool, err error) {
	out, err := goCommand("", "env", "GOWORK")
	if err != nil {
		return false, err
	}
	work := strings.TrimSpace(string(out))
	if work == "" || work == "off" {
		return false, errors.New("not in the workspace of the repository")
	}
	top := filepath.Dir(work)

	want, err := exported(top)
	if err != nil {
		return false, err
	}
	have, err := readLists(filepath.Join(top, "api"))
	if err != nil {
		return false, err
	}
	if write {
		return false, writeLists(filepath.Join(top, "api"), have, want)
	}

	names := maps.Clone(have)
	maps.Copy(names, want)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		lines := diff(have[name], want[name])
		if len(lines) == 0 {
			continue
		}
		differ = true
		fmt.Printf("api/%s\n", name)
		for _, line := range lines {
			fmt.Println("  " + line)
		}
	}
	return differ, nil
}

// goCommand runs the go command in dir and returns what it printed. What it
// complains about goes to standard error.
func goCommand(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}

// goList runs "go list -json" with args in dir and returns the values it printed.
func goList[T any](dir string, args ...string) ([]T, error) {
	out, err := goCommand(dir, append([]string{"list"}, args...)...)
	if err != nil {
		return nil, err
	}
	var list []T
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var v T
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
}

// exported returns the list of every package that users can import from the
// modules of the workspace at top, by its file name in api/.
func exported(top string) (map[string][]string, error) {
	type module struct{ Path, Dir string }
	modules, err := goList[module](top, "-m", "-json=Path,Dir")
	if err != nil {
		return nil, err
	}
	root := ""
	released := make(map[string]bool)
	patterns := []string{"-deps", "-export", "-json=ImportPath,Name,Export,Dir,Module"}
	for _, m := range modules {
		if m.Dir == top {
			root = m.Path
		}
		_, err := os.Stat(filepath.Join(m.Dir, ".norelease"))
		if errors.Is(err, fs.ErrNotExist) {
			released[m.Path] = true
			patterns = append(patterns, m.Path+"/...")
		}
	}

	type pkg struct {
		ImportPath, Name, Export, Dir string
		Module                        *module
	}
	pkgs, err := goList[pkg](top, patterns...)
	if err != nil {
		return nil, err
	}
	exports := make(map[string]string)
	for _, p := range pkgs {
		exports[p.ImportPath] = p.Export
	}
	imp := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})

	lists := make(map[string][]string)
	for _, p := range pkgs {
		if p.Module == nil || !released[p.Module.Path] || p.Name == "main" || isInternal(p.ImportPath) {
			continue
		}
		tp, err := imp.Import(p.ImportPath)
		if err != nil {
			return nil, err
		}
		rel, err := filepath.Rel(top, p.Dir)
		if err != nil {
			return nil, err
		}
		lists[filepath.ToSlash(rel)+".txt"] = list(tp, root)
	}
	return lists, nil
}

func isInternal(path string) bool {
	return slices.Contains(strings.Split(path, "/"), "internal")
}

// list returns a sorted line for everything that a user of p can name. Packages
// below the module path root are called by their folder, others by their path.
func list(p *types.Package, root string) []string {
	w := writer{qualifier: func(other *types.Package) string {
		if other == p {
			return ""
		}
		return strings.TrimPrefix(other.Path(), root+"/")
	}}
	for _, name := range p.Scope().Names() {
		if obj := p.Scope().Lookup(name); obj.Exported() {
			w.object(obj)
		}
	}
	slices.Sort(w.lines)
	return w.lines
}

// A writer collects the lines of a package.
type writer struct {
	qualifier types.Qualifier
	lines     []string
}

func (w *writer) linef(format string, args ...any) {
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

func (w *writer) object(obj types.Object) {
	name := obj.Name()
	switch obj := obj.(type) {
	case *types.Const:
		// The value is compiled into users' programs, so it is part of the API.
		value := obj.Val().ExactString()
		if obj.Val().Kind() == constant.String {
			value = obj.Val().String()
		}
		w.linef("const %s %s = %s", name, w.typ(obj.Type()), value)
	case *types.Var:
		w.linef("var %s %s", name, w.typ(obj.Type()))
	case *types.Func:
		w.linef("func %s%s", name, w.signature(obj.Signature()))
	case *types.TypeName:
		w.typeName(obj)
	}
}

func (w *writer) typeName(obj *types.TypeName) {
	name := obj.Name()
	if alias, ok := obj.Type().(*types.Alias); ok && obj.IsAlias() {
		w.linef("type %s%s = %s", name, w.typeParams(alias.TypeParams()), w.typ(alias.Rhs()))
		return
	}
	named, ok := obj.Type().(*types.Named)
	if !ok { // an alias of a basic type
		w.linef("type %s = %s", name, w.typ(obj.Type()))
		return
	}
	params := w.typeParams(named.TypeParams())
	switch under := named.Underlying().(type) {
	case *types.Struct:
		w.linef("type %s%s struct", name, params)
		for f := range under.Fields() {
			switch {
			case f.Embedded() && f.Exported():
				w.linef("type %s struct, embeds %s", name, w.typ(f.Type()))
			case f.Exported():
				w.linef("type %s struct, %s %s", name, f.Name(), w.typ(f.Type()))
			}
		}
	case *types.Interface:
		sealed := ""
		for m := range under.Methods() {
			if !m.Exported() {
				sealed = " // has unexported methods"
			}
		}
		w.linef("type %s%s interface%s", name, params, sealed)
		for m := range under.Methods() {
			if m.Exported() {
				w.linef("type %s interface, %s%s", name, m.Name(), w.signature(m.Signature()))
			}
		}
		return
	default:
		w.linef("type %s%s %s", name, params, w.typ(under))
	}

	// The method set of the pointer holds those of the value and those that
	// embedded fields promote.
	for sel := range types.NewMethodSet(types.NewPointer(named)).Methods() {
		m, ok := sel.Obj().(*types.Func)
		if !ok || !m.Exported() {
			continue
		}
		recv := name
		if types.NewMethodSet(named).Lookup(m.Pkg(), m.Name()) == nil {
			recv = "*" + name
		}
		w.linef("method (%s) %s%s", recv, m.Name(), w.signature(sel.Type().(*types.Signature)))
	}
}

func (w *writer) typ(t types.Type) string {
	return types.TypeString(unnamed(t), w.qualifier)
}

// signature returns sig without "func", as in a declaration.
func (w *writer) signature(sig *types.Signature) string {
	return w.typeParams(sig.TypeParams()) + strings.TrimPrefix(w.typ(sig), "func")
}

func (w *writer) typeParams(list *types.TypeParamList) string {
	var params []string
	for p := range list.TypeParams() {
		params = append(params, p.Obj().Name()+" "+w.typ(p.Constraint()))
	}
	if params == nil {
		return ""
	}
	return "[" + strings.Join(params, ", ") + "]"
}

// unnamed returns t without the names of parameters and results, which can
// change without any user's code noticing.
func unnamed(t types.Type) types.Type {
	switch t := t.(type) {
	case *types.Signature:
		return types.NewSignatureType(nil, nil, nil, unnamedTuple(t.Params()), unnamedTuple(t.Results()), t.Variadic())
	case *types.Pointer:
		return types.NewPointer(unnamed(t.Elem()))
	case *types.Slice:
		return types.NewSlice(unnamed(t.Elem()))
	case *types.Array:
		return types.NewArray(unnamed(t.Elem()), t.Len())
	case *types.Map:
		return types.NewMap(unnamed(t.Key()), unnamed(t.Elem()))
	case *types.Chan:
		return types.NewChan(t.Dir(), unnamed(t.Elem()))
	default:
		return t
	}
}

func unnamedTuple(tuple *types.Tuple) *types.Tuple {
	var vars []*types.Var
	for v := range tuple.Variables() {
		vars = append(vars, types.NewParam(token.NoPos, nil, "", unnamed(v.Type())))
	}
	return types.NewTuple(vars...)
}

// diff returns the lines that only old has, marked "-", and those that only
// new has, marked "+". Both are sorted.
func diff(old, new []string) []string {
	var lines []string
	for len(old) > 0 || len(new) > 0 {
		switch {
		case len(new) == 0 || len(old) > 0 && old[0] < new[0]:
			lines = append(lines, "- "+old[0])
			old = old[1:]
		case len(old) == 0 || new[0] < old[0]:
			lines = append(lines, "+ "+new[0])
			new = new[1:]
		default:
			old, new = old[1:], new[1:]
		}
	}
	return lines
}

// readLists returns the lists below dir by file name; none if there is no dir.
func readLists(dir string) (map[string][]string, error) {
	lists := make(map[string][]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		lists[filepath.ToSlash(rel)] = strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return lists, err
}

// writeLists makes dir hold the lists in want; have is what it holds.
func writeLists(dir string, have, want map[string][]string) error {
	for name := range have {
		if _, ok := want[name]; !ok {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	for name, lines := range want {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		var text strings.Builder
		for _, line := range lines {
			text.WriteString(line + "\n")
		}
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
