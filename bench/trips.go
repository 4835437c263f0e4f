package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valkey-io/valkey-go"
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

// A cost is what a request asks of the server.
type cost struct {
	trips    int // that it waits for
	commands int // that the server executes, those of scripts included
}

// costs counts for all subjects with these stores: by subject and workload.
func costs(ctx context.Context, s *servers, o options, stores ...string) (map[string]map[string]cost, error) {
	o.progress("%s: round trips and commands", strings.Join(stores, ", "))
	var (
		all  = make(map[string]map[string]cost)
		mu   sync.Mutex
		done sync.WaitGroup
		errs []error
	)
	for _, sub := range subjects() {
		if !slices.Contains(stores, sub.store) {
			continue
		}
		all[sub.id()] = make(map[string]cost)
		done.Go(func() { // waiting is what takes the time
			trips, err := countTrips(ctx, s, sub, workloads)
			mu.Lock()
			defer mu.Unlock()
			for name, n := range trips {
				all[sub.id()][name] = cost{trips: n}
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", sub.where(), err))
			}
		})
	}
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, sub := range subjects() {
		if all[sub.id()] == nil {
			continue
		}
		a, err := sub.open(ctx, s)
		if err != nil {
			return nil, err
		}
		for _, w := range workloads {
			c := all[sub.id()][w.name]
			if c.commands, err = countCommands(ctx, s, a, w); err != nil {
				a.close()
				return nil, fmt.Errorf("%s, %s: %w", sub.where(), w.name, err)
			}
			all[sub.id()][w.name] = c
		}
		a.close()
	}
	return all, nil
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

// countCommands counts the commands that the server executes for a request, by
// its own statistics. Nobody else may use it at the same time.
func countCommands(ctx context.Context, s *servers, a *app, w workload) (n int, err error) {
	const requests = 50
	b, err := newBench(subject{store: valkeyS}, a, w, 1)
	if err != nil {
		return 0, err
	}
	for range 2 { // the first time warms up
		before, err := commandsOf(ctx, s.valkey)
		if err != nil {
			return 0, err
		}
		if _, _, err := b.slice(requests); err != nil {
			return 0, err
		}
		after, err := commandsOf(ctx, s.valkey)
		if err != nil {
			return 0, err
		}
		// Rounded, because of pings in the background.
		n = (after - before + requests/2) / requests
	}
	return n, nil
}

// commandsOf returns how many commands of ours the server has executed, but for
// those that make connections and those that ask this.
func commandsOf(ctx context.Context, addr string) (n int, err error) {
	c, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	stats, err := c.Do(ctx, c.B().Info().Section("commandstats").Build()).ToString()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(stats) { // cmdstat_get:calls=1,usec=...
		name, values, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !ok || strings.Contains(name, "|") || name == "hello" || name == "info" || name == "client" {
			continue
		}
		calls, _, _ := strings.Cut(values, ",")
		i, err := strconv.Atoi(calls)
		if err != nil {
			return 0, err
		}
		n += i
	}
	return n, nil
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
