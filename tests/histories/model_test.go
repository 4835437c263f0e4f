package histories

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// This file says what one session may do: a small model in which one request
// comes after the other. A history of requests that overlapped is right when there
// is an order in which the model gives the same answers, and in which a request
// that was answered before another was sent comes before it.

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
	destroy
	revoke // by Manager.Edit
	kinds
)

var kindNames = [kinds]string{"read", "increment", "set", "put", "take", "renew", "regenerate", "destroy", "revoke"}

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
	id      int    // the new one, for renew and regenerate
}

// values are what a session holds.
type values struct{ Count, Number, Ticket int }

// A session is the state of the model: the id that it has, 0 for none that works,
// and what it holds.
type session struct {
	id     int
	values values
}

// next returns what may be the case after a request that was answered like that;
// nothing, if there cannot be such an answer.
func next(s session, in input, out output) []session {
	after, right := apply(s, in, out)
	switch out.outcome {
	case unknown, maybe:
		return []session{s, after}
	case gone:
		right, after = s.id != in.id, s
	case impossible:
		right = false
	}
	if !right {
		return nil
	}
	return []session{after}
}

// apply does what a request asks for, and tells whether that is how it was
// answered.
func apply(s session, in input, out output) (after session, right bool) {
	if s.id != in.id {
		return s, in.kind == destroy || in.kind == revoke // it had ended already
	}
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
	case renew:
		s.id = out.id
	case regenerate:
		s = session{id: out.id}
	case destroy, revoke:
		s = session{}
	}
	return s, right
}

// model returns the model of a session that began with an id.
func model(id int) porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{session{id: id}} },
		Step: func(state, in, out any) (all []any) {
			for _, s := range next(state.(session), in.(input), out.(output)) {
				all = append(all, s)
			}
			return all
		},
		Equal: func(a, b any) bool { return a == b },
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
