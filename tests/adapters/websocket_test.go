package adapters

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

const visits core.Key[int] = "visits"

// A socket is a connection of either library, of a client.
type socket interface {
	say(t *testing.T, text, want string)
	close()
}

// A library is a WebSocket library: the handler of an app that uses it, and its
// client.
type library struct {
	name   string
	handle adaptertest.Handler
	dial   func(t *testing.T, address string, jar http.CookieJar) socket
}

var libraries = []library{
	{"gorilla", gorillaHandler, dialGorilla},
	{"coder", coderHandler, dialCoder},
}

// answer does what a client asks for.
func answer(ctx context.Context, s *core.Session, text string) string {
	switch text {
	case "change":
		visits.Update(s, func(n int) int { return n + 100 })
	case "save":
		return fmt.Sprint(s.Save(ctx))
	case "check":
		if err := s.Check(ctx); err != nil {
			return fmt.Sprint("ended: ", errors.Is(err, core.ErrSessionGone))
		}
		return "lives"
	}
	return text
}

func gorillaHandler(c *adaptertest.Context) error {
	s := c.Get()
	visits.Update(s, func(n int) int { return n + 1 })
	header, err := s.UpgradeHeader(c.Request.Context())
	if err != nil {
		return c.Fail(core.HTTPStatus(err))
	}
	conn, err := new(gorilla.Upgrader).Upgrade(c.Writer, c.Request, header)
	if err != nil {
		return nil // it has answered
	}
	defer conn.Close()
	for {
		_, text, err := conn.ReadMessage()
		if err != nil {
			return nil
		}
		if err := conn.WriteMessage(gorilla.TextMessage, []byte(answer(context.WithoutCancel(c.Request.Context()), s, string(text)))); err != nil {
			return nil
		}
	}
}

func coderHandler(c *adaptertest.Context) error {
	s := c.Get()
	visits.Update(s, func(n int) int { return n + 1 })
	conn, err := coder.Accept(c.Writer, c.Request, nil)
	if err != nil {
		return nil // it has answered
	}
	defer conn.CloseNow()
	ctx := context.WithoutCancel(c.Request.Context())
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			return nil
		}
		if err := conn.Write(ctx, coder.MessageText, []byte(answer(ctx, s, string(text)))); err != nil {
			return nil
		}
	}
}

type gorillaSocket struct{ *gorilla.Conn }

func dialGorilla(t *testing.T, address string, jar http.CookieJar) socket {
	t.Helper()
	dialer := gorilla.Dialer{Jar: jar, HandshakeTimeout: servers.Patience}
	conn, res, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(address, "http"), nil)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	_ = res.Body.Close()
	return gorillaSocket{conn}
}

func (s gorillaSocket) say(t *testing.T, text, want string) {
	t.Helper()
	if err := s.WriteMessage(gorilla.TextMessage, []byte(text)); err != nil {
		t.Fatalf("write: %v", err)
	}
	if _, got, err := s.ReadMessage(); err != nil || string(got) != want {
		t.Fatalf("%q is answered %q (%v), want %q", text, got, err, want)
	}
}

func (s gorillaSocket) close() { _ = s.Close() }

type coderSocket struct{ *coder.Conn }

func dialCoder(t *testing.T, address string, jar http.CookieJar) socket {
	t.Helper()
	conn, _, err := coder.Dial(t.Context(), address, &coder.DialOptions{HTTPClient: &http.Client{Jar: jar}})
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	return coderSocket{conn}
}

func (s coderSocket) say(t *testing.T, text, want string) {
	t.Helper()
	if err := s.Write(t.Context(), coder.MessageText, []byte(text)); err != nil {
		t.Fatalf("write: %v", err)
	}
	if _, got, err := s.Read(t.Context()); err != nil || string(got) != want {
		t.Fatalf("%q is answered %q (%v), want %q", text, got, err, want)
	}
}

func (s coderSocket) close() { _ = s.CloseNow() }

func TestWebSockets(t *testing.T) {
	for _, fw := range frameworks.All() {
		for _, lib := range libraries {
			t.Run(fw.Name+", "+lib.name, func(t *testing.T) {
				t.Parallel()
				served := make(chan struct{}, 8) // connections that were served to the end
				m, err := core.New(core.Config{Store: newStore(t), StoreTimeout: servers.Patience, Secrets: []string{strings.Repeat("s", 32)}})
				if err != nil {
					t.Fatal(err)
				}
				app := fw.Serve(t, adaptertest.App{
					Use: []adaptertest.Middleware{{Session: m}},
					Groups: []adaptertest.Group{{Routes: []adaptertest.Route{
						{Path: "/socket", Handler: lib.handle},
						{Path: "/visits", Handler: func(c *adaptertest.Context) error {
							_, err := fmt.Fprint(c.Writer, visits.Get(c.Get()))
							return err
						}},
						{Path: "/logout", Handler: func(c *adaptertest.Context) error { return c.Get().Destroy(c.Request.Context()) }},
					}}},
				})
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					app.ServeHTTP(w, r)
					if r.URL.Path == "/socket" {
						served <- struct{}{}
					}
				}))
				defer srv.Close()
				jar, err := cookiejar.New(nil)
				if err != nil {
					t.Fatal(err)
				}
				client := &http.Client{Jar: jar, Timeout: servers.Patience}
				expect := func(want int) {
					t.Helper()
					res, err := client.Get(srv.URL + "/visits")
					if err != nil {
						t.Fatal(err)
					}
					defer res.Body.Close()
					var got int
					if _, err := fmt.Fscan(res.Body, &got); err != nil || got != want {
						t.Fatalf("visits: %d (%v), want %d", got, err, want)
					}
				}

				// The cookie reaches the client on its first visit.
				first := lib.dial(t, srv.URL+"/socket", jar)
				first.say(t, "ping", "ping")
				u, err := url.Parse(srv.URL)
				if err != nil {
					t.Fatal(err)
				}
				if n := len(jar.Cookies(u)); n != 1 {
					t.Fatalf("the upgrade sets %d cookies, want one", n)
				}
				expect(1)

				// The session survives.
				second := lib.dial(t, srv.URL+"/socket", jar)
				second.say(t, "ping", "ping")
				expect(2)

				// Nothing is stored behind the app's back, only by Save.
				second.say(t, "change", "change")
				second.close()
				<-served
				expect(2)
				third := lib.dial(t, srv.URL+"/socket", jar)
				third.say(t, "change", "change")
				third.say(t, "save", "<nil>")
				expect(103)

				// Check tells a long connection that its session has ended.
				first.say(t, "check", "lives")
				res, err := client.Get(srv.URL + "/logout")
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				first.say(t, "check", "ended: true")
				third.say(t, "check", "ended: true")
				first.close()
				third.close()
				<-served
				<-served
				expect(0)
			})
		}
	}
}
