package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// A target is what Cloakroom wants to reach, and what was measured.
type target struct {
	what, want, got string
	met             bool
}

// What Cloakroom aims at. All times are compared within one run.
func (r *results) targets() (list []target) {
	add := func(met bool, what, want, got string, args ...any) {
		list = append(list, target{what, want, fmt.Sprintf(got, args...), met})
	}

	// Above a framework without sessions.
	for _, c := range []struct {
		library, on, workload string
		most                  float64 // ns
	}{
		{libraryName, onGin, "W1", 300},
		{libraryName, onEcho5, "W1", 300},
		{libraryName, onHTTP, "W1", 600},
		{lazyName, onGin, "W2", 300},
		{lazyName, onEcho5, "W2", 300},
		{lazyName, onHTTP, "W2", 600},
	} {
		b, bare := r.serial.find(c.library, c.on, memory, c.workload), r.serial.find(bareLibrary, c.on, noStore, "W1")
		if b == nil || bare == nil {
			continue
		}
		more, allocs := above(b.cpu, bare.cpu), slices.Min(b.allocs)-slices.Min(bare.allocs)
		add(more <= c.most && allocs <= 3, fmt.Sprintf("%s, %s, in memory, %s", c.library, c.on, c.workload),
			fmt.Sprintf("at most %.0f ns and 3 allocations above the bare framework", c.most), "%.0f ns, %d", more, allocs)
	}

	// Times the floor.
	for _, c := range []struct {
		workload string
		most     float64
		allocs   int
	}{
		{"W3", 2.2, 8}, {"W4", 4, 16}, {"W5 64 KB", 3, 0}, {"W6", 3, 0},
	} {
		for _, on := range []string{onGin, onEcho5, onHTTP} {
			b, floor := r.serial.find(libraryName, on, memory, c.workload), r.serial.find(floorLibrary, onGin, memory, c.workload)
			if b == nil || floor == nil {
				continue
			}
			times, want := ratio(b.cpu, floor.cpu), fmt.Sprintf("at most %v x the floor", c.most)
			met, got := times <= c.most, fmt.Sprintf("%.1f x", times)
			if c.allocs > 0 {
				met = met && slices.Min(b.allocs) <= c.allocs
				want += fmt.Sprintf(", %d allocations", c.allocs)
				got += fmt.Sprintf(", %d", slices.Min(b.allocs))
			}
			add(met, fmt.Sprintf("%s, in memory, %s", on, c.workload), want, "%s", got)
		}
	}
	list = append(list, r.targetsOfUsers()...)
	for _, c := range []struct {
		table           *table
		store, workload string
		most            float64
	}{
		{r.valkey, valkeyS, "W3", 1.5},
		{r.valkey, valkeyS, "W4", 1.5},
		{r.valkey, cached, "W3", 3},
		{r.mongo, mongoS, "W3", 1.15},
		{r.mongo, mongoS, "W4", 1.15},
		{r.postgresql, postgresS, "W3", 1.15},
		{r.postgresql, postgresS, "W4", 1.15},
	} {
		b, floor := c.table.find(libraryName, onGin, c.store, c.workload), c.table.find(floorLibrary, onGin, c.store, c.workload)
		if b == nil || floor == nil {
			continue
		}
		times := ratio(b.took, floor.took)
		add(times <= c.most, fmt.Sprintf("Gin, %s, %s, %d clients", c.store, c.workload, clients), fmt.Sprintf("at most %v x the floor", c.most), "%.2f x", times)
	}

	// The driver has most of it, so what this process computes is compared, too.
	for _, w := range []string{"W3", "W4"} {
		b, floor := r.mongo.find(libraryName, onGin, mongoS, w), r.mongo.find(floorLibrary, onGin, mongoS, w)
		if b == nil || floor == nil {
			continue
		}
		const most = 1.15
		times := ratio(b.cpu, floor.cpu)
		add(times <= most, fmt.Sprintf("Gin, %s, %s, %d clients, processor time of the process", mongoS, w, clients), fmt.Sprintf("at most %v x the floor", most), "%.2f x", times)
	}

	// Over HTTP.
	for _, w := range overHTTP {
		own, floor := find(r.servers, libraryName, onGin, valkeyS, w), find(r.servers, floorLibrary, onGin, valkeyS, w)
		if own == nil || floor == nil {
			continue
		}
		share, later := ratio(own.perSecond, floor.perSecond), ratio(own.p99, floor.p99)
		least := map[string]float64{"W3": 0.9, "W4": 0.85}[w]
		add(share >= least, "Gin, Valkey, over HTTP, "+w, fmt.Sprintf("at least %v x the floor's requests/s", least), "%.2f x", share)
		// What a run differs from the next by is no difference.
		slack := max(spread(own.p99), spread(floor.p99))
		add(later <= 1+slack, "Gin, Valkey, over HTTP, "+w, "a p99 no worse than the floor's", "%.2f x (spread ±%.0f%%)", later, 100*slack)
	}
	if own, express := find(r.servers, libraryName, onGin, opened, "W3"), find(r.servers, expressLibraries[valkeyS], onExpress, valkeyS, "W3"); own != nil && express != nil {
		times := ratio(own.perSecond, express.perSecond)
		add(times >= 6.5, "Gin, Valkey as `Open` has it, over HTTP, W3", "at least 6.5 x the requests/s of Express", "%.1f x", times)
	}

	// Round trips.
	if c := r.costs[subject{library: libraryName, on: onGin, store: valkeyS}.id()]; c != nil {
		for _, t := range []struct {
			what, workload string
			most           int
		}{
			{"anonymous", "W1", 0}, {"read, with sliding expiry", "W3", 1}, {"change", "W4", 2}, {"login", "W6", 2},
		} {
			got := c[t.workload].trips
			add(got <= t.most, "round trips to Valkey that a request waits for: "+t.what, fmt.Sprintf("at most %d", t.most), "%d", got)
		}
	}

	// A million sessions.
	own, reference := r.store(libraryName), r.store(limitedMap)
	if own != nil && reference != nil {
		times := own.Bytes / reference.Bytes
		add(times <= 1.5, "memory store, a million sessions", "at most 1.5 x a map with expiry, limit and order", "%.2f x (%.0f bytes a session)", times, own.Bytes)
	}
	if own != nil {
		const most = 280
		add(own.Bytes <= most, "memory store, a million sessions", fmt.Sprintf("at most %d bytes each", most), "%.0f bytes", own.Bytes)
	}
	if own != nil && len(own.During) > 0 {
		raised := own.raised()
		add(raised <= time.Millisecond/2, "memory store, a million sessions expire", "readers' p99.9 at most 0.5 ms higher", "%+.2f ms", milliseconds(raised))
	}
	for _, part := range r.parts {
		list = append(list, part.targets()...)
	}
	return list
}

