package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// results is all that was measured. What is nil was left out.
type results struct {
	options options
	machine []fact
	left    []string // what was left out, and why

	serial, parallel *table // in memory
	valkey, alone    *table // with Valkey, for many clients and for one
	mongo            *table
	postgresql       *table
	sqlite           *table
	costs            map[string]map[string]cost // of subjects with Valkey
	mongoCosts       map[string]map[string]cost
	sqlCosts         map[string]map[string]cost // of subjects with PostgreSQL
	servers          []*server                  // over HTTP, with Valkey
	sqlServers       []*server                  // with PostgreSQL
	sessions, stores []kept                     // a million of them
	parts            []part                     // what stands for itself
}

// A part of what is measured says what it found, and which targets that met.
type part interface {
	say(p *page)
	targets() []target
}

// write writes RESULTS.md and the charts.
func (r *results) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, chart := range r.charts() {
		if err := os.WriteFile(filepath.Join(dir, name), chart.svg(), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "RESULTS.md"), []byte(r.page()), 0o644)
}

// The part of the README that is written by the benchmark.
const (
	readmeBegin = "<!-- what follows is written by make bench -->\n"
	readmeEnd   = "<!-- that was written by make bench -->\n"
)

// writeReadme brings the README's summary up to date.
func (r *results) writeReadme(name string) error {
	readme, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(readme), readmeBegin)
	_, after, ends := strings.Cut(rest, readmeEnd)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for the summary", name)
	}
	return os.WriteFile(name, []byte(before+readmeBegin+r.summary()+readmeEnd+after), 0o644)
}

// summary is what the README says.
func (r *results) summary() string {
	p := new(page)
	var with []string
	for _, f := range r.machine {
		switch f.what {
		case "processor", "system":
			with = append(with, f.value)
		case "cores":
			with = append(with, f.value+" cores")
		default:
			with = append(with, f.what+" "+f.value)
		}
	}
	targets, met := r.targets(), 0
	for _, t := range targets {
		if t.met {
			met++
		}
	}
	p.say("\n![Processor time of a request in memory](bench/memory.svg)\n")
	r.sayToUsers(p)
	p.say("Measured on one machine, which clients, apps and Valkey shared: %s.", strings.Join(with, ", "))
	p.say("*The floor* is written by hand for the benchmark: it does the least that gives the right answer, and keeps none of the promises above.")
	p.say("Of %d targets that we set ourselves, %d are met; [bench/RESULTS.md](bench/RESULTS.md#targets) lists them all.\n", len(targets), met)
	return p.String()
}

// sayToUsers is what matters most to who chooses, beside what others take.
func (r *results) sayToUsers(p *page) {
	type column struct{ title, library, on, remote, onValkey, store string }
	columns := []column{
		{libraryName, libraryName, onGin, libraryName, onGin, opened},
		{"gin-contrib", ginLibrary, onGin, ginLibrary + ", tuned", onGin, valkeyS},
		{"scs", scsName, onHTTP, scsName, onHTTP, valkeyS},
		{"Fiber", fiberName, onFiber, fiberName, onFiber, valkeyS},
		{"express-session", "", "", expressLibraries[valkeyS], onExpress, valkeyS},
	}
	cells := []string{""}
	for _, c := range columns {
		cells = append(cells, c.title)
	}
	p.head(cells...)
	row := func(what string, cell func(c column) string) {
		cells := []string{what}
		for _, c := range columns {
			cells = append(cells, cell(c))
		}
		p.row(cells...)
	}
	for _, line := range []struct{ what, workload string }{{"a read in memory, us", "W3"}, {"a change in memory, us", "W4"}, {"a sign-in in memory, us", "W6"}} {
		row(line.what, func(c column) string {
			if b := r.serial.find(c.library, c.on, memory, line.workload); b != nil {
				return fmt.Sprintf("%.1f", float64(median(b.cpu))/1e3)
			}
			return ""
		})
	}
	for _, line := range []struct{ what, workload string }{{"requests/s over HTTP that read, Valkey", "W3"}, {"that change", "W4"}} {
		row(line.what, func(c column) string {
			if l := find(r.servers, c.remote, c.onValkey, c.store, line.workload); l != nil {
				return thousands(int64(median(l.perSecond)))
			}
			return ""
		})
	}
	row("bytes of a session in memory", func(c column) string {
		for _, k := range r.sessions {
			if k.Name == (subject{library: c.library, on: c.on}).name() {
				return fmt.Sprintf("%.0f", k.Bytes)
			}
		}
		return ""
	})
	p.say("")
}

