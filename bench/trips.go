package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// tripDelay is how long an answer of a server takes where trips are counted.
const tripDelay = 20 * time.Millisecond

// countTrips counts the round trips that a request waits for, by their time on
// a network on which each takes tripDelay. It opens the subject for itself.
func countTrips(ctx context.Context, s *servers, sub subject, list []workload) (map[string]int, error) {
	slow, closed, err := s.slow(ctx)
	if err != nil {
		return nil, err
	}
	defer closed()
	a, err := sub.open(ctx, slow)
	if err != nil {
		return nil, err
	}
	defer a.close()
	trips := make(map[string]int)
	for _, w := range list {
		if !w.suits(sub) {
			continue
		}
		fastest := time.Hour
		for range 5 { // the machine may be busy, or a connection new
			took, err := timeOne(a, w)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.name, err)
			}
			fastest = min(fastest, took)
		}
		trips[w.name] = int(fastest / tripDelay)
	}
	return trips, nil
}

// timeOne times one request of somebody who has been there a moment before.
func timeOne(a *app, w workload) (time.Duration, error) {
	v, session := a.visitor(), ""
	if !w.anonymous {
		var err error
		if session, err = a.newSession(w.filler); err != nil {
			return 0, err
		}
	}
	var took time.Duration
	for range 4 { // the last one counts
		v.ask(w.path, session)
		from := time.Now()
		status := v.send()
		took = time.Since(from)
		if status != http.StatusOK {
			return 0, fmt.Errorf("%s answers %d %q", w.path, status, v.body())
		}
		if w.path == pathLogin {
			session = string(v.setCookie(nil))
		}
	}
	return took, nil
}

// slow returns the same servers behind a network on which answers take
// tripDelay.
func (s *servers) slow(ctx context.Context) (*servers, func(), error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.valkey)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(server, client) // until one of them closes
				_ = server.Close()
			}()
			go delay(client, server)
		}
	}()
	return &servers{valkey: l.Addr().String()}, func() { _ = l.Close() }, nil
}

// delay copies what the server sends, each part tripDelay later.
func delay(client, server net.Conn) {
	type part struct {
		data []byte
		due  time.Time
	}
	parts := make(chan part, 1024)
	go func() {
		defer client.Close()
		for p := range parts {
			time.Sleep(time.Until(p.due))
			_, _ = client.Write(p.data) // the reader below sees it when the client is gone
		}
	}()
	defer close(parts)
	for {
		data := make([]byte, 64<<10)
		n, err := server.Read(data)
		if n > 0 {
			parts <- part{data[:n], time.Now().Add(tripDelay)}
		}
		if err != nil {
			return
		}
	}
}
