package main

import (
	"slices"
	"strings"
	"testing"
)

// BenchmarkRequest is for work on one subject, with the tools that go test has:
//
//	go test -run - -bench '/Cloakroom/Gin/memory/W3' -cpuprofile cpu.out
//
// For numbers to compare, take make bench, where subjects take turns.
func BenchmarkRequest(b *testing.B) {
	s := testServers(b)
	for _, sub := range subjects() {
		if !s.has(sub.store) {
			continue
		}
		b.Run(benchName(sub.library)+"/"+benchName(sub.on)+"/"+benchName(sub.store), func(b *testing.B) {
			a, err := sub.open(b.Context(), s)
			if err != nil {
				b.Fatal(err)
			}
			defer a.close()
			for _, w := range slices.Concat(workloads, ofUsers) {
				if w.suits(sub) {
					b.Run(benchName(w.name), func(b *testing.B) { benchmark(b, sub, a, w) })
				}
			}
		})
	}
}

func benchmark(b *testing.B, sub subject, a *app, w workload) {
	parallel := parallel(sub.store)
	visits, err := newBench(sub, a, w, parallel)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		n := min(b.N-done, 200*parallel)
		if w.path == pathLogin {
			n = min(n, logins)
		}
		if _, err := visits.slice(n); err != nil {
			b.Fatal(err)
		}
		done += max(n, parallel)
	}
}

// benchName joins names, without what has a meaning in -bench.
func benchName(name string) string {
	return strings.NewReplacer("/", "-", ", ", "-", " ", "-", "'", "").Replace(name)
}