// A page is written line by line.
type page struct{ strings.Builder }

func (p *page) say(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// row writes a row of a table.
func (p *page) row(cells ...string) { p.say("| %s |", strings.Join(cells, " | ")) }

// head writes the head of a table whose first column is text.
func (p *page) head(cells ...string) {
	p.row(cells...)
	p.say("|---|%s", strings.Repeat("---:|", len(cells)-1))
}

func (r *results) page() string {
	p := new(page)
	p.say("# What sessions cost\n")
	p.say("Written by `make bench`: Cloakroom beside other libraries, beside frameworks without sessions, and beside *the floor*, which is")
	p.say("what remains when all is left out that can be: on Gin, express-session's cookie is verified, one value is found in the record")
	p.say("or replaced in it, and the record is fetched and stored, without a single promise ([floor.go](floor.go)). Each subject's answers")
	p.say("are checked before its time is taken. Subjects take turns, in another order each round, so that what disturbs the machine disturbs all of")
	p.say("them; numbers are medians of %d rounds, ± half the distance between the quartiles, and ratios are medians of the ratios of", r.options.rounds)
	p.say("each round. Each process of Go's holds %d MB besides, as an app does: with a heap of a few MB the collector would run five hundred", appHeap>>20)
	p.say("times a second, and be most of what is measured. Compare numbers of one run, never of two machines.\n")
	if r.options.short {
		p.say("**This is the short form: it shows that everything works. Its times are worth nothing.**\n")
	}
	for _, why := range r.left {
		p.say("**Left out: %s.**\n", why)
	}
	r.sayMachine(p)
	p.say("\n| request | |\n|---|---|")
	for _, w := range slices.Concat(workloads, ofUsers) {
		p.row(w.name, w.what)
	}
	p.say("\nA session has three keys, among them the string that is read; the 4 and 64 KB are further keys with short strings.\n")

	r.sayTargets(p)
	p.say("## In memory, one request after the other\n")
	p.say("Processor time of a request in nanoseconds, the garbage collector's included, on one core, through the whole framework:")
	p.say("`ServeHTTP` with a `ResponseWriter` that allocates nothing.\n")
	r.serial.say(p, true)
	p.say("## In memory, on all cores\n")
	p.say("Nanoseconds of the clock for each request, with as many requests at a time as there are cores, each in a session of its own.\n")
	r.parallel.say(p, false)
	if r.valkey != nil {
		p.say("## Valkey, %d clients at a time\n", clients)
		p.say("Nanoseconds of the clock for each request. The clients are in the process, each has a session of its own, and the server is")
		p.say("on the same machine. gin-contrib/sessions is there as its README has it (ten connections, each tested before each use), and")
		p.say("tuned: JSON, enough connections, no test.\n")
		r.valkey.say(p, false)
		p.say("### One client, which has the server for itself\n")
		r.alone.say(p, false)
		p.say("### Round trips\n")
		p.say("How many round trips a request waits for, told by its time where each takes %v; in brackets, how many commands the", tripDelay)
		p.say("server counts, those inside of scripts included.\n")
		sayCosts(p, r.costs)
	}
	if r.mongo != nil {
		p.say("## MongoDB's protocol, %d clients at a time\n", clients)
		p.say("As with Valkey. The floor is the driver as its manual has it, with the operations that a session needs. The other")
		p.say("library uses the driver's version 1, which is no longer developed.\n")
		r.mongo.say(p, false)
		p.say("### Round trips to MongoDB\n")
		p.say("Counted in the same way; in brackets, the commands that the driver sends.\n")
		sayCosts(p, r.mongoCosts)
	}
	if r.postgresql != nil {
		p.say("## PostgreSQL, %d clients at a time\n", clients)
		p.say("As with Valkey; everybody has %d connections. The floor is pgx under database/sql with the table and the statements of the store.\n", poolSize)
		r.postgresql.say(p, false)
		p.say("### Round trips to PostgreSQL\n")
		p.say("Counted in the same way; in brackets, the statements that are sent.\n")
		sayCosts(p, r.sqlCosts)
	}
	if r.sqlite != nil {
		p.say("## A file of SQLite, %d clients at a time\n", clients)
		p.say("By modernc.org/sqlite, with a log that waits for the disk at each commit (`synchronous=FULL`). The floor and scs have one")
		p.say("connection, as theirs would wait for each other.\n")
		r.sqlite.say(p, false)
	}
	r.sayServers(p, r.servers, valkeyS)
	r.sayServers(p, r.sqlServers, postgresS)
	r.sayMillion(p)
	for _, part := range r.parts {
		part.say(p)
	}
	return strings.TrimRight(p.String(), "\n") + "\n"
}

func (r *results) sayMachine(p *page) {
	p.row("measured with", "")
	p.say("|---|---|")
	for _, f := range slices.Concat(r.machine, libraries()) {
		p.row(f.what, f.value)
	}
}

func (r *results) sayTargets(p *page) {
	p.say("## Targets\n")
	p.say("| | target | measured | |")
	p.say("|---|---|---:|---|")
	for _, t := range r.targets() {
		met := "**missed**"
		if t.met {
			met = "met"
		}
		p.row(t.what, t.want, t.got, met)
	}
	p.say("")
}

// times returns what a table is about: processor time, or the clock's.
func (b *bench) times(cpu bool) []time.Duration {
	if cpu {
		return b.cpu
	}
	return b.took
}

// spread is the median of the spreads.
func (t *table) spread(cpu bool) float64 {
	var all []float64
	for _, benches := range t.benches {
		for _, b := range benches {
			all = append(all, spread(b.times(cpu)))
		}
	}
	return median(all)
}

func (t *table) say(p *page, cpu bool) {
	if s := t.spread(cpu); s > 0.1 {
		p.say("**The machine was busy with other things: rounds differ by ±%.0f%%, where a few percent are usual.**\n", 100*s)
	}
	head := func(title string) {
		cells := []string{title}
		for _, w := range t.workloads {
			cells = append(cells, w.name)
		}
		p.head(cells...)
	}
	rows := func(leaveOut func(subject) bool, cell func(subject, *bench) string) {
		for _, s := range t.subjects {
			if leaveOut(s) {
				continue
			}
			cells := []string{s.row()}
			for _, w := range t.workloads {
				if b := t.of(s, w.name); b != nil {
					cells = append(cells, cell(s, b))
				} else {
					cells = append(cells, "")
				}
			}
			p.row(cells...)
		}
		p.say("")
	}
	floor := func(s subject, b *bench) *bench {
		return t.find(floorLibrary, onGin, floorStore(s.store), b.workload.name)
	}

	head("nanoseconds")
	rows(func(subject) bool { return false }, func(_ subject, b *bench) string {
		return fmt.Sprintf("%s ±%.0f%%", thousands(median(b.times(cpu)).Nanoseconds()), 100*spread(b.times(cpu)))
	})
	head("times the floor")
	rows(func(s subject) bool { return s.store == noStore || s.library == floorLibrary }, func(s subject, b *bench) string {
		if floor(s, b) == nil { // it signs nobody in
			return ""
		}
		return times(ratio(b.times(cpu), floor(s, b).times(cpu)))
	})
	head("times as fast as the best of the others")
	rows(func(s subject) bool { return !s.ours() }, func(s subject, b *bench) string {
		best := 0.0
		for _, other := range t.subjects {
			o := t.of(other, b.workload.name)
			if o == nil || other.ours() || other.store == noStore || other.library == floorLibrary {
				continue
			}
			if faster := ratio(o.times(cpu), b.times(cpu)); best == 0 || faster < best {
				best = faster
			}
		}
		if best == 0 { // there is no other
			return ""
		}
		return times(best)
	})
	if cpu || t.parallel == clients {
		head("allocations")
		rows(func(subject) bool { return false }, func(_ subject, b *bench) string { return strconv.Itoa(slices.Min(b.allocs)) })
	}
	if t.parallel == clients {
		head("processor time of the process, ns")
		rows(func(subject) bool { return false }, func(_ subject, b *bench) string { return thousands(median(b.cpu).Nanoseconds()) })
	}
}

func sayCosts(p *page, costs map[string]map[string]cost) {
	cells := []string{"round trips (commands)"}
	for _, w := range workloads {
		cells = append(cells, w.name)
	}
	p.head(cells...)
	for _, s := range subjects() {
		c, ok := costs[s.id()]
		if !ok {
			continue
		}
		cells := []string{s.row()}
		for _, w := range workloads {
			cell := ""
			if c, measured := c[w.name]; measured {
				cell = fmt.Sprintf("%d (%d)", c.trips, c.commands)
			}
			cells = append(cells, cell)
		}
		p.row(cells...)
	}
	p.say("")
}

func (r *results) sayServers(p *page, servers []*server, store string) {
	if servers == nil {
		return
	}
	p.say("## Over HTTP, %s, %d connections\n", store, clients)
	p.say("Each server is a process of its own, for Go an `http.Server` as it comes. It shares the machine with the clients and with %s.", store)
	p.say("Medians of %d rounds; the processor time is the server's.\n", r.options.httpRounds)
	for _, w := range overHTTP {
		p.head(w+", "+workloadOf(w).what, "requests/s", "of the floor", "p50 ms", "p99 ms", "CPU us")
		floor := find(servers, floorLibrary, onGin, store, w)
		for _, s := range servers {
			l, share, cpu := s.measure[w], "", "?"
			if floor != nil {
				share = fmt.Sprintf("%.2f", ratio(l.perSecond, floor.perSecond))
			}
			if len(l.cpu) > 0 {
				cpu = fmt.Sprintf("%.1f", float64(median(l.cpu))/1e3)
			}
			p.row(s.subject.where(),
				fmt.Sprintf("%s ±%.0f%%", thousands(int64(median(l.perSecond))), 100*spread(l.perSecond)), share,
				fmt.Sprintf("%.1f", milliseconds(median(l.p50))), fmt.Sprintf("%.1f", milliseconds(median(l.p99))), cpu)
		}
		p.say("")
	}
}

func (r *results) sayMillion(p *page) {
	if r.sessions == nil {
		return
	}
	p.say("## %s sessions in memory\n", thousands(int64(r.options.many)))
	p.say("Made by requests, each library in its own format, in a process of their own:\n")
	p.head("sessions of three keys", "heap bytes a session", "full collection ms", "making one us")
	for _, k := range r.sessions {
		p.row(k.Name, fmt.Sprintf("%.0f", k.Bytes), fmt.Sprintf("%.0f", milliseconds(median(k.Collection))), fmt.Sprintf("%.1f", float64(k.Making)/1e3))
	}
	p.say("\nThe stores alone, all with the same %d bytes under the same ids. Then all of them expire at once and are swept away, while a", len(newRecord("")))
	p.say("reader asks for others 20,000 times a second, whether or not earlier answers are late. Waits are medians of %d runs.", r.options.sweeps)
	p.say("The store of gin-contrib/sessions never sweeps.\n")
	for _, k := range r.stores {
		if waited := k.before(); waited > 2*time.Millisecond {
			p.say("**The machine was busy with other things: readers of %s waited %.0f ms when nothing was swept.**\n", k.Name, milliseconds(waited))
		}
	}
	p.head("store", "heap bytes a session", "full collection ms", "p99.9 before, ms", "p99.9 during, ms", "difference", "longest wait during, ms")
	for _, k := range r.stores {
		cells := []string{"`" + k.Name + "`", fmt.Sprintf("%.0f", k.Bytes), fmt.Sprintf("%.0f", milliseconds(median(k.Collection)))}
		if !strings.HasPrefix(k.Name, "map") {
			cells[0] = k.Name
		}
		if len(k.During) == 0 {
			p.row(append(cells, "", "", "", "")...)
			continue
		}
		of := func(list []waits, get func(waits) time.Duration) string {
			var all []time.Duration
			for _, w := range list {
				all = append(all, get(w))
			}
			return fmt.Sprintf("%.2f", milliseconds(median(all)))
		}
		p999 := func(w waits) time.Duration { return w.P999 }
		p.row(append(cells, of(k.Before, p999), of(k.During, p999), fmt.Sprintf("%+.2f", milliseconds(k.raised())),
			of(k.During, func(w waits) time.Duration { return w.Max }))...)
	}
	p.say("")
}

// times writes a ratio with as many digits as are worth reading.
func times(x float64) string {
	switch {
	case x < 0.095:
		return fmt.Sprintf("%.3f", x)
	case x < 0.95:
		return fmt.Sprintf("%.2f", x)
	case x < 9.95:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

// row is what a subject is called in a table.
func (s subject) row() string {
	switch s.store {
	case opened:
		return s.name() + ", as `Open` has it"
	case cached:
		return s.name() + ", client-side cache"
	case cookie:
		return s.name() + ", in the cookie"
	}
	return s.name()
}

// where is the name, and where the sessions are.
func (s subject) where() string {
	if s.store == noStore {
		return s.name()
	}
	return s.name() + ", " + s.store
}

// ours reports whether a subject is Cloakroom.
func (s subject) ours() bool { return strings.HasPrefix(s.library, libraryName) }

// floorStore is where the floor keeps what others keep there.
func floorStore(store string) string {
	if store == cookie {
		return memory
	}
	return store
}

// thousands writes 12345 as 12,345.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// charts are the main tables as pictures, by file name.
func (r *results) charts() map[string]chart {
	charts := map[string]chart{"memory.svg": r.serial.chart("In memory: processor time of a request", true)}
	if r.valkey != nil {
		charts["valkey.svg"] = r.valkey.chart(fmt.Sprintf("Valkey, %d clients at a time: time for each request", clients), false)
	}
	if r.servers != nil {
		c := chart{title: fmt.Sprintf("Over HTTP, %d connections, sessions in Valkey: requests per second", clients), note: "more is better"}
		for _, w := range overHTTP {
			c.panels = append(c.panels, workloadOf(w).what)
		}
		for _, s := range r.servers {
			if s.subject.store != valkeyS && s.subject.store != opened {
				continue
			}
			b := bar{name: s.subject.row(), kind: s.subject.kind()}
			for _, w := range overHTTP {
				n := median(s.measure[w].perSecond)
				b.values, b.labels = append(b.values, n), append(b.labels, thousands(int64(math.Round(n/100)*100)))
			}
			c.bars = append(c.bars, b)
		}
		charts["http.svg"] = c
	}
	return charts
}

func (t *table) chart(title string, cpu bool) chart {
	c := chart{title: title, note: "microseconds; less is better", panels: []string{"one string read", "a counter incremented and saved"}}
	for _, s := range t.subjects {
		if s.store == noStore || s.store == cookie || s.library == lazyName {
			continue
		}
		b := bar{name: s.row(), kind: s.kind()}
		for _, w := range []string{"W3", "W4"} {
			us := float64(median(t.of(s, w).times(cpu))) / 1e3
			b.values, b.labels = append(b.values, us), append(b.labels, fmt.Sprintf("%.1f", us))
		}
		c.bars = append(c.bars, b)
	}
	return c
}

func (s subject) kind() string {
	switch {
	case s.ours():
		return "ours"
	case s.library == floorLibrary:
		return "floor"
	}
	return "other"
}
