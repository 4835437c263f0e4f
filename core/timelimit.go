package core

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A timeLimit is the context of one or a few calls of the store. It does what
// context.WithTimeout does, for less: a request makes one or two of them, and a
// timer of its own would cost each more than a call of a store in memory, and a
// third of what a request costs with one on a network.
type timeLimit struct {
	parent   context.Context
	detached *deadlines // where not nil, only the values of parent count, and not its cancellation; these have the timer
	until    time.Time
	timer    atomic.Pointer[limitTimer] // made by the first call of Done, or stopped
}

// A limitTimer is a context that ends at some time.
type limitTimer struct {
	context.Context
	cancel context.CancelFunc
}

// newLimitTimer returns a timer that ends then, or with parent.
func newLimitTimer(parent context.Context, until time.Time) *limitTimer {
	ctx, cancel := context.WithDeadline(parent, until)
	return &limitTimer{ctx, cancel}
}

// stopped is the timer of a timeLimit that was stopped before anybody waited for
// it.
var stopped = func() *limitTimer {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return &limitTimer{ctx, cancel}
}()

// limit returns a context that ends after Config.StoreTimeout, and with ctx.
func (m *Manager) limit(ctx context.Context) *timeLimit {
	return &timeLimit{parent: ctx, until: time.Now().Add(m.cfg.StoreTimeout)}
}

// detach returns a context that ends after Config.StoreTimeout, whatever becomes
// of ctx: for a commit, because a client that hangs up cannot stop its own
// logout. It may end a little earlier, see deadlines.
func (m *Manager) detach(ctx context.Context) *timeLimit {
	return &timeLimit{parent: ctx, detached: &m.deadlines, until: time.Now().Add(m.cfg.StoreTimeout)}
}

// deadlines are the timers of all detached timeLimits of a Manager: those whose
// time is over at about the same moment share one.
type deadlines struct {
	slack time.Duration // how much earlier than it asked for a timeLimit may end

	mu     sync.Mutex
	latest *limitTimer
	end    time.Time // of that
}

// slackFraction is the part of Config.StoreTimeout that may be missing.
const slackFraction = 64

// at returns a timer that ends at that time, or up to slack earlier. It cannot be
// cancelled: others wait for it too.
func (d *deadlines) at(until time.Time) *limitTimer {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.latest == nil || d.end.Before(until.Add(-d.slack)) {
		latest, cancel := context.WithDeadline(context.Background(), until)
		context.AfterFunc(latest, cancel) // it ends by itself, and by nothing else
		d.latest, d.end = &limitTimer{latest, func() {}}, until
	}
	return d.latest
}

// stop frees the timer. Call it when the work is done: whoever still listens to
// the context may hear that it is cancelled, at once or when its time is over.
func (c *timeLimit) stop() {
	if !c.timer.CompareAndSwap(nil, stopped) {
		c.timer.Load().cancel()
	}
}

// Deadline implements [context.Context].
func (c *timeLimit) Deadline() (time.Time, bool) {
	if c.detached == nil {
		if t, ok := c.parent.Deadline(); ok && t.Before(c.until) {
			return t, true
		}
	}
	return c.until, true
}

// Done implements [context.Context].
func (c *timeLimit) Done() <-chan struct{} {
	if t := c.timer.Load(); t != nil {
		return t.Done()
	}
	var t *limitTimer
	switch {
	case c.detached == nil:
		t = newLimitTimer(c.parent, c.until)
	case time.Until(c.until) <= 0:
		t = newLimitTimer(context.Background(), c.until)
	default:
		t = c.detached.at(c.until)
	}
	if !c.timer.CompareAndSwap(nil, t) { // another goroutine was first
		t.cancel()
	}
	return c.timer.Load().Done()
}

// Err implements [context.Context].
func (c *timeLimit) Err() error {
	if t := c.timer.Load(); t != nil {
		return t.Err()
	}
	return c.errWith(time.Until(c.until))
}

// ErrAt is Err for a store that has looked at the clock a moment ago: in memory a look
// takes longer than the rest of a load. It is no part of the contract of a store. One that
// wants it asks whether its context has such a method.
func (c *timeLimit) ErrAt(now time.Time) error {
	if t := c.timer.Load(); t != nil {
		return t.Err()
	}
	return c.errWith(c.until.Sub(now))
}

// errWith is Err where nobody waits for the end of the context, and so much time is left.
func (c *timeLimit) errWith(left time.Duration) error {
	if c.detached == nil {
		if err := c.parent.Err(); err != nil {
			return err
		}
	}
	if left <= 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements [context.Context]. A context that is derived from this one
// finds the timer's through it, which spares it a goroutine.
//
// Package context asks a parent for what cancels it by the address of a private
// variable, which is an *int in Go 1.25 and 1.26. Should another version ask by
// something else, a context that is derived from a detached timeLimit would end with
// the request: TestADetachedTimeLimitHasNothingOfItsParentsCancellation fails then.
func (c *timeLimit) Value(key any) any {
	if key == (exchangeKey{}) {
		return nil // what the store calls, a logger for one, must not use the session that waits for it
	}
	if t := c.timer.Load(); t != nil && t != stopped {
		if v := t.Value(key); v != nil || c.detached == nil {
			return v
		}
	}
	if _, ok := key.(*int); ok && c.detached != nil { // as package context asks for what cancels: not the parent
		return context.WithoutCancel(c.parent).Value(key)
	}
	return c.parent.Value(key)
}
