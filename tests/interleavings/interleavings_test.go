// Package interleavings drives two requests on one session through every order of
// their store calls, and compares what comes of them with what a small model
// allows: spec_test.go is the model, ops_test.go what requests do.
package interleavings

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
)

// A play is one pair of requests.
type play struct{ first, second op }

func (p play) String() string { return p.first.name + " and " + p.second.name }

// pairs returns all pairs of some requests, with each one itself.
func pairs(of []op) (all []play) {
	for i := range of {
		for j := range i + 1 {
			all = append(all, play{of[j], of[i]})
		}
	}
	return all
}

// perform runs the requests in an order that begins with those choices, and
// returns all that were made. quiet returns when nothing moves any more. Where
// the order turns out to differ from one that was performed only in things that
// are apart, differs is false.
func (p play) perform(st *stage, first schedule, quiet func(), apart func(a, b string) bool) (made schedule, o outcome, differs bool, err error) {
	c, err := st.newCast(p.first, p.second)
	if err != nil {
		return nil, outcome{}, false, err
	}
	c.begin()
	differs = true
	for {
		quiet()
		stops := c.choices()
		if len(stops) == 0 {
			break
		}
		taken := 0
		if len(made) < len(first) {
			if err := first[len(made)].check(stops); err != nil {
				return made, outcome{}, false, err
			}
			made = append(made, first[len(made)])
			taken = made[len(made)-1].taken
		} else if differs {
			var next choice
			if next, differs = made.choose(labelsOf(stops), apart); differs {
				made = append(made, next)
				taken = next.taken
			}
		}
		c.let(stops[taken])
	}
	if !c.over() {
		return made, outcome{}, false, errors.New("a request waits for something that does not happen")
	}
	c.running.Wait()
	o, err = c.outcome()
	return made, o, differs, err
}

// apartIn returns what reports whether two things do not touch each other, so that
// it makes no difference which of them comes first: neither to what is stored, nor
// to whether one request is over before the other starts. Where both come to the
// same process, they also meet in what it remembers.
func apartIn(s setting) func(a, b string) bool {
	never := func(b string) bool {
		return b == "starts" || b == "arrives" || b == "time passes" || b == "list create" || b == "list update"
	}
	one := func(a, b string) bool {
		switch a {
		case "starts":
			return b == "starts"
		case "checks":
			return b != "time passes" // it touches nothing
		case "list load":
			return s.processes == 2 && !never(b)
		case "list create", "list update":
			return s.processes == 2 && !never(b) && !strings.HasPrefix(b, "list ")
		case "load":
			return b == "load" || s.processes == 2 && b == "touch"
		case "touch":
			return s.processes == 2 && b == "touch"
		case "arrives":
			return b != "arrives" && b != "starts" && b != "time passes"
		}
		return false
	}
	return func(a, b string) bool {
		return a[0] != b[0] && (one(a[2:], b[2:]) || one(b[2:], a[2:]))
	}
}

// A result is what came of one order.
type result struct {
	play    play
	order   schedule
	outcome outcome
	allowed map[outcome]bool
	err     error // what is wrong with it, if anything
}

// judge tells what is wrong with it.
func (r result) judge() error {
	if r.play.ends() {
		return r.judgeEnd()
	}
	if !r.isAllowed() {
		return errors.New("this is not allowed")
	}
	return nil
}

// isAllowed reports whether there is such an outcome. What may be where one request
// is over before the other starts may also be where they are under way together.
func (r result) isAllowed() bool {
	o := r.outcome
	for _, o.order = range []order{together, firstFirst, secondFirst} {
		if r.allowed[o] && (o.order == r.outcome.order || r.outcome.order == together) {
			return true
		}
	}
	return false
}

// everyOrder performs pairs in every order, on stores in memory, until each
// returns false.
func everyOrder(t *testing.T, s setting, all []play, open func() openStore, apart func(a, b string) bool, each func(result) (goOn bool)) {
	synctest.Test(t, func(t *testing.T) {
		inner := open()
		if c, ok := inner.(io.Closer); ok {
			defer c.Close()
		}
		st, err := newStage(inner, s, time.Sleep)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			r := result{play: p}
			if !p.ends() {
				r.allowed = allowed(p.first, p.second, s)
			}
			for first := (schedule{}); first != nil; first = r.order.next() {
				var differs bool
				r.order, r.outcome, differs, r.err = p.perform(st, first, synctest.Wait, apart)
				if r.err == nil {
					r.err = r.judge()
				}
				if (differs || r.err != nil) && !each(r) {
					return
				}
				if r.err != nil {
					return // requests may be left behind
				}
			}
		}
	})
}