// targetsOfUsers are what sessions of users who signed in are to cost, beside those of
// visitors and beside scs, the fastest of the others.
func (r *results) targetsOfUsers() (list []target) {
	for _, c := range []struct {
		what, workload   string
		beside, besideOf string // the workload and the library that it is compared with
		most, least      float64
	}{
		{"a read by a user who signed in", "W3 of a user", "W3", libraryName, 1.1, 0},
		{"a change by a user who signed in", "W4 of a user", "W4", libraryName, 1.1, 0},
		{"a read", "W3", "W3", scsName, 0, 15},
		{"a change", "W4", "W4", scsName, 0, 8},
	} {
		b, other := r.serial.find(libraryName, onHTTP, memory, c.workload), r.serial.find(c.besideOf, onHTTP, memory, c.beside)
		if b == nil || other == nil {
			continue
		}
		t := target{what: "net/http, in memory, " + c.what}
		if c.most > 0 {
			times := ratio(b.cpu, other.cpu)
			t.want, t.got, t.met = fmt.Sprintf("at most %v x that of a visitor", c.most), fmt.Sprintf("%.2f x", times), times <= c.most
		} else {
			times := ratio(other.cpu, b.cpu)
			t.want, t.got, t.met = fmt.Sprintf("at least %v x as fast as %s", c.least, c.besideOf), fmt.Sprintf("%.1f x", times), times >= c.least
		}
		list = append(list, t)
	}
	return list
}

// above returns by how many nanoseconds a is above b in the same rounds.
func above(a, b []time.Duration) float64 {
	var differences []float64
	for i := range min(len(a), len(b)) {
		differences = append(differences, float64(a[i]-b[i]))
	}
	return math.Round(median(differences))
}

// raised is by how much a sweep raises the readers' p99.9: the median of all
// runs.
func (k *kept) raised() time.Duration {
	var raised []time.Duration
	for i := range k.During {
		raised = append(raised, k.During[i].P999-k.Before[i].P999)
	}
	return median(raised)
}

// before is the readers' p99.9 while nothing is swept: the median of all runs.
func (k *kept) before() time.Duration {
	var all []time.Duration
	for _, w := range k.Before {
		all = append(all, w.P999)
	}
	return median(all)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// find returns what was measured over HTTP, or nil.
func find(servers []*server, library, on, store, workload string) *load {
	for _, s := range servers {
		if s.subject.library == library && s.subject.on == on && s.subject.store == store {
			return s.measure[workload]
		}
	}
	return nil
}

func (r *results) store(name string) *kept {
	for i := range r.stores {
		if r.stores[i].Name == name {
			return &r.stores[i]
		}
	}
	return nil
}
