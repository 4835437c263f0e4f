package adaptertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/cloakroom-go/cloakroom/core"
)

// WebSockets, whose libraries take over the connection or write the answer themselves.

// upgrade is the request of a WebSocket client, and returns the response and
// what follows it.
func (s *scene) upgrade(path, cookies string) (*http.Response, net.Conn, *bufio.Reader) {
	s.Helper()
	conn := s.dial()
	switch token, _ := strings.CutPrefix(cookies, "sid="); {
	case s.header:
		cookies = "Authorization: Bearer " + token + "\r\n"
	case cookies != "":
		cookies = "Cookie: " + cookies + "\r\n"
	}
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%s\r\n", path, conn.RemoteAddr(), cookies)
	if err != nil {
		s.Fatalf("%s: %v", path, err)
	}
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		s.Fatalf("%s: %v", path, err)
	}
	if s.header {
		s.asCookie(res.Header)
	}
	s.inspect(res.Header, false)
	if res.StatusCode == http.StatusSwitchingProtocols {
		_ = res.Body.Close()
	}
	return res, conn, r
}

// upgraded checks that the connection was taken over and works.
func (s *scene) upgraded(res *http.Response, conn net.Conn, r *bufio.Reader) {
	s.Helper()
	if res.StatusCode != http.StatusSwitchingProtocols {
		s.Fatalf("the upgrade is answered %d, want 101", res.StatusCode)
	}
	s.say(conn, r, "ping", "ping")
}

// say sends a line and checks the one that comes back.
func (s *scene) say(conn net.Conn, r *bufio.Reader, line, want string) {
	s.Helper()
	if _, err := fmt.Fprintln(conn, line); err != nil {
		s.Fatalf("write: %v", err)
	}
	got, err := r.ReadString('\n')
	if err != nil || strings.TrimSpace(got) != want {
		s.Fatalf("%q is answered %q (%v), want %q", line, got, err, want)
	}
}

// gorilla upgrades as gorilla/websocket does: it takes over the connection and
// writes the response itself, with the headers that it was given.
func gorilla(c *Context, header http.Header) (net.Conn, *bufio.ReadWriter, error) {
	h, ok := c.Writer.(http.Hijacker)
	if !ok {
		return nil, nil, errors.New("the writer is no http.Hijacker")
	}
	conn, rw, err := h.Hijack()
	if err != nil {
		return nil, nil, err
	}
	var b strings.Builder
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
	for name, values := range header {
		for _, v := range values {
			b.WriteString(name + ": " + v + "\r\n")
		}
	}
	b.WriteString("\r\n")
	if _, err := io.WriteString(conn, b.String()); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, rw, nil
}

// coder upgrades as coder/websocket does: it writes the response and then takes
// over the connection.
func coder(c *Context) (net.Conn, *bufio.ReadWriter, error) {
	c.Writer.Header().Set("Upgrade", "websocket")
	c.Writer.Header().Set("Connection", "Upgrade")
	c.Writer.WriteHeader(http.StatusSwitchingProtocols)
	if w, ok := c.Writer.(interface{ WriteHeaderNow() }); ok { // it knows Gin
		w.WriteHeaderNow()
	}
	return http.NewResponseController(c.Writer).Hijack()
}

// echoes sends back each line, but does what do says about one, until the
// client ends the connection.
func echoes(conn net.Conn, rw *bufio.ReadWriter, do func(line string) (answer string)) error {
	defer conn.Close()
	for {
		line, err := rw.ReadString('\n')
		if err != nil {
			return nil // the client is gone
		}
		if line = strings.TrimSpace(line); do != nil {
			line = do(line)
		}
		if _, err := fmt.Fprintln(conn, line); err != nil {
			return nil
		}
	}
}

