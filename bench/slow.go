package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const (
	slowAnswer = 50 * time.Millisecond
	atOnce     = 1000

	mostLate     = 1.2      // of slowAnswer for each trip
	mostInFlight = 8 * 1024 // bytes for each request
)

// A slowStore is a store in memory that answers as a server far away does: late, and with
// other bytes each time. wait is called before each answer.
type slowStore struct {
	*memorystore.Store
	wait atomic.Pointer[func(ctx context.Context, write bool) error]
}

func newSlowStore() *slowStore {
	s := &slowStore{Store: memorystore.New(memorystore.Options{})}
	s.waitBy(func(context.Context, bool) error { return nil })
	return s
}

func (s *slowStore) waitBy(wait func(ctx context.Context, write bool) error) { s.wait.Store(&wait) }

// late does what it is given after the wait.
func (s *slowStore) late(ctx context.Context, write bool, do func() error) error {
	if err := (*s.wait.Load())(ctx, write); err != nil {
		return err
	}
	return do()
}

// Load implements [store.Store].
func (s *slowStore) Load(ctx context.Context, id string) (rec store.Record, err error) {
	err = s.late(ctx, false, func() (err error) {
		rec, err = s.Store.Load(ctx, id)
		rec.Data, rec.Shared = bytes.Clone(rec.Data), false
		return err
	})
	return rec, err
}

// Create implements [store.Store].
func (s *slowStore) Create(ctx context.Context, rec store.Record) error {
	return s.late(ctx, true, func() error { return s.Store.Create(ctx, rec) })
}

// Update implements [store.Store].
func (s *slowStore) Update(ctx context.Context, old, next store.Record) error {
	return s.late(ctx, true, func() error { return s.Store.Update(ctx, old, next) })
}

// UpdateOrLoad implements [store.UpdateLoader].
func (s *slowStore) UpdateOrLoad(ctx context.Context, old, next store.Record) (newest store.Record, err error) {
	err = s.late(ctx, true, func() (err error) {
		newest, err = s.Store.UpdateOrLoad(ctx, old, next)
		return err
	})
	return newest, err
}

// Replace implements [store.Replacer].
func (s *slowStore) Replace(ctx context.Context, old, retired, next store.Record) error {
	return s.late(ctx, true, func() error { return s.Store.Replace(ctx, old, retired, next) })
}

// Remove implements [store.Remover].
func (s *slowStore) Remove(ctx context.Context, old store.Record) error {
	return s.late(ctx, true, func() error { return s.Store.Remove(ctx, old) })
}

// Touch implements [store.Store].
func (s *slowStore) Touch(ctx context.Context, id string, ttl time.Duration) error {
	return s.late(ctx, true, func() error { return s.Store.Touch(ctx, id, ttl) })
}

// Delete implements [store.Store].
func (s *slowStore) Delete(ctx context.Context, id string) error {
	return s.late(ctx, true, func() error { return s.Store.Delete(ctx, id) })
}

// A slowWork is what requests cost where the store is slow.
type slowWork struct {
	workload string
	trips    int // that it waits for

	p99      []time.Duration
	alone    []time.Duration // the p99 of as many waits, and nothing else
	inFlight []int           // bytes that a request takes while it waits for its last trip, by round
	stack    []int           // of these, on the stack of its goroutine
}

type slowWorks []*slowWork

func measureSlow(ctx context.Context, o options) (slowWorks, error) {
	all := slowWorks{{workload: "W3", trips: 1}, {workload: "W4", trips: 2}, {workload: "W6", trips: 2}}
	for _, s := range all {
		if err := s.measure(ctx, o); err != nil {
			return nil, fmt.Errorf("%s: %w", s.workload, err)
		}
	}
	return all, ctx.Err()
}

