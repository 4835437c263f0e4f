package core_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A userStore is a store that keeps lists of users' sessions.
type userStore struct {
	store.Store
	index    store.Store
	sessions *mapstore.Store
}

func newUserStore() *userStore {
	sessions := new(mapstore.Store)
	return &userStore{sessions, new(mapstore.Store), sessions}
}

func (s *userStore) UserIndex() store.Store { return s.index }

// Remove is that of the store of the sessions, which the field hides.
func (s *userStore) Remove(ctx context.Context, old store.Record) error {
	return removeFrom(ctx, s.Store, old)
}

func (s *userStore) Inspect(ctx context.Context, ids []string) (found []store.Record, err error) {
	for _, rec := range s.sessions.Records() {
		if slices.Contains(ids, rec.ID) {
			found = append(found, rec)
		}
	}
	return found, ctx.Err()
}

// A gate holds every call that some actors make of one store, until it is let
// through. Who plays in front of it, in a bubble, can choose the order.
type gate struct {
	store *userStore

	mu      sync.Mutex
	open    bool // nothing is held
	waiting []*heldCall
	dead    map[string]bool // actors whose calls do not get through any more
}

type heldCall struct {
	actor, what string
	pass        chan struct{}
}

var errDead = &store.Error{Store: "gate", Outcome: store.OutcomeNotApplied, Class: "the process died"}

// by returns the store as one actor sees it.
func (g *gate) by(actor string) store.Store {
	return &actorStore{
		userVerbs:  userVerbs{g, actor, "", g.store},
		userIndex:  userVerbs{g, actor, "list ", g.store.index},
		inspecting: g.store,
	}
}

