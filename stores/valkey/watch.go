package valkeystore

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// How sessions are watched: by client tracking. The server remembers which keys were read
// on a connection, and says on it, once, that one of them is another or gone: whoever did
// it, by a write, an eviction, an expiry or a flush. It says "all" when it has to forget,
// and so does the client when the connection is lost. So to read a session is to watch it,
// and there is no gap between the two.
//
// Each server has one connection for that, dedicated, because what is said on it is of no
// use to the client's cache. Keyspace notifications, the other way to be told, are off
// unless an operator turns them on, say nothing of a flush, and call a session deleted
// whose slot moves to another server.

// A watch has the connections.
type watch struct {
	store *Store
	conns map[string]*watchConn // by the address of the server in a cluster, "" elsewhere
	slots map[uint16]string     // in a cluster: the server that has a slot, as far as is known

	// Connections that were asked for and are not there yet, by the address.
	awaited map[string]chan valkey.DedicatedClient

	mu      sync.Mutex // held while changed is called
	changed func(ids ...string)
	closed  bool
}

// A watchConn is a connection on which the server tells.
type watchConn struct {
	valkey.DedicatedClient
	lost <-chan error // closed when the server cannot tell any more
}

// A lookup is a session to read.
type lookup struct {
	id     string
	key    string
	slot   uint16
	asking bool   // the server is about to get the slot
	addr   string // which that is
}

// Watch implements [store.Watcher], by CLIENT TRACKING on a connection of its own to each
// server. It needs RESP3, and the right to client|tracking.
func (s *Store) Watch(changed func(ids ...string)) store.Watch {
	return &watch{
		store: s, changed: changed,
		conns: make(map[string]*watchConn), slots: make(map[uint16]string), awaited: make(map[string]chan valkey.DedicatedClient),
	}
}

// Close implements [store.Watch].
func (w *watch) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	for addr := range w.conns {
		w.disconnect(addr)
	}
	for _, made := range w.awaited {
		go func() { (<-made).Close() }()
	}
}

