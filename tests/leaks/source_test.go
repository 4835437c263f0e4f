package leaks

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/format"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "github.com/cloakroom-go/cloakroom/"

// speaking are the packages whose errors and logs users see.
var speaking = []string{"core", "core/store", "core/predecessor", "takeover", "ginsession", "echosession", "echov5session", "stores/memory", "stores/valkey", "stores/mongo", "stores/sql", "stores/sqlite"}

// inner are packages whose errors reach users through core. Their types do not.
var inner = []string{"core/internal/jsontext", "core/internal/record", "core/internal/seal", "core/internal/ticket", "core/internal/roster", "core/internal/vault"}

// harmless are the parts of errors and logs that could be anything by their type,
// and are not: by package and expression, with the reason. In core an error may be
// a part too: it is one of its own, or one of a store, which storetest and this
// test look at.
var harmless = map[string]map[string]string{
	"core": {
		"t.Source": "printed by %T", "warning": "a constant of a source", "why": "a constant", "verb": "a constant",
		"message": "constants: the calls of log are looked at", "errs": "errors of core", "d.field": "of Config", "keys.field": "of Config", "r.field": "of Config", "r.reason": "of constants, times and counts of Config", "kind": "a constant", "b.Path": "of Config.Bind", "path": "of Config.Bind", "skippedFor(said.Header.Get(\"Secure-Session-Skipped\"))": "of a fixed set", "header.field": "of Header", "header.name": "of a header",
		"c.Cookie.Name": "of the cookie", "e.Key": "a key's name", "e.Op": "a constant", "key": "a key's name", "op": "a constant", "k": "a key's name",
		"w.ResponseWriter": "printed by %T", "t.Store": "printed by %T", "m.cfg.Cookie.Name": "of the cookie",
		"fmt.FormatString(f, verb)": "a verb", "c": "a Config, without the secrets", "s.String()": "of a Session", "a.String()": "a constant",
		"v":                 "a panic of the handler, that goes on",
		"loadPanic{x, err}": "prints its error", "err.Error()": "of crypto/hkdf about lengths",
		"x":         "an Exchange, of which nothing is printed",
		"c.UserKey": "a key's name", "path[0]": "a key's name", "p": "a panic of the store or the app, that goes on",
		"k.Key": "a key's name", "largest": "keys' names and sizes", "c.Ends": "printed by %T",
		"e.Kind": "a constant", "e.Cause": "a constant", "e.Handle": "public", "e.User": "a name, which is what an audit log is for", "e.By": "a name, likewise", "attrs": "of these",
		"damaged": "constants", "reason": "of Config", "p.String()": "a network of Config", "c.Domain": "of Cookie", "x.cookie.Domain": "of Cookie",
		"append(attrs, x.attrs()...)": "of these", "knownMethod(x.r.Method)": "of a fixed set", "r.Pattern": "of the app's routes", "strings.Join(keys, \", \")": "keys' names",
		"peerAddress(x.r.RemoteAddr)": "the address of a proxy, once", "x.r.Host": "the name of a host, once",
	},
	"core/predecessor":       {"s.String()": "a constant"},
	"takeover":               {"r.String()": "a length", "kind": "a constant", "strconv.Quote(name)": "of a cookie, or statements of the app"},
	"core/store":             {"r": "a Record, which prints its length"},
	"core/internal/jsontext": {"err": "printed by %T, or of encoding a string, which cannot fail", "v": "printed by %T", "reason": "a constant or a type"},
	"core/internal/seal":     {"err": "of crypto/aes and crypto/cipher about lengths"},
	"core/internal/vault":    {"verb": "of the store", "async.Together(calls...)": "of the store"},

	"ginsession":    {"err": "of core.New"},
	"echosession":   {"err": "of core", "handlerErr": "of the app"},
	"echov5session": {"err": "of core", "handlerErr": "of the app"},
	"stores/memory": {"verb": "of the store", "class": "a constant", "err": "a sentinel, or of the context"},
	"stores/valkey": {
		"verb": "of the store", "contextClass(err)": "constants", "contextClass(ctx.Err())": "constants", "err": "of the context, or made to a store.Error by failure", "result.Error()": "made to a store.Error by failure",
		"ctx.Err()": "", "context.DeadlineExceeded": "", "store.ErrFull": "", "net.ErrClosed": "", "io.ErrUnexpectedEOF": "", "op": "a net.OpError: addresses of servers", "refusals[word]": "constants",
		`strings.Join(option.InitAddress, ", ")`: "the servers of the URL, without who logs in there", "how": "constants",
		"full.Prefix": "of Options", "o.Prefix": "of Options", "full.UserPrefix": "of Options", "d.verb": "of the store",
		"errors.ErrUnsupported": "",
	},
	"stores/mongo": {
		"where(opts)": "the servers of the URI, without who logs in there", "*opts.ReplicaSet": "the name of a replica set",
		"verb": "of the store", "contextClass(err)": "constants", "contextClass(ctx.Err())": "constants", "err": "of the context, or of encoding constants", "p.Mode().String()": "a read preference",
		"ctx.Err()": "", "context.DeadlineExceeded": "", "cmp.Or(ctx.Err(), context.DeadlineExceeded)": "", "net.ErrClosed": "", "io.ErrUnexpectedEOF": "", "op": "a net.OpError: addresses of servers",
		"r.class": "constants", "r.err": "a sentinel",
		"refused.WriteConcernError": "made to a store.Error by failure", "mongo.WriteErrors{one.WriteError}": "likewise",
	},
	"stores/sql": {
		"class":    "constants of unconnected",
		"s.name()": "a dialect", "o.name()": "a dialect", "verb": "of the store", "contextClass(err)": "constants", "contextClass(ctx.Err())": "constants", "err": "of the context, or made to a store.Error by failure", "err.Error()": "a store.Error",
		"ctx.Err()": "", "context.DeadlineExceeded": "", "net.ErrClosed": "", "io.ErrUnexpectedEOF": "", "op": "a net.OpError: addresses of servers", "ErrSchema": "",
		"r.class": "constants, or a code", "r.err": "a sentinel",
	},
	"stores/sqlite": {
		"file": "the name of the file", "kind": "of a fixed set", "err": "of package os about the file, or of closing it, or of stores/sql", "s.Close()": "a constant", "h.close()": "made to a constant by Close",
		"sql.ErrTxDone": "", "ctx.Err()": "",
	},
}

