// Package memory does to the calls of a store in memory what networks do to the
// commands of a store with a server, so that all of core's ways to deal with it
// are tested without one.
package memory

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/internal/suite"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
)

func TestMain(m *testing.M) { suite.Main(m) }

// calls stands between an app and a store in memory. It has the five verbs; all
// has the optional abilities as well.
type calls struct {
	*memorystore.Store
	mu     sync.Mutex
	before func(faultproxy.Command) faultproxy.Fault
	down   bool
	late   []func() error
}

func (c *calls) On(before func(faultproxy.Command) faultproxy.Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before = before
}

func (c *calls) Down(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
}

func (c *calls) Cut() {} // a call that hangs ends with its context

func (c *calls) ReleaseLate() {
	c.mu.Lock()
	late := c.late
	c.late = nil
	c.mu.Unlock()
	for _, do := range late {
		_ = do() // nobody is there to hear
	}
}

var errLost = errors.New("the connection was lost")

func (c *calls) call(ctx context.Context, verb string, do func(context.Context) error) error {
	failed := func(o core.Outcome, err error) error {
		return &core.StoreError{Store: "memory", Verb: verb, Outcome: o, Err: err}
	}
	c.mu.Lock()
	before := c.before
	c.mu.Unlock()
	fault := faultproxy.None
	if before != nil {
		fault = before(faultproxy.Command{verb})
	}
	c.mu.Lock()
	down := c.down
	c.mu.Unlock()
	switch fault {
	case faultproxy.CutBefore, faultproxy.ResetBefore:
		return failed(core.Unknown, errLost)
	case faultproxy.StallBefore:
		<-ctx.Done()
		return failed(core.Unknown, ctx.Err())
	case faultproxy.RefusedBefore:
		return failed(core.NotApplied, nil)
	case faultproxy.Late:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.late = append(c.late, func() error { return do(context.WithoutCancel(ctx)) })
		return failed(core.Unknown, errLost)
	}
	if down {
		return failed(core.NotApplied, net.ErrClosed)
	}
	err := do(ctx)
	switch fault {
	case faultproxy.CutAfter, faultproxy.ResetAfter, faultproxy.Truncate, faultproxy.Garbage:
		return failed(core.Unknown, errLost)
	case faultproxy.StallAfter:
		<-ctx.Done()
		return failed(core.Unknown, ctx.Err())
	}
	return err
}

// five is a store with the five verbs.
type five struct{ c *calls }

func (s five) Load(ctx context.Context, id string) (rec core.Record, err error) {
	err = s.c.call(ctx, "load", func(ctx context.Context) (err error) { rec, err = s.c.Load(ctx, id); return err })
	return rec, err
}

func (s five) Create(ctx context.Context, rec core.Record) error {
	return s.c.call(ctx, "create", func(ctx context.Context) error { return s.c.Create(ctx, rec) })
}

func (s five) Update(ctx context.Context, old, next core.Record) error {
	return s.c.call(ctx, "update", func(ctx context.Context) error { return s.c.Update(ctx, old, next) })
}

func (s five) Touch(ctx context.Context, id string, ttl time.Duration) error {
	return s.c.call(ctx, "touch", func(ctx context.Context) error { return s.c.Touch(ctx, id, ttl) })
}

func (s five) Delete(ctx context.Context, id string) error {
	return s.c.call(ctx, "delete", func(ctx context.Context) error { return s.c.Delete(ctx, id) })
}

// all has the optional abilities as well.
type all struct{ five }

func (s all) UpdateOrLoad(ctx context.Context, old, next core.Record) (newest core.Record, err error) {
	err = s.c.call(ctx, "update", func(ctx context.Context) (err error) {
		newest, err = s.c.UpdateOrLoad(ctx, old, next)
		return err
	})
	return newest, err
}

func (s all) Replace(ctx context.Context, old, retired, next core.Record) error {
	return s.c.call(ctx, "replace", func(ctx context.Context) error { return s.c.Replace(ctx, old, retired, next) })
}

// TestFaultMatrix does every fault to every verb.
func TestFaultMatrix(t *testing.T) {
	for _, tt := range []struct {
		subject promises.Subject
		through func(*calls) core.Store
	}{
		{promises.Memory, func(c *calls) core.Store { return all{five{c}} }},
		{promises.MemoryOfFive, func(c *calls) core.Store { return five{c} }},
	} {
		t.Run(tt.subject.Name, func(t *testing.T) {
			t.Parallel()
			promises.Matrix(t, func(t *testing.T) *promises.Network {
				c := &calls{Store: memorystore.New()}
				t.Cleanup(func() {
					if err := c.Close(); err != nil {
						t.Error(err)
					}
				})
				return &promises.Network{Proxy: c, Through: tt.through(c), Direct: c.Store}
			}, tt.subject)
		})
	}
}
