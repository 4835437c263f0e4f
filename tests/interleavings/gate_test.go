package interleavings

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// A gate stops what two requests do, one thing at a time, until it is let go.
type gate struct {
	mu      sync.Mutex
	pending []*stop
	calls   int               // how many there have been
	names   map[string]string // of ids: a request may delete several at once
}

// A stop is something that waits to be done.
type stop struct {
	label string        // such as "1 load": by whom, what
	nth   int           // orders those with the same label
	let   chan struct{} // closed when it may be done
	done  chan struct{} // closed when it has been done
	after func()        // what else is to be done then, if anything
}

type whoKey struct{}

// by returns a context by which the gate knows whose calls they are.
func by(ctx context.Context, who int) context.Context { return context.WithValue(ctx, whoKey{}, who) }

type refusedKey struct{}

// refusing returns a context with which the store refuses some calls, such as
// "create" and "list update".
func refusing(ctx context.Context, calls string) context.Context {
	return context.WithValue(ctx, refusedKey{}, strings.Split(calls, ", "))
}

// refusal returns the error of a call that is refused, or nil.
func refusal(ctx context.Context, call string) error {
	if calls, _ := ctx.Value(refusedKey{}).([]string); slices.Contains(calls, call) {
		return &store.Error{Store: "gated", Verb: call, Outcome: store.OutcomeNotApplied, Err: store.ErrFull}
	}
	return nil
}

// wait stops until the gate lets it go. Calls by nobody are not stopped. What is
// to be done ends with a call of what it returns.
func (g *gate) wait(ctx context.Context, what string, after func()) (end func()) {
	who, ok := ctx.Value(whoKey{}).(int)
	if !ok {
		return func() {}
	}
	g.mu.Lock()
	g.calls++
	s := &stop{name(who) + " " + what, g.calls, make(chan struct{}), make(chan struct{}), after}
	g.pending = append(g.pending, s)
	g.mu.Unlock()
	<-s.let
	return func() { close(s.done) }
}

// rename gives names to ids.
func (g *gate) rename(names map[string]string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.names = names
}

// name returns the name of an id, or nothing.
func (g *gate) name(id string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.names[id]
}

// stops returns what waits, in an order that depends on nothing else.
func (g *gate) stops() []*stop {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := slices.Clone(g.pending)
	slices.SortFunc(all, func(a, b *stop) int {
		if c := strings.Compare(a.label, b.label); c != 0 {
			return c
		}
		return a.nth - b.nth
	})
	return all
}

// do lets it be done.
func (g *gate) do(s *stop) {
	g.mu.Lock()
	g.pending = slices.DeleteFunc(g.pending, func(p *stop) bool { return p == s })
	g.mu.Unlock()
	close(s.let)
	<-s.done
	if s.after != nil {
		s.after()
	}
}

// gated is a store whose calls are stopped. It has the five verbs and nothing
// else: what core then does takes more calls.
type gated struct {
	store.Store
	gate *gate
	of   string // what it stores; empty for sessions
}

func (s gated) Load(ctx context.Context, id string) (store.Record, error) {
	defer s.gate.wait(ctx, s.of+"load", nil)()
	return s.Store.Load(ctx, id)
}

func (s gated) Create(ctx context.Context, rec store.Record) error {
	defer s.gate.wait(ctx, s.of+"create", nil)()
	if err := refusal(ctx, s.of+"create"); err != nil {
		return err
	}
	return s.Store.Create(ctx, rec)
}

func (s gated) Update(ctx context.Context, old, next store.Record) error {
	defer s.gate.wait(ctx, s.of+"update", nil)()
	if err := refusal(ctx, s.of+"update"); err != nil {
		return err
	}
	return s.Store.Update(ctx, old, next)
}

func (s gated) Touch(ctx context.Context, id string, ttl time.Duration) error {
	defer s.gate.wait(ctx, s.of+"touch", nil)()
	return s.Store.Touch(ctx, id, ttl)
}

func (s gated) Delete(ctx context.Context, id string) error {
	defer s.gate.wait(ctx, s.of+"delete"+s.gate.name(id), nil)()
	return s.Store.Delete(ctx, id)
}

// loading is one that can say what it has instead, and delete only that which the
// caller knows.
type loading struct{ gated }

func (s loading) UpdateOrLoad(ctx context.Context, old, next store.Record) (store.Record, error) {
	defer s.gate.wait(ctx, s.of+"update", nil)()
	if err := refusal(ctx, s.of+"update"); err != nil {
		return store.Record{}, err
	}
	return s.Store.(store.UpdateLoader).UpdateOrLoad(ctx, old, next)
}

