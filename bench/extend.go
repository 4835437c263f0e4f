package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const (
	mostExtended  = 0.02 // of the loads
	mostExtension = 1.3  // times what it takes in a small store

	extendedSessions = 100_000
	extendedPasses   = 3
)

// manySessions stands in gate.csv for how often the sessions of 100,000 visitors who come
// again within a minute are extended again, in a thousand of their requests. The table of a
// process forgets others each time, 12 to 14 in a thousand, so the line has what is aimed at,
// and -update leaves it.
var manySessions = workload{name: "100,000 sessions", path: pathRead}

// extended is what the extensions of sessions cost.
type extended struct {
	again, loads int // of sessions that were extended within the minute

	sessions     int             // in the large store
	small, large []time.Duration // processor time of an extension, by round
}

func measureExtensions(ctx context.Context, o options) (e *extended, err error) {
	e = &extended{sessions: o.many}
	o.progress("extensions of %s sessions", thousands(extendedSessions))
	if e.again, e.loads, err = countExtensions(); err != nil {
		return nil, err
	}
	o.progress("extensions in a store with %s sessions", thousands(int64(o.many)))
	few, err := newTouched(ctx, readers)
	if err != nil {
		return nil, err
	}
	many, err := newTouched(ctx, o.many)
	if err != nil {
		return nil, err
	}
	for range o.rounds {
		small, err := each(20*readers, few.touch(ctx))
		if err != nil {
			return nil, err
		}
		large, err := each(20*readers, many.touch(ctx))
		if err != nil {
			return nil, err
		}
		e.small, e.large = append(e.small, small), append(e.large, large)
	}
	return e, errors.Join(few.Close(), many.Close(), ctx.Err())
}

// A touched is a store of which a thousand sessions are extended in turn.
type touched struct {
	*memorystore.Store
	ids []string
}

func newTouched(ctx context.Context, sessions int) (*touched, error) {
	t := &touched{Store: memorystore.New(memorystore.Options{})}
	record := newRecord("")
	for i := range sessions {
		rec := store.Record{ID: newID(), Data: record, TTL: time.Hour, Shared: true}
		if err := t.Create(ctx, rec); err != nil {
			return nil, err
		}
		if i < readers {
			t.ids = append(t.ids, rec.ID)
		}
	}
	return t, nil
}

func (t *touched) touch(ctx context.Context) func() error {
	next := 0
	return func() error {
		next++
		return t.Touch(ctx, t.ids[next%len(t.ids)], time.Hour)
	}
}

// A touchCounter counts the extensions.
type touchCounter struct {
	*memorystore.Store
	touches atomic.Int64
}

// Touch implements [store.Store].
func (c *touchCounter) Touch(ctx context.Context, id string, ttl time.Duration) error {
	c.touches.Add(1)
	return c.Store.Touch(ctx, id, ttl)
}

// countExtensions counts how many of the sessions that come again within a minute are
// extended again. Core decides that before it asks a store, so one store tells for all.
func countExtensions() (again, loads int, err error) {
	var now atomic.Int64
	clock := func() time.Time { return time.Unix(0, now.Load()) }
	now.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	kept := &touchCounter{Store: memorystore.New(memorystore.Options{Now: clock})}
	defer kept.Close()
	m, err := core.New(core.Config{Store: kept, Secrets: []string{secret}, Logger: slog.New(slog.DiscardHandler), Now: clock})
	if err != nil {
		return 0, 0, err
	}
	a := &app{handler: cloakroomHTTP(m), close: nothing}
	cookies := make([]string, extendedSessions)
	for i := range cookies {
		if cookies[i], err = a.newSession(manySessions); err != nil {
			return 0, 0, err
		}
	}
	now.Add(int64(time.Hour)) // each is due
	v := a.visitor()
	visit := func() (extended int, err error) {
		before := kept.touches.Load()
		for _, cookie := range cookies {
			now.Add(int64(time.Minute / (extendedPasses * extendedSessions)))
			v.ask(manySessions.path, cookie)
			if status := v.send(); status != http.StatusOK {
				return 0, fmt.Errorf("%s answers %d %q", manySessions.path, status, v.body())
			}
		}
		return int(kept.touches.Load() - before), nil
	}
	if n, err := visit(); n != extendedSessions || err != nil {
		return 0, 0, errors.Join(err, fmt.Errorf("%d of %d sessions were extended that were due", n, extendedSessions))
	}
	for range extendedPasses - 1 {
		n, err := visit()
		if err != nil {
			return 0, 0, err
		}
		again, loads = again+n, loads+extendedSessions
	}
	return again, loads, nil
}

// share is how many of the loads extended a session again.
func (e *extended) share() float64 { return float64(e.again) / float64(e.loads) }

// say implements part.
func (e *extended) say(p *page) {
	p.say("## Extensions\n")
	p.say("Of %s loads of %s sessions that had been extended within the minute, %s extended again.\n", thousands(int64(e.loads)), thousands(extendedSessions), thousands(int64(e.again)))
	p.head("store in memory", "an extension, ns of the processor")
	for _, row := range []struct {
		sessions int
		took     []time.Duration
	}{{readers, e.small}, {e.sessions, e.large}} {
		p.row(thousands(int64(row.sessions))+" sessions, of which 1,000 are extended in turn", fmt.Sprintf("%d ±%.0f%%", median(row.took).Nanoseconds(), 100*spread(row.took)))
	}
	p.say("")
}

// targets implements part.
func (e *extended) targets() []target {
	times := ratio(e.large, e.small)
	return []target{
		{
			fmt.Sprintf("extensions for each load, %s sessions within a minute", thousands(extendedSessions)),
			fmt.Sprintf("below %v", mostExtended), fmt.Sprintf("%.3f", e.share()), e.share() < mostExtended,
		}, {
			fmt.Sprintf("memory store, extension of one of %s sessions", thousands(int64(e.sessions))),
			fmt.Sprintf("at most %v x of one of %s", mostExtension, thousands(readers)), fmt.Sprintf("%.2f x", times), times <= mostExtension,
		},
	}
}