// fail reports a result.
func (r result) fail(t *testing.T) {
	t.Helper()
	t.Errorf("%v: %v\nthe order: %v\nthe outcome: %v", r.play, r.err, r.order, r.outcome)
	for o := range r.allowed {
		t.Log("allowed: ", o)
	}
}

// memory returns a store whose sweeper stays out of the way.
func memory() openStore {
	return memorystore.New(memorystore.Options{SweepInterval: 1000 * idle})
}

// every returns all settings.
func every() (all []setting) {
	for _, timing := range []timing{recent, due, unknown} {
		for _, kind := range []kind{full, plain, apart} {
			for processes := range 2 {
				all = append(all, setting{kind: kind, processes: 1 + processes, timing: timing})
			}
		}
	}
	return all
}

// sentAgain returns the settings in which a cookie is sent again.
func sentAgain() (all []setting) {
	for _, s := range every() {
		if s.timing == recent {
			for _, s.cookies = range []cookies{rolling, rotated} {
				all = append(all, s)
			}
		}
	}
	return all
}

// An attained is what was reached of what is allowed.
type attained struct {
	mu               sync.Mutex
	reached, allowed map[string]map[outcome]bool // by pair and what the model knows of the setting
	orders, longest  int
}

func (a *attained) note(r result, s setting) {
	a.mu.Lock()
	defer a.mu.Unlock()
	pair := r.play.String()
	if s.timing != recent {
		pair += ", an extension due"
	}
	if s.cookies != onChange {
		pair += [...]string{rolling: ", rolling", rotated: ", rotated"}[s.cookies]
	}
	if a.reached == nil {
		a.reached, a.allowed = make(map[string]map[outcome]bool), make(map[string]map[outcome]bool)
	}
	if a.reached[pair] == nil {
		a.reached[pair], a.allowed[pair] = make(map[outcome]bool), make(map[outcome]bool)
		for o := range r.allowed {
			a.allowed[pair][o.apart()] = true
		}
	}
	a.reached[pair][r.outcome.apart()] = true
	a.orders++
	a.longest = max(a.longest, len(r.order))
}

// count returns how many outcomes are allowed, and those that were not reached.
func (a *attained) count() (allowed int, missed []string) {
	for pair, all := range a.allowed {
		allowed += len(all)
		for o := range all {
			if !a.reached[pair][o] {
				missed = append(missed, fmt.Sprintf("%s: %v", pair, o))
			}
		}
	}
	return allowed, missed
}

// TestEveryOrderOfTwoRequests performs every pair in every order, on stores with
// all abilities and with few, with one process and with two, with extensions due
// and not, with cookies that are sent again and not. By default, where one of these
// is so, it is a part of the pairs.
func TestEveryOrderOfTwoRequests(t *testing.T) {
	var few, newer, lasting []op // newer: what makes a newer cookie, and what sends one again
	for _, o := range ops {
		switch o.name {
		case "read", "update", "renew", "rotate", "destroy", "expire":
			few = append(few, o)
		}
		switch o.name {
		case "read", "update", "renew", "rotate", "destroy", "sign in", "anonymous write, late":
			newer = append(newer, o)
		}
		if !o.expires { // no session expires while a request works with it
			lasting = append(lasting, o)
		}
	}
	long := soak.For(t) > 0
	began, sum := time.Now(), new(attained)
	t.Run("settings", func(t *testing.T) {
		for _, s := range append(every(), sentAgain()...) {
			of := ops
			switch again := s.cookies != onChange; {
			case !long && s.kind != full && (again || s.timing != recent):
				continue
			case !long && again:
				of = newer
			case !long && s.timing != recent:
				of = few
			case again:
				of = lasting
			}
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel()
				orders := 0
				everyOrder(t, s, pairs(of), memory, apartIn(s), func(r result) bool {
					if r.err != nil {
						r.fail(t)
						return false
					}
					orders++
					sum.note(r, s)
					return true
				})
				t.Logf("%d pairs of requests in %d orders", len(pairs(of)), orders)
			})
		}
	})
	allowed, missed := sum.count()
	t.Logf("%d pairs of requests: %d orders of up to %d things each in %v; of %d outcomes that are allowed %d were reached, and no other",
		len(pairs(ops)), sum.orders, sum.longest, time.Since(began).Round(time.Millisecond), allowed, allowed-len(missed))
	for _, m := range missed[:min(10, len(missed))] {
		t.Errorf("allowed but never reached, so that the model allows too much: %s", m)
	}
}
