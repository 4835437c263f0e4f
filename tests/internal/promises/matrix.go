package promises

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
)

// A fault is what a column of the matrix does to a command.
type fault struct {
	name string
	kind kind
	wire faultproxy.Fault
}

// A kind is what a fault means to the request.
type kind int

const (
	lost    kind = iota // the connection: what is not known is found out, and done
	slow                // nothing but that
	healing             // nobody can be reached for a while that is shorter than the time for the store
	late                // the sender has given up, and the server sees the command all the same
	silent              // nothing is heard until the time for the store is over
	down                // nobody can be reached until then
	refused             // by the server
)

var faults = []fault{
	{"cut before", lost, faultproxy.CutBefore},
	{"cut after", lost, faultproxy.CutAfter},
	{"reset before", lost, faultproxy.ResetBefore},
	{"reset after", lost, faultproxy.ResetAfter},
	{"truncated reply", lost, faultproxy.Truncate},
	{"garbage", lost, faultproxy.Garbage},
	{"slow", slow, faultproxy.None},
	{"down, heals", healing, faultproxy.CutBefore},
	{"late", late, faultproxy.Late},
	{"refused", refused, faultproxy.RefusedBefore},
	{"hole before", silent, faultproxy.StallBefore},
	{"hole after", silent, faultproxy.StallAfter},
	{"down", down, faultproxy.CutBefore},
}

const (
	ample    = 20 * time.Second // for the store, where it is to get over a fault
	busy     = 10 * time.Second // what a machine that is busy may take longer; less than ample
	attempts = 25               // of a request to come as far as the command in which the fault happens

	soon    = ample - time.Second    // where nobody waits for that to be over
	delay   = 100 * time.Millisecond // of what is slow
	healsIn = 250 * time.Millisecond
)

// Matrix does every fault to every command, each command on a network of its own,
// and checks for each of them what the client is answered, what is stored, and how
// long it took. It prints what came of it.
func Matrix(t *testing.T, open func(t *testing.T) *Network, of Subject) {
	var (
		mu    sync.Mutex
		cells = make(map[string]string)
	)
	t.Run("of", func(t *testing.T) {
		for _, tr := range of.Troubles {
			t.Run(tr.Name, func(t *testing.T) {
				t.Parallel()
				n := open(t)
				n.Proxy.On(n.ask)
				row := func(timeout time.Duration, chosen func(kind) bool) {
					n.serve(t, timeout)
					for _, f := range faults {
						if !chosen(f.kind) || !f.fits(tr) {
							continue
						}
						t.Run(f.name, func(t *testing.T) {
							n.t = t
							cell := n.cell(tr, f)
							mu.Lock()
							defer mu.Unlock()
							cells[tr.Name+", "+f.name] = cell
						})
					}
				}
				row(ample, func(k kind) bool { return k != silent && k != down })
				row(silence, func(k kind) bool { return k == silent || k == down })
			})
		}
	})
	var table strings.Builder
	fmt.Fprintf(&table, "%-26s", "")
	for _, f := range faults {
		fmt.Fprintf(&table, " %-15s", f.name)
	}
	for _, tr := range of.Troubles {
		fmt.Fprintf(&table, "\n%-26s", tr.Name)
		for _, f := range faults {
			fmt.Fprintf(&table, " %-15s", cells[tr.Name+", "+f.name])
		}
	}
	t.Logf("%d faults of %d commands, %d in all: the answer, and when\n%s", len(faults), len(of.Troubles), len(cells), table.String())
}

// cell makes a fault happen to a command.
func (n *Network) cell(tr Trouble, f fault) string {
	n.t.Helper()
	for tries := attempts; tries > 0; tries-- {
		b, a, took, struck := n.strike(tr, f)
		if !struck {
			// A connection that the last fault has spoiled can make a request
			// fail before it sends the command.
			continue
		}
		if n.became(tr, f, b, a, took, tries == 1) {
			continue // the machine may have been busy
		}
		return fmt.Sprintf("%d %6.1f ms", a.Status, float64(took.Microseconds())/1000)
	}
	n.t.Fatalf("%s: no %s was sent", tr.Path, tr.Command)
	return ""
}

// A strike is a fault that is to happen to a command, or has happened.
type strike struct {
	mu   sync.Mutex
	of   *Trouble // nil: none
	f    fault
	seen int // commands of that name
	heal sync.WaitGroup

	ofList bool // those about lists alone, as opposed to those about sessions
}

// ask decides what happens to a command.
func (n *Network) ask(c faultproxy.Command) faultproxy.Fault {
	s := &n.struck
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil || n.ofList != nil && n.ofList(c) != s.ofList {
		return faultproxy.None
	}
	struck := s.seen > s.of.Nth
	if struck && s.f.kind == late && c.Name() == cmp.Or(s.of.Restart, s.of.Command) {
		n.Proxy.ReleaseLate()
	}
	if c.Name() != s.of.Command {
		return faultproxy.None
	}
	if s.seen++; struck || s.seen <= s.of.Nth {
		return faultproxy.None
	}
	switch s.f.kind {
	case slow:
		time.Sleep(delay)
	case healing, down:
		n.Proxy.Down(true)
		if s.f.kind == healing {
			s.heal.Go(func() {
				time.Sleep(healsIn)
				n.Proxy.Down(false)
			})
		}
	}
	return s.f.wire
}

