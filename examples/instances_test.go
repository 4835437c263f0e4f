package examples

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// Two instances behind a real nginx with the example's configuration, on a store in a file
// and on a Valkey.
func TestInstancesBehindNginx(t *testing.T) {
	t.Parallel()
	needNginx(t)
	for _, st := range []struct{ name, variable, value string }{
		{"a file", "SESSIONS_FILE", "sessions.db"},
		{"Valkey", "VALKEY_URL", "valkey://" + os.Getenv("VALKEY_ADDR") + "/6"},
	} {
		t.Run(st.name, func(t *testing.T) {
			t.Parallel()
			if os.Getenv("VALKEY_ADDR") == "" && st.variable == "VALKEY_URL" {
				const what = "NO VALKEY SERVER: VALKEY_ADDR is not set"
				if os.Getenv("CI") != "" {
					t.Fatal(what)
				}
				t.Skip(what)
			}
			if st.variable == "SESSIONS_FILE" {
				st.value = filepath.Join(t.TempDir(), st.value)
			}
			env := []string{"SESSION_SECRET=" + rand.Text() + rand.Text(), st.variable + "=" + st.value}
			a, b := run(t, "instances", nil, env...), run(t, "instances", nil, env...)
			site := startNginx(t, exampleConfig(t), a.port(), b.port())
			newTypist(t).typeAll(asTold(t, a, site))
			used := useBoth(t, site, a, b)
			streamsEnd(t, site, a, b)
			oneDies(t, used, a, b, env)
		})
	}
}

// asTold are the commands of the example that ask, here of this site. The ports of the
// instances are others than those in the comments.
func asTold(t *testing.T, p *process, site *site) []string {
	t.Helper()
	var asking []string
	for _, command := range p.commands(t) {
		if strings.HasPrefix(command, "curl") {
			asking = append(asking, strings.TrimSuffix(strings.ReplaceAll(command, "https://127.0.0.1:8443", site.base), "808"))
		}
	}
	return asking
}

// useBoth signs in and asks until both instances have answered: each knows the session, and
// what the other counted.
func useBoth(t *testing.T, site *site, a, b *process) *visitor {
	t.Helper()
	v := site.visitor(t)
	got, set := v.do("POST", "/login", url.Values{"user": {"bob"}})
	if got != "200 Hello, bob!" || len(set) != 1 || set[0].Name != "__Host-sid" || !set[0].Secure {
		t.Fatalf("the login is answered %q with the cookies %v, want one that is Secure: nginx says that it came over HTTPS", got, set)
	}
	view := 0
	untilBoth(t, a, b, func() string {
		view++
		return viewed(t, v, view)
	})
	return v
}

// untilBoth asks until both instances have answered. ask returns the port of the one that did.
func untilBoth(t *testing.T, a, b *process, ask func() (port string)) {
	t.Helper()
	seen := map[string]bool{}
	for range 100 {
		if seen[ask()] = true; seen[a.port()] && seen[b.port()] {
			return
		}
	}
	t.Fatalf("of the instances on the ports %s and %s nginx asks only %v", a.port(), b.port(), seen)
}

// viewed asks for the page once more and returns the port of the instance that answered.
func viewed(t *testing.T, v *visitor, view int) (port string) {
	t.Helper()
	got, _ := v.do("GET", "/", nil)
	port, ok := strings.CutPrefix(got, fmt.Sprintf("200 bob, view %d, of the instance on port ", view))
	if !ok {
		t.Fatalf("view %d is answered %q", view, got)
	}
	return port
}

// streamsEnd opens streams and sockets at both instances, and signs out at one.
func streamsEnd(t *testing.T, site *site, a, b *process) {
	t.Helper()
	v := site.visitor(t)
	v.do("POST", "/login", url.Values{"user": {"ann"}})
	v.http.Timeout = patience
	var streams []*bufio.Reader
	untilBoth(t, a, b, func() string {
		res, err := v.http.Get(v.base + "/events")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		stream := bufio.NewReader(res.Body)
		streams = append(streams, stream)
		line, err := stream.ReadString('\n') // comes while the stream goes on: nginx keeps nothing back
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimPrefix(strings.TrimSpace(line), "data: from port ")
	})
	var sockets []*websocket.Conn
	untilBoth(t, a, b, func() string {
		conn, _, err := websocket.Dial(t.Context(), v.base+"/socket", &websocket.DialOptions{
			HTTPClient: &http.Client{Jar: v.http.Jar, Transport: v.http.Transport}, HTTPHeader: http.Header{"Origin": {v.base}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.CloseNow() })
		sockets = append(sockets, conn)
		_, message, err := conn.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimPrefix(string(message), "from port ")
	})
	if got, _ := v.do("POST", "/logout", nil); got != "200 " {
		t.Fatalf("the logout is answered %q", got)
	}
	for _, stream := range streams {
		if rest, err := io.ReadAll(stream); err != nil || !strings.Contains(string(rest), "event: signed-out") {
			t.Errorf("a stream ends with %q (%v)", rest, err)
		}
	}
	for _, conn := range sockets {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Errorf("a socket ends with %v, want the code 1008", err)
		}
		cancel()
	}
}

