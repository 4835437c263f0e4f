package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2/memstore"
	"github.com/gofiber/fiber/v3/middleware/session"

	"github.com/cloakroom-go/cloakroom/core/store"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// A keeper is a memory store for what is measured with a million sessions:
// without a framework, each with the same bytes.
type keeper interface {
	put(id string, record []byte, life time.Duration)
	get(id string) bool
}

type keeperChoice struct {
	name   string
	sweeps bool
	open   func(sweep time.Duration) (keeper, error)
}

// keepers are opened with the time after which they shall sweep for the first
// time. One that is no keeper of expired sessions ignores it.
var keepers = []keeperChoice{
	{plainMap, false, func(time.Duration) (keeper, error) { return mapKeeper{}, nil }},
	{limitedMap, false, func(time.Duration) (keeper, error) { return newLimitedKeeper(), nil }},
	{libraryName, true, func(sweep time.Duration) (keeper, error) {
		return cloakroomKeeper{memorystore.New(memorystore.Options{
			MaxBytes: 1 << 40, AtLimit: memorystore.DropLeastRecentlyUsed, SweepInterval: sweep,
		})}, nil
	}},
	{scsName, true, func(sweep time.Duration) (keeper, error) {
		return scsKeeper{memstore.NewWithCleanupInterval(sweep)}, nil
	}},
	{fiberName, true, func(time.Duration) (keeper, error) { // sweeps every fiberSweep
		return fiberKeeper{session.NewStore()}, nil
	}},
}

const (
	plainMap   = "map[string][]byte"
	limitedMap = "map with expiry, limit and order"
	fiberName  = "Fiber's session"
	fiberSweep = 10 * time.Second
)

type mapKeeper map[string][]byte

func (m mapKeeper) put(id string, record []byte, _ time.Duration) { m[id] = slices.Clone(record) }
func (m mapKeeper) get(id string) bool                            { return m[id] != nil }

// A limitedKeeper is the least that has an expiry, a limit by bytes and an
// order in which to evict.
type limitedKeeper struct {
	mu          sync.Mutex
	entries     map[string]*limitedEntry
	oldest      limitedEntry // the ring's beginning and end
	bytes, most int64
}

type limitedEntry struct {
	id         string
	data       []byte
	expires    int64
	prev, next *limitedEntry
}

func newLimitedKeeper() *limitedKeeper {
	l := &limitedKeeper{entries: make(map[string]*limitedEntry), most: 1 << 40}
	l.oldest.prev, l.oldest.next = &l.oldest, &l.oldest
	return l
}

func (l *limitedKeeper) put(id string, record []byte, life time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &limitedEntry{id: id, data: slices.Clone(record), expires: time.Now().Add(life).UnixNano()}
	e.prev, e.next = l.oldest.prev, &l.oldest
	e.prev.next, e.next.prev = e, e
	l.entries[id] = e
	for l.bytes += int64(len(id) + len(record)); l.bytes > l.most; {
		l.remove(l.oldest.next)
	}
}

func (l *limitedKeeper) remove(e *limitedEntry) {
	e.prev.next, e.next.prev = e.next, e.prev
	delete(l.entries, e.id)
	l.bytes -= int64(len(e.id) + len(e.data))
}

func (l *limitedKeeper) get(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[id]
	return e != nil && time.Now().UnixNano() < e.expires
}

type cloakroomKeeper struct{ store *memorystore.Store }

func (c cloakroomKeeper) put(id string, record []byte, life time.Duration) {
	if err := c.store.Create(context.Background(), store.Record{ID: id, Data: record, TTL: life}); err != nil {
		panic(err) // there is room
	}
}

func (c cloakroomKeeper) get(id string) bool {
	_, err := c.store.Load(context.Background(), id)
	return err == nil
}

type scsKeeper struct{ store *memstore.MemStore }

func (s scsKeeper) put(id string, record []byte, life time.Duration) {
	_ = s.store.Commit(id, slices.Clone(record), time.Now().Add(life)) // never fails
}

func (s scsKeeper) get(id string) bool {
	_, found, _ := s.store.Find(id)
	return found
}

type fiberKeeper struct{ store *session.Store }

func (f fiberKeeper) put(id string, record []byte, life time.Duration) {
	_ = f.store.Storage.Set(id, record, life) // never fails
}

func (f fiberKeeper) get(id string) bool {
	record, _ := f.store.Storage.Get(id)
	return record != nil
}

// A kept is what a million sessions cost.
type kept struct {
	Name       string
	Bytes      float64         // of heap, for a session
	Collection []time.Duration // full ones
	Making     time.Duration   // of a session
	Before     []waits         // of readers, while nothing is swept, by run
	During     []waits         // while a million expired sessions are
}

// waits are what readers waited for an answer.
type waits struct{ P999, Max time.Duration }

// errBusy is a reason to leave these measurements out, no wrong answer.
var errBusy = errors.New("the machine is too busy with other things")

const exitBusy = 3

// million measures each store in a process of its own.
func million(ctx context.Context, o options) (sessions, stores []kept, err error) {
	n := strconv.Itoa(o.many)
	for _, s := range subjects() {
		if s.store != memory || !slices.Contains([]string{libraryName + "|" + onGin, ginLibrary + "|" + onGin, scsName + "|" + onHTTP, "Fiber's session|Fiber"}, s.library+"|"+s.on) {
			continue
		}
		o.progress("a million sessions: %s", s.name())
		var k kept
		if err := ask(ctx, &k, millionCommand, "sessions", s.id(), n); err != nil {
			return nil, nil, err
		}
		k.Name = s.name()
		sessions = append(sessions, k)
	}
	for run := range o.sweeps {
		for i, keeper := range keepers {
			if run > 0 && !keeper.sweeps {
				continue
			}
			o.progress("a million sessions expire: %s, run %d of %d", keeper.name, run+1, o.sweeps)
			var k kept
			if err := ask(ctx, &k, millionCommand, "store", keeper.name, n); err != nil {
				return nil, nil, err
			}
			if run == 0 {
				stores = append(stores, k)
			} else {
				stores[i].Before = append(stores[i].Before, k.Before...)
				stores[i].During = append(stores[i].During, k.During...)
			}
		}
	}
	return sessions, stores, nil
}