// TestErrorsAndLogsAreBuiltFromHarmlessParts reads the source: whatever becomes
// part of an error, a line of a log or a panic is a constant, a number, or has
// been looked at.
//
// Standards: ASVS-16.2.5
func TestErrorsAndLogsAreBuiltFromHarmlessParts(t *testing.T) {
	for _, pkg := range load(t, slices.Concat(speaking, inner)) {
		parts := pkg.parts()
		used := make(map[string]bool)
		for _, part := range parts {
			used[part.text] = true
			if _, ok := harmless[pkg.name][part.text]; !ok {
				t.Errorf("%s: %s: %s: can that be an id, a secret or data? If not, list it here", pkg.name, part.where, part.text)
			}
		}
		for text := range harmless[pkg.name] {
			if !used[text] {
				t.Errorf("%s: %s is part of nothing any more", pkg.name, text)
			}
		}
	}
}

// A source is the source of a package, with its types.
type source struct {
	name  string
	set   *token.FileSet
	files []*ast.File
	info  *types.Info
	types *types.Package
}

// load reads packages of the repository.
func load(t *testing.T, names []string) (all []*source) {
	t.Helper()
	args := []string{"list", "-deps", "-export", "-json=ImportPath,Export,Dir,GoFiles"}
	for _, name := range names {
		args = append(args, root+name)
	}
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	type listed struct {
		ImportPath, Export, Dir string
		GoFiles                 []string
	}
	pkgs := make(map[string]listed)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs[p.ImportPath] = p
	}
	for _, name := range names {
		p := pkgs[root+name]
		s := &source{name: name, set: token.NewFileSet(), info: &types.Info{
			Types: make(map[ast.Expr]types.TypeAndValue), Uses: make(map[*ast.Ident]types.Object), Selections: make(map[*ast.SelectorExpr]*types.Selection),
		}}
		for _, file := range p.GoFiles {
			f, err := parser.ParseFile(s.set, filepath.Join(p.Dir, file), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			s.files = append(s.files, f)
		}
		conf := types.Config{Importer: importer.ForCompiler(s.set, "gc", func(path string) (io.ReadCloser, error) {
			return os.Open(pkgs[path].Export)
		})}
		if s.types, err = conf.Check(p.ImportPath, s.set, s.files, s.info); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// A part is a value that becomes part of an error, a line of a log or a panic.
type part struct {
	where, text string
}

// parts returns those that could be anything: constants, numbers and the like are
// left out.
func (s *source) parts() (all []part) {
	for _, f := range s.files {
		function := ""
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				function = n.Name.Name
			case *ast.CallExpr:
				if !s.speaks(n) {
					break
				}
				for _, arg := range n.Args {
					all = append(all, s.loose(function, arg)...)
				}
			case *ast.CompositeLit:
				if t := s.info.TypeOf(n); t != nil && isErrorStruct(t) {
					for _, elt := range n.Elts {
						if kv, ok := elt.(*ast.KeyValueExpr); ok {
							elt = kv.Value
						}
						all = append(all, s.loose(function, elt)...)
					}
				}
			case *ast.AssignStmt: // of a field of an error
				for i, left := range n.Lhs {
					sel, ok := left.(*ast.SelectorExpr)
					if ok && len(n.Rhs) == len(n.Lhs) && isErrorStruct(s.info.TypeOf(sel.X)) {
						all = append(all, s.loose(function, n.Rhs[i])...)
					}
				}
			}
			return true
		})
	}
	return all
}

