package main

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

func TestWhoIsBehindOthersWaitsForThem(t *testing.T) {
	const n, perSecond = 100, 1e9
	var sent atomic.Int64
	took, err := atRate(t.Context(), perSecond, n*time.Second/perSecond, 1, func(_ int, i int64) error {
		if next := sent.Add(1) - 1; next != i {
			t.Errorf("request %d is sent in place of %d", i, next)
		}
		return nil
	})
	if err != nil || len(took) != n || sent.Load() != n {
		t.Fatalf("%d of %d requests were sent, and %d waits measured: %v", sent.Load(), n, len(took), err)
	}
	for i := range n - 1 { // one visitor sends them, so each ends after the one before
		if ended, next := took[i]+time.Duration(i), took[i+1]+time.Duration(i+1); next < ended {
			t.Errorf("request %d ended %v after the beginning, and the next one %v", i, ended, next)
		}
	}
}

func TestSessionsOfAFamilyAreServed(t *testing.T) {
	const n = 100
	f, err := newFamily(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kept := memorystore.New(memorystore.Options{})
	defer kept.Close()
	for i := range n {
		if err := kept.Create(t.Context(), store.Record{ID: f.id(i), Data: f.record, TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	a, err := appOn(kept)
	if err != nil {
		t.Fatal(err)
	}
	v := a.visitor()
	for i := range n + 1 {
		want := http.StatusOK
		if i == n { // there is no such session
			want = http.StatusInternalServerError
		}
		v.ask(pathRead, f.ticket(f.id(i)))
		if status := v.send(); status != want {
			t.Errorf("session %d: the answer is %d, want %d", i, status, want)
		}
	}
}

func TestWhatGrowsCanBeDone(t *testing.T) {
	for _, g := range newGrowths() {
		for _, n := range []int{g.few, 10 * g.few} {
			do, err := g.get(t.Context(), n)
			if err != nil {
				t.Fatalf("%s, %d: %v", g.what, n, err)
			}
			for range 2 { // the first one leaves nothing to the second
				if err := do(); err != nil {
					t.Errorf("%s, %d: %v", g.what, n, err)
				}
			}
		}
	}
}

func TestRequestsInFlightAreHeld(t *testing.T) {
	all, err := measureSlow(t.Context(), options{rounds: 1, started: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if least := time.Duration(s.trips) * slowAnswer; s.p99[0] < least || s.alone[0] < least {
			t.Errorf("%s: %v, and %v for the waits alone, want %v at least", s.workload, s.p99[0], s.alone[0], least)
		}
		if len(s.inFlight) != 1 {
			t.Errorf("%s: the memory was measured %d times, want once", s.workload, len(s.inFlight))
		}
	}
}

func TestPartsJudgeByTheirTargets(t *testing.T) {
	ms := func(n ...int) (all []time.Duration) {
		for _, n := range n {
			all = append(all, time.Duration(n)*time.Millisecond)
		}
		return all
	}
	for name, c := range map[string]struct {
		part part
		met  []bool
	}{
		"builds":     {builds{{kind: "read", most: 0.6, now: ms(5), then: ms(10)}, {kind: "change", most: 0.6, now: ms(7), then: ms(10)}}, []bool{true, false}},
		"extensions": {&extended{again: 1, loads: 100, small: ms(10), large: ms(14)}, []bool{true, false}},
		"growth":     {growths{{small: ms(1), large: ms(12)}, {small: ms(1), large: ms(13)}}, []bool{true, false}},
		"tail":       {&tail{own: waited{p99: ms(23), p999: ms(31)}, floor: waited{p99: ms(20), p999: ms(20)}}, []bool{true, false}},
		"slow":       {slowWorks{{workload: "W4", trips: 2, p99: ms(119), inFlight: []int{9000}}}, []bool{true, false}},
		"memory":     {crowds{{taken: taken{1, 100, 110}, P999: 2}, {taken: taken{1, 100, 112}, P999: 5, Collected: 0.04}}, []bool{true, false, true, false}},
		"valkey":     {fullValkeys{{Grown: []taken{{1, 120, 110}}, ReadFew: ms(10), ReadMany: ms(11), ChangeFew: ms(10), ChangeMany: ms(12), AllBytes: 60 << 20}}, []bool{true, false, true, true}},
		"pgo":        {profiled{builds{{now: ms(98), then: ms(100)}}}, []bool{true}},
	} {
		targets := c.part.targets()
		if len(targets) != len(c.met) {
			t.Errorf("%s: %d targets, want %d", name, len(targets), len(c.met))
			continue
		}
		for i, got := range targets {
			if got.met != c.met[i] {
				t.Errorf("%s: %q is met: %v, want %v", name, got.what, got.met, c.met[i])
			}
		}
		c.part.say(new(page))
	}
}
