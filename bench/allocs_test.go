//go:build !race

// The race detector allocates, too.

package main

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
)

func TestGateAllocations(t *testing.T) {
	s := testServers(t)
	s.pipelines = true
	costs, most := make(map[string]map[string]int), readGate(t)
	for _, sub := range gated(s) {
		if sub.store == opened || sub.store == mongoS || sub.store == postgresS || sub.store == sqliteS {
			continue // the driver allocates more or less, as it is asked sooner or later
		}
		allocs, err := allocations(t, s, sub, most[line("allocations", sub)])
		if err != nil {
			t.Errorf("%s: %v", sub.where(), err)
		}
		costs[line("allocations", sub)] = allocs
	}
	gate(t, "allocations", costs)
}

// allocations counts what requests of each workload allocate, for which there is a gate
// at most.
func allocations(t *testing.T, s *servers, sub subject, most map[string]int) (map[string]int, error) {
	a, err := sub.open(t.Context(), s)
	if err != nil {
		return nil, err
	}
	defer a.close()
	allocs := make(map[string]int)
	gated := workloads
	if sub.store == memory { // where nothing else is at work beside it
		gated = slices.Concat(workloads, ofUsers)
	}
	for _, w := range gated {
		if sub.store == cached && (w.path == pathCount || w.path == pathLogin) {
			continue // more or less, as the server's messages about the change come in
		}
		b, err := newBench(sub, a, w, 1)
		if err != nil {
			return nil, err
		}
		if allocs[w.name], err = countAllocations(b, most[w.name]); err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return allocs, nil
}

// countAllocations counts what a request allocates. The first slice warms up. On a busy
// machine the client of a store allocates more for a while, so it looks more often before
// it says that a request takes more than the gate allows.
func countAllocations(b *bench, most int) (int, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const least, limit = 4, 64
	b.count = 300
	for slice := range limit {
		if slice >= least && slices.Min(b.allocs) <= most {
			break
		}
		if err := b.measure(); err != nil {
			return 0, err
		}
	}
	return slices.Min(b.allocs), b.finish()
}

// Nothing of what is counted is the visitors' own.
func TestVisitorsAllocateNothing(t *testing.T) {
	for _, sub := range bareSubjects() {
		a, err := sub.open(t.Context(), &servers{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := newBench(sub, a, workloads[0], 1)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := countAllocations(b, 0); n != 0 || err != nil {
			t.Errorf("%s without sessions: %d allocations, want 0; %v", sub.on, n, err)
		}
	}
}
