package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// clients is how many ask at the same time where a server is asked.
const clients = 64

// A bench is one subject with one workload, ready to be measured.
type bench struct {
	subject  subject
	workload workload
	parallel int // visitors at the same time
	app      *app
	visitors []*regular

	count int // how many requests a slice is

	// Of one request, for each slice.
	took   []time.Duration
	cpu    []time.Duration // processor time of the whole process
	allocs []int           // of the whole process, too; what happens once in a while rounds down to nothing
}

// A regular is a visitor who comes again and again. For logins it has many
// sessions, each of which gets a new id in turn.
type regular struct {
	visitor
	workload workload
	cookies  []string
	slots    [][]byte // the cookies that logins set, if any
	counted  int      // how often /count was asked
}

// logins is how many sessions one visitor logs into before the cookies have to
// be looked at again.
const logins = 512

func newBench(s subject, a *app, w workload, parallel int) (*bench, error) {
	b := &bench{subject: s, workload: w, parallel: parallel, app: a}
	for range parallel {
		r := &regular{visitor: a.visitor(), workload: w, cookies: make([]string, 1)}
		if w.path == pathLogin {
			n := max(1, logins/parallel)
			r.cookies, r.slots = make([]string, n), make([][]byte, n)
			for i := range r.slots {
				r.slots[i] = make([]byte, 0, 512)
			}
		}
		if !w.anonymous && s.store != noStore {
			for i := range r.cookies {
				var err error
				if r.cookies[i], err = a.newSession(w); err != nil {
					return nil, err
				}
			}
		}
		b.visitors = append(b.visitors, r)
	}
	return b, nil
}

// send sends n requests and fails unless all of them succeed.
func (r *regular) send(n int) error {
	if r.slots != nil {
		return r.login(n)
	}
	r.ask(r.workload.path, r.cookies[0])
	for range n {
		if status := r.visitor.send(); status != http.StatusOK {
			return fmt.Errorf("%s answers %d %q", r.workload.path, status, r.body())
		}
	}
	r.counted += n
	return nil
}

// login logs into one session after the other. n is at most their number.
func (r *regular) login(n int) error {
	for i := range n {
		r.ask(pathLogin, r.cookies[i])
		if status := r.visitor.send(); status != http.StatusOK {
			return fmt.Errorf("%s answers %d %q", pathLogin, status, r.body())
		}
		r.slots[i] = r.setCookie(r.slots[i][:0])
	}
	return nil
}

// settle makes the cookies that were set those to send the next time.
func (r *regular) settle(n int) error {
	if r.slots == nil {
		return nil
	}
	for i := range n {
		next := string(r.slots[i])
		if next == "" || next == r.cookies[i] {
			return fmt.Errorf("%s sets the cookie %q, want a new one", pathLogin, next)
		}
		r.cookies[i] = next
	}
	return nil
}

// slice is run, and gets the visitors ready for the next time.
func (b *bench) slice(count int) (took time.Duration, err error) {
	took, _, err = b.run(count)
	if err == nil {
		err = b.settle(count)
	}
	return took, err
}

// each is how many of count requests each visitor sends.
func (b *bench) each(count int) int {
	each := max(1, count/b.parallel)
	if slots := b.visitors[0].slots; slots != nil {
		each = min(each, len(slots))
	}
	return each
}

func (b *bench) settle(count int) error {
	for _, r := range b.visitors {
		if err := r.settle(b.each(count)); err != nil {
			return err
		}
	}
	return nil
}

// run sends count requests, shared among the visitors. It returns the time and
// this process's processor time, both divided by the number of requests.
func (b *bench) run(count int) (took, cpu time.Duration, err error) {
	each := b.each(count)
	var (
		begin = make(chan struct{})
		done  sync.WaitGroup
		errs  = make([]error, b.parallel)
	)
	if b.parallel > 1 {
		for i, r := range b.visitors {
			done.Go(func() {
				<-begin
				errs[i] = r.send(each)
			})
		}
	}
	used, from := processorTime(), time.Now()
	if b.parallel > 1 {
		close(begin)
		done.Wait()
	} else {
		errs[0] = b.visitors[0].send(each)
	}
	took, cpu = time.Since(from), processorTime()-used
	n := time.Duration(each * b.parallel)
	return took / n, cpu / n, errors.Join(errs...)
}

// calibrate chooses the size of a slice so that it takes about that long.
func (b *bench) calibrate(slice time.Duration) error {
	if err := b.warmUp(); err != nil {
		return err
	}
	b.count = b.parallel
	for {
		took, err := b.slice(b.count)
		if err != nil {
			return err
		}
		if total := took * time.Duration(b.count); total >= slice/4 || b.count > 1<<24 {
			b.count = max(b.parallel, int(slice/max(1, took)))
			return nil
		}
		b.count *= 4
	}
}

