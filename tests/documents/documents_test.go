// Package documents checks what the documents say against the tree: that links lead
// somewhere, that commands and names exist, and that code is code.
package documents

import (
	"bytes"
	"go/format"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

const root = "../.."

// A document is one file of Markdown.
type document struct {
	name   string // its path from the root, with slashes
	source []byte
	tree   ast.Node
}

// all returns every document of the project.
func all(t *testing.T) []document {
	t.Helper()
	var docs []document
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		docs = append(docs, parse(filepath.ToSlash(name), source))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(docs) < 10 {
		t.Fatalf("there are %d documents", len(docs))
	}
	return docs
}

func parse(name string, source []byte) document {
	return document{name, source, goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))}
}

// each calls do for every node of a kind.
func each[N ast.Node](d document, do func(N)) {
	_ = ast.Walk(d.tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if n, ok := n.(N); ok && entering {
			do(n)
		}
		return ast.WalkContinue, nil
	})
}

// plain returns the text in a node, without what makes it bold or code.
func (d document) plain(n ast.Node) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if n, ok := n.(*ast.Text); ok && entering {
			b.Write(n.Segment.Value(d.source))
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// anchors returns what a link to a place in the document may end in, by GitHub's rule:
// headings in lower case, without punctuation, and with hyphens for spaces.
func (d document) anchors() map[string]bool {
	anchors := map[string]bool{"": true}
	each(d, func(h *ast.Heading) {
		slug := strings.ToLower(strings.TrimSpace(d.plain(h)))
		slug = regexp.MustCompile(`[^\p{L}\p{N}\p{M}_\- ]`).ReplaceAllString(slug, "")
		anchors[strings.ReplaceAll(slug, " ", "-")] = true
	})
	return anchors
}

// targets returns where the links and pictures of the document lead, those in HTML too.
func (d document) targets() []string {
	var targets []string
	each(d, func(l *ast.Link) { targets = append(targets, string(l.Destination)) })
	each(d, func(i *ast.Image) { targets = append(targets, string(i.Destination)) })
	inHTML := regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	for _, found := range inHTML.FindAllSubmatch(d.html(), -1) {
		targets = append(targets, string(found[1]))
	}
	return targets
}

// html returns all HTML of the document.
func (d document) html() []byte {
	var b bytes.Buffer
	each(d, func(n *ast.HTMLBlock) { b.Write(n.Lines().Value(d.source)) })
	each(d, func(n *ast.RawHTML) {
		for i := range n.Segments.Len() {
			s := n.Segments.At(i)
			b.Write(s.Value(d.source))
		}
	})
	return b.Bytes()
}

// blocks returns the code in the fences of a language.
func (d document) blocks(language string) []string {
	var blocks []string
	each(d, func(b *ast.FencedCodeBlock) {
		if string(b.Language(d.source)) == language {
			blocks = append(blocks, string(b.Lines().Value(d.source)))
		}
	})
	return blocks
}

// problems returns the links of a document that lead nowhere. docs are those that have
// anchors.
func (d document) problems(docs map[string]document) []string {
	var problems []string
	for _, target := range d.targets() {
		u, err := url.Parse(target)
		switch {
		case err != nil:
			problems = append(problems, target+": is no address")
		case u.Scheme == "mailto":
		case u.Scheme != "":
			if u.Scheme != "https" || u.Host == "" {
				problems = append(problems, target+": is not an address of HTTPS")
			}
		default:
			name := d.name
			if u.Path != "" {
				name = filepath.ToSlash(filepath.Join(filepath.Dir(d.name), filepath.FromSlash(u.Path)))
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(name))); err != nil {
				problems = append(problems, target+": is not there")
				continue
			}
			if to, is := docs[name]; is && !to.anchors()[u.Fragment] {
				problems = append(problems, target+": there is no such heading")
			}
		}
	}
	return problems
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	docs := make(map[string]document)
	for _, d := range all(t) {
		docs[d.name] = d
	}
	for _, d := range docs {
		for _, problem := range d.problems(docs) {
			t.Errorf("%s: %s", d.name, problem)
		}
	}
}

