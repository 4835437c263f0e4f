package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const (
	crowdedRate = 20_000 // requests/s, of which readsOfTen of ten read
	crowdedFew  = 10_000 // sessions that all is compared with

	mostCollected = 0.05 // of the processor time that there is
	mostCrowded   = 2    // times the p99.9
)

// A crowded is a process whose store in memory has many sessions and serves some of them
// all the time.
type crowded struct {
	taken               // of the heap
	Collections int     // while it was measured
	Collected   float64 // what the collector took of the processor time that there was
	P50, P99    time.Duration
	P999        time.Duration
	For         time.Duration
}

// crowds are processes with different numbers of sessions.
type crowds []crowded

func measureCrowds(ctx context.Context, o options) (all crowds, err error) {
	for _, n := range []int{crowdedFew, o.many / 10, o.many, 10 * o.many} {
		o.progress("%s sessions in memory, %s requests/s", thousands(int64(n)), thousands(crowdedRate))
		var c crowded
		if err := ask(ctx, &c, crowdedCommand, memory, strconv.Itoa(n)); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// ask runs this program with other arguments, and decodes what it prints.
func ask(ctx context.Context, to any, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == exitBusy {
		return errBusy
	}
	if err != nil {
		return fmt.Errorf("%s: %w", args, err)
	}
	return json.Unmarshal(out, to)
}

const crowdedCommand = "crowded"

// measureCrowded is what the child does.
func measureCrowded(ctx context.Context, where, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	var found any
	switch where {
	case memory:
		found, err = crowdMemory(ctx, n)
	default:
		found, err = crowdValkey(ctx, n, strings.Split(where, ","))
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

// A family is many sessions that are all alike, but for their ids, which are made from a
// number: so nobody has to keep ten million cookies.
type family struct {
	record  []byte
	cookie  string // what comes before the id
	tickets *tickets
}

// newFamily makes one session with the app and takes the rest from that.
func newFamily(ctx context.Context) (*family, error) {
	kept := memorystore.New(memorystore.Options{})
	defer kept.Close()
	a, err := appOn(kept)
	if err != nil {
		return nil, err
	}
	cookie, err := a.newSession(workloadOf("W3"))
	if err != nil {
		return nil, err
	}
	name, value, _ := strings.Cut(cookie, "=s%3A")
	f := &family{cookie: name + "=s%3A", tickets: newTickets(secret)}
	for rec, err := range kept.All(ctx) {
		if err != nil {
			return nil, err
		}
		f.record = rec.Data
		if f.ticket(rec.ID) != cookie {
			return nil, fmt.Errorf("a cookie of %d bytes is not signed as it should be", len(value))
		}
	}
	return f, nil
}

func appOn(st store.Store) (*app, error) {
	m, err := core.New(core.Config{Store: st, Secrets: []string{secret}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	return &app{handler: cloakroomHTTP(m), close: nothing}, nil
}

func (f *family) ticket(id string) string {
	ticket, _, _ := strings.Cut(f.tickets.cookie(id), ";")
	return f.cookie + strings.TrimPrefix(ticket, start)
}

// id returns the id of the i-th session.
func (f *family) id(i int) string {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i))) //nolint:gosec // i is not negative
	return base64.RawURLEncoding.EncodeToString(sum[:idLength/4*3])
}

// visitors return a function that sends the requests of atRate, each with one of n sessions.
func (f *family) visitors(a *app, visitors, n int, path func(i int64) string) func(int, int64) error {
	all := make([]visitor, visitors)
	for i := range all {
		all[i] = a.visitor()
	}
	var asked atomic.Uint64
	return func(visitor int, i int64) error {
		const far = 11400714819323198485                    // spreads numbers that follow each other over all
		v, next := all[visitor], asked.Add(1)*far%uint64(n) //nolint:gosec // n is not negative
		v.ask(path(i), f.ticket(f.id(int(next))))           //nolint:gosec // less than n
		if status := v.send(); status != 200 {
			return fmt.Errorf("the answer is %d %q", status, v.body())
		}
		return nil
	}
}

// mixedPath is where the i-th request of a mix goes.
func mixedPath(i int64) string {
	if i%10 < readsOfTen {
		return pathRead
	}
	return pathCount
}

func crowdMemory(ctx context.Context, n int) (c crowded, err error) {
	const (
		slice   = 2 * time.Second
		most    = 8 * time.Minute
		senders = 8
	)
	other := make([]byte, appHeap)
	defer runtime.KeepAlive(other)
	f, err := newFamily(ctx)
	if err != nil {
		return c, err
	}
	before := heapInUse()
	kept := memorystore.New(memorystore.Options{})
	defer kept.Close()
	for i := range n {
		// As core does, each with bytes of its own.
		if err := kept.Create(ctx, store.Record{ID: f.id(i), Data: slices.Clone(f.record), Shared: true, TTL: 24 * time.Hour}); err != nil {
			return c, err
		}
	}
	c.taken = taken{n, float64(heapInUse()-before) / float64(n), float64(allocated(len(f.record)) + memoryAround)}
	a, err := appOn(kept)
	if err != nil {
		return c, err
	}
	send := f.visitors(a, senders, n, mixedPath)
	if _, err := atRate(ctx, crowdedRate, slice, senders, send); err != nil { // warms up
		return c, err
	}
	runtime.GC() // a whole round from one collection to the next is measured, at least
	var took []time.Duration
	from, collected, collections := time.Now(), collectorTime(), collectionsDone()
	for c.Collections == 0 || time.Since(from) < 10*slice {
		part, err := atRate(ctx, crowdedRate, slice, senders, send)
		if err != nil {
			return c, err
		}
		took = append(took, part...)
		c.Collections = int(collectionsDone() - collections)
		if time.Since(from) > most {
			return c, fmt.Errorf("%w: no collection within %v", errBusy, most)
		}
	}
	c.For = time.Since(from)
	c.Collected = (collectorTime() - collected).Seconds() / c.For.Seconds() / float64(runtime.GOMAXPROCS(0))
	c.P50, c.P99, c.P999 = quantile(took, 0.50), quantile(took, 0.99), quantile(took, 0.999)
	return c, nil
}

// collectorTime is the processor time of the collector, but for what it does while nothing
// else is to be done. It grows when a collection ends.
func collectorTime() time.Duration {
	samples := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/idle:cpu-seconds"}}
	metrics.Read(samples)
	return time.Duration((samples[0].Value.Float64() - samples[1].Value.Float64()) * float64(time.Second))
}

func collectionsDone() uint64 {
	samples := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64()
}

// say implements part.
func (all crowds) say(p *page) {
	p.say("## Many sessions in memory\n")
	p.say("Each in a process of its own, which serves %s requests a second, to sessions far from each other, of which %d of 10 read and the others change; from", thousands(crowdedRate), readsOfTen)
	p.say("one collection to the next, and for 20 seconds at least. A wait begins when the request was due.\n")
	p.head("sessions", "collector's share of the processors", "collections", "in s", "p50 ms", "p99 ms", "p99.9 ms")
	for _, c := range all {
		p.row(thousands(int64(c.Sessions)), fmt.Sprintf("%.2f %%", 100*c.Collected), strconv.Itoa(c.Collections), fmt.Sprintf("%.0f", c.For.Seconds()),
			fmt.Sprintf("%.2f", milliseconds(c.P50)), fmt.Sprintf("%.2f", milliseconds(c.P99)), fmt.Sprintf("%.2f", milliseconds(c.P999)))
	}
	p.say("")
	p.say("What a session takes of the heap, beside what [capacity.md](../docs/capacity.md) says: the record, rounded up to a size of Go's allocator, and %d.\n", memoryAround)
	headTaken(p)
	for _, c := range all {
		c.say(p, "memory")
	}
	p.say("")
}

// targets implements part.
func (all crowds) targets() []target {
	few, many := all[0], all[len(all)-1]
	what := fmt.Sprintf("memory store, %s sessions, %s requests/s", thousands(int64(many.Sessions)), thousands(crowdedRate))
	later := float64(many.P999) / float64(few.P999)
	list := []target{
		{what, fmt.Sprintf("at most %.0f %% of the processors for the collector", 100*mostCollected), fmt.Sprintf("%.2f %%", 100*many.Collected), many.Collected <= mostCollected},
		{what, fmt.Sprintf("a p99.9 of at most %d x that with %s", mostCrowded, thousands(int64(few.Sessions))), fmt.Sprintf("%.2f x", later), later <= mostCrowded},
	}
	for _, c := range all {
		list = append(list, c.target("memory store"))
	}
	return list
}
