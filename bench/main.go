// Command bench measures what sessions cost: Cloakroom's beside those of
// others, beside frameworks without sessions, and beside a floor that is
// written by hand. Run it with
//
//	make bench
//
// which starts the servers that it needs. It writes RESULTS.md, which explains
// what is measured and how, and charts.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"time"
)

// options say how long everything takes.
type options struct {
	short              bool
	rounds             int
	slice              time.Duration // of one subject in one round
	allocationRequests int
	out                string
	started            time.Time
}

func (o options) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%4.0f s  %s\n", time.Since(o.started).Seconds(), fmt.Sprintf(format, args...))
}

func main() {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // some libraries log forged cookies
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o := options{rounds: 11, slice: 40 * time.Millisecond, allocationRequests: 1000, started: time.Now()}
	flag.BoolVar(&o.short, "short", false, "fewer and shorter rounds: to see that everything works, not for numbers")
	flag.StringVar(&o.out, "out", ".", "where to write RESULTS.md and the charts")
	flag.Parse()
	if o.short {
		o.rounds, o.slice, o.allocationRequests = 3, 5*time.Millisecond, 200
	}

	s := &servers{valkey: os.Getenv("VALKEY_ADDR")}
	var (
		r   results
		err error
	)
	r.short = o.short
	if r.machine, err = describe(ctx, s); err != nil {
		return err
	}
	if r.serial, err = inProcess(ctx, s, o, 1, noStore, memory, cookie); err != nil {
		return err
	}
	if r.parallel, err = inProcess(ctx, s, o, runtime.GOMAXPROCS(0), noStore, memory, cookie); err != nil {
		return err
	}
	if s.valkey == "" {
		fmt.Fprintln(os.Stderr, "*** NO VALKEY SERVER: VALKEY_ADDR is not set, so all that is about Valkey is left out. ***")
	} else if r.valkey, err = inProcess(ctx, s, o, clients, valkeyS, cached); err != nil {
		return err
	}
	return r.write(o.out)
}
