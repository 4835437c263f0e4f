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
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// options say how long everything takes.
type options struct {
	short       bool
	rounds      int
	slice       time.Duration // of one subject in one round
	httpRounds  int
	httpSlice   time.Duration
	many        int // sessions
	sweeps      int // runs
	out, readme string
	only        string // the parts that are measured alone, with commas between
	large       bool   // what takes minutes and gigabytes is measured, and nothing else
	started     time.Time
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
		if errors.Is(err, errBusy) {
			os.Exit(exitBusy)
		}
		os.Exit(1)
	}
}

// appHeap is what a process holds besides, in bytes, in place of an app's own data.
// With the few MB that a handler needs which does nothing, Go's collector would
// run five hundred times a second, and be most of what is measured.
const appHeap = 64 << 20

func run(ctx context.Context) error {
	o := options{
		rounds: 11, slice: 40 * time.Millisecond,
		httpRounds: 5, httpSlice: 1200 * time.Millisecond, many: 1_000_000, sweeps: 5, started: time.Now(),
	}
	flag.BoolVar(&o.short, "short", false, "fewer and shorter rounds: to see that everything works, not for numbers")
	flag.StringVar(&o.out, "out", "", "where to write RESULTS.md and the charts; the default is here, for the short form a temporary folder")
	flag.StringVar(&o.only, "only", "", "measure these parts and write nothing: "+strings.Join(partNames(), ", "))
	flag.BoolVar(&o.large, "large", false, "measure ten million sessions instead, which takes up to half an hour and 12 GB; writes LARGE.md")
	flag.StringVar(&o.readme, "readme", "", "the README whose summary is brought up to date, but not by the short form")
	flag.Parse()
	s := &servers{valkey: os.Getenv("VALKEY_ADDR"), mongo: os.Getenv("MONGODB_URI"), postgresql: os.Getenv("POSTGRESQL_URL")}
	if flag.Arg(0) != millionCommand && flag.Arg(0) != crowdedCommand {
		app := make([]byte, appHeap)
		defer runtime.KeepAlive(app)
	}
	switch flag.Arg(0) {
	case serveCommand:
		return serve(ctx, s, flag.Arg(1))
	case millionCommand:
		return measureMillion(ctx, flag.Arg(1), flag.Arg(2), flag.Arg(3))
	case crowdedCommand:
		return measureCrowded(ctx, flag.Arg(1), flag.Arg(2))
	}
	if o.short {
		o.rounds, o.slice = 3, 5*time.Millisecond
		o.httpRounds, o.httpSlice = 2, 200*time.Millisecond
		o.many, o.sweeps = 50_000, 1
		o.out = cmp.Or(o.out, filepath.Join(os.TempDir(), "cloakroom-bench"))
	}
	o.out = cmp.Or(o.out, ".")

	if o.only != "" || o.large {
		return measureParts(ctx, s, o)
	}
	r, err := measure(ctx, s, o)
	if err != nil {
		return err
	}
	if err := r.write(o.out); err != nil {
		return err
	}
	if o.readme != "" && !o.short {
		if err := r.writeReadme(o.readme); err != nil {
			return err
		}
	}
	judge(r.targets())
	o.progress("written: %s", filepath.Join(o.out, "RESULTS.md"))
	return nil
}

// judge prints which targets are met.
func judge(targets []target) {
	for _, t := range targets {
		met := "MISSED"
		if t.met {
			met = "met   "
		}
		fmt.Printf("%s  %s: %s, want %s\n", met, t.what, t.got, t.want)
	}
}

// measure measures what can be measured here.
func measure(ctx context.Context, s *servers, o options) (r *results, err error) {
	r = &results{options: o}
	leaveOut := r.leaveOut
	if r.machine, err = describe(ctx, s); err != nil {
		return nil, err
	}
	cores := runtime.GOMAXPROCS(1) // else the collector keeps the others busy for as long as they are idle
	if r.serial, err = inProcess(ctx, s, o, 1, noStore, memory, cookie); err != nil {
		return nil, err
	}
	runtime.GOMAXPROCS(cores)
	if r.parallel, err = inProcess(ctx, s, o, cores, noStore, memory, cookie); err != nil {
		return nil, err
	}
	if err := installExpress(ctx); err != nil {
		leaveOut("Express, as " + err.Error())
	}
	if s.valkey == "" {
		leaveOut("all that needs Valkey, as VALKEY_ADDR is not set")
	} else {
		if r.valkey, err = inProcess(ctx, s, o, clients, valkeyS, opened, cached); err != nil {
			return nil, err
		}
		if r.alone, err = inProcess(ctx, s, o, 1, valkeyS, opened, cached); err != nil {
			return nil, err
		}
		if r.costs, err = costs(ctx, s, o, valkeyS, cached); err != nil {
			return nil, err
		}
		if r.servers, err = overNetwork(ctx, s, o, valkeyS); err != nil {
			return nil, err
		}
	}
	if s.mongo == "" {
		leaveOut("all that needs MongoDB, as MONGODB_URI is not set")
	} else {
		if r.mongo, err = inProcess(ctx, s, o, clients, mongoS); err != nil {
			return nil, err
		}
		if r.mongoCosts, err = costs(ctx, s, o, mongoS); err != nil {
			return nil, err
		}
	}
	if s.postgresql == "" {
		leaveOut("all that needs PostgreSQL, as POSTGRESQL_URL is not set")
	} else {
		if r.postgresql, err = inProcess(ctx, s, o, clients, postgresS); err != nil {
			return nil, err
		}
		if r.sqlCosts, err = costs(ctx, s, o, postgresS); err != nil {
			return nil, err
		}
		if r.sqlServers, err = overNetwork(ctx, s, o, postgresS); err != nil {
			return nil, err
		}
	}
	if r.sqlite, err = inProcess(ctx, s, o, clients, sqliteS); err != nil {
		return nil, err
	}
	if r.sessions, r.stores, err = million(ctx, o); errors.Is(err, errBusy) {
		leaveOut("a million sessions, as " + err.Error())
	} else if err != nil {
		return nil, err
	}
	return r, r.addParts(ctx, s, func(c choice) bool { return !c.large })
}

func (r *results) leaveOut(what string) {
	fmt.Fprintf(os.Stderr, "*** LEFT OUT: %s ***\n", what)
	r.left = append(r.left, what)
}
