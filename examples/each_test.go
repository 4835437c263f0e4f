package examples

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// The form leads back to where its user came from, and to no other site.
func TestSignInLeadsToThisSiteAlone(t *testing.T) {
	t.Parallel()
	base := start(t, "sign-in")
	for _, c := range []struct{ returnTo, want string }{
		{"/orders?page=2", "/orders?page=2"},
		{"", "/orders"},
		{"https://evil.example/", "/orders"},
	} {
		v := newVisitor(t, base)
		v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		res, err := v.http.PostForm(base+"/login?return_to="+url.QueryEscape(c.returnTo), url.Values{"user": {"bob"}, "password": {"correct horse"}})
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if got := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || got != c.want {
			t.Errorf("return_to=%q leads to %q with status %d, want %q with 303", c.returnTo, got, res.StatusCode, c.want)
		}
	}
	for _, name := range []string{"", "nobody", "eve"} {
		if got, _ := newVisitor(t, base).do("POST", "/login", url.Values{"user": {name}, "password": {""}}); !strings.HasPrefix(got, "401") {
			t.Errorf("the name %q without a password is answered %.20q, want 401", name, got)
		}
	}
}

// Whoever knows a handle of somebody else's device can do nothing with it.
func TestNobodyEndsTheDevicesOfOthers(t *testing.T) {
	t.Parallel()
	base := start(t, "devices")
	bob, eve := newVisitor(t, base), newVisitor(t, base)
	bob.do("POST", "/login", url.Values{"user": {"bob"}})
	eve.do("POST", "/login", url.Values{"user": {"eve"}})
	handle, _ := bob.do("GET", "/me", nil)
	handle = strings.TrimPrefix(handle, "200 ")
	if got, _ := bob.do("GET", "/devices", nil); !strings.Contains(got, handle) || !strings.Contains(got, `"current":true`) || strings.Contains(got, bob.cookie()) {
		t.Errorf("bob's devices are %s, want one with the handle %s, the current one, and no cookie", got, handle)
	}
	if got, _ := eve.do("DELETE", "/devices/"+handle, nil); !strings.HasPrefix(got, "404") {
		t.Errorf("eve ends bob's device: %q, want 404", got)
	}
	if got, _ := bob.do("GET", "/me", nil); got != "200 "+handle {
		t.Errorf("bob gets %q, want to be signed in still", got)
	}
}

// What the example says of a login that is too old.
func TestStepUp(t *testing.T) {
	t.Parallel()
	fresh := run(t, "step-up", nil).commands(t)
	newTypist(t).typeAll(fresh[:3])

	old := run(t, "step-up", nil, "RECENT=1s").commands(t)
	ty := newTypist(t)
	if err := ty.do(old[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return ty.do(old[4]) }) // it is refused
	for _, line := range []string{old[3], old[5]} {
		if err := ty.do(line); err != nil {
			t.Error(err)
		}
	}
	eventually(t, func() error { // within a second of another login
		if err := ty.do(old[6]); err != nil {
			return err
		}
		return ty.do(old[7])
	})
}

// A stream says why it ends, and is not opened again.
func TestTheEventStreamEndsWithItsSession(t *testing.T) {
	t.Parallel()
	base := start(t, "event-stream")
	phone, laptop, ann := newVisitor(t, base), newVisitor(t, base), newVisitor(t, base)
	phone.do("POST", "/login", url.Values{"user": {"bob"}})
	laptop.do("POST", "/login", url.Values{"user": {"bob"}})
	ann.do("POST", "/login", url.Values{"user": {"ann"}})
	streams := map[*visitor]*bufio.Reader{}
	for _, v := range []*visitor{phone, laptop, ann} {
		v.http.Timeout = patience
		res, err := v.http.Get(base + "/events")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		streams[v] = bufio.NewReader(res.Body)
		if line, err := streams[v].ReadString('\n'); line != "event:time\n" {
			t.Fatalf("the stream begins with %q (%v)", line, err)
		}
	}
	laptop.do("POST", "/logout-everywhere", nil)
	for _, v := range []*visitor{phone, laptop} {
		rest, err := io.ReadAll(streams[v])
		if err != nil || !strings.HasSuffix(strings.TrimSpace(string(rest)), "event:signed-out\ndata:") {
			t.Errorf("the stream ends with %q (%v)", rest, err)
		}
		if got, _ := v.do("GET", "/events", nil); !strings.HasPrefix(got, "401") {
			t.Errorf("it is opened again: %.40q", got)
		}
	}
	if got, _ := ann.do("POST", "/logout-everywhere", nil); got != "200 Goodbye!" {
		t.Errorf("ann, whom nobody logged out, gets %q", got)
	}
}

