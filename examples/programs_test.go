package examples

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// start builds and runs a program of this module and returns its address.
func start(t *testing.T, program string) string {
	t.Helper()
	return run(t, program, nil).base
}

// startReading is start for a program that reads from stdin.
func startReading(t *testing.T, program string, stdin *os.File, env ...string) string {
	t.Helper()
	return run(t, program, stdin, env...).base
}

// A process is a program that runs.
type process struct {
	base  string // its address
	cmd   *exec.Cmd
	ended chan struct{}

	said, complaints output // on stdout and stderr
}

// run builds and runs a program of this module, and returns when it listens.
func run(t *testing.T, program string, stdin *os.File, env ...string) *process {
	t.Helper()
	return runAt(t, freePort(t), program, stdin, env...)
}

// runAt is run for a port that is known.
func runAt(t *testing.T, port, program string, stdin *os.File, env ...string) *process {
	t.Helper()
	p := &process{base: "http://127.0.0.1:" + port, ended: make(chan struct{})}
	p.cmd = exec.Command(build(t, program)) // not with the test's context, which would kill it before the cleanup
	p.cmd.Env = append(append(os.Environ(), "PORT="+port, "SESSION_SECRET="+rand.Text()+rand.Text()), env...)
	if stdin != nil {
		p.cmd.Stdin = stdin
	}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.WaitDelay = &p.said, &p.complaints, 10*time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(os.Interrupt) // which lets it end what it started
		<-p.ended
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // npm may have much to install, and the machine may be busy
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			_ = conn.Close()
			return p
		}
		select {
		case <-tick.C:
		case <-p.ended:
			t.Fatalf("%s has ended: %s", program, p.complaints.String())
		case <-ctx.Done():
			t.Fatalf("%s does not listen on port %s", program, port)
		}
	}
}

// An output is what a process writes while a test reads it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// binaries are the programs that were built, each once, for as long as the tests run.
var binaries struct {
	mu    sync.Mutex
	dir   string
	built map[string]func() error
}

func build(t *testing.T, program string) (binary string) {
	t.Helper()
	b := &binaries
	b.mu.Lock()
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "cloakroom-examples") //nolint:usetesting // for all tests
		if err != nil {
			b.mu.Unlock()
			t.Fatal(err)
		}
		b.dir, b.built = dir, make(map[string]func() error)
	}
	binary = filepath.Join(b.dir, strings.ReplaceAll(program, "/", "-"))
	if b.built[program] == nil {
		b.built[program] = sync.OnceValue(func() error {
			if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", binary, "./"+program).CombinedOutput(); err != nil {
				return fmt.Errorf("go build ./%s: %w\n%s", program, err, out)
			}
			return nil
		})
	}
	built := b.built[program]
	b.mu.Unlock()
	if err := built(); err != nil {
		t.Fatal(err)
	}
	return binary
}

func freePort(t *testing.T) string {
	t.Helper()
	// Not one of those that the system gives to who asks for any: another test might
	// be given it before the program listens.
	for range 100 {
		port := strconv.Itoa(10000 + os.Getpid()%7000 + int(ports.Add(1)))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

var ports atomic.Int32 // that were given to programs

// A visitor is a browser, or what curl -c jar -b jar is.
type visitor struct {
	t    *testing.T
	base string
	http *http.Client
}

func newVisitor(t *testing.T, base string) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, base, &http.Client{Jar: jar, Timeout: patience}}
}

// do returns the status and body of a request, and the cookies that it set.
func (v *visitor) do(method, path string, form url.Values) (string, []*http.Cookie) {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := v.http.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", res.StatusCode, strings.TrimSpace(string(body))), res.Cookies()
}

// cookie returns the value of the visitor's session cookie.
func (v *visitor) cookie() string { return v.cookieCalled("sid") }

