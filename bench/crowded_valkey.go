package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

const (
	mostFull      = 1.1      // times the p99
	mostWalk      = 64 << 20 // bytes of this process
	listedByUser  = 100      // sessions of one user
	createAtOnce  = 1000
	crowdVisitors = 64
	crowdedRounds = 7
)

// A fullValkey is a server, or several, with many sessions, beside one with few.
type fullValkey struct {
	Servers, Sessions           int
	Grown                       []taken // of the servers' memory, on the way to so many
	Filling                     time.Duration
	Rate                        float64 // requests/s
	ReadFew, ReadMany           []time.Duration
	ChangeFew, ChangeMany       []time.Duration // p99, by round
	Count, All, Listed          time.Duration
	CountBytes, AllBytes        int64 // the most that this process had
	ListedBytes                 int64
	PerCount, PerAll, PerListed int // what they found
}

type fullValkeys []fullValkey

func needsServers(*servers) string {
	if os.Getenv("VALKEY_SERVER") == "" || os.Getenv("VALKEY_CLI") == "" {
		return "VALKEY_SERVER and VALKEY_CLI are not set"
	}
	return ""
}

// measureFullValkeys measures one server and then three primaries.
func measureFullValkeys(ctx context.Context, o options) (all fullValkeys, err error) {
	for _, primaries := range []int{1, 3} {
		o.progress("%s sessions in Valkey, %d servers", thousands(int64(10*o.many)), primaries)
		f, err := measureFullValkey(ctx, primaries, 10*o.many)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func measureFullValkey(ctx context.Context, primaries, sessions int) (f fullValkey, err error) {
	few, stop, err := startValkeys(ctx, primaries)
	if err != nil {
		return f, err
	}
	defer stop()
	many, stop, err := startValkeys(ctx, primaries)
	if err != nil {
		return f, err
	}
	defer stop()
	err = ask(ctx, &f, crowdedCommand, strings.Join(append(few, many...), ","), strconv.Itoa(sessions))
	return f, err
}

// startValkeys starts servers that keep nothing on a disk: one, or a cluster without replicas.
func startValkeys(ctx context.Context, n int) (addrs []string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "cloakroom-bench")
	if err != nil {
		return nil, nil, err
	}
	var started []*exec.Cmd
	stop = func() {
		for _, cmd := range started {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		_ = os.RemoveAll(dir)
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	for range n {
		cmd, addr, err := startValkey(ctx, dir, n > 1)
		if err != nil {
			return nil, nil, err
		}
		started, addrs = append(started, cmd), append(addrs, addr)
	}
	for _, addr := range addrs {
		if err := until(ctx, "PONG", addr, "ping"); err != nil {
			return nil, nil, err
		}
	}
	if n == 1 {
		return addrs, stop, nil
	}
	create := append([]string{"--cluster", "create"}, addrs...)
	if err := quiet(exec.CommandContext(ctx, os.Getenv("VALKEY_CLI"), append(create, "--cluster-yes")...)); err != nil {
		return nil, nil, err
	}
	for _, addr := range addrs {
		if err := until(ctx, "cluster_state:ok", addr, "cluster", "info"); err != nil {
			return nil, nil, err
		}
	}
	return addrs, stop, nil
}

func startValkey(ctx context.Context, dir string, clustered bool) (cmd *exec.Cmd, addr string, err error) {
	if addr, err = freeAddr(ctx); err != nil {
		return nil, "", err
	}
	host, port, _ := net.SplitHostPort(addr)
	args := []string{"--bind", host, "--port", port, "--dir", dir, "--save", "", "--appendonly", "no"}
	if clustered {
		bus, err := freeAddr(ctx)
		if err != nil {
			return nil, "", err
		}
		_, busPort, _ := net.SplitHostPort(bus)
		args = append(args, "--cluster-enabled", "yes", "--cluster-port", busPort, "--cluster-announce-ip", host, "--cluster-config-file", "nodes-"+port)
	}
	cmd = exec.CommandContext(ctx, os.Getenv("VALKEY_SERVER"), args...) //nolint:gosec // a program of the tests
	return cmd, addr, cmd.Start()
}

func freeAddr(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// until asks a server until it says that.
func until(ctx context.Context, want, addr string, command ...string) error {
	host, port, _ := net.SplitHostPort(addr)
	args := append([]string{"-h", host, "-p", port}, command...)
	for range 100 {
		out, err := exec.CommandContext(ctx, os.Getenv("VALKEY_CLI"), args...).CombinedOutput()
		if err == nil && strings.Contains(string(out), want) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("the server at %s does not say %q", addr, want)
}

// A full is a store in Valkey, as Open has it, with its app.
type full struct {
	addrs   []string
	store   *valkeystore.Store
	manager *core.Manager
	app     *app
}

func openFull(ctx context.Context, addrs []string) (*full, error) {
	url := "valkey://" + addrs[0]
	if len(addrs) > 1 {
		url += "?addr=" + strings.Join(addrs[1:], "&addr=")
	}
	kept, err := valkeystore.Open(ctx, url, valkeystore.Options{})
	if err != nil {
		return nil, err
	}
	m, err := core.New(core.Config{Store: kept, Secrets: []string{secret}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	return &full{addrs, kept, m, &app{handler: cloakroomHTTP(m), close: func() { _ = kept.Close() }}}, nil
}

// fill makes the sessions of a family from one number up to another.
func (f *full) fill(ctx context.Context, of *family, first, n int) error {
	const workers = 4
	var (
		done sync.WaitGroup
		errs = make([]error, workers)
	)
	for w := range workers {
		done.Go(func() {
			recs := make([]store.Record, 0, createAtOnce)
			for from := first + w*createAtOnce; from < n && errs[w] == nil; from += workers * createAtOnce {
				recs = recs[:0]
				for i := from; i < min(n, from+createAtOnce); i++ {
					recs = append(recs, store.Record{ID: of.id(i), Data: of.record, TTL: 24 * time.Hour})
				}
				_, errs[w] = f.store.CreateBatch(ctx, recs)
			}
		})
	}
	done.Wait()
	return errors.Join(errs...)
}

// used is the memory that the servers use.
func (f *full) used(ctx context.Context) (total int64, err error) {
	for _, addr := range f.addrs {
		n, err := usedMemory(ctx, addr)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func usedMemory(ctx context.Context, addr string) (int64, error) {
	client, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	info, err := client.Do(ctx, client.B().Info().Section("memory").Build()).ToString()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(info) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); found {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, errors.New("the server does not say how much memory it uses")
}

// crowdValkey is what the child does: the first half of the servers gets few sessions, the
// other half n of them.
func crowdValkey(ctx context.Context, n int, addrs []string) (c fullValkey, err error) {
	c.Servers, c.Sessions = len(addrs)/2, n
	of, err := newFamily(ctx)
	if err != nil {
		return c, err
	}
	many, err := openFull(ctx, addrs[c.Servers:])
	if err != nil {
		return c, err
	}
	defer many.app.close()
	if err := c.grow(ctx, of, many); err != nil {
		return c, err
	}
	v := many.app.visitor()
	for range listedByUser {
		if _, err := makeSession(v, "as="+userName); err != nil {
			return c, err
		}
	}
	if err := c.walk(ctx, many); err != nil {
		return c, err
	}
	few, err := openFull(ctx, addrs[:c.Servers])
	if err != nil {
		return c, err
	}
	defer few.app.close()
	if err := few.fill(ctx, of, 0, crowdedFew); err != nil {
		return c, err
	}
	return c, c.visit(ctx, of, few, many)
}

// grow makes the sessions, a hundredth and a tenth of them first, and looks each time at the
// memory of the servers.
func (c *fullValkey) grow(ctx context.Context, of *family, f *full) error {
	before, err := f.used(ctx)
	if err != nil {
		return err
	}
	from, made := time.Now(), 0
	for _, n := range []int{c.Sessions / 100, c.Sessions / 10, c.Sessions} {
		if err := f.fill(ctx, of, made, n); err != nil {
			return err
		}
		made = n
		after, err := f.used(ctx)
		if err != nil {
			return err
		}
		c.Grown = append(c.Grown, taken{n, float64(after-before) / float64(n), valkeyFormula(len(of.record), n, c.Servers)})
	}
	c.Filling = time.Since(from)
	return nil
}

// visit compares the p99 of both. The same sessions are visited in both: what a process knows
// of them is the same, too.
func (c *fullValkey) visit(ctx context.Context, of *family, few, many *full) error {
	path := func(path string) func(int64) string { return func(int64) string { return path } }
	slice := 3 * time.Second
	capacity := func(f *full) (float64, error) {
		send := of.visitors(f.app, crowdVisitors, crowdedFew, path(pathCount))
		const n, atOnce = 20_000, 1e9 // a second
		from := time.Now()
		_, err := atRate(ctx, atOnce, n*time.Second/atOnce, crowdVisitors, send)
		return n / time.Since(from).Seconds(), err
	}
	var err error
	for _, f := range []*full{many, few} { // which also extends them
		if c.Rate, err = capacity(f); err != nil {
			return err
		}
	}
	c.Rate *= tailRate
	for range crowdedRounds {
		for _, m := range []struct {
			of   *full
			path string
			to   *[]time.Duration
		}{
			{few, pathRead, &c.ReadFew}, {many, pathRead, &c.ReadMany}, {few, pathCount, &c.ChangeFew}, {many, pathCount, &c.ChangeMany},
		} {
			took, err := atRate(ctx, c.Rate, slice, crowdVisitors, of.visitors(m.of.app, crowdVisitors, crowdedFew, path(m.path)))
			if err != nil {
				return err
			}
			*m.to = append(*m.to, quantile(took, 0.99))
		}
	}
	return nil
}

// walk does what walks all sessions, and looks at the memory meanwhile.
func (c *fullValkey) walk(ctx context.Context, f *full) error {
	var err error
	c.Count, c.CountBytes = watched(func() { c.PerCount, err = f.manager.Count(ctx) })
	if err != nil {
		return err
	}
	c.All, c.AllBytes = watched(func() {
		for _, e := range f.manager.All(ctx) {
			if err = errors.Join(err, e); err != nil {
				return
			}
			c.PerAll++
		}
	})
	if err != nil {
		return err
	}
	c.Listed, c.ListedBytes = watched(func() {
		for _, e := range f.manager.Sessions(ctx, userName) {
			if err = errors.Join(err, e); err != nil {
				return
			}
			c.PerListed++
		}
	})
	if want := c.Sessions + listedByUser; err == nil && (c.PerCount != want || c.PerAll != want || c.PerListed != listedByUser) {
		err = fmt.Errorf("%d counted, %d walked, %d listed, of %d and %d", c.PerCount, c.PerAll, c.PerListed, want, listedByUser)
	}
	return err
}

// watched returns how long something takes, and the most memory that the process has from the
// system meanwhile.
func watched(do func()) (took time.Duration, most int64) {
	debug.FreeOSMemory()
	ended, seen := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			most = max(most, memoryOfProcess())
			select {
			case <-ended:
				seen <- most
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	from := time.Now()
	do()
	took = time.Since(from)
	close(ended)
	return took, <-seen
}

func memoryOfProcess() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64()) //nolint:gosec // less than the machine has
}

// say implements part.
func (all fullValkeys) say(p *page) {
	if len(all) == 0 {
		return
	}
	p.say("## %s sessions in Valkey\n", thousands(int64(all[0].Sessions)))
	p.say("Beside as many servers with %s. In both, the same %[1]s are visited, at half of the rate at which these answer changes. The", thousands(crowdedFew))
	p.say("memory of the process is the most that it had from the system, with all of Go's runtime (%s).\n", runtime.Version())
	p.head("", "made in", "requests/s", "p99 of a read, few, ms", "many", "p99 of a change, few, ms", "many")
	for _, f := range all {
		p.row(f.name(), fmt.Sprintf("%.0f s", f.Filling.Seconds()), thousands(int64(f.Rate)), spreadOut(f.ReadFew), spreadOut(f.ReadMany), spreadOut(f.ChangeFew), spreadOut(f.ChangeMany))
	}
	p.say("")
	p.head("", "Count", "All", fmt.Sprintf("Sessions of a user with %d", listedByUser))
	cell := func(took time.Duration, bytes int64) string {
		return fmt.Sprintf("%.3g s, %.0f MB", took.Seconds(), float64(bytes)/(1<<20))
	}
	for _, f := range all {
		p.row(f.name(), cell(f.Count, f.CountBytes), cell(f.All, f.AllBytes), cell(f.Listed, f.ListedBytes))
	}
	p.say("")
	p.say("What a session takes in the servers, beside what [capacity.md](../docs/capacity.md) says: the record and %d, and in a cluster %d for each slot that has any.\n", valkeyAround, slotAround)
	headTaken(p)
	for _, f := range all {
		for _, t := range f.Grown {
			t.say(p, f.name())
		}
	}
	p.say("")
}

func (c *fullValkey) name() string {
	if c.Servers == 1 {
		return "one server"
	}
	return fmt.Sprintf("%d primaries", c.Servers)
}

// targets implements part.
func (all fullValkeys) targets() (list []target) {
	for _, f := range all {
		what := fmt.Sprintf("Valkey, %s, %s sessions, ", f.name(), thousands(int64(f.Sessions)))
		for _, c := range []struct {
			name      string
			many, few []time.Duration
		}{{"a read", f.ReadMany, f.ReadFew}, {"a change", f.ChangeMany, f.ChangeFew}} {
			times := ratio(c.many, c.few)
			list = append(list, target{
				what + c.name, fmt.Sprintf("a p99 of at most %v x that with %s", mostFull, thousands(crowdedFew)),
				fmt.Sprintf("%.2f x (spread ±%.0f%%)", times, 100*max(spread(c.many), spread(c.few))), times <= mostFull,
			})
		}
		for _, t := range f.Grown {
			list = append(list, t.target("Valkey, "+f.name()))
		}
		most := max(f.CountBytes, f.AllBytes, f.ListedBytes)
		list = append(list, target{
			what + "`Count`, `All`, `Sessions`", fmt.Sprintf("at most %d MB of this process", mostWalk>>20), fmt.Sprintf("%.0f MB", float64(most)/(1<<20)), most <= mostWalk,
		})
	}
	return list
}
