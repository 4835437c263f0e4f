package main

import (
	"bufio"
	"io"
	"net"
	"net/http/httptest"
	"path"
	"strings"
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
		short := httptest.NewUnstartedServer(s.app.protect(frameworks[path.Base(t.Name())](s.app)))
		short.Config.ReadTimeout, short.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
		short.Start()
		t.Cleanup(short.Close)
		phone, laptop := s.browser(t).signUp("ann"), s.browser(t).logIn("ann", secret)
		onPhone := (&browser{t: t, site: &site{url: short.URL}, client: phone.client}).events()

		idle, err := net.Dial("tcp", short.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer idle.Close()
		if _, err := io.Copy(io.Discard, idle); err != nil { // until the server has waited for that long
			t.Fatal(err)
		}
		laptop.post("/devices/end-others").at(200, "/devices")
		if line := <-onPhone; line != "event: ended" {
			t.Errorf("the phone is told %q", line)
		}
	})
}