// oneDies kills an instance: nobody is logged out, no request fails and no view is lost. It is
// used again when it is back.
func oneDies(t *testing.T, v *visitor, a, b *process, env []string) {
	t.Helper()
	view := 1
	got, _ := v.do("GET", "/", nil)
	if _, err := fmt.Sscanf(got, "200 bob, view %d,", &view); err != nil {
		t.Fatalf("%q: %v", got, err)
	}
	if err := a.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-a.ended
	for range 20 {
		view++
		if port := viewed(t, v, view); port != b.port() {
			t.Fatalf("the instance on port %s answers, which is dead", port)
		}
	}
	if got, _ := v.do("POST", "/login", url.Values{"user": {"bob"}}); got != "200 Hello, bob!" {
		t.Errorf("a login is answered %q", got)
	}
	runAt(t, a.port(), "instances", nil, env...)
	eventually(t, func() error {
		view++
		if port := viewed(t, v, view); port != a.port() {
			return errors.New("the instance that is back is not used")
		}
		return nil
	})
}

// A session that is sealed in its cookie makes a response with headers of more than 4 KB. The
// configuration has room for them, which nginx has not by itself.
func TestNginxHasRoomForASealedCookie(t *testing.T) {
	t.Parallel()
	needNginx(t)
	cookie := strings.Repeat("x", 4000)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: cookie, Path: "/"})
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
	}))
	t.Cleanup(app.Close)
	_, port, err := net.SplitHostPort(app.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	config := exampleConfig(t)
	before, after, found := strings.Cut(config, "\t\t\tproxy_buffer_size 16k;\n")
	if !found {
		t.Fatal("nginx.conf has no proxy_buffer_size")
	}
	for config, want := range map[string]string{config: "200 ", before + after: "502 "} {
		if got, _ := startNginx(t, config, port, port).visitor(t).do("GET", "/", nil); !strings.HasPrefix(got, want) {
			t.Errorf("%.30q, want %q; proxy_buffer_size is set: %v", got, want, strings.Contains(config, "proxy_buffer_size"))
		}
	}
}

func (p *process) port() string { return p.base[strings.LastIndexByte(p.base, ':')+1:] }

// A site is an nginx that serves HTTPS with a certificate of its own.
type site struct {
	base  string
	trust http.RoundTripper
}

func exampleConfig(t *testing.T) string {
	t.Helper()
	config, err := os.ReadFile("instances/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	return string(config)
}

func nginx() string {
	if path := os.Getenv("NGINX_PROGRAM"); path != "" {
		return path
	}
	path, _ := exec.LookPath("nginx")
	return path
}

func needNginx(t *testing.T) {
	t.Helper()
	if nginx() != "" {
		return
	}
	const what = "NO NGINX: it is not on the PATH and NGINX_PROGRAM is not set (TESTSERVERS=nginx scripts/servers.sh finds one), so this is NOT TESTED"
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// startNginx starts nginx with the configuration, in which its port and those of the instances
// are others.
func startNginx(t *testing.T, config string, instances ...string) *site {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	for i, from := range []string{"127.0.0.1:8443", "127.0.0.1:8081", "127.0.0.1:8082"} {
		if strings.Count(config, from) != 1 {
			t.Fatalf("nginx.conf does not have %s once", from)
		}
		config = strings.Replace(config, from, "127.0.0.1:"+append([]string{port}, instances...)[i], 1)
	}
	certified := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(certified.Close)
	pair := certified.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"nginx.conf": []byte(config),
		"cert.pem":   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		"key.pem":    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(nginx(), "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-g", "daemon off; master_process off;")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("nginx says:\n%s", &said)
		}
	})
	eventually(t, func() error {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ended:
			t.Fatalf("nginx has ended: %s", &said)
		default:
		}
		return err
	})
	transport := certified.Client().Transport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return &site{"https://127.0.0.1:" + port, transport}
}

// visitor returns a browser at this site.
func (s *site) visitor(t *testing.T) *visitor {
	t.Helper()
	v := newVisitor(t, s.base)
	v.http.Transport = s.trust
	return v
}