// strike sends the request of a new visitor, and reports whether the fault happened.
func (n *Network) strike(tr Trouble, f fault) (b *Browser, a Answer, took time.Duration, struck bool) {
	n.t.Helper()
	b = n.visitor(tr.Begin)
	a, took, struck = n.strikeAt(tr, false, f, b, tr.Path)
	return b, a, took, struck
}

// strikeAt sends a request, and reports whether the fault happened: to the command of
// tr, and where ofList is set, to one about a list of users' sessions.
func (n *Network) strikeAt(tr Trouble, ofList bool, f fault, b *Browser, path string) (a Answer, took time.Duration, struck bool) {
	n.t.Helper()
	s := &n.struck
	s.mu.Lock()
	s.of, s.f, s.seen, s.ofList = &tr, f, 0, ofList
	s.mu.Unlock()
	start := time.Now()
	a = b.Get(n.url + path)
	took = time.Since(start)
	s.mu.Lock()
	s.of, struck = nil, s.seen > tr.Nth
	s.mu.Unlock()
	s.heal.Wait()
	n.Proxy.Down(false)
	n.Proxy.ReleaseLate()
	return a, took, struck
}

// fits reports whether a fault can happen to a command: what only reads is not
// sent late.
func (f fault) fits(tr Trouble) bool { return f.kind != late || tr.Write || tr.Again }

// A fate is what may become of a request: what the client is answered, what is
// stored then, and how long that takes.
type fate struct {
	status      int
	stored      State
	least, most time.Duration
}

// fates returns what may become of a request, one for each answer that there may
// be. The matrix checks these, and docs/reliability.md shows them.
func fates(tr Trouble, f fault) []fate {
	done := fate{tr.Status, State{tr.Count, tr.Live, tr.Retired}, 0, soon}
	if tr.Unreached != 0 && f.kind == healing {
		done.status, done.stored = tr.Unreached, tr.Before
	}
	if f.kind == late && tr.Creates {
		done.stored.Live++ // nobody has its id
	}
	failed := fate{http.StatusServiceUnavailable, tr.Before, 0, soon}
	switch f.wire {
	case faultproxy.StallAfter, faultproxy.CutAfter, faultproxy.ResetAfter, faultproxy.Truncate, faultproxy.Garbage, faultproxy.Late:
		failed.stored = tr.After
	case faultproxy.RefusedBefore:
		if tr.Refused != (State{}) {
			failed.stored = tr.Refused
		}
	}
	switch f.kind {
	case slow:
		done.status, done.least = http.StatusOK, delay
		return []fate{done}
	case silent: // the load and the commit have that time each
		failed.least, failed.most = silence/2, 2*silence
	case down:
		failed.most = 2 * silence
	case refused:
		failed.most = time.Second // at once
	default:
		if !tr.Again { // where the store cannot find out what became of it, such as of an extension, the answer is 503
			return []fate{done}
		}
		done.stored = ended(tr, failed)
		return []fate{done, failed} // a logout is tried twice
	}
	if tr.Again {
		return []fate{{http.StatusOK, ended(tr, failed), failed.least, failed.most}, failed}
	}
	return []fate{failed}
}

// ended returns what is stored after a logout that was done when it was tried again.
// Where a tombstone stands in the place of the session, it is left to its end.
func ended(tr Trouble, failed fate) State {
	if tr.Before.Live == 0 && failed.stored == tr.Before {
		return tr.Before
	}
	return State{"0", 0, 0}
}

// became checks that what became of a request is one of its fates. It reports whether
// that took too long, which is wrong only at the last attempt.
func (n *Network) became(tr Trouble, f fault, b *Browser, a Answer, took time.Duration, last bool) (tooLong bool) {
	n.t.Helper()
	var is *fate
	var want []int
	for _, may := range fates(tr, f) {
		want = append(want, may.status)
		if a.Err == nil && a.Status == may.status {
			is = &may
		}
	}
	if is == nil || is.status != http.StatusOK && !a.Refused(is.status) {
		n.t.Errorf("%s: %v (%v), want %d; no cookie with 503", tr.Path, a, n.last(), want)
		return false
	}
	tooLong = took > is.most+busy && !last
	if took < is.least || took > is.most+busy && last {
		n.t.Errorf("%s took %v, want %v to %v", tr.Path, took, is.least, is.most)
	}
	n.holds(is.stored)
	if is.status == http.StatusOK {
		b.Expect(n.t, n.url+"/me", tr.Me)
		b.Expect(n.t, n.url+"/read", is.stored.Count)
		return tooLong
	}
	undone := tr.Before == tr.After // whatever becomes of the command
	switch err := n.last(); {
	case f.kind == silent && tr.Write && undone == errors.Is(err, core.ErrUnknownOutcome):
		n.t.Errorf("%s failed with %v, want ErrUnknownOutcome: %v", tr.Path, err, !undone)
	case f.kind == refused && errors.Is(err, core.ErrUnknownOutcome):
		n.t.Errorf("%s failed with %v, want what the server says", tr.Path, err)
	}
	n.Proxy.Cut() // what hangs
	Eventually(n.t, "the app is well again", func() bool { return b.As().Get(n.url + "/patient/read").Says(is.stored.Count) })
	return tooLong
}

// holds checks what is stored.
func (n *Network) holds(want State) {
	n.t.Helper()
	if live, retired := n.stored(); live != want.Live || retired != want.Retired {
		n.t.Errorf("%d sessions and %d retired ones are stored, want %d and %d", live, retired, want.Live, want.Retired)
	}
}