// upgrading are the ways of the two libraries, each as a route that counts,
// upgrades, and then does as it is told.
func upgrading(s *scene) []Route {
	does := func(c *Context, sess *core.Session) func(string) string {
		return func(line string) string {
			ctx := context.WithoutCancel(c.Request.Context())
			switch line {
			case "change":
				count.Update(sess, func(n int) int { return n + 100 })
			case "save":
				return fmt.Sprint(sess.Save(ctx))
			case "check":
				return fmt.Sprint(sess.Check(ctx))
			}
			return line
		}
	}
	return []Route{
		at("/gorilla", func(c *Context) error {
			sess := c.Get()
			count.Update(sess, func(n int) int { return n + 1 })
			header, err := sess.UpgradeHeader(c.Request.Context())
			if err != nil {
				return c.String(core.HTTPStatus(err), "no upgrade")
			}
			conn, rw, err := gorilla(c, header)
			if err != nil {
				s.Errorf("upgrade: %v", err)
				return err
			}
			return echoes(conn, rw, does(c, sess))
		}),
		at("/coder", func(c *Context) error {
			sess := c.Get()
			count.Update(sess, func(n int) int { return n + 1 })
			if conn, rw, err := coder(c); err == nil { // else the error page took its place
				return echoes(conn, rw, does(c, sess))
			}
			return nil
		}),
		at("/hijack", func(c *Context) error { // without the header: nothing tells the client about the session
			count.Update(c.Get(), func(n int) int { return n + 1 })
			if conn, rw, err := gorilla(c, nil); err == nil { // else the error page took its place
				return echoes(conn, rw, nil)
			}
			return nil
		}),
	}
}

// afterwards lets a scenario wait until requests were served to the end, with
// all that the middleware does.
func (s *scene) afterwards() <-chan struct{} {
	served := make(chan struct{}, 100)
	s.around = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() { served <- struct{}{} }()
			s.latest.Store(r)
			next.ServeHTTP(w, r)
		})
	}
	return served
}

func upgrades() []scenario {
	var all []scenario
	for _, path := range []string{"/gorilla", "/coder"} {
		how := " (as" + strings.Replace(path, "/", " ", 1) + "/websocket)"
		all = append(all,
			scenario{"WebSocket upgrade: the cookie reaches the client on its first visit" + how, func(s *scene) {
				s.serve(upgrading(s)...)
				res, conn, r := s.upgrade(path, "")
				s.upgraded(res, conn, r)
				cookies := res.Cookies()
				if len(cookies) != 1 {
					s.Fatalf("the upgrade sets %d cookies, want one", len(cookies))
				}
				_ = conn.Close()
				b := s.sending("sid=" + cookies[0].Value)
				b.get("/count").is(http.StatusOK, "2").silent()
				res, conn, r = s.upgrade(path, "sid="+cookies[0].Value)
				s.upgraded(res, conn, r)
				if n := len(res.Cookies()); n != 0 {
					s.Fatalf("the second upgrade sets %d cookies, want none", n)
				}
				b.get("/count").is(http.StatusOK, "4")
			}},
			scenario{"WebSocket upgrade: what was changed before is stored, what is changed later only by Save" + how, func(s *scene) {
				served := s.afterwards()
				s.serve(upgrading(s)...)
				b := s.browser()
				b.get("/count")
				s.await(served, "the first request")
				res, conn, r := s.upgrade(path, b.cookies())
				s.upgraded(res, conn, r)
				b.get("/read").is(http.StatusOK, "2")
				s.await(served, "the second request")
				s.say(conn, r, "change", "change")
				b.get("/read").is(http.StatusOK, "2")
				s.await(served, "the third request")
				s.say(conn, r, "save", "<nil>")
				b.get("/read").is(http.StatusOK, "102")
				s.await(served, "the fourth request")
				s.say(conn, r, "change", "change")
				_ = conn.Close()
				s.await(served, "the handler of the connection")
				b.get("/read").is(http.StatusOK, "102")
			}},
			// Standards: ASVS-4.4.3, ASVS-4.4.4
			scenario{"WebSocket upgrade: Check tells when the session has ended" + how, func(s *scene) {
				s.serve(upgrading(s)...)
				b := s.browser()
				b.get("/count")
				res, conn, r := s.upgrade(path, b.cookies())
				s.upgraded(res, conn, r)
				s.say(conn, r, "check", "<nil>")
				b.get("/logout").deletes()
				s.say(conn, r, "check", core.ErrSessionGone.Error())
				s.say(conn, r, "change", "change")
				s.say(conn, r, "save", core.ErrSessionGone.Error())
				if n := s.live(0); n != 0 {
					s.Fatalf("%d sessions are stored, want none", n)
				}
			}},
			scenario{"WebSocket upgrade: none when the commit fails" + how, func(s *scene) {
				s.serve(upgrading(s)...)
				s.store.fail(writes...)
				res, _, _ := s.upgrade(path, "")
				if res.StatusCode != http.StatusServiceUnavailable || len(res.Cookies()) != 0 || res.Header.Get("Upgrade") != "" {
					s.Fatalf("the answer is %d with %v, want 503 and no upgrade", res.StatusCode, res.Header)
				}
			}},
		)
	}
	return all
}