const millionCommand = "million"

// measureMillion is what the child does.
func measureMillion(ctx context.Context, kind, name, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	var k kept
	switch kind {
	case "sessions":
		k, err = measureSessions(ctx, name, n)
	case "store":
		k, err = measureStore(name, n)
	default:
		err = fmt.Errorf("there is no %q", kind)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(k)
}

// measureSessions makes sessions as visitors do, by requests.
func measureSessions(ctx context.Context, id string, n int) (k kept, err error) {
	i := slices.IndexFunc(subjects(), func(s subject) bool { return s.id() == id })
	if i < 0 {
		return k, fmt.Errorf("there is no subject %q", id)
	}
	a, err := subjects()[i].open(ctx, &servers{})
	if err != nil {
		return k, err
	}
	v := a.visitor()
	v.ask(pathMake, "")
	before, from := heapInUse(), time.Now()
	for range n {
		if status := v.send(); status != 200 {
			return k, fmt.Errorf("%s answers %d %q", pathMake, status, v.body())
		}
	}
	k.Making = time.Since(from) / time.Duration(n)
	k.Bytes = float64(heapInUse()-before) / float64(n)
	k.Collection = collections()
	if session, err := makeSession(v, "filler=0"); err != nil || session == "" {
		return k, fmt.Errorf("after %d sessions: %w", n, err)
	}
	a.close()
	return k, nil
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// collections returns how long full collections take.
func collections() (took []time.Duration) {
	for range 5 {
		from := time.Now()
		runtime.GC()
		took = append(took, time.Since(from))
	}
	return took
}

// readers is how many live sessions readers read while the others expire.
const readers = 1000

// measureStore makes sessions that expire together, and reads others meanwhile.
func measureStore(name string, n int) (k kept, err error) {
	k.Name = name
	i := slices.IndexFunc(keepers, func(c keeperChoice) bool { return c.name == name })
	if i < 0 {
		return k, fmt.Errorf("there is no store %q", name)
	}
	choice := keepers[i]
	ids, record := make([]string, n+readers), newRecord("")
	for i := range ids {
		ids[i] = newID()
	}

	sweep, margin, err := choice.plan(ids, record)
	if err != nil {
		return k, err
	}
	var (
		st     keeper
		end    time.Time
		before int64
	)
	for ; ; sweep *= 2 { // a busy machine takes its time
		before = heapInUse()
		from := time.Now()
		if st, err = choice.open(sweep); err != nil {
			return k, err
		}
		end = from.Add(sweep - margin)
		for _, id := range ids[:readers] {
			st.put(id, record, time.Hour)
		}
		making := time.Now()
		for _, id := range ids[readers:] {
			st.put(id, record, time.Until(end))
		}
		k.Making = time.Since(making) / time.Duration(n)
		k.Bytes = float64(heapInUse()-before) / float64(len(ids))
		if !choice.sweeps {
			k.Collection = collections()
			runtime.KeepAlive(st)
			return k, nil
		}
		if time.Until(end) > time.Second {
			break
		}
		if sweep > time.Minute {
			return k, fmt.Errorf("%w: %d sessions were to be made within %v", errBusy, n, sweep)
		}
	}
	k.Before = []waits{read(st, ids[:readers], min(time.Until(end), 3*time.Second))}
	time.Sleep(time.Until(end))
	k.During = []waits{read(st, ids[:readers], 4*time.Second)}
	k.Collection = collections()
	if st.get(ids[readers]) {
		return k, errors.New("a session that has expired is still served")
	}
	// That they are gone shows in the heap, though maps keep what they had.
	if left := float64(heapInUse()-before) / float64(len(ids)); left > k.Bytes*3/4 {
		return k, fmt.Errorf("after the sweep there are %.0f bytes for each session, of %.0f before", left, k.Bytes)
	}
	runtime.KeepAlive(ids)
	return k, nil
}

// plan chooses when to sweep, so that all sessions are there well before, and
// how long before that they expire.
func (c keeperChoice) plan(ids []string, record []byte) (sweep, margin time.Duration, err error) {
	trial, err := c.open(time.Hour)
	if err != nil {
		return 0, 0, err
	}
	some := ids[:len(ids)/20]
	from := time.Now()
	for _, id := range some {
		trial.put(id, record, time.Hour)
	}
	sweep = max(6*time.Second, 60*time.Since(from)+4*time.Second)
	if c.name == fiberName { // it counts in whole seconds
		return (sweep + fiberSweep).Truncate(fiberSweep), 2 * time.Second, nil
	}
	return sweep, 500 * time.Millisecond, nil
}

// read reads 20,000 times a second, whether or not the answers are late: who
// waits keeps those behind him waiting, too.
func read(st keeper, ids []string, length time.Duration) waits {
	const every = 50 * time.Microsecond
	waited := make([]time.Duration, 0, length/every+1)
	start := time.Now()
	for due := time.Duration(0); due < length; due += every {
		for time.Since(start) < due { // a sleep is not as exact
		}
		if !st.get(ids[int(due/every)%len(ids)]) {
			panic("a live session is gone")
		}
		waited = append(waited, time.Since(start)-due)
	}
	return waits{quantile(waited, 0.999), slices.Max(waited)}
}
