package core

import (
	"context"
	"sync"
	"time"
)

// A timeLimit is the context of one or a few calls of the store. It does what
// context.WithTimeout does, but makes a timer only for a store that waits for
// Done: a store in memory does not, and then the timer would cost more than the
// call.
type timeLimit struct {
	parent   context.Context
	detached bool // from the cancellation of parent: only its values count
	until    time.Time

	mu      sync.Mutex
	timer   context.Context // made by the first call of Done
	cancel  context.CancelFunc
	stopped bool
}

// limit returns a context that ends after Config.StoreTimeout, and with ctx.
func (m *Manager) limit(ctx context.Context) *timeLimit { return m.limitFrom(ctx, time.Now()) }

// limitFrom is limit for who has asked for the time already.
func (m *Manager) limitFrom(ctx context.Context, now time.Time) *timeLimit {
	return &timeLimit{parent: ctx, until: now.Add(m.cfg.StoreTimeout)}
}

// detach returns a context that ends after Config.StoreTimeout, whatever becomes
// of ctx: for a commit, because a client that hangs up cannot stop its own
// logout.
func (m *Manager) detach(ctx context.Context) *timeLimit {
	c := m.limit(ctx)
	c.detached = true
	return c
}

// stop ends the context and frees its timer. Call it when the work is done.
func (c *timeLimit) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	if c.cancel != nil {
		c.cancel()
	}
}

// Deadline implements [context.Context].
func (c *timeLimit) Deadline() (time.Time, bool) {
	if !c.detached {
		if t, ok := c.parent.Deadline(); ok && t.Before(c.until) {
			return t, true
		}
	}
	return c.until, true
}

// Done implements [context.Context].
func (c *timeLimit) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil {
		parent := c.parent
		if c.detached {
			parent = context.WithoutCancel(parent)
		}
		c.timer, c.cancel = context.WithDeadline(parent, c.until)
		if c.stopped {
			c.cancel()
		}
	}
	return c.timer.Done()
}

// Err implements [context.Context].
func (c *timeLimit) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		if err := c.timer.Err(); err != nil {
			return err
		}
	} else if !c.detached {
		if err := c.parent.Err(); err != nil {
			return err
		}
	}
	switch {
	case c.stopped:
		return context.Canceled
	case time.Until(c.until) <= 0:
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements [context.Context]. A context that is derived from this one
// finds the timer's through it, which spares it a goroutine.
func (c *timeLimit) Value(key any) any {
	if key == (exchangeKey{}) {
		return nil // what the store calls, a logger for one, must not use the session that waits for it
	}
	c.mu.Lock()
	timer := c.timer
	c.mu.Unlock()
	if timer != nil {
		return timer.Value(key)
	}
	if c.detached {
		return context.WithoutCancel(c.parent).Value(key)
	}
	return c.parent.Value(key)
}
