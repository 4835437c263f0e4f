// Soakmemory serves sessions for a long time at a moderate rate, and tells
// whether memory and goroutines stay flat: visitors who read, change, log in, log
// out, go away and come back with old and forged cookies, on the memory store and
// on the servers that VALKEY_ADDR and MONGODB_URI name.
//
//	go run ./soakmemory -for 1h
//
// It fails where the heap grows after the beginning, where goroutines do, where a
// request fails, and where anything is left at the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"time"
)

func main() {
	var (
		duration = flag.Duration("for", time.Hour, "how long")
		rate     = flag.Int("rate", 200, "requests a second to each store")
		visitors = flag.Int("visitors", 2000, "how many visitors each store has at any time")
	)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // forged cookies and ended sessions are meant
	if err := run(ctx, *duration, *rate, *visitors); err != nil {
		fmt.Fprintln(os.Stderr, "soakmemory:", err)
		os.Exit(1)
	}
}

const (
	samples   = 60  // in all
	beginning = 0.3 // of the time, while pools, caches and tables fill
	growth    = 0.05
	slack     = 1 << 20 // bytes
	rehearsal = 5 * time.Second
)

// A sample is what there is at a moment.
type sample struct {
	start      time.Time
	at         time.Duration
	heap       uint64
	goroutines int
}

func take(start time.Time) sample {
	runtime.GC()
	runtime.GC() // what pools kept through the first one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	goroutines := runtime.NumGoroutine()
	for range 20 { // without the requests of that moment
		time.Sleep(5 * time.Millisecond)
		goroutines = min(goroutines, runtime.NumGoroutine())
	}
	return sample{start, time.Since(start), m.HeapAlloc, goroutines}
}

func run(ctx context.Context, duration time.Duration, rate, visitors int) error {
	// What packages keep for good, they have after a rehearsal.
	first := take(time.Now())
	if _, _, err := play(ctx, rehearsal, rate, visitors, false); err != nil {
		return err
	}
	before := settled(first)

	start := time.Now()
	taken, requests, err := play(ctx, duration, rate, visitors, true)
	if err != nil {
		return err
	}
	after := settled(before)
	if err := errors.Join(judge(taken), compare(before, after)); err != nil {
		return err
	}
	fmt.Printf("flat: %d requests in %v; heap %.2f MB and %d goroutines before, %.2f MB and %d after\n",
		requests, time.Since(start).Round(time.Second), float64(before.heap)/(1<<20), before.goroutines, float64(after.heap)/(1<<20), after.goroutines)
	return nil
}

// play runs the apps for some time.
func play(ctx context.Context, duration time.Duration, rate, visitors int, tell bool) (taken []sample, requests int64, err error) {
	stages, err := open(ctx)
	if err != nil {
		return nil, 0, err
	}
	loadCtx, endLoad := context.WithCancel(ctx)
	defer endLoad()
	for _, s := range stages {
		s.start(loadCtx, rate, visitors)
	}

	print := func(format string, args ...any) {
		if tell {
			fmt.Printf(format, args...)
		}
	}
	print("%8s %10s %10s", "", "heap MB", "goroutines")
	for _, s := range stages {
		print(" %10s", s.name)
	}
	print(" (requests)\n")
	start := time.Now()
	tick := time.NewTicker(max(duration/samples, time.Second))
	defer tick.Stop()
	for time.Since(start) < duration {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, 0, errors.New("interrupted")
		}
		now := take(start)
		taken = append(taken, now)
		print("%8s %10.2f %10d", now.at.Round(time.Second), float64(now.heap)/(1<<20), now.goroutines)
		for _, s := range stages {
			print(" %10d", s.requests.Load())
		}
		print("\n")
	}

	endLoad()
	var errs []error
	for _, s := range stages {
		errs = append(errs, s.close())
		requests += s.requests.Load()
	}
	return taken, requests, errors.Join(errs...)
}

// settled waits until the goroutines of closed connections have ended, and what
// their last calls held is given back.
func settled(before sample) sample {
	for range 100 {
		if after := take(before.start); after.goroutines <= before.goroutines && after.heap <= before.heap+slack {
			return after
		}
		time.Sleep(100 * time.Millisecond)
	}
	return take(before.start)
}

// judge tells what grew after the beginning.
func judge(taken []sample) error {
	steady := taken[int(beginning*float64(len(taken))):]
	if len(steady) < 10 {
		return errors.New("too few samples: let it run for longer")
	}
	heap := make([]float64, len(steady))
	routines := make([]float64, len(steady))
	for i, s := range steady {
		heap[i], routines[i] = float64(s.heap), float64(s.goroutines)
	}
	var errs []error
	grew, middle := rise(heap), median(heap)
	fmt.Printf("the heap is %.2f MB in the middle, and rose by %+.2f MB; goroutines are %.0f, and rose by %+.1f\n",
		middle/(1<<20), grew/(1<<20), median(routines), rise(routines))
	if limit := max(growth*middle, slack); grew > limit {
		errs = append(errs, fmt.Errorf("the heap rose by %.2f MB, more than %.2f", grew/(1<<20), limit/(1<<20)))
	}
	if grew, limit := rise(routines), max(growth*median(routines), 5); grew > limit {
		errs = append(errs, fmt.Errorf("goroutines rose by %.1f, more than %.1f", grew, limit))
	}
	return errors.Join(errs...)
}

// rise returns by how much the values rise from the first to the last: the median
// of the slopes between all pairs (Theil and Sen), which a few odd values do not
// move.
func rise(values []float64) float64 {
	var slopes []float64
	for i := range values {
		for j := i + 1; j < len(values); j++ {
			slopes = append(slopes, (values[j]-values[i])/float64(j-i))
		}
	}
	return median(slopes) * float64(len(values)-1)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// compare tells what is left at the end.
func compare(before, after sample) error {
	var errs []error
	if after.goroutines > before.goroutines {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		errs = append(errs, fmt.Errorf("%d goroutines are left, there were %d before:\n%s", after.goroutines, before.goroutines, stacks))
	}
	if limit := before.heap + slack; after.heap > limit {
		errs = append(errs, fmt.Errorf("%.2f MB of heap are left, there were %.2f before", float64(after.heap)/(1<<20), float64(before.heap)/(1<<20)))
	}
	return errors.Join(errs...)
}
