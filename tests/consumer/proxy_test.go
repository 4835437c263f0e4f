package consumer

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "github.com/cloakroom-go/cloakroom"

// A proxy is a file-system module proxy that holds the released modules of the
// work tree, together with the environment of those who use it.
type proxy struct {
	version string   // of every module: what they require of each other
	sums    []byte   // what the work tree knows about third-party modules
	env     []string // for the go command
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	modules := workspace(t, top)
	p := &proxy{version: commonVersion(t, modules)}

	dir := t.TempDir()
	for _, m := range modules {
		if _, err := os.Stat(filepath.Join(m.Dir, ".norelease")); err == nil {
			continue
		}
		addModule(t, dir, m, p.version)
		if sums, err := os.ReadFile(filepath.Join(m.Dir, "go.sum")); err == nil {
			p.sums = append(p.sums, sums...)
		}
	}

	// Users start with an empty module cache, because a version that is in the
	// cache is never asked for again. The one of this machine is their second
	// proxy, so that nothing is downloaded twice.
	machine := goEnv(t)
	p.env = append(os.Environ(),
		"GOWORK=off",
		"GOPROXY="+strings.Join([]string{
			fileURL(dir),
			fileURL(filepath.Join(machine["GOMODCACHE"], "cache", "download")),
			machine["GOPROXY"],
		}, ","),
		"GOPRIVATE=",
		"GONOPROXY=",
		"GONOSUMDB="+strings.TrimPrefix(machine["GONOSUMDB"]+","+root, ","),
		// Each user's modules are in another folder, and are found in the build cache all the same.
		"GOFLAGS="+strings.TrimSpace(machine["GOFLAGS"]+" -modcacherw -trimpath"),
	)
	return p
}

// at returns what go get takes for a package, given by its folder.
func (p *proxy) at(folder string) string {
	return root + "/" + folder + "@" + p.version
}

type module struct{ Path, Dir string }

// workspace returns the modules of go.work in top.
func workspace(t *testing.T, top string) []module {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-m", "-json=Path,Dir")
	cmd.Dir = top
	cmd.Env = append(os.Environ(), "GOWORK="+filepath.Join(top, "go.work"))
	var modules []module
	for dec := json.NewDecoder(bytes.NewReader(output(t, cmd))); dec.More(); {
		var m module
		if err := dec.Decode(&m); err != nil {
			t.Fatal(err)
		}
		modules = append(modules, m)
	}
	return modules
}

// commonVersion returns the version that modules require of each other.
func commonVersion(t *testing.T, modules []module) string {
	t.Helper()
	version := ""
	for _, m := range modules {
		cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
		cmd.Dir = m.Dir
		var goMod struct {
			Require []struct{ Path, Version string }
		}
		if err := json.Unmarshal(output(t, cmd), &goMod); err != nil {
			t.Fatal(err)
		}
		for _, r := range goMod.Require {
			switch {
			case r.Path != root && !strings.HasPrefix(r.Path, root+"/"):
			case version == "":
				version = r.Version
			case r.Version != version:
				t.Errorf("%s requires %s at %s; other requirements say %s", m.Path, r.Path, r.Version, version)
			}
		}
	}
	if version == "" {
		t.Fatal("no module requires another one: is go.work complete?")
	}
	return version
}

// addModule packs m and puts it into the proxy in dir.
// The layout is described in https://go.dev/ref/mod#goproxy-protocol.
func addModule(t *testing.T, dir string, m module, version string) {
	t.Helper()
	dir = filepath.Join(dir, filepath.FromSlash(m.Path), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	goMod, err := os.ReadFile(filepath.Join(m.Dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"list":            []byte(version + "\n"),
		version + ".info": []byte(`{"Version":"` + version + `"}`),
		version + ".mod":  goMod,
		version + ".zip":  pack(t, m, version),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// pack returns the zip file of m: its files without those of the modules
// inside it.
func pack(t *testing.T, m module, version string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	err := filepath.WalkDir(m.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(path, "go.mod"))
			if d.Name() == ".git" || d.Name() == "vendor" || err == nil && path != m.Dir {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(m.Dir, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := w.Create(m.Path + "@" + version + "/" + filepath.ToSlash(rel))
		if err != nil {
			return err
		}
		_, err = f.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// A user is a module outside the repository.
type user struct {
	dir string
	env []string
}

// newUser makes an empty module. It knows the checksums of third-party modules
// that the work tree knows, so that they need not be looked up once more.
func (p *proxy) newUser(t *testing.T) *user {
	t.Helper()
	u := &user{dir: t.TempDir(), env: append(slices.Clip(p.env), "GOMODCACHE="+t.TempDir())}
	u.goCommand(t, "mod", "init", "example.com/app")
	u.writeFile(t, "go.sum", string(p.sums))
	return u
}

func (u *user) writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(u.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (u *user) goCommand(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = u.dir
	cmd.Env = u.env
	return string(output(t, cmd))
}

// graph returns the modules that u depends on in any way.
func (u *user) graph(t *testing.T) []string {
	t.Helper()
	modules := strings.Fields(u.goCommand(t, "list", "-m", "-f", "{{if not .Main}}{{.Path}}{{end}}", "all"))
	slices.Sort(modules)
	return modules
}

// start runs a program of u until the test ends and returns the address where
// it says that it listens.
func (u *user) start(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(u.dir, name))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The test's context, and the program with it, has ended before cleanup.
	t.Cleanup(func() {
		_ = cmd.Wait()
		if t.Failed() && stderr.Len() > 0 {
			t.Logf("standard error of the app:\n%s", stderr.String())
		}
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			return addr
		}
	}
	t.Fatal("the app ended without saying where it listens")
	return ""
}

// get returns the body of a successful answer.
func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: status %s, body %q", url, res.Status, body)
	}
	return string(body)
}

// output runs cmd and returns what it printed; the test ends if it fails.
func output(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, stderr.Bytes())
	}
	return out
}

func goEnv(t *testing.T) map[string]string {
	t.Helper()
	env := make(map[string]string)
	cmd := exec.CommandContext(t.Context(), "go", "env", "-json", "GOFLAGS", "GOMODCACHE", "GONOSUMDB", "GOPROXY")
	if err := json.Unmarshal(output(t, cmd), &env); err != nil {
		t.Fatal(err)
	}
	return env
}

func fileURL(dir string) string { return "file://" + filepath.ToSlash(dir) }
