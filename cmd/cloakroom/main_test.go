package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/cmd/cloakroom/internal/target"
	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/internal/suite"
)

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	suite.MainWaiting(m)
}

// asCommand is the variable that makes the program of the tests the command.
const asCommand = "CLOAKROOM_TEST_AS_COMMAND"

// patience is how long a server may take for anything. Only what fails waits so long.
const patience = time.Minute

// A result is what the command came to.
type result struct {
	code     int
	out, err string
}

// operate runs the command as if in an environment with these variables.
func operate(t *testing.T, env map[string]string, args ...string) (r result) {
	t.Helper()
	return operateAt(t.Context(), nil, env, args...)
}

// operateAt is operate with another clock.
func operateAt(ctx context.Context, now func() time.Time, env map[string]string, args ...string) (r result) {
	var out, err bytes.Buffer
	if now == nil {
		now = time.Now
	}
	r.code = run(ctx, append([]string{"--timeout", patience.String()}, args...), world{
		in: strings.NewReader(""), out: &out, err: &err, now: now,
		getenv: func(name string) string { return env[name] },
	})
	r.out, r.err = out.String(), err.String()
	return r
}

// want checks the exit code and what the command printed.
func (r result) want(t *testing.T, code int, texts ...string) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\n%s%s", r.code, code, r.out, r.err)
	}
	for _, text := range texts {
		if !strings.Contains(r.out+r.err, text) {
			t.Errorf("it does not say %q:\n%s%s", text, r.out, r.err)
		}
	}
	return r
}

// lines decodes what was printed with --json.
func lines[T any](t *testing.T, r result) (all []T) {
	t.Helper()
	for line := range strings.Lines(r.out) {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%q is no JSON: %v", line, err)
		}
		all = append(all, v)
	}
	return all
}

// server returns how a server is reached, or skips the test.
func server(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not set: scripts/servers.sh up starts the servers of the tests", name)
		}
		t.Skipf("NOT TESTED: %s is not set; scripts/servers.sh up starts the servers of the tests", name)
	}
	return value
}

// kinds are the stores of which there is one in the tests, by how an empty one is named.
var kinds = map[string]func(t *testing.T) string{
	"valkey": func(t *testing.T) string {
		return "valkey://" + server(t, "VALKEY_ADDR") + "?prefix=" + unique() + ":"
	},
	"cluster": func(t *testing.T) string {
		return "valkey://" + server(t, "VALKEY_CLUSTER_ADDRS") + "?prefix=" + unique() + ":"
	},
	"tls": func(t *testing.T) string {
		addr := server(t, "VALKEY_TLS_ADDR")
		return fmt.Sprintf("valkeys://%s:%s@%s?ca=%s&prefix=sess:%s:&user_prefix=user-sess:%[5]s:", os.Getenv("VALKEY_TLS_USERNAME"), os.Getenv("VALKEY_TLS_PASSWORD"), addr, os.Getenv("VALKEY_TLS_CA"), unique())
	},
	"mongodb": func(t *testing.T) string {
		return strings.TrimSuffix(server(t, "MONGODB_URI"), "/") + "/cloakroom_cmd?collection=" + unique()
	},
	"postgresql": func(t *testing.T) string { return server(t, "POSTGRESQL_URL") + "&table=" + unique() },
	"mysql": func(t *testing.T) string {
		user, rest, _ := strings.Cut(strings.Replace(server(t, "MARIADB_DSN"), ")", "", 1), "@tcp(")
		return "mysql://" + user + "@" + rest + "?table=" + unique()
	},
	"sqlite": func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "sessions.db") },
}

// unique returns a name that no other test has.
func unique() string { return fmt.Sprintf("cmd%d_%d", os.Getpid(), uniques.Add(1)) }

var uniques atomic.Int64

// open opens the store at a URL, which is emptied when the test is over.
func open(t *testing.T, url string) *target.Target {
	t.Helper()
	s, err := target.Open(t.Context(), url, target.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		for _, part := range []any{s.Store, s.Store.UserIndex()} {
			_ = part.(store.Clearer).Clear(ctx)
		}
		switch {
		case s.Mongo != nil:
			_ = s.Mongo.Drop(ctx)
			_ = s.Mongo.Database().Collection(s.Mongo.Name() + "_users").Drop(ctx)
		case s.SQL != nil && s.File == "":
			for _, suffix := range []string{"", "_users", "_meta"} {
				_, _ = s.SQL.ExecContext(ctx, "DROP TABLE "+s.Table+suffix)
			}
		}
		s.Close()
	})
	return s
}

// An app uses a store, over HTTP.
type app struct {
	t *testing.T
	m *core.Manager
	h http.Handler
}