// Remove is a delete that stops where other content is stored.
func (s loading) Remove(ctx context.Context, old store.Record) error {
	remover, ok := s.Store.(store.Remover)
	if !ok {
		return errors.ErrUnsupported
	}
	defer s.gate.wait(ctx, s.of+"delete"+s.gate.name(old.ID), nil)()
	return remover.Remove(ctx, old)
}

// replacing is one that can change two records together as well, or says each
// time that it cannot, as a cluster does.
type replacing struct{ loading }

func (s replacing) Replace(ctx context.Context, old, retired, next store.Record) error {
	defer s.gate.wait(ctx, s.of+"replace", nil)()
	if err := refusal(ctx, s.of+"replace"); err != nil {
		return err
	}
	return s.Store.(store.Replacer).Replace(ctx, old, retired, next)
}

// A kind is what a store can do.
type kind int

const (
	full  kind = iota
	plain      // the five verbs
	apart      // all but to change two records together
)

func (k kind) String() string { return [...]string{"full", "plain", "apart"}[k] }

func (k kind) wrap(st store.Store, g *gate) store.Store { return k.wrapped(st, g, "") }

func (k kind) wrapped(st store.Store, g *gate, of string) store.Store {
	one := gated{st, g, of}
	switch k {
	case plain:
		return one
	case apart:
		return loading{one}
	}
	return replacing{loading{one}}
}

// withLists returns such a store that keeps the lists of users as well.
func (k kind) withLists(st openStore, g *gate) store.Store {
	l := lists{st.(store.UserIndexer), g, k.wrapped(st.(store.UserIndexer).UserIndex(), g, "list ")}
	switch s := k.wrap(st, g).(type) {
	case gated:
		return struct {
			gated
			lists
		}{s, l}
	case loading:
		return struct {
			loading
			lists
		}{s, l}
	default:
		return struct {
			replacing
			lists
		}{s.(replacing), l}
	}
}

// lists is what a store that keeps them can do besides.
type lists struct {
	inner store.UserIndexer
	gates *gate
	index store.Store
}

func (l lists) UserIndex() store.Store { return l.index }

func (l lists) Inspect(ctx context.Context, ids []string) ([]store.Record, error) {
	defer l.gates.wait(ctx, "inspect", nil)()
	return l.inner.Inspect(ctx, ids)
}

// A choice is one that a schedule makes: which of several things comes next.
type choice struct {
	among []string // their labels
	taken int

	// What would lead to an order that differs from one that was tried only in
	// things that do not touch each other.
	asleep []string
}

// A schedule is an order in which things happen.
type schedule []choice

func (s schedule) String() string {
	var labels []string
	for _, c := range s {
		labels = append(labels, c.among[c.taken])
	}
	return strings.Join(labels, ", ")
}

// next returns the first choices of the next schedule to try, and nil when all
// have been.
func (s schedule) next() schedule {
	for i := len(s) - 1; i >= 0; i-- {
		c := s[i]
		c.asleep = append(slices.Clone(c.asleep), c.among[c.taken])
		for c.taken = range c.among {
			if !slices.Contains(c.asleep, c.among[c.taken]) {
				return append(slices.Clone(s[:i]), c)
			}
		}
	}
	return nil
}

// choose returns the choice that comes after s, the first of those that make a
// difference. There may be none: then the rest makes none. apart tells which
// things do not touch each other; it may be nil.
func (s schedule) choose(among []string, apart func(a, b string) bool) (c choice, differs bool) {
	c.among = among
	if len(s) > 0 && apart != nil {
		last := s[len(s)-1]
		for _, label := range last.asleep {
			if apart(label, last.among[last.taken]) {
				c.asleep = append(c.asleep, label)
			}
		}
	}
	for c.taken = range among {
		if !slices.Contains(c.asleep, among[c.taken]) {
			return c, true
		}
	}
	return c, false
}

// check reports whether things are as they were when the choice was made.
func (c choice) check(stops []*stop) error {
	if labels := labelsOf(stops); !slices.Equal(labels, c.among) {
		return fmt.Errorf("there is a choice between %v, want %v", labels, c.among)
	}
	return nil
}

func labelsOf(stops []*stop) []string {
	var labels []string
	for _, s := range stops {
		labels = append(labels, s.label)
	}
	return labels
}