// speaks reports whether a call makes text of its arguments.
func (s *source) speaks(call *ast.CallExpr) bool {
	var obj types.Object
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		obj = s.info.Uses[fun]
	case *ast.SelectorExpr:
		obj = s.info.Uses[fun.Sel]
	}
	if b, ok := obj.(*types.Builtin); ok {
		return b.Name() == "panic"
	}
	fn, ok := obj.(*types.Func)
	if !ok || fn.Pkg() == nil {
		return false
	}
	switch fn.Pkg().Path() {
	case "fmt", "log", "log/slog":
		return fn.Name() != "FormatString"
	case "errors":
		return fn.Name() == "New" || fn.Name() == "Join"
	}
	recv := fn.Signature().Recv() // what core writes to the log goes through one function
	return recv != nil && fn.Name() == "log" && fn.Pkg().Path() == root+"core" && types.TypeString(recv.Type(), types.RelativeTo(fn.Pkg())) == "*Manager"
}

func isErrorStruct(t types.Type) bool {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	if _, ok := t.Underlying().(*types.Struct); !ok {
		return false
	}
	return types.Implements(types.NewPointer(t), errorType.Underlying().(*types.Interface))
}

var errorType = types.Universe.Lookup("error").Type()

// loose returns the parts of an expression that could be anything.
func (s *source) loose(function string, e ast.Expr) (all []part) {
	e = ast.Unparen(e)
	if sum, ok := e.(*ast.BinaryExpr); ok && sum.Op == token.ADD {
		return append(s.loose(function, sum.X), s.loose(function, sum.Y)...)
	}
	if call, ok := e.(*ast.CallExpr); ok && s.speaks(call) {
		return nil // looked at by itself
	}
	if ref, ok := e.(*ast.UnaryExpr); ok && ref.Op == token.AND {
		e = ref.X
	}
	if conv, ok := e.(*ast.CallExpr); ok && len(conv.Args) == 1 && s.info.Types[conv.Fun].IsType() {
		return s.loose(function, conv.Args[0])
	}
	tv := s.info.Types[e]
	if tv.Value != nil || tv.IsNil() || isHarmless(tv.Type) || (s.name == "core" || s.name == "core/internal/vault") && types.Identical(tv.Type, errorType) {
		return nil
	}
	var text strings.Builder
	if err := format.Node(&text, s.set, e); err != nil {
		panic(err)
	}
	return []part{{function, text.String()}}
}

// isHarmless reports whether a value of a type can hold no id, secret or data.
func isHarmless(t types.Type) bool {
	if b, ok := t.Underlying().(*types.Basic); ok && b.Info()&(types.IsNumeric|types.IsBoolean) != 0 {
		return true
	}
	return slices.Contains([]string{"reflect.Type", "context.Context", "io.Writer", "fmt.State", "log/slog.Handler"}, t.String())
}