func newApp(t *testing.T, s *target.Target, cfg core.Config) *app {
	t.Helper()
	cfg.Store, cfg.Secrets, cfg.StoreTimeout = s.Store, []string{strings.Repeat("secret ", 5)}, patience
	m, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{t: t, m: m}
	a.h = m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if user := r.FormValue("login"); user != "" {
			if err := s.SignIn(r.Context(), user, "password"); err != nil {
				t.Error(err)
			}
		}
		if value := r.FormValue("cart"); value != "" {
			s.Set("cart", value)
		}
		_, _ = fmt.Fprintf(w, "%s %v", s.User(), s.Get("cart"))
	}))
	return a
}

// ask sends a request, and returns the answer and the cookie that the browser has then.
func (a *app) ask(cookie, query string) (body, next string) {
	a.t.Helper()
	r := httptest.NewRequestWithContext(a.t.Context(), http.MethodGet, "/?"+query, nil)
	r.Header.Set("User-Agent", "a \x1b[31mbrowser")
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	a.h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		a.t.Fatalf("the app answers %d", w.Code)
	}
	for _, c := range w.Result().Cookies() {
		cookie = c.Name + "=" + c.Value
	}
	return w.Body.String(), cookie
}

// visit is ask for somebody who has no cookie yet.
func (a *app) visit(query string) (cookie string) {
	a.t.Helper()
	_, cookie = a.ask("", query)
	return cookie
}

// express stores a session as express-session writes it.
func express(t *testing.T, s *target.Target, user string) (id string) {
	t.Helper()
	id = unique() + "-made-by-express"
	rec := store.Record{ID: id, TTL: time.Hour, Data: fmt.Appendf(nil, `{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"userId":%q}`, user)}
	if err := s.Store.Create(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	return id
}

// start starts a server of Valkey with these options, and returns its address.
func start(t *testing.T, options ...string) (addr string) {
	t.Helper()
	program := server(t, "VALKEY_SERVER")
	return startProgram(t, program, options...)
}

func startProgram(t *testing.T, program string, options ...string) (addr string) {
	t.Helper()
	return startCommand(t, func(port string) []string {
		return append([]string{program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()}, options...)
	})
}

// startSentinel starts a Sentinel with a password of its own, which watches a primary by the
// name "ours". Either password may be empty, for none.
func startSentinel(t *testing.T, primary, password, ofPrimary string) (addr string) {
	t.Helper()
	program := server(t, "VALKEY_SERVER")
	host, primaryPort, _ := net.SplitHostPort(primary)
	return startCommand(t, func(port string) []string {
		file := filepath.Join(t.TempDir(), "sentinel.conf")
		config := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor ours %s %s 1\nuser tests on nopass ~* &* +info\n",
			port, filepath.Dir(file), host, primaryPort)
		if ofPrimary != "" {
			config += "sentinel auth-pass ours " + ofPrimary + "\n"
		}
		if password != "" {
			config += "user default on >" + password + " ~* &* +@all\n"
		}
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{program, file, "--sentinel"}
	})
}

// startCommand starts a server by the command for a port.
func startCommand(t *testing.T, command func(port string) []string) (addr string) {
	t.Helper()
	for began := time.Now(); time.Since(began) < patience; {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr = free.Addr().String()
		_ = free.Close()
		_, port, _ := net.SplitHostPort(addr)
		ctx, cancel := context.WithCancel(context.Background())
		args := command(port)
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			_ = cmd.Wait()
			close(ended)
		}()
		t.Cleanup(func() {
			cancel()
			<-ended
		})
		for time.Since(began) < patience {
			select {
			case <-ended:
				if again, err := net.Listen("tcp", addr); err == nil { // else somebody else has taken the port
					_ = again.Close()
					t.Fatalf("the server has ended: %s", said.String())
				}
			default:
				if answers(addr, cmd.Process.Pid) {
					return addr
				}
				time.Sleep(10 * time.Millisecond)
				continue
			}
			break
		}
	}
	t.Fatal("the server does not start")
	return ""
}

// answers reports whether that process answers as a server of Valkey. That a connection is
// made says nothing: one to a port of this machine where nobody listens may be made with
// itself. Nor does an answer, which may be that of another test's server.
func answers(addr string, pid int) bool {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("AUTH tests any\r\nINFO server\r\n")); err != nil {
		return false
	}
	for said := bufio.NewScanner(conn); said.Scan(); {
		if id, ok := strings.CutPrefix(said.Text(), "process_id:"); ok {
			return id == strconv.Itoa(pid)
		}
	}
	return false
}
