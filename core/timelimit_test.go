package core

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

const slack = time.Second / slackFraction

func limited(ctx context.Context, detached bool) *timeLimit {
	m := &Manager{cfg: Config{StoreTimeout: time.Second}, deadlines: deadlines{slack: slack}}
	if detached {
		return m.detach(ctx)
	}
	return m.limit(ctx)
}

func TestATimeLimitIsAContext(t *testing.T) {
	type key struct{}
	parent := context.WithValue(context.Background(), key{}, "value")
	for _, tt := range []struct {
		name  string
		watch bool // somebody waits for Done, before anything happens
		end   func(c *timeLimit, cancelParent func())
		want  error
		only  string // detached, attached or both
	}{
		{"nothing happens", true, func(*timeLimit, func()) {}, nil, "both"},
		{"nothing happens, and nobody waits", false, func(*timeLimit, func()) {}, nil, "both"},
		{"the time is over", true, func(*timeLimit, func()) { time.Sleep(time.Second) }, context.DeadlineExceeded, "both"},
		{"the time is over, and nobody waits", false, func(*timeLimit, func()) { time.Sleep(time.Second) }, context.DeadlineExceeded, "both"},
		{"a moment before the time is over", false, func(*timeLimit, func()) { time.Sleep(time.Second - 1) }, nil, "both"},
		{"it is stopped", true, func(c *timeLimit, _ func()) { c.stop() }, context.Canceled, "attached"},
		{"it is stopped, and nobody waits", false, func(c *timeLimit, _ func()) { c.stop() }, context.Canceled, "both"},
		{"the parent is cancelled", true, func(_ *timeLimit, cancel func()) { cancel() }, context.Canceled, "attached"},
		{"the parent is cancelled, and nobody waits", false, func(_ *timeLimit, cancel func()) { cancel() }, context.Canceled, "attached"},
		{"the parent, which does not count, is cancelled", true, func(_ *timeLimit, cancel func()) { cancel() }, nil, "detached"},
		{"the parent, which does not count, is cancelled, and nobody waits", false, func(_ *timeLimit, cancel func()) { cancel() }, nil, "detached"},
	} {
		for _, detached := range []bool{false, true} {
			if detached && tt.only == "attached" || !detached && tt.only == "detached" {
				continue
			}
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(parent)
					defer cancel()
					c := limited(ctx, detached)
					defer c.stop()
					if d, ok := c.Deadline(); !ok || time.Until(d) != time.Second {
						t.Errorf("Deadline in %v, %v; want 1s", time.Until(d), ok)
					}
					child := context.Context(c)
					if tt.watch {
						var stop func()
						child, stop = context.WithCancel(c)
						defer stop()
					}
					tt.end(c, cancel)
					synctest.Wait()
					if err := c.Err(); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
						t.Errorf("Err returned %v, want %v", err, tt.want)
					}
					if err, at := c.Err(), c.ErrAt(time.Now()); !errors.Is(at, err) {
						t.Errorf("ErrAt returned %v, and Err %v", at, err)
					}
					done := false
					select {
					case <-c.Done():
						done = true
					default:
					}
					if done != (tt.want != nil) {
						t.Errorf("Done is closed: %v, want %v", done, tt.want != nil)
					}
					synctest.Wait()
					if err := child.Err(); (err == nil) != (tt.want == nil) {
						t.Errorf("Err of a derived context: %v, want %v", err, tt.want)
					}
					if c.Value(key{}) != "value" || child.Value(key{}) != "value" {
						t.Error("the values of the parent are lost")
					}
				})
			})
		}
	}
}

func TestATimeLimitEndsNoLaterThanItsParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		c := limited(ctx, false)
		defer c.stop()
		if d, _ := c.Deadline(); time.Until(d) != time.Millisecond {
			t.Errorf("Deadline in %v, want that of the parent", time.Until(d))
		}
		<-c.Done()
		if !errors.Is(c.Err(), context.DeadlineExceeded) {
			t.Errorf("Err returned %v", c.Err())
		}
		if d, _ := limited(ctx, true).Deadline(); time.Until(d) != time.Second {
			t.Errorf("Deadline in %v of a detached one, want 1s", time.Until(d))
		}
	})
}

func TestTimeLimitsThatEndAtAboutTheSameTimeShareATimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &Manager{cfg: Config{StoreTimeout: time.Second}, deadlines: deadlines{slack: slack}}
		timers := make(map[<-chan struct{}]bool)
		var last *timeLimit
		for range 100 {
			last = m.detach(context.Background())
			timers[last.Done()] = true
			last.stop()
			time.Sleep(slack / 10)
		}
		if len(timers) > 11 {
			t.Errorf("100 limits within %v made %d timers", 10*slack, len(timers))
		}
		begun := time.Now().Add(-slack / 10)
		<-last.Done()
		if took := time.Since(begun); took > time.Second || took < time.Second-slack {
			t.Errorf("a limit of a second ended after %v", took)
		}
		if !errors.Is(last.Err(), context.DeadlineExceeded) {
			t.Errorf("Err returned %v", last.Err())
		}
	})
}

func TestADetachedTimeLimitHasNothingOfItsParentsCancellation(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("the client hung up"))
	c := limited(ctx, true)
	defer c.stop()
	for range 2 { // before and after somebody listens
		if err := context.Cause(c); err != nil {
			t.Errorf("Cause returned %v", err)
		}
		c.Done()
	}
}
