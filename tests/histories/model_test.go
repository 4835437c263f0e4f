package histories

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"
)

// This file says what the sessions of one visitor may do: a small model in which one
// request comes after the other. A history of requests that overlapped is right when
// there is an order in which the model gives the same answers, and in which a request
// that was answered before another was sent comes before it.
//
// A session that gets another id goes on under that one. Whoever is told that a
// session has ended may have come with any id that it had: it has ended all the same.

// A kind is what a request asks for.
type kind int

const (
	read      kind = iota
	increment      // with Update
	set            // to a number that nobody else sets
	put            // a ticket that nobody else puts
	take           // the ticket
	renew
	regenerate
	signIn
	destroy
	revoke // by Manager.Edit
	kinds
)

var kindNames = [kinds]string{"read", "increment", "set", "put", "take", "renew", "regenerate", "signin", "destroy", "revoke"}

func (k kind) String() string { return kindNames[k] }

// An input is a request.
type input struct {
	kind kind
	id   int // that of the cookie, by a number
	arg  int // of set and put
}

// An outcome is what became of a request.
type outcome int

const (
	done       outcome = iota
	gone               // there is no such session any more
	unknown            // nobody knows whether it was done, or will be
	maybe              // nobody knows whether it was done, but it will not be any more
	impossible         // an answer that there must not be
)

// An output is its answer.
type output struct {
	outcome outcome
	values  values // after it, for read and increment
	ticket  int    // for take
	id      int    // the new one, for renew, regenerate and signIn
}

// values are what a session holds.
type values struct{ Count, Number, Ticket int }

// A session lives.
type session struct {
	ids    idSet // that it has or had
	id     int   // that it has; 0 for one that nobody was given
	values values
}

// An idSet is a set of numbers of ids.
type idSet [maxIDs / 64]uint64

// maxIDs is more than requests can make.
const maxIDs = 128

func (s idSet) with(id int) idSet {
	if id > 0 {
		s[id/64] |= 1 << (id % 64)
	}
	return s
}

func (s idSet) has(id int) bool { return s[id/64]&(1<<(id%64)) != 0 }

// sessions is the state of the model: those that live, in the order of their ids. What
// nobody can reach is not among them.
type sessions []session

// begin returns the sessions with a new one.
func (all sessions) begin(id int) sessions {
	if id == 0 { // it is one that nobody was given
		return all
	}
	return all.with(session{ids: idSet{}.with(id), id: id})
}

func (all sessions) with(s session) sessions {
	next := append(slices.Clone(all), s)
	slices.SortFunc(next, func(a, b session) int { return cmp.Or(a.id-b.id, slices.Compare(a.ids[:], b.ids[:])) })
	return next
}

func (all sessions) without(i int) sessions { return slices.Delete(slices.Clone(all), i, i+1) }

// under returns which session has an id, or -1.
func (all sessions) under(id int) int {
	return slices.IndexFunc(all, func(s session) bool { return s.id == id })
}

// of returns which session has an id, or had it, or -1.
func (all sessions) of(id int) int {
	return slices.IndexFunc(all, func(s session) bool { return s.ids.has(id) })
}

// next returns what may be the case after a request that was answered like that;
// nothing, if there cannot be such an answer.
func next(all sessions, in input, out output) []sessions {
	switch out.outcome {
	case unknown, maybe:
		after, _ := apply(all, in, out)
		return []sessions{all, after}
	case impossible:
		return nil
	case gone:
		if in.kind == signIn && all.of(in.id) >= 0 || all.under(in.id) >= 0 {
			return nil // who signs in is not refused because the session moved on
		}
		return []sessions{all}
	}
	after, right := apply(all, in, out)
	if !right {
		return nil
	}
	return []sessions{after}
}

// apply does what a request asks for, and reports whether that is how it was
// answered.
func apply(all sessions, in input, out output) (after sessions, right bool) {
	switch in.kind {
	case destroy, revoke:
		if i := all.of(in.id); i >= 0 {
			return all.without(i), true
		}
		return all, true // it had ended already
	case signIn:
		if all.under(in.id) < 0 {
			return all.begin(out.id), true
		}
	}
	i := all.under(in.id)
	if i < 0 {
		return all, false
	}
	s := all[i]
	right = true
	switch in.kind {
	case read:
		right = out.values == s.values
	case increment:
		s.values.Count++
		right = out.values == s.values
	case set:
		s.values.Number = in.arg
	case put:
		s.values.Ticket = in.arg
	case take:
		right = out.ticket == s.values.Ticket
		s.values.Ticket = 0
	case renew, signIn:
		s.ids, s.id = s.ids.with(out.id), out.id
	case regenerate:
		s = session{ids: s.ids.with(out.id), id: out.id}
	}
	if s == all[i] {
		return all, right
	}
	return all.without(i).with(s), right
}

// model returns the model of a visitor who began with a session.
func model(id int) porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{sessions{}.begin(id)} },
		Step: func(state, in, out any) (all []any) {
			for _, s := range next(state.(sessions), in.(input), out.(output)) {
				all = append(all, s)
			}
			return all
		},
		Equal: func(a, b any) bool { return slices.Equal(a.(sessions), b.(sessions)) },
		DescribeOperation: func(in, out any) string {
			return fmt.Sprintf("%v -> %v", in, out)
		},
		DescribeState: func(s any) string { return fmt.Sprintf("%+v", s) },
	}
	return m.ToModel()
}

func (in input) String() string { return fmt.Sprintf("%v(%d) of id %d", in.kind, in.arg, in.id) }

func (out output) String() string {
	switch out.outcome {
	case gone:
		return "gone"
	case unknown:
		return "unknown"
	case maybe:
		return "done before the session ended, or not"
	case impossible:
		return "an impossible answer"
	}
	return fmt.Sprintf("%+v, ticket %d, id %d", out.values, out.ticket, out.id)
}
