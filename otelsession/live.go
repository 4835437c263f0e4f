package otelsession

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// How many sessions there are. To count them takes most stores a walk of all, which may be
// longer than a collection of metrics may take. So none waits for a count: it reports the
// last number, and begins to count anew where that is due.

const (
	defaultCountInterval = time.Minute
	defaultCountTimeout  = 10 * time.Second
)

// A census counts the live sessions now and then.
type census struct {
	counter           store.Counter
	interval, timeout time.Duration
	counted           func(context.Context, core.StoreCall) // is told of each count

	mu       sync.Mutex
	due      time.Time // for the next count
	underWay bool
	known    bool // what the last count found is
	sessions int64
}

// countSessions adds the gauge, where Options ask for it.
func (o *Observer) countSessions(meter metric.Meter, opts Options) error {
	if opts.Counter == nil {
		return nil
	}
	c := &census{
		counter:  opts.Counter,
		interval: cmp.Or(opts.CountInterval, defaultCountInterval),
		timeout:  cmp.Or(opts.CountTimeout, defaultCountTimeout),
		counted:  o.observeCount,
	}
	_, err := meter.Int64ObservableGauge("cloakroom.session.live", metric.WithUnit("{session}"),
		metric.WithDescription("How many sessions live in the store."), metric.WithInt64Callback(c.observe))
	return err
}

// observeCount tells of a count, as core does of the calls that it makes.
func (o *Observer) observeCount(ctx context.Context, call core.StoreCall) {
	o.ObserveStore(ctx, call)
	if call.Err != nil {
		o.Observe(ctx, core.Event{Kind: core.EventStoreError, Err: call.Err})
	}
}

// observe reports the last number, and begins the next count where it is due.
func (c *census) observe(ctx context.Context, o metric.Int64Observer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known {
		o.Observe(c.sessions)
	}
	if now := time.Now(); !c.underWay && !now.Before(c.due) {
		c.due, c.underWay = now.Add(c.interval), true
		go c.count(context.WithoutCancel(ctx))
	}
	return nil
}

// count asks the store.
func (c *census) count(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	began := time.Now()
	sessions, err := c.ask(ctx)
	took := time.Since(began)
	c.mu.Lock()
	c.underWay, c.known, c.sessions = false, err == nil, int64(sessions)
	c.mu.Unlock()
	c.counted(ctx, core.StoreCall{Verb: "count", Duration: took, Err: err})
}

// ask calls the store. A panic in it ends no process: nobody waits for this number.
func (c *census) ask(ctx context.Context) (sessions int, err error) {
	defer func() {
		if recover() != nil {
			err = &store.Error{Store: "session", Verb: "count", Class: "panic"}
			otel.Handle(fmt.Errorf("otelsession: counting the sessions panicked: %w", err))
		}
	}()
	sessions, err = c.counter.Count(ctx)
	if failure := (*store.Error)(nil); err != nil && !errors.As(err, &failure) {
		err = &store.Error{Store: "session", Verb: "count", Err: err}
	}
	return sessions, err
}