func (v *visitor) cookieCalled(name string) string {
	u, err := url.Parse(v.base)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range v.http.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// withCookie returns another visitor who has somebody's cookie.
func (v *visitor) withCookie(value string) *visitor {
	other := newVisitor(v.t, v.base)
	u, err := url.Parse(v.base)
	if err != nil {
		v.t.Fatal(err)
	}
	other.http.Jar.SetCookies(u, []*http.Cookie{{Name: "sid", Value: value}})
	return other
}

func TestTheQuickstarts(t *testing.T) {
	for _, program := range []string{"quickstart-gin", "quickstart-echo", "quickstart-nethttp"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			v := newVisitor(t, start(t, program))
			expect := func(got, want string) {
				t.Helper()
				if got != want {
					t.Fatalf("got %q, want %q", got, want)
				}
			}

			got, set := v.do("GET", "/", nil)
			expect(got, "200 Number of views: 1")
			if len(set) != 1 || set[0].Name != "sid" || !set[0].HttpOnly || set[0].SameSite != http.SameSiteLaxMode {
				t.Errorf("the first visit set %v, want one cookie sid with HttpOnly and SameSite=Lax", set)
			}
			got, set = v.do("GET", "/", nil)
			expect(got, "200 Number of views: 2")
			if len(set) != 0 {
				t.Errorf("the second visit set %v, want none", set)
			}
			refused := func(v *visitor) {
				t.Helper()
				for _, path := range []string{"/me", "/password"} {
					if got, _ := v.do("GET", path, nil); !strings.HasPrefix(got, "401") {
						t.Errorf("GET %s: %q, want 401", path, got)
					}
				}
			}
			refused(v)

			anonymous := v.cookie()
			got, _ = v.do("POST", "/login", url.Values{"user": {"bob"}})
			expect(got, "200 Hello, bob!")
			loggedIn := v.cookie()
			if loggedIn == anonymous {
				t.Error("the login kept the id")
			}
			got, _ = v.do("GET", "/me", nil)
			expect(got, "200 You are bob.")
			got, _ = v.do("GET", "/password", nil)
			expect(got, "200 Choose a new one, bob.")
			got, _ = v.do("GET", "/", nil)
			expect(got, "200 Number of views: 3")
			refused(v.withCookie(anonymous))
			got, _ = v.withCookie(tampered(loggedIn)).do("GET", "/", nil)
			expect(got, "200 Number of views: 1")

			got, _ = v.do("POST", "/logout", nil)
			expect(got, "200 Goodbye!")
			if v.cookie() != "" {
				t.Error("the logout left the cookie in the browser")
			}
			refused(v.withCookie(loggedIn))
			got, _ = v.do("GET", "/", nil)
			expect(got, "200 Number of views: 1")
		})
	}
}

// tampered changes one character of a cookie, in the middle of the id.
func tampered(cookie string) string {
	i := len("s%3A") + 10
	c := byte('A')
	if cookie[i] == c {
		c = 'B'
	}
	return cookie[:i] + string(c) + cookie[i+1:]
}

// The views are counted on when the program is killed and started again: they are in a
// file, or in the browser.
func TestQuickstartsThatSurviveARestart(t *testing.T) {
	for _, name := range []string{"quickstart-file", "quickstart-cookie"} {
		t.Run(name, func(t *testing.T) { survivesARestart(t, name) })
	}
}

func survivesARestart(t *testing.T, name string) {
	t.Helper()
	t.Parallel()
	binary, dir, secret := build(t, name), t.TempDir(), rand.Text()+rand.Text()
	var v *visitor
	for i := range 2 {
		port := freePort(t)
		cmd := exec.Command(binary)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PORT="+port, "SESSION_SECRET="+secret)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		base := "http://127.0.0.1:" + port
		listens(t, port)
		if v == nil {
			v = newVisitor(t, base)
		}
		v.base = base
		got, _ := v.do("GET", "/", nil)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if want := fmt.Sprintf("200 Number of views: %d", i+1); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// listens waits until somebody does at a port.
func listens(t *testing.T, port string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("nobody listens on port %s", port)
		}
	}
}

