// Package async is the few ways in which core does one thing beside another: a
// [Future] for what is awaited later, [Together] for what is awaited at once, and
// a [Backoff] for what is tried again.
package async

import (
	"context"
	"sync"
	"time"
)

// A Future is the result of a function that runs beside its caller. The nil
// Future is none.
type Future[T any] chan result[T]

// A result is what a function returned, or what it panicked with.
type result[T any] struct {
	value    T
	err      error
	panicked bool
	reason   any
}

// Beside calls f in a goroutine of its own. Nobody has to await the result.
func Beside[T any](f func() (T, error)) Future[T] {
	future := make(Future[T], 1)
	go func() {
		growStack(0)
		r := result[T]{panicked: true}
		defer func() {
			if r.panicked {
				r.reason = recover()
			}
			future <- r
		}()
		r.value, r.err = f()
		r.panicked = false
	}()
	return future
}

// growStack makes room on the stack of a goroutine that has just begun: as much as a call of a
// store takes. When it is empty that costs next to nothing, and further down each frame of it
// has to be looked at, and copied.
//
//go:noinline
func growStack(i int) byte {
	var room [2 << 10]byte
	return room[i]
}

// Await returns what the function returned, once. Where the function panicked,
// Await panics with the same value: the panic belongs to whoever waits. It
// returns the error of ctx when that is done first.
func (f Future[T]) Await(ctx context.Context) (T, error) {
	select {
	case r := <-f:
		if r.panicked {
			panic(r.reason)
		}
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// Together makes all calls at once and returns their errors, in order, when the
// last one is done. A panic in one of them becomes the caller's.
func Together(calls ...func() error) []error {
	var (
		errs    = make([]error, len(calls))
		reasons = make([]any, len(calls))
		wg      sync.WaitGroup
	)
	call := func(i int) {
		defer func() { reasons[i] = recover() }()
		errs[i] = calls[i]()
	}
	for i := 1; i < len(calls); i++ {
		wg.Go(func() { call(i) })
	}
	if len(calls) > 0 {
		call(0)
	}
	wg.Wait()
	for _, reason := range reasons {
		if reason != nil {
			panic(reason)
		}
	}
	return errs
}

const (
	firstWait = 5 * time.Millisecond
	lastWait  = 200 * time.Millisecond
)

// A Backoff is how long to wait before the next attempt: 5 milliseconds at first,
// then twice as long each time, up to 200. The zero value is ready to use.
type Backoff struct {
	wait time.Duration
}

// Pause waits, and reports whether there is time left for another attempt before
// ctx is done.
func (b *Backoff) Pause(ctx context.Context) bool {
	timer := time.NewTimer(b.Next())
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Next returns how long to wait, for who waits for something else as well.
func (b *Backoff) Next() time.Duration {
	b.wait = min(max(2*b.wait, firstWait), lastWait)
	return b.wait
}
