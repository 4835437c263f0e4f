package async_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/async"
)

func TestAFutureHasWhatItsFunctionReturned(t *testing.T) {
	failed := errors.New("failed")
	f := async.Beside(func() (int, error) { return 7, failed })
	if n, err := f.Await(t.Context()); n != 7 || !errors.Is(err, failed) {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestAPanicBelongsToWhoeverAwaits(t *testing.T) {
	f := async.Beside(func() (int, error) { panic("lost") })
	defer func() {
		if reason := recover(); reason != "lost" {
			t.Errorf("recovered %v", reason)
		}
	}()
	_, _ = f.Await(t.Context())
	t.Error("Await returned")
}

func TestAwaitGivesUpWithItsContext(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	f := async.Beside(func() (int, error) { <-block; return 0, nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Await(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTogetherReturnsAllErrorsInOrder(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	arrived := make(chan struct{})
	errs := async.Together(
		func() error { <-arrived; return a },
		func() error { return nil },
		func() error { close(arrived); return b },
	)
	if len(errs) != 3 || !errors.Is(errs[0], a) || errs[1] != nil || !errors.Is(errs[2], b) {
		t.Errorf("got %v", errs)
	}
	if errs := async.Together(); len(errs) != 0 {
		t.Errorf("no calls returned %v", errs)
	}
}

func TestAPanicInOneOfSeveralCallsComesAfterTheOthers(t *testing.T) {
	done := false
	defer func() {
		if reason := recover(); reason != "lost" || !done {
			t.Errorf("recovered %v, the other call done: %v", reason, done)
		}
	}()
	async.Together(func() error { panic("lost") }, func() error { done = true; return nil })
}

func TestABackoffDoublesUpToItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b async.Backoff
		for _, ms := range []int{5, 10, 20, 40, 80, 160, 200, 200} {
			want := time.Duration(ms) * time.Millisecond
			before := time.Now()
			if !b.Pause(t.Context()) {
				t.Fatal("gave up")
			}
			if got := time.Since(before); got != want {
				t.Errorf("waited %v, want %v", got, want)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if b.Pause(ctx) {
			t.Error("there was no time left, and Pause said that there was")
		}
	})
}