// A socket ends with its session, and is for pages of this site and users who are signed in.
func TestTheWebSocketEndsWithItsSession(t *testing.T) {
	t.Parallel()
	base := start(t, "websocket")
	v := newVisitor(t, base)
	v.http.Timeout = 0 // a connection is open for longer
	dial := func(origin string) (*websocket.Conn, int) {
		t.Helper()
		conn, res, err := websocket.Dial(t.Context(), base+"/socket", &websocket.DialOptions{HTTPClient: v.http, HTTPHeader: http.Header{"Origin": {origin}}})
		if res == nil {
			t.Fatal(err)
		}
		return conn, res.StatusCode
	}
	if _, status := dial(base); status != http.StatusUnauthorized {
		t.Errorf("nobody's socket: status %d, want 401", status)
	}
	if got, _ := v.do("POST", "/login", nil); !strings.HasPrefix(got, "200") {
		t.Fatal(got)
	}
	if _, status := dial("https://evil.example"); status != http.StatusForbidden {
		t.Errorf("a socket of another site: status %d, want 403", status)
	}
	conn, _ := dial(base)
	defer conn.CloseNow()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.Read(t.Context()); err != nil || string(got) != "bob: hello" {
		t.Errorf("it says %q (%v), want \"bob: hello\"", got, err)
	}
	v.do("POST", "/logout", nil) // in another tab
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("after the logout: %v, want it closed with 1008", err)
	}
}

// A link leads to the page from anywhere; nothing but GET and HEAD passes from elsewhere.
func TestCSRF(t *testing.T) {
	t.Parallel()
	base := start(t, "csrf")
	v := newVisitor(t, base)
	v.do("POST", "/login", url.Values{"user": {"bob"}})
	for method, want := range map[string]int{"GET": http.StatusMethodNotAllowed, "POST": http.StatusForbidden, "PUT": http.StatusForbidden, "DELETE": http.StatusForbidden} {
		r, err := http.NewRequestWithContext(t.Context(), method, base+"/transfer", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		res, err := v.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s from another site: status %d, want %d", method, res.StatusCode, want)
		}
	}
}

// Caches and browsers learn what an answer depends on.
func TestCORSVariesByOriginCookieAndEncoding(t *testing.T) {
	t.Parallel()
	base := start(t, "cors")
	v := newVisitor(t, base)
	for _, path := range []string{"/login", "/me"} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if path == "/login" {
			r.Method = "POST"
			r.URL.RawQuery = "user=bob"
		}
		r.Header.Set("Origin", "https://app.example.com")
		res, err := v.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		vary := strings.Join(res.Header.Values("Vary"), ", ")
		for _, want := range []string{"Origin", "Accept-Encoding", "Cookie"} {
			if !strings.Contains(vary, want) || res.StatusCode != http.StatusOK {
				t.Errorf("%s: status %d, Vary is %q, without %s", path, res.StatusCode, vary, want)
			}
		}
	}
}

// What the example says, with nobody logged out; and a file that cannot be read changes nothing.
func TestRotation(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(file, []byte(strings.Repeat("the former secret", 2)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := run(t, "rotation", nil, "SECRETS_FILE="+file)
	commands := p.commands(t)
	v, ty := newVisitor(t, p.base), newTypist(t)
	v.do("POST", "/login", url.Values{"user": {"bob"}})
	before := v.cookie()
	for _, line := range commands {
		if strings.Contains(line, "Set-Cookie") { // the program has yet to read its secrets
			eventually(t, func() error { return ty.do(line) })
		} else if err := ty.do(line); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, "by-old-secrets") {
			if err := os.Rename(file, file+".away"); err != nil {
				t.Fatal(err)
			}
			if err := ty.do(regexp.MustCompile(`kill -HUP \d+`).FindString(commands[1])); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() error {
				if !strings.Contains(p.complaints.String(), "the secrets stay as they are") {
					return fmt.Errorf("the program says %q", p.complaints.String())
				}
				return nil
			})
			if got, set := v.do("GET", "/me", nil); got != "200 You are bob." || len(set) != 1 || v.cookie() == before {
				t.Errorf("who comes by with a cookie of the old secret gets %q and %v, want to be bob, with a new cookie", got, set)
			}
			if err := os.Rename(file+".away", file); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, func() error {
		if got, _ := v.withCookie(before).do("GET", "/me", nil); !strings.HasPrefix(got, "401") {
			return fmt.Errorf("a cookie of a secret that is gone gets %q, want 401", got)
		}
		return nil
	})
	if got, _ := v.do("GET", "/me", nil); got != "200 You are bob." {
		t.Errorf("in the end bob gets %q", got)
	}
}

// The table of examples/README.md names each program of this module once, and each that it
// names is there.
func TestTheTableNamesEveryExample(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	programs, err := filepath.Glob("*/main.go")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, link := range regexp.MustCompile(`(?m)^\|[^|]*\| \[[a-z-]+\]\(([a-z-]+)/main.go\)`).FindAllStringSubmatch(string(readme), -1) {
		named = append(named, link[1]+"/main.go")
	}
	slices.Sort(named)
	slices.Sort(programs)
	if !slices.Equal(named, programs) {
		t.Errorf("README.md names %q, want %q", named, programs)
	}
}