// What the app does is tested in its own folder. Here it runs as a process, on each
// framework and store.
func TestTheAccountsApp(t *testing.T) {
	t.Parallel()
	binary := build(t, "accounts")
	for _, store := range []struct{ name, variable, url string }{
		{"memory", "", "memory"},
		{"Valkey", "VALKEY_ADDR", "valkey://" + os.Getenv("VALKEY_ADDR") + "/5"},
		{"a file", "", "sqlite:" + filepath.Join(t.TempDir(), "sessions.db")},
		{"PostgreSQL", "POSTGRESQL_URL", os.Getenv("POSTGRESQL_URL")},
		{"MariaDB", "MARIADB_DSN", "mysql://" + strings.NewReplacer("tcp(", "", ")", "").Replace(os.Getenv("MARIADB_DSN"))},
		{"MongoDB", "MONGODB_URI", strings.TrimSuffix(os.Getenv("MONGODB_URI"), "/") + "/cloakroom_accounts"},
	} {
		for _, framework := range []string{"gin", "echo"} {
			t.Run(store.name+" "+framework, func(t *testing.T) {
				if store.variable != "" && os.Getenv(store.variable) == "" {
					if os.Getenv("CI") != "" {
						t.Fatalf("%s is not set", store.variable)
					}
					t.Skipf("%s is not set", store.variable)
				}
				cmd := exec.Command(binary, "-addr", "127.0.0.1:0", "-framework", framework, "-store", store.url)
				cmd.Env = append(os.Environ(), "SESSION_SECRET=")
				stdout, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				ended := false
				defer func() {
					if !ended {
						_ = cmd.Process.Kill()
						_ = cmd.Wait()
					}
				}()
				said := bufio.NewReader(stdout)
				base, err := said.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}

				v := newVisitor(t, strings.TrimSpace(base))
				expect := func(got, status, text string) {
					t.Helper()
					if !strings.HasPrefix(got, status) || !strings.Contains(got, text) {
						t.Fatalf("want %s and %q; got %s", status, text, got)
					}
				}
				got, _ := v.do("POST", "/cart", url.Values{"item": {"coat"}})
				expect(got, "200", "Added Wool coat")
				got, _ = v.do("POST", "/signup", url.Values{"name": {"Ann"}, "email": {"ann@example.com"}})
				expect(got, "200", "Look into your mail")
				token := ""
				for !strings.Contains(token, "/signup/confirm?token=") { // in the mail, which is printed
					if token, err = said.ReadString('\n'); err != nil {
						t.Fatal(err)
					}
				}
				_, token, _ = strings.Cut(strings.TrimSpace(token), "?token=")
				got, _ = v.do("POST", "/signup/confirm", url.Values{"token": {token}, "password": {"correct horse"}})
				expect(got, "200", "Welcome, Ann")
				got, _ = v.do("GET", "/devices", nil)
				expect(got, "200", "This device")
				got, _ = v.do("GET", "/admin", nil)
				expect(got, "200", "signed-in")
				got, _ = v.do("GET", "/cart", nil)
				expect(got, "200", "Wool coat")
				loggedIn := v.cookie()
				got, _ = v.do("POST", "/logout", url.Values{})
				expect(got, "200", "You are logged out")
				got, _ = v.withCookie(loggedIn).do("GET", "/profile", nil)
				expect(got, "401", "Log in first")

				if err := cmd.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
				ended = true
				if err := cmd.Wait(); err != nil {
					t.Errorf("an interrupt ends it with %v", err)
				}
			})
		}
	}
	for _, c := range []struct{ flag, value, says string }{
		{"-framework", "martini", "use gin or echo"},
		{"-store", "bolt://x", "use memory, sqlite:file, valkey://host:port, mongodb://host:port, postgres://host:port/database or mysql://host:port/database"},
		{"-idle", "-1s", "IdleTimeout"},
	} {
		out, err := exec.CommandContext(t.Context(), binary, "-addr", "127.0.0.1:0", c.flag, c.value).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.says) {
			t.Errorf("%s %s: %v, %s", c.flag, c.value, err, out)
		}
	}
}
