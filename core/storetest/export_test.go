package storetest

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// Cases returns the names of all cases.
func Cases() []string {
	var names []string
	for _, g := range groups {
		for _, tc := range g.cases {
			names = append(names, tc.name)
		}
	}
	return names
}

// Failures runs the named cases at once, where the stores have the ability, and
// returns the messages of those that fail. It does not fail t.
func Failures(t *testing.T, open func() store.Store, patience time.Duration, names []string) map[string]string {
	var (
		failures = make(map[string]string)
		probe    = open()
		mu       sync.Mutex
		wg       sync.WaitGroup
	)
	for _, g := range groups {
		for _, tc := range g.cases {
			if !g.has(probe) || !slices.Contains(names, tc.name) {
				continue
			}
			wg.Go(func() {
				r := &recorder{TB: t}
				defer func() {
					mu.Lock()
					defer mu.Unlock()
					if r.message != "" {
						failures[tc.name] = r.message
					}
				}()
				tc.run(newCheck(r, open, patience))
			})
		}
	}
	wg.Wait()
	return failures
}

// A recorder is a testing.TB that keeps what is reported to it.
type recorder struct {
	testing.TB
	message string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Skipf(string, ...any) { runtime.Goexit() }

// DamagedCases returns the names of the cases of RunDamaged.
func DamagedCases() (names []string) {
	for _, tc := range damagedCases {
		names = append(names, tc.name)
	}
	return names
}

// FailuresOfDamaged is Failures for the cases of RunDamaged.
func FailuresOfDamaged(t *testing.T, open func() (store.Store, func(string))) map[string]string {
	failures := make(map[string]string)
	for _, tc := range damagedCases {
		r := &recorder{TB: t}
		s, damage := open()
		var wg sync.WaitGroup
		wg.Go(func() { tc.run(&damaged{newCheck(r, func() store.Store { return s }, time.Second), damage}) })
		wg.Wait()
		if r.message != "" {
			failures[tc.name] = r.message
		}
	}
	return failures
}