// warmUp lets those who visit a server come a few times. Else what happens once a
// minute, such as an extension, would happen in each slice.
func (b *bench) warmUp() error {
	if b.parallel != clients || b.workload.path == pathLogin {
		return nil
	}
	_, err := b.slice(3 * b.parallel)
	return err
}

// measure adds one slice.
func (b *bench) measure() error {
	runtime.GC() // nobody pays for what another one left behind
	if err := b.warmUp(); err != nil {
		return err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	took, cpu, err := b.run(b.count)
	runtime.ReadMemStats(&after)
	if err == nil {
		err = b.settle(b.count)
	}
	n := b.each(b.count) * b.parallel
	b.took, b.cpu, b.allocs = append(b.took, took), append(b.cpu, cpu), append(b.allocs, int(after.Mallocs-before.Mallocs)/n)
	return err
}

// finish checks that the counters count what was sent.
func (b *bench) finish() error {
	if b.workload.path != pathCount || b.subject.store == cookie {
		return nil
	}
	for _, r := range b.visitors {
		if err := r.counts(); err != nil {
			return err
		}
	}
	return nil
}

// counts fails unless the session's counter counts what was sent.
func (r *regular) counts() error {
	r.ask(pathShow, r.cookies[0])
	if status := r.visitor.send(); status != http.StatusOK || r.body() != shown(userName, countFrom+r.counted) {
		return fmt.Errorf("after %d requests to %s, the answer is %d %q", r.counted, pathCount, status, r.body())
	}
	return nil
}

// A table is what a part of the benchmark measured, by subject and workload.
type table struct {
	stores    []string // whose subjects are in it
	parallel  int
	workloads []workload
	subjects  []subject
	benches   map[string]map[string]*bench // by subject and workload
}

// inProcess measures the subjects with these stores. The subjects take turns,
// so that whatever disturbs the machine disturbs all of them, in another order each
// time: who comes after one that allocates nothing pays for memory that was put
// away meanwhile.
func inProcess(ctx context.Context, s *servers, o options, parallel int, stores ...string) (*table, error) {
	t := &table{stores: stores, parallel: parallel, workloads: workloads, benches: make(map[string]map[string]*bench)}
	if slices.Contains(stores, memory) && parallel == 1 {
		t.workloads = slices.Concat(workloads, ofUsers)
	}
	for _, sub := range subjects() {
		if !slices.Contains(stores, sub.store) {
			continue
		}
		t.subjects = append(t.subjects, sub)
		if err := t.add(ctx, s, o, sub); err != nil {
			return nil, fmt.Errorf("%s: %w", sub.where(), err)
		}
	}
	for round := range o.rounds {
		o.progress("%s, %d at a time: round %d of %d", strings.Join(stores, ", "), parallel, round+1, o.rounds)
		for _, w := range t.workloads {
			for _, sub := range shuffled(t.subjects) {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				if b := t.of(sub, w.name); b != nil {
					if err := b.measure(); err != nil {
						return nil, fmt.Errorf("%s, %s: %w", sub.where(), w.name, err)
					}
				}
			}
		}
	}
	for _, sub := range t.subjects {
		for _, w := range t.workloads {
			if b := t.of(sub, w.name); b != nil {
				if err := b.finish(); err != nil {
					return nil, fmt.Errorf("%s, %s: %w", sub.where(), w.name, err)
				}
			}
		}
		t.of(sub, workloads[0].name).app.close()
	}
	return t, ctx.Err()
}

// shuffled returns the subjects in some order.
func shuffled(subjects []subject) []subject {
	seed := maphash.MakeSeed()
	return slices.SortedFunc(slices.Values(subjects), func(a, b subject) int {
		return cmp.Compare(maphash.String(seed, a.id()), maphash.String(seed, b.id()))
	})
}

// add opens a subject, checks it and gets it ready.
func (t *table) add(ctx context.Context, s *servers, o options, sub subject) error {
	a, err := sub.open(ctx, s)
	if err != nil {
		return err
	}
	benches := make(map[string]*bench)
	for _, w := range t.workloads {
		if !w.suits(sub) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := check(sub, a, w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		b, err := newBench(sub, a, w, t.parallel)
		if err == nil {
			err = b.calibrate(o.slice)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		benches[w.name] = b
	}
	t.benches[sub.id()] = benches
	return nil
}

// of returns nil where the subject was not asked for that.
func (t *table) of(s subject, workload string) *bench {
	if t == nil {
		return nil
	}
	return t.benches[s.id()][workload]
}

// find returns the bench of a subject by its parts, or nil.
func (t *table) find(library, on, store, workload string) *bench {
	return t.of(subject{library: library, on: on, store: store}, workload)
}