func (s *slowWork) measure(ctx context.Context, o options) error {
	kept := newSlowStore()
	defer kept.Close()
	m, err := core.New(core.Config{Store: kept, Secrets: []string{secret}, Logger: slog.New(slog.DiscardHandler), StoreTimeout: time.Minute})
	if err != nil {
		return err
	}
	b, err := newBench(subject{library: libraryName, on: onHTTP, store: memory}, &app{handler: cloakroomHTTP(m)}, workloadOf(s.workload), atOnce)
	if err != nil {
		return err
	}
	if _, err := b.slice(3 * atOnce); err != nil { // extends what is due
		return err
	}
	for round := range o.rounds {
		o.progress("a store that answers in %v, %s: round %d of %d", slowAnswer, s.workload, round+1, o.rounds)
		kept.waitBy(sleep)
		took, err := together(atOnce, nothing, func(i int) error { return b.visitors[i].send(1) })
		if err := errors.Join(err, b.settle(atOnce)); err != nil {
			return err
		}
		s.p99 = append(s.p99, quantile(took, 0.99))
		if took, err = together(atOnce, nothing, s.waitAlone(ctx)); err != nil {
			return err
		}
		s.alone = append(s.alone, quantile(took, 0.99))
		if err := s.hold(ctx, kept, b); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// waitAlone waits for the trips of a request.
func (s *slowWork) waitAlone(ctx context.Context) func(int) error {
	return func(int) error {
		for range s.trips {
			if err := sleep(ctx, false); err != nil {
				return err
			}
		}
		return nil
	}
}

// sleep waits as long as the store is slow.
func sleep(ctx context.Context, _ bool) error {
	t := time.NewTimer(slowAnswer)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hold measures the memory of requests that all wait for their last trip.
func (s *slowWork) hold(ctx context.Context, kept *slowStore, b *bench) error {
	var (
		before, during runtime.MemStats
		waiting        atomic.Int64
		release, full  = make(chan struct{}), make(chan struct{})
	)
	kept.waitBy(func(ctx context.Context, write bool) error {
		if write != (s.trips > 1) { // not the last one
			return nil
		}
		if waiting.Add(1) == atOnce {
			close(full)
		}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	defer kept.waitBy(sleep)
	for _, r := range b.visitors { // the headers of the last answer would keep what it took
		if v, ok := r.visitor.(*httpVisitor); ok {
			v.w.reset()
		}
	}
	ended := make(chan error, 1)
	_, err := together(atOnce, func() {
		memoryInUse(&before)
		go func() {
			defer close(release)
			select {
			case <-full:
				memoryInUse(&during)
				ended <- nil
			case <-time.After(30 * time.Second):
				ended <- errors.New("the requests do not wait for as many trips as they should")
			case <-ctx.Done():
				ended <- ctx.Err()
			}
		}()
	}, func(i int) error { return b.visitors[i].send(1) })
	if err := errors.Join(err, b.settle(atOnce), <-ended); err != nil {
		return err
	}
	stack := int(during.StackInuse) - int(before.StackInuse)
	s.stack = append(s.stack, stack/atOnce)
	s.inFlight = append(s.inFlight, (int(during.HeapAlloc)-int(before.HeapAlloc)+stack)/atOnce)
	return nil
}

func memoryInUse(m *runtime.MemStats) {
	runtime.GC()
	runtime.GC() // what pools keep lives for one collection longer
	runtime.ReadMemStats(m)
}

// together lets n goroutines do something at once, and returns how long each took. It calls
// before when all of them are there.
func together(n int, before func(), do func(i int) error) ([]time.Duration, error) {
	var (
		took   = make([]time.Duration, n)
		errs   = make([]error, n)
		begin  = make(chan struct{})
		from   time.Time
		ready  sync.WaitGroup
		finish sync.WaitGroup
	)
	ready.Add(n)
	for i := range n {
		finish.Go(func() {
			ready.Done()
			<-begin
			errs[i] = do(i)
			took[i] = time.Since(from)
		})
	}
	ready.Wait()
	before()
	from = time.Now()
	close(begin)
	finish.Wait()
	return took, errors.Join(errs...)
}

// say implements part.
func (all slowWorks) say(p *page) {
	p.say("## A store that answers in %v, %s requests at once\n", slowAnswer, thousands(atOnce))
	p.say("net/http, in one process. The memory is what a request has taken when it waits for its last answer, beside what its goroutine")
	p.say("had before: of the heap, and of the stack. Waiting alone is as many goroutines that do nothing else.\n")
	p.head("", "trips", "p99 ms", "of the trips", "p99 of waiting alone, ms", "bytes in flight", "of these, stack")
	for _, s := range all {
		p.row(s.workload+", "+workloadOf(s.workload).what, fmt.Sprint(s.trips), spreadOut(s.p99), fmt.Sprintf("%.2f", s.late()), spreadOut(s.alone), thousands(int64(median(s.inFlight))), thousands(int64(median(s.stack))))
	}
	p.say("")
}

// late is the p99 beside the trips alone.
func (s *slowWork) late() float64 {
	return float64(median(s.p99)) / float64(time.Duration(s.trips)*slowAnswer)
}

// targets implements part.
func (all slowWorks) targets() (list []target) {
	for _, s := range all {
		what := fmt.Sprintf("a store that answers in %v, %s requests at once, %s", slowAnswer, thousands(atOnce), s.workload)
		late, bytes := s.late(), median(s.inFlight)
		list = append(list,
			target{what, fmt.Sprintf("a p99 of at most %v x what its answers take (%d)", mostLate, s.trips), fmt.Sprintf("%.2f x", late), late <= mostLate},
			target{what, fmt.Sprintf("at most %s bytes for a request in flight", thousands(mostInFlight)), thousands(int64(bytes)), bytes <= mostInFlight})
	}
	return list
}

var _ interface {
	store.UpdateLoader
	store.Replacer
	store.Remover
} = (*slowStore)(nil)
