package adaptertest

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// CheckSetCookie is what every Set-Cookie goes through.
var CheckSetCookie = checkSetCookie

// Scenarios returns the names of all scenarios.
func Scenarios() []string {
	var names []string
	for _, sc := range scenarios() {
		names = append(names, sc.name)
	}
	return names
}

// OnlyCookies are the names of the scenarios that are not run by header.
var OnlyCookies = slices.Collect(maps.Keys(onlyCookies))

// Failures plays the named scenarios and returns the messages of those that
// fail. It does not fail t.
func Failures(t *testing.T, fw Framework, patience time.Duration, names []string) map[string]string {
	var (
		failures = make(map[string]string)
		mu       sync.Mutex
		wg       sync.WaitGroup
		limit    = make(chan struct{}, 8)
	)
	for _, sc := range scenarios() {
		if !slices.Contains(names, sc.name) {
			continue
		}
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			if message := record(t, fw, patience, sc); message != "" {
				mu.Lock()
				defer mu.Unlock()
				failures[sc.name] = message
			}
		})
	}
	wg.Wait()
	return failures
}

// record plays one scenario, in a goroutine that it may end.
func record(t *testing.T, fw Framework, patience time.Duration, sc scenario) string {
	r := &recorder{TB: t}
	r.ctx, r.cancel = context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				r.Errorf("panic: %v", v)
			}
		}()
		s := newScene(r, fw, new(mapstore.Store), patience)
		s.empty = func() store.Store { return new(mapstore.Store) }
		s.play(sc)
	}()
	<-done
	r.cancel()
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.message
}

// A recorder is a testing.TB that keeps what is reported to it first.
type recorder struct {
	testing.TB
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	message  string
	cleanups []func()
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.message == "" {
		r.message = fmt.Sprintf(format, args...)
	}
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Skipf(string, ...any) { runtime.Goexit() }
