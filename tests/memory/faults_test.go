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

	"github.com/cloakroom-go/cloakroom/core/store"
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
	what   string // it keeps: nothing is said of sessions
	of     *calls // those of the sessions, which are on the same network; nil for these
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
	if c.of != nil {
		return c.of.send(ctx, faultproxy.Command{verb, c.what}, do)
	}
	return c.send(ctx, faultproxy.Command{verb, c.what}, do)
}

func (c *calls) send(ctx context.Context, command faultproxy.Command, do func(context.Context) error) error {
	verb := command.Name()
	failed := func(o store.Outcome, err error) error {
		return &store.Error{Store: "memory", Verb: verb, Class: "connection failed", Outcome: o, Err: err}
	}
	c.mu.Lock()
	before := c.before
	c.mu.Unlock()
	fault := faultproxy.None
	if before != nil {
		fault = before(command)
	}
	c.mu.Lock()
	down := c.down
	c.mu.Unlock()
	switch fault {
	case faultproxy.CutBefore, faultproxy.ResetBefore:
		return failed(store.OutcomeUnknown, errLost)
	case faultproxy.StallBefore:
		<-ctx.Done()
		return failed(store.OutcomeUnknown, ctx.Err())
	case faultproxy.RefusedBefore:
		return failed(store.OutcomeNotApplied, nil)
	case faultproxy.Late:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.late = append(c.late, func() error { return do(context.WithoutCancel(ctx)) })
		return failed(store.OutcomeUnknown, errLost)
	}
	if down {
		return failed(store.OutcomeNotApplied, net.ErrClosed)
	}
	err := do(ctx)
	switch fault {
	case faultproxy.CutAfter, faultproxy.ResetAfter, faultproxy.Truncate, faultproxy.Garbage:
		return failed(store.OutcomeUnknown, errLost)
	case faultproxy.StallAfter:
		<-ctx.Done()
		return failed(store.OutcomeUnknown, ctx.Err())
	}
	return err
}

// five is a store with the five verbs.
type five struct{ c *calls }

func (s five) Load(ctx context.Context, id string) (rec store.Record, err error) {
	err = s.c.call(ctx, "load", func(ctx context.Context) (err error) { rec, err = s.c.Load(ctx, id); return err })
	return rec, err
}

func (s five) Create(ctx context.Context, rec store.Record) error {
	return s.c.call(ctx, "create", func(ctx context.Context) error { return s.c.Create(ctx, rec) })
}

func (s five) Update(ctx context.Context, old, next store.Record) error {
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

func (s all) UpdateOrLoad(ctx context.Context, old, next store.Record) (newest store.Record, err error) {
	err = s.c.call(ctx, "update", func(ctx context.Context) (err error) {
		newest, err = s.c.UpdateOrLoad(ctx, old, next)
		return err
	})
	return newest, err
}

func (s all) Replace(ctx context.Context, old, retired, next store.Record) error {
	return s.c.call(ctx, "replace", func(ctx context.Context) error { return s.c.Replace(ctx, old, retired, next) })
}

func (s all) Remove(ctx context.Context, old store.Record) error {
	return s.c.call(ctx, "remove", func(ctx context.Context) error { return s.c.Remove(ctx, old) })
}

// TestFaultMatrix does every fault to every verb.
func TestFaultMatrix(t *testing.T) {
	for _, tt := range []struct {
		subject promises.Subject
		through func(*calls) store.Store
	}{
		{promises.Memory, func(c *calls) store.Store { return all{five{c}} }},
		{promises.MemoryOfFive, func(c *calls) store.Store { return five{c} }},
	} {
		t.Run(tt.subject.Name, func(t *testing.T) {
			t.Parallel()
			promises.Matrix(t, func(t *testing.T) *promises.Network {
				c := &calls{Store: memorystore.New(memorystore.Options{})}
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

// A withLists is a store that keeps lists of users' sessions as well.
type withLists struct {
	all
	index all
}

func newWithLists(c *calls) withLists {
	return withLists{all{five{c}}, all{five{&calls{Store: c.UserIndex().(*memorystore.Store), what: "lists", of: c}}}}
}

func (s withLists) UserIndex() store.Store { return s.index }

func (s withLists) Inspect(ctx context.Context, ids []string) (found []store.Record, err error) {
	err = s.c.call(ctx, "inspect", func(ctx context.Context) (err error) { found, err = s.c.Inspect(ctx, ids); return err })
	return found, err
}

// TestFaultMatrixOfUsers does what may happen to a write to every call about a user.
func TestFaultMatrixOfUsers(t *testing.T) {
	t.Parallel()
	promises.UserMatrix(t, func(t *testing.T) *promises.Network {
		c := &calls{Store: memorystore.New(memorystore.Options{})}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		return &promises.Network{Proxy: c, Through: newWithLists(c), Direct: c.Store}
	}, promises.UserSubject{
		Load: "load", Create: "create", Update: "update", Delete: "delete", Inspect: "inspect",
		IsOfList: func(c faultproxy.Command) bool { return c[1] == "lists" },
	})
}