func TestALinkThatLeadsNowhereIsFound(t *testing.T) {
	for link, found := range map[string]bool{
		"[a](README.md)": false, "[a](README.md#why)": false, "[a](README.md#why-not)": true, "[a](READ.md)": true, "![a](docs/images/none.png)": true,
		`<img src="docs/none.svg">`: true, "text <a href='x'>": false, "[a](http://example.com)": true, "[a](https://example.com)": false, "`[a](none.md)`": false,
		"# A b\n[a](#a-b)": false, "# A b\n[a](#a-c)": true, "# `A`: b, c?\n[a](#a-b-c)": false,
	} {
		d := parse("DOC.md", []byte(link+"\n"))
		readme, err := os.ReadFile(filepath.Join(root, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		docs := map[string]document{"README.md": parse("README.md", readme), "DOC.md": d}
		if strings.Contains(link, "(#") {
			d.name = "README.md" // a link within a document, which has to be there
			docs["README.md"] = d
		}
		if got := d.problems(docs); (len(got) > 0) != found {
			t.Errorf("%s: %q", link, got)
		}
	}
}

// Who comes to the README finds every document with one click.
func TestTheREADMELeadsToEveryDocument(t *testing.T) {
	linked := make(map[string]bool)
	docs := all(t)
	for _, d := range docs {
		if d.name == "README.md" {
			for _, target := range d.targets() {
				path, _, _ := strings.Cut(target, "#")
				linked[path] = true
			}
		}
	}
	for _, d := range docs {
		if (strings.HasPrefix(d.name, "docs/") || !strings.Contains(d.name, "/")) && d.name != "README.md" && !linked[d.name] {
			t.Errorf("the README has no link to %s", d.name)
		}
	}
}

// A README is read by people who have not decided yet.
func TestTheREADMEIsShort(t *testing.T) {
	const most = 1000
	for _, d := range all(t) {
		if d.name != "README.md" {
			continue
		}
		if words := len(strings.Fields(d.plain(d.tree))); words > most {
			t.Errorf("the README has %d words besides code, want at most %d", words, most)
		}
	}
}

// Code of Go parses, whether it is a file, declarations, statements, or a part of one.
func TestGoIsGo(t *testing.T) {
	for _, d := range all(t) {
		for _, code := range d.blocks("go") {
			if err := parses(code); err != nil {
				t.Errorf("%s: %v in\n%s", d.name, err, code)
			}
		}
	}
}

func TestCodeThatIsNoGoIsFound(t *testing.T) {
	for code, bad := range map[string]bool{
		"package main\n": false, "const a = 1\n": false, "a := f()\na++\n": false, "A: b,\n": false, "case 1:\n\tf()\n": false,
		"\"os\"\n\nf()\n": false, "x \"os\" // was y\n": false,
		"a := (\n": true, "A: b, c;\n": true, "case 1\n": true, "if a {\n": true, "\"os\"\n\nf(\n": true,
	} {
		if err := parses(code); (err != nil) != bad {
			t.Errorf("%q: %v", code, err)
		}
	}
}

// importLines are lines of an import declaration, as those that a reader changes.
var importLines = regexp.MustCompile(`^(?:(?:\w+ )?"[^"\n]+"[ \t]*(?://.*)?\n)+`)

// parses returns why code is no Go, or nil where it is a file, declarations, statements,
// imports with statements below, or what may stand in a literal or a switch.
func parses(code string) error {
	_, err := format.Source([]byte(code))
	if err == nil {
		return nil
	}
	imports := importLines.FindString(code)
	for _, whole := range []string{
		"_ = T{\n" + code + "\n}",
		"switch {\n" + code + "\n}",
		"package p\nimport (\n" + imports + ")\nfunc f() {\n" + code[len(imports):] + "\n}",
	} {
		if _, err := format.Source([]byte(whole)); err == nil {
			return nil
		}
	}
	return err
}

// packages are the files of api/ that list what the packages export, by the name under
// which documents use them.
var packages = map[string]string{
	"core": "core", "ginsession": "ginsession", "echosession": "echosession", "otelsession": "otelsession",
	"storetest": "core/storetest", "adaptertest": "core/adaptertest", "sessiontest": "core/sessiontest", "predecessor": "core/predecessor",
	"takeover": "takeover", "memorystore": "stores/memory", "valkeystore": "stores/valkey", "mongostore": "stores/mongo", "sqlstore": "stores/sql", "sqlitestore": "stores/sqlite",
}

// Names that documents use exist.
func TestNamesExist(t *testing.T) {
	exported := make(map[string]string)
	for name, file := range packages {
		list, err := os.ReadFile(filepath.Join(root, "api", filepath.FromSlash(file)+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		exported[name] = string(list)
	}
	used := regexp.MustCompile(`\b(\w+)\.([A-Z]\w*)\b`)
	seen := 0
	for _, d := range all(t) {
		if d.name == "CHANGELOG.md" {
			continue // says what was
		}
		code := strings.Join(d.blocks("go"), "\n")
		each(d, func(s *ast.CodeSpan) { code += "\n" + d.plain(s) })
		for _, name := range used.FindAllStringSubmatch(code, -1) {
			list, ours := exported[name[1]]
			if !ours {
				continue
			}
			seen++
			if !regexp.MustCompile(`(?m)^\w+ (\([^)]*\) )?` + name[2] + `\b`).MatchString(list) {
				t.Errorf("%s: there is no %s.%s", d.name, name[1], name[2])
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d names were looked at", seen)
	}
}

// Commands that documents show can be run: the shell reads them, and what they call is
// there.
func TestCommandsExist(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	work, err := os.ReadFile(filepath.Join(root, "go.work"))
	if err != nil {
		t.Fatal(err)
	}
	targets := regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(string(makefile), -1)
	calls := regexp.MustCompile(`(?m)\b(make|go run|go get|scripts/\S+\.sh)(?: +([^\s#&|;]+))?`)
	for _, d := range all(t) {
		for _, script := range d.blocks("sh") {
			if out, err := exec.CommandContext(t.Context(), "bash", "-n", "-c", script).CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s in\n%s", d.name, err, out, script)
			}
		}
		for _, call := range calls.FindAllStringSubmatch(commands(d), -1) {
			command, argument := call[1], call[2]
			known := true
			switch {
			case command == "make":
				known = argument == "" || strings.Contains(argument, "=") || slices.ContainsFunc(targets, func(target []string) bool { return target[1] == argument })
			case command == "go run" && strings.HasPrefix(argument, "./"):
				known = slices.ContainsFunc([]string{"", "examples", "tests", "bench", "interop", "cmd/cloakroom", filepath.Dir(d.name)}, func(dir string) bool {
					info, err := os.Stat(filepath.Join(root, dir, argument))
					return err == nil && info.IsDir()
				})
			case command == "go get":
				module, ours := strings.CutPrefix(argument, "github.com/cloakroom-go/cloakroom")
				module, _, _ = strings.Cut(module, "@")
				known = !ours || regexp.MustCompile(`(?m)^\s*\.`+regexp.QuoteMeta(module)+`$`).Match(work)
			case strings.HasPrefix(command, "scripts/"):
				_, err := os.Stat(filepath.Join(root, command))
				known = err == nil
			}
			if !known {
				t.Errorf("%s: %q is not there", d.name, call[0])
			}
		}
	}
}

// commands returns what a document shows as commands: its scripts, and code in a text that
// begins like one.
func commands(d document) string {
	all := strings.Join(d.blocks("sh"), "\n")
	each(d, func(s *ast.CodeSpan) {
		if code := d.plain(s); regexp.MustCompile(`^(make|go run|go get|scripts/|cd )`).MatchString(code) {
			all += "\n" + code
		}
	})
	return all
}