func (g *gate) hold(ctx context.Context, actor, what string) error {
	call := &heldCall{actor, what, make(chan struct{})}
	g.mu.Lock()
	if g.open {
		g.mu.Unlock()
		return nil
	}
	g.waiting = append(g.waiting, call)
	g.mu.Unlock()
	select {
	case <-call.pass:
	case <-ctx.Done():
		return ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dead[actor] {
		return errDead
	}
	return nil
}

// held returns the calls that wait, in an order that depends on them alone.
func (g *gate) held() []*heldCall {
	g.mu.Lock()
	defer g.mu.Unlock()
	slices.SortStableFunc(g.waiting, func(a, b *heldCall) int {
		return strings.Compare(a.actor+a.what, b.actor+b.what)
	})
	return slices.Clone(g.waiting)
}

// whileOpen does something without any call being held.
func (g *gate) whileOpen(do func()) {
	g.mu.Lock()
	g.open = true
	g.mu.Unlock()
	do()
	synctest.Wait() // what runs beside it is over too
	g.mu.Lock()
	g.open = false
	g.mu.Unlock()
}

func (g *gate) letThrough(call *heldCall) {
	g.mu.Lock()
	g.waiting = slices.DeleteFunc(g.waiting, func(c *heldCall) bool { return c == call })
	g.mu.Unlock()
	close(call.pass)
}

func (g *gate) kill(actor string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dead == nil {
		g.dead = make(map[string]bool)
	}
	g.dead[actor] = true
}

type actorStore struct {
	userVerbs
	userIndex  userVerbs
	inspecting *userStore
}

func (s *actorStore) UserIndex() store.Store { return &s.userIndex }

func (s *actorStore) Inspect(ctx context.Context, ids []string) ([]store.Record, error) {
	if err := s.gate.hold(ctx, s.actor, "inspect"); err != nil {
		return nil, err
	}
	return s.inspecting.Inspect(ctx, ids)
}

// userVerbs are the five verbs behind a gate.
type userVerbs struct {
	gate        *gate
	actor, name string
	inner       store.Store
}

func (s *userVerbs) hold(ctx context.Context, verb, id string) error {
	if s.name == "" {
		verb += " " + id
	}
	return s.gate.hold(ctx, s.actor, s.name+verb)
}

func (s *userVerbs) Load(ctx context.Context, id string) (store.Record, error) {
	if err := s.hold(ctx, "load", id); err != nil {
		return store.Record{}, err
	}
	return s.inner.Load(ctx, id)
}

func (s *userVerbs) Create(ctx context.Context, rec store.Record) error {
	if err := s.hold(ctx, "create", rec.ID); err != nil {
		return err
	}
	return s.inner.Create(ctx, rec)
}

func (s *userVerbs) Update(ctx context.Context, old, next store.Record) error {
	if err := s.hold(ctx, "update", next.ID); err != nil {
		return err
	}
	return s.inner.Update(ctx, old, next)
}

func (s *userVerbs) Touch(ctx context.Context, id string, ttl time.Duration) error {
	if err := s.hold(ctx, "touch", id); err != nil {
		return err
	}
	return s.inner.Touch(ctx, id, ttl)
}

func (s *userVerbs) Delete(ctx context.Context, id string) error {
	if err := s.hold(ctx, "delete", id); err != nil {
		return err
	}
	return s.inner.Delete(ctx, id)
}

func (s *userVerbs) Remove(ctx context.Context, old store.Record) error {
	if err := s.hold(ctx, "delete", old.ID); err != nil {
		return err
	}
	return removeFrom(ctx, s.inner, old)
}

// A play is what some actors do on one store, with a check afterwards.
type play struct {
	g      *gate
	t      *testing.T
	actors []actor
	dies   string // the actor whose process dies after so many calls
	after  int
	check  func()
	script []string // what was called

	mu      sync.Mutex
	cookies map[string]string // that the actors' browsers have
	errs    map[string]error
}

// ended notes how it went for an actor.
func (p *play) ended(name, cookie string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cookies[name], p.errs[name] = cookie, err
}

type actor struct {
	name string
	do   func()
}

// everyOrder runs a play once for each order in which the calls of its actors can
// reach the store; where there are more than mostOrders, for so many of them, half of
// these at random.
func everyOrder(t *testing.T, stage func(p *play)) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	runs := 0
	for order, more := []int(nil), true; more && runs < mostOrders && !t.Failed(); runs++ {
		choose := func(step, options int) int {
			switch {
			case step < len(order):
				return order[step]
			case runs > mostOrders/2:
				return random.IntN(options)
			}
			return 0
		}
		if runs > mostOrders/2 {
			order = nil
		}
		synctest.Test(t, func(t *testing.T) {
			p := &play{g: &gate{store: newUserStore()}, t: t, cookies: map[string]string{}, errs: map[string]error{}}
			stage(p)
			options := p.run(choose)
			p.check()
			if t.Failed() {
				t.Logf("the order was:\n\t%s", strings.Join(p.script, "\n\t"))
			}
			order, more = nextOrder(order, options)
		})
	}
	t.Logf("%d orders", runs)
}

// nextOrder returns the choices of the next run: the last one that has another
// option takes it.
func nextOrder(order, options []int) ([]int, bool) {
	chosen := make([]int, len(options))
	copy(chosen, order)
	for i := len(chosen) - 1; i >= 0; i-- {
		if chosen[i]+1 < options[i] {
			chosen[i]++
			return chosen[:i+1], true
		}
	}
	return nil, false
}

// run lets the actors play. choose says which of the calls that wait goes on. It
// returns how many there were at each step.
func (p *play) run(choose func(step, options int) int) (options []int) {
	var left atomic.Int64
	for _, a := range p.actors {
		left.Add(1)
		go func() {
			defer left.Add(-1)
			a.do()
		}()
		synctest.Wait()
		time.Sleep(time.Nanosecond) // the one after it begins later
	}
	calls := 0
	for {
		synctest.Wait()
		held := p.g.held()
		if len(held) == 0 && left.Load() == 0 {
			break
		}
		if len(held) == 0 { // they wait for the clock
			time.Sleep(time.Millisecond)
			continue
		}
		call := held[choose(len(options), len(held))]
		options = append(options, len(held))
		p.script = append(p.script, fmt.Sprintf("%s: %s", call.actor, call.what))
		if call.actor == p.dies {
			if calls == p.after {
				p.g.kill(call.actor)
				p.script = append(p.script, call.actor+" dies")
			}
			calls++
		}
		p.g.letThrough(call)
	}
	return options
}

// walk collects what an iterator yields, or the error that ends it.
func walk[T any](seq iter.Seq2[T, error]) (all []T, err error) {
	for v, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}
