package memorystore_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// A session of the usual size.
var benchData = bytes.Repeat([]byte("x"), 300)

func benchID(i int) string { return fmt.Sprintf("%032d", i) }

func benchRecord(i int) store.Record {
	return store.Record{ID: benchID(i), Data: benchData, TTL: time.Hour}
}

// filled returns a store with n sessions that live for ttl.
func filled(tb testing.TB, o memorystore.Options, n int, ttl time.Duration) *memorystore.Store {
	tb.Helper()
	s := open(tb, o)
	for i := range n {
		rec := benchRecord(i)
		rec.TTL = ttl
		if err := s.Create(context.Background(), rec); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

var benchOptions = []struct {
	name string
	o    memorystore.Options
}{
	{"NoLimit", memorystore.Options{}},
	{"Refuse", memorystore.Options{MaxSessions: 1 << 30}},
	{"Evict", memorystore.Options{MaxSessions: 1 << 30, AtLimit: memorystore.DropLeastRecentlyUsed}},
}

func BenchmarkLoad(b *testing.B) {
	for _, bo := range benchOptions {
		b.Run(bo.name, func(b *testing.B) {
			const n = 1 << 14
			s, ids := filled(b, bo.o, n, time.Hour), make([]string, n)
			for i := range ids {
				ids[i] = benchID(i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := s.Load(context.Background(), ids[i%n]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLoadParallel(b *testing.B) {
	const n = 1 << 14
	s, ids := filled(b, memorystore.Options{}, n, time.Hour), make([]string, n)
	for i := range ids {
		ids[i] = benchID(i)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := s.Load(context.Background(), ids[i%n]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkCreateDelete(b *testing.B) {
	for _, bo := range benchOptions {
		b.Run(bo.name, func(b *testing.B) {
			s, rec := filled(b, bo.o, 1<<14, time.Hour), benchRecord(-1)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Create(context.Background(), rec); err != nil {
					b.Fatal(err)
				}
				if err := s.Delete(context.Background(), rec.ID); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCreateAtLimit evicts a session for each new one.
func BenchmarkCreateAtLimit(b *testing.B) {
	const n = 1 << 14
	s := filled(b, memorystore.Options{MaxSessions: n, AtLimit: memorystore.DropLeastRecentlyUsed}, n, time.Hour)
	b.ReportAllocs()
	for i := n; b.Loop(); i++ {
		if err := s.Create(context.Background(), benchRecord(i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, bo := range benchOptions {
		b.Run(bo.name, func(b *testing.B) {
			s, rec := filled(b, bo.o, 1<<14, time.Hour), benchRecord(0)
			next := rec
			next.Data = bytes.Repeat([]byte("y"), len(rec.Data))
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Update(context.Background(), rec, next); err != nil {
					b.Fatal(err)
				}
				rec, next = next, rec
			}
		})
	}
}

// BenchmarkTouch extends sessions in turn: where there are more, more of what that takes is
// not in the cache of the processor.
func BenchmarkTouch(b *testing.B) {
	for _, n := range []int{1_000, 1 << 14, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, ids := filled(b, memorystore.Options{}, n, time.Hour), make([]string, n)
			for i := range ids {
				ids[i] = benchID(i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := s.Touch(context.Background(), ids[i*7919%n], time.Hour); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHeap tells what a session takes, as a multiple of what it takes in a
// map[string][]byte, which knows no expiry and no limits.
func BenchmarkHeap(b *testing.B) {
	const n = 200_000
	for name, o := range map[string]memorystore.Options{
		"default":  {},
		"evicting": {MaxBytes: 1 << 40, AtLimit: memorystore.DropLeastRecentlyUsed},
	} {
		for _, size := range []int{100, 300, 1000} {
			b.Run(fmt.Sprintf("%s/%dBytes", name, size), func(b *testing.B) {
				var plain, st int64
				for b.Loop() {
					plain = heapGrowth(func() any {
						m := make(map[string][]byte)
						for i := range n {
							m[benchID(i)] = make([]byte, size)
						}
						return m
					})
					st = heapGrowth(func() any {
						s := open(b, o)
						for i := range n {
							s.Create(context.Background(), store.Record{ID: benchID(i), Data: make([]byte, size), TTL: time.Hour})
						}
						return s
					})
				}
				b.ReportMetric(float64(st)/n, "B/session")
				b.ReportMetric(float64(st)/float64(plain), "x/map")
			})
		}
	}
}

func heapGrowth(fill func() any) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	filled := fill()
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(filled)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// BenchmarkSweep removes a million expired sessions while a reader loads others,
// and tells the reader's slowest of a thousand loads before and during that.
func BenchmarkSweep(b *testing.B) {
	const (
		expired = 1_000_000
		live    = 10_000
	)
	for b.Loop() {
		b.StopTimer()
		var skew atomic.Int64
		s := filled(b, memorystore.Options{
			SweepInterval: time.Hour, // Count sweeps as the timer does
			Now:           func() time.Time { return time.Now().Add(time.Duration(skew.Load())) },
		}, expired, time.Minute)
		for i := range live {
			rec := benchRecord(expired + i)
			rec.TTL = 2 * time.Hour
			if err := s.Create(context.Background(), rec); err != nil {
				b.Fatal(err)
			}
		}
		ids := make([]string, live)
		for i := range ids {
			ids[i] = benchID(expired + i)
		}
		runtime.GC()

		read := func(until func() bool) (latencies []time.Duration) {
			latencies = make([]time.Duration, 0, 1<<22)
			for i := 0; !until() && len(latencies) < cap(latencies); i++ {
				start := time.Now()
				s.Load(context.Background(), ids[i%live])
				latencies = append(latencies, time.Since(start))
			}
			slices.Sort(latencies)
			return latencies
		}
		quiet := time.Now().Add(time.Second)
		before := read(func() bool { return time.Now().After(quiet) })

		var done atomic.Bool
		var wg sync.WaitGroup
		skew.Store(int64(time.Hour))
		b.StartTimer()
		wg.Go(func() {
			defer done.Store(true)
			if n, err := s.Count(context.Background()); n != live || err != nil {
				b.Errorf("Count returned %d, %v, want %d", n, err, live)
			}
		})
		during := read(done.Load)
		wg.Wait()
		b.StopTimer()

		p := func(l []time.Duration, q float64) float64 { return float64(l[int(q*float64(len(l)-1))].Nanoseconds()) }
		b.ReportMetric(p(before, .999), "p99.9-before-ns")
		b.ReportMetric(p(during, .999), "p99.9-during-ns")
		b.ReportMetric(p(during, 1), "max-during-ns")
		s.Close()
		b.StartTimer()
	}
}
