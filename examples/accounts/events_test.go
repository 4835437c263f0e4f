package main

import (
	"bufio"
	"io"
	"net"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"
)

// events opens the stream of a page and returns what comes on it, line by line.
func (b *browser) events() <-chan string {
	b.t.Helper()
	client := *b.client
	client.Timeout = 0
	answer, err := client.Get(b.site.url + "/session/events")
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = answer.Body.Close() })
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != 200 || kind != "text/event-stream" {
		b.t.Fatalf("the stream is answered %d, %q", answer.StatusCode, kind)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(answer.Body); in.Scan(); {
			if line := in.Text(); strings.HasPrefix(line, "event:") {
				lines <- line
			}
		}
	}()
	return lines
}

func TestAPageIsToldThatItsSessionHasEnded(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		phone := s.browser(t).signUp("ann")
		laptop := s.browser(t).logIn("ann", secret)
		eve := s.browser(t).signUp("eve")
		s.browser(t).get("/session/events").isProblem(401)

		onPhone, onLaptop, atEve := phone.events(), laptop.events(), eve.events()
		laptop.post("/devices/end-others").at(200, "/devices")
		if line := <-onPhone; line != "event: ended" {
			t.Errorf("the phone is told %q", line)
		}
		if _, more := <-onPhone; more {
			t.Error("the stream of a session that has ended goes on")
		}
		laptop.post("/logout")
		if line := <-onLaptop; line != "event: ended" {
			t.Errorf("the laptop is told %q", line)
		}
		select {
		case line := <-atEve:
			t.Errorf("somebody else is told %q", line)
		default:
		}

		s.app.endStreams() // as a shutdown does
		if line, more := <-atEve; more {
			t.Errorf("at a shutdown a page is told %q", line)
		}
	})
}

// What the server allows a request and an answer to take is no limit of a stream.
func TestAStreamOutlivesTheLimitsOfTheServer(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		limited := httptest.NewUnstartedServer(s.app.protect(frameworks[path.Base(t.Name())](s.app)))
		limited.Config.ReadTimeout, limited.Config.WriteTimeout = time.Hour, time.Hour
		conns := &hasty{Listener: limited.Listener}
		limited.Listener = conns
		limited.Start()
		t.Cleanup(limited.Close)
		phone, laptop := s.browser(t).signUp("ann"), s.browser(t).logIn("ann", secret)
		onPhone := (&browser{t: t, site: &site{url: limited.URL}, client: phone.client}).events()

		idle, err := net.Dial("tcp", limited.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer idle.Close()
		gone := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, idle)
			gone <- err
		}()
		for waits := true; waits; { // until the server has waited for that long
			conns.hurry()
			select {
			case err := <-gone:
				if waits = false; err != nil {
					t.Fatal(err)
				}
			case <-time.After(time.Millisecond):
			}
		}
		laptop.post("/devices/end-others").at(200, "/devices")
		if line := <-onPhone; line != "event: ended" {
			t.Errorf("the phone is told %q", line)
		}
	})
}

// A hasty is a listener on whose connections an hour may pass in no time.
type hasty struct {
	net.Listener

	mu    sync.Mutex
	conns []*hastyConn
}

func (h *hasty) Accept() (net.Conn, error) {
	conn, err := h.Listener.Accept()
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns = append(h.conns, &hastyConn{Conn: conn})
	return h.conns[len(h.conns)-1], nil
}

// hurry has the limits be over of which the server has said that they are in an hour.
func (h *hasty) hurry() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, conn := range h.conns {
		conn.hurry()
	}
}

type hastyConn struct {
	net.Conn

	mu          sync.Mutex
	read, write bool // is limited to an hour
}

func isAnHour(t time.Time) bool { return time.Until(t) > 30*time.Minute }

func (c *hastyConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = isAnHour(t)
	return c.Conn.SetReadDeadline(t)
}

func (c *hastyConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write = isAnHour(t)
	return c.Conn.SetWriteDeadline(t)
}

func (c *hastyConn) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.read {
		_ = c.Conn.SetReadDeadline(time.Now())
	}
	if c.write {
		_ = c.Conn.SetWriteDeadline(time.Now())
	}
}
