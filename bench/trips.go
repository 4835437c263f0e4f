package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valkey-io/valkey-go"
)

// tries is how often a request is watched, because the machine may be busy or a
// connection new.
const (
	tries     = 5
	busyTries = 60
)

// tripDelay is how long an answer of a server takes where trips are counted.
const tripDelay = 20 * time.Millisecond

// A cost is what a request asks of the server.
type cost struct {
	trips    int // that it waits for
	commands int // that are sent or, for Valkey, executed, those of scripts included
}

// countTrips counts the round trips that a request waits for, by their time on
// a network on which each takes tripDelay, and the commands on it, if they are
// MongoDB's. It opens the subject for itself. On a busy machine it tries a
// workload again until it is as fast as it may be, which allowed tells, nil for
// nothing.
func countTrips(ctx context.Context, s *servers, sub subject, list []workload, allowed map[string]int) (map[string]cost, error) {
	slow, err := newNetwork(ctx, s)
	if err != nil {
		return nil, err
	}
	defer slow.close()
	a, err := sub.open(ctx, &slow.servers)
	if err != nil {
		return nil, err
	}
	defer a.close()
	costs := make(map[string]cost)
	for _, w := range list {
		if !w.suits(sub) {
			continue
		}
		fastest, least := time.Hour, math.MaxInt
		may, known := allowed[w.name]
		for try := range busyTries {
			if known && fastest < time.Duration(may+1)*tripDelay || !known && try == tries {
				break
			}
			took, commands, err := slow.watch(a, w)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.name, err)
			}
			fastest, least = min(fastest, took), min(least, commands)
		}
		costs[w.name] = cost{int(fastest / tripDelay), least}
	}
	return costs, nil
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
		done.Go(func() { // waiting is what takes the time
			trips, err := countTrips(ctx, s, sub, workloads, nil)
			mu.Lock()
			defer mu.Unlock()
			all[sub.id()] = trips
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
		if all[sub.id()] == nil || sub.store == mongoS || sub.store == postgresS {
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

// A network lies between clients and servers. Answers take tripDelay on it.
type network struct {
	servers  servers      // as they are reached through it
	commands atomic.Int64 // of the clients of MongoDB and PostgreSQL, but for those about connections
	close    func()
}

// watch tells how long one request takes, and how many commands it sends, for
// somebody who has been there a moment before.
func (n *network) watch(a *app, w workload) (took time.Duration, commands int, err error) {
	v, session := a.visitor(), ""
	if !w.anonymous {
		if session, err = a.newSession(w); err != nil {
			return 0, 0, err
		}
	}
	for range 4 { // the last one counts
		v.ask(w.path, session)
		from, before := time.Now(), n.commands.Load()
		status := v.send()
		took, commands = time.Since(from), int(n.commands.Load()-before)
		if status != http.StatusOK {
			return 0, 0, fmt.Errorf("%s answers %d %q", w.path, status, v.body())
		}
		if w.path == pathLogin {
			session = string(v.setCookie(nil))
		}
	}
	return took, commands, nil
}

func newNetwork(ctx context.Context, s *servers) (*network, error) {
	n := &network{close: func() {}}
	through := func(server string, read func(io.Reader)) (addr string, err error) {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		others := n.close
		n.close = func() { _ = l.Close(); others() }
		go accept(ctx, l, server, read)
		return l.Addr().String(), nil
	}
	var err error
	if s.valkey != "" {
		if n.servers.valkey, err = through(s.valkey, func(r io.Reader) { _, _ = io.Copy(io.Discard, r) }); err != nil {
			return nil, err
		}
	}
	if s.mongo != "" {
		uri, err := url.Parse(s.mongo)
		if err != nil {
			n.close()
			return nil, errors.New("MONGODB_URI cannot be parsed")
		}
		if uri.Host, err = through(uri.Host, n.countMongo); err != nil {
			n.close()
			return nil, err
		}
		query := uri.Query()
		query.Set("directConnection", "true") // not to where the server says that it is
		query.Del("replicaSet")
		uri.RawQuery = query.Encode()
		n.servers.mongo = uri.String()
	}
	if s.postgresql != "" {
		at, err := url.Parse(s.postgresql)
		if err != nil {
			n.close()
			return nil, errors.New("POSTGRESQL_URL cannot be parsed")
		}
		if at.Host, err = through(at.Host, n.countPostgreSQL); err != nil {
			n.close()
			return nil, err
		}
		n.servers.postgresql = at.String()
	}
	return n, nil
}

// accept connects each client with the server. read gets what the client sends,
// too.
func accept(ctx context.Context, l net.Listener, addr string, read func(io.Reader)) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			_ = client.Close()
			continue
		}
		go func() {
			defer server.Close()
			read(io.TeeReader(client, server)) // until one of them closes
		}()
		go delay(client, server)
	}
}

// countMongo counts the commands of a client. A message is a length, three
// numbers, flags, and for a command a zero byte and a document, whose first
// element is the command.
func (n *network) countMongo(r io.Reader) {
	for {
		var header [4]byte
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return
		}
		rest := int(binary.LittleEndian.Uint32(header[:])) - len(header)
		if rest < 0 || rest > 64<<20 {
			return
		}
		message := make([]byte, rest)
		if _, err := io.ReadFull(r, message); err != nil {
			return
		}
		const document, command = 17, 22 // where they begin
		if len(message) < command || message[document-1] != 0 {
			continue
		}
		name, _, _ := bytes.Cut(message[command:], []byte{0})
		switch string(name) {
		case "hello", "isMaster", "ismaster", "ping", "endSessions":
		default:
			n.commands.Add(1)
		}
	}
}

// countPostgreSQL counts the statements of a client. A message is a letter, a length and
// the rest, but for the first, which has no letter.
func (n *network) countPostgreSQL(r io.Reader) {
	for first := true; ; first = false {
		var header [5]byte
		from := 0
		if first {
			from = 1
		}
		if _, err := io.ReadFull(r, header[from:]); err != nil {
			return
		}
		rest := int64(binary.BigEndian.Uint32(header[1:])) - 4
		if rest < 0 || rest > 64<<20 {
			return
		}
		if _, err := io.CopyN(io.Discard, r, rest); err != nil {
			return
		}
		const execute, query = 'E', 'Q'
		if header[0] == execute || header[0] == query {
			n.commands.Add(1)
		}
	}
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
		if _, err := b.slice(requests); err != nil {
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