// tell passes on what the server says. It is called by the reader of a connection.
func (w *watch) tell(keys []valkey.ValkeyMessage) {
	var ids []string
	for _, message := range keys {
		if key, err := message.ToString(); err == nil && w.store.isOwn(key) {
			ids = append(ids, w.store.idOf(key))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed && (keys == nil || len(ids) > 0) {
		w.changed(ids...)
	}
}

// Inspect implements [store.Watch]. It is a GET and a PTTL for each session, sent together
// to each server.
func (w *watch) Inspect(ctx context.Context, ids []string) ([]store.Record, error) {
	if err := refuse(ctx, watchVerb); err != nil {
		return nil, err
	}
	var (
		cluster = w.store.client.Mode() == valkey.ClientModeCluster
		seen    = make(map[string]bool, len(ids))
		due     = make([]lookup, 0, len(ids))
		found   = make([]store.Record, 0, len(ids))
	)
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		l := lookup{id: id, key: w.store.key(id)}
		if cluster {
			get := w.store.client.B().Get().Key(l.key).Build()
			l.slot = get.Slot()
			l.addr = w.slots[l.slot]
		}
		due = append(due, l)
	}
	for moves := 0; len(due) > 0; moves++ {
		records, moved, err := w.read(ctx, due, cluster)
		if err != nil {
			return nil, err
		}
		if moves == maxMoves && len(moved) > 0 {
			return nil, &store.Error{Store: storeName, Verb: watchVerb, Class: "key moves from server to server"}
		}
		found, due = append(found, records...), moved
	}
	return found, nil
}

const watchVerb = "watch"

// read reads sessions where they are said to be, from all servers at once, and returns
// those that are somewhere else.
func (w *watch) read(ctx context.Context, due []lookup, cluster bool) (found []store.Record, moved []lookup, err error) {
	byAddr := make(map[string][]lookup)
	for _, l := range due {
		if cluster && l.addr == "" {
			l.addr = w.anyServer()
		}
		byAddr[l.addr] = append(byAddr[l.addr], l)
	}
	var (
		mu   sync.Mutex // guards what is returned
		wg   sync.WaitGroup
		lost []string
	)
	for addr, some := range byAddr {
		conn, failed := w.connect(ctx, addr, some[0].key)
		if failed != nil {
			mu.Lock()
			err = failed
			mu.Unlock()
			break // those that were asked meanwhile are heard, and what is lost of them is told
		}
		wg.Go(func() {
			records, elsewhere, failed := w.readFrom(ctx, conn, some)
			mu.Lock()
			defer mu.Unlock()
			found, moved = append(found, records...), append(moved, elsewhere...)
			if failed == nil {
				return
			}
			err = failure(ctx, watchVerb, failed)
			if _, refused := valkey.IsValkeyErr(failed); !refused { // else the server answers, and tells
				lost = append(lost, addr)
			}
		})
	}
	wg.Wait()
	for _, addr := range lost {
		w.disconnect(addr)
		w.tell(nil) // the client does not always say so of a connection that it closed itself
	}
	for _, l := range moved {
		if !l.asking {
			w.slots[l.slot] = l.addr
		}
	}
	return found, moved, err
}

// anyServer returns one of a cluster's, which says who has a slot.
func (w *watch) anyServer() string {
	for addr := range w.conns {
		return addr
	}
	for addr := range w.store.client.Nodes() {
		return addr
	}
	return ""
}

// readFrom reads sessions from one server. The error is the client's.
func (w *watch) readFrom(ctx context.Context, conn *watchConn, due []lookup) (found []store.Record, moved []lookup, err error) {
	b := w.store.client.B()
	commands := make(valkey.Commands, 0, 4*len(due))
	for _, l := range due {
		for _, command := range []valkey.Completed{b.Get().Key(l.key).Build().Pin(), b.Pttl().Key(l.key).Build().Pin()} {
			if l.asking {
				commands = append(commands, b.Asking().Build())
			}
			commands = append(commands, command)
		}
	}
	results := conn.DoMulti(ctx, commands...)
	for _, l := range due {
		if l.asking {
			results = results[1:]
		}
		get := results[0]
		if results = results[1:]; l.asking {
			results = results[1:]
		}
		pttl := results[0]
		results = results[1:]

		rec, failed := recordOf(l.id, get, pttl)
		switch at, asking, ok := movedTo(failed); {
		case ok:
			l.addr, l.asking = at, asking
			moved = append(moved, l)
		case failed != nil:
			return nil, nil, failed
		case rec.TTL > 0:
			found = append(found, rec)
		}
	}
	return found, moved, nil
}

// movedTo returns where a server says that a session is.
func movedTo(err error) (addr string, asking, ok bool) {
	refusal, is := valkey.IsValkeyErr(err)
	if !is {
		return "", false, false
	}
	if addr, ok = refusal.IsMoved(); ok {
		return addr, false, true
	}
	addr, ok = refusal.IsAsk()
	return addr, ok, ok
}

// connect returns the connection to a server, which has the session with that key. It
// makes one where there is none or it was lost.
func (w *watch) connect(ctx context.Context, addr, key string) (*watchConn, error) {
	if conn := w.conns[addr]; conn != nil {
		select {
		case <-conn.lost: //nolint:errcheck // that it is lost is enough
			w.disconnect(addr)
		default:
			return conn, nil
		}
	}
	client := w.store.client
	if addr != "" {
		if client = client.Nodes()[addr]; client == nil {
			// The client has not heard of it, or not any more. What it reads makes it look.
			_ = w.store.client.Do(ctx, w.store.client.B().Get().Key(key).Build().Pin()).Error()
			w.disconnect(addr)
			return nil, &store.Error{Store: storeName, Verb: watchVerb, Class: "the client does not know the server that has the slot"}
		}
	}
	conn, err := w.dedicate(ctx, addr, client)
	if err != nil {
		w.disconnect(addr) // it may have no slot any more
		return nil, err
	}
	w.conns[addr] = conn
	return conn, nil
}

// dedicate makes a connection on which the server tells. The client asks for no context,
// and waits where all of its connections are in use: the next attempt goes on to wait.
func (w *watch) dedicate(ctx context.Context, addr string, client valkey.Client) (*watchConn, error) {
	made := w.awaited[addr]
	if made == nil {
		made = make(chan valkey.DedicatedClient, 1)
		go func() {
			conn, _ := client.Dedicate()
			made <- conn
		}()
	}
	var conn valkey.DedicatedClient
	select {
	case conn = <-made:
		delete(w.awaited, addr)
	case <-ctx.Done():
		w.awaited[addr] = made
		return nil, failure(ctx, watchVerb, ctx.Err())
	}
	tracked, err := w.track(ctx, conn)
	if err != nil {
		conn.Close()
	}
	return tracked, err
}

// track has the server tell on a connection what happens to keys that are read on it.
func (w *watch) track(ctx context.Context, conn valkey.DedicatedClient) (*watchConn, error) {
	about, err := conn.Do(ctx, conn.B().Hello().Build()).AsMap()
	proto := about["proto"]
	if version, not := proto.AsInt64(); err == nil && (not != nil || version < resp3) {
		return nil, untold // the server would agree, and tell nothing
	}
	if err == nil {
		lost := conn.SetOnInvalidations(w.tell)
		// Off first: a client with a cache has turned it on, in a way in which only what
		// it asks for would be told.
		for _, result := range conn.DoMulti(ctx, conn.B().ClientTracking().Off().Build(), conn.B().ClientTracking().On().Build()) {
			err = cmp.Or(err, result.Error())
		}
		if err == nil {
			return &watchConn{DedicatedClient: conn, lost: lost}, nil
		}
	}
	if refusal, is := valkey.IsValkeyErr(err); is {
		word, _, _ := strings.Cut(refusal.Error(), " ")
		if refusals[word] == "" || word == "NOPERM" { // and not one that is over in a while
			return nil, untold
		}
	}
	return nil, failure(ctx, watchVerb, err)
}

const resp3 = 3 // the version of the protocol in which a server can tell

// untold says that the server does not tell what happens to keys.
var untold = &store.Error{
	Store: storeName, Verb: watchVerb, Outcome: store.OutcomeNotApplied, Err: errors.ErrUnsupported,
	Class: "CLIENT TRACKING is not permitted or not known",
}

// disconnect ends the connection to a server, and forgets what is said to be there.
func (w *watch) disconnect(addr string) {
	if conn := w.conns[addr]; conn != nil {
		conn.Close()
		delete(w.conns, addr)
	}
	for slot, at := range w.slots {
		if at == addr {
			delete(w.slots, slot)
		}
	}
}
