// Package state says, once, what a session is to a request, what the commit of
// that request does, and which cookie the response carries.
//
// Everything here is pure: [Step] and [Verdict] look at their inputs and return
// a decision. Package core gathers the inputs, does what was decided, and asks
// again until there is nothing left to do. docs/design.md shows both decisions
// as tables, and the tests walk every combination of inputs against the tables
// that stand there.
package state

// A Standing is what the session is to the request that carries it. There is
// always exactly one.
type Standing uint8

const (
	// Fresh is a session that is not stored: the visitor brought no cookie, or
	// none that leads to a session.
	Fresh Standing = iota

	// Live is a session that is stored, as far as this request knows.
	Live

	// MovedOn is a session whose id was given up by another request, before or
	// while this one ran: it lives, or lived, under an id that this request was
	// never shown.
	MovedOn

	// Gone is a session that lived when the request began and that has ended
	// since, by somebody else's doing or by a timeout.
	Gone

	// Ended is a session that this request has ended.
	Ended

	// SignedOut is an empty session that took the place of one which this
	// request has ended. It is not stored.
	SignedOut

	// Ending is a session that this request tried to end, where the store
	// failed. It may live or not; nothing but ending it is possible any more.
	Ending

	// Unavailable is the empty session of a request that is served although the
	// store was down when it began.
	Unavailable

	// Locked is the empty session of a request that led to one which is bound to its
	// browser, and did not bring the proof that it comes from there.
	Locked
)

// Standings are all of them, in the order of their values.
var Standings = [...]Standing{Fresh, Live, MovedOn, Gone, Ended, SignedOut, Ending, Unavailable, Locked}

// String returns the name that docs/design.md uses.
func (s Standing) String() string {
	return [...]string{"fresh", "live", "moved on", "gone", "ended", "signed out", "ending", "unavailable", "locked"}[s]
}

// CanBecome reports whether a session may go from one standing to another
// during one request. Package core asserts it under test.
func (s Standing) CanBecome(next Standing) bool {
	if s == next {
		return true
	}
	switch s {
	case Fresh:
		return true // a load, a commit or a verb may make anything of it
	case Live:
		return next != Fresh && next != Unavailable && next != Locked
	case MovedOn:
		// SignIn begins a session of its own; Destroy may follow the old one.
		return next == Live || next == Ended || next == Ending || next == Gone
	case Gone:
		return next == Fresh // SignOut goes on with an empty session
	case Ended:
		return next == SignedOut
	case SignedOut:
		return next == Live || next == Ended
	case Ending:
		return next == Ended || next == Gone || next == MovedOn
	case Locked:
		// SignIn begins a session of its own, and whoever has the cookie may end the one
		// that it leads to.
		return next == Live || next == Ended || next == Ending || next == Gone || next == MovedOn
	}
	return false // Unavailable stays what it is
}

// A Deed is the most that this request has done to the record so far. The
// values are in order: who created a record has also changed it.
type Deed uint8

const (
	// NotWritten says that the request has written nothing.
	NotWritten Deed = iota

	// Rewritten says that it wrote the record again, with the same content.
	Rewritten

	// Changed says that it changed what the record holds.
	Changed

	// Created says that it stored the session under an id that the browser does
	// not have yet.
	Created
)

// Deeds are all of them, in the order of their values.
var Deeds = [...]Deed{NotWritten, Rewritten, Changed, Created}

// String returns the name that docs/design.md uses.
func (d Deed) String() string {
	return [...]string{"nothing", "rewritten", "changed", "created"}[d]
}

// A Ticket is what the browser brought.
type Ticket uint8

const (
	// NoTicket says that there was no cookie of our name.
	NoTicket Ticket = iota

	// Forged says that there were cookies of our name, and that no secret
	// verifies any.
	Forged

	// Genuine says that a cookie verified, by the first secret as far as the
	// session was found by it.
	Genuine

	// Outdated says that the session was found by a cookie that was signed with
	// a secret which is not the first.
	Outdated
)

// Tickets are all of them, in the order of their values.
var Tickets = [...]Ticket{NoTicket, Forged, Genuine, Outdated}

// String returns the name that docs/design.md uses.
func (t Ticket) String() string {
	return [...]string{"none", "forged", "genuine", "outdated"}[t]
}

// Impossible is called by package core with what cannot occur but did. It is nil in
// production; tests set it to a function that panics.
var Impossible func(what string)

// Assert reports what cannot occur but did to [Impossible], if that is set, as what.
// In production it costs nothing.
func Assert[T interface{ Possible() bool }](is T, what string) {
	if Impossible != nil && !is.Possible() {
		Impossible(what)
	}
}

// A Transition is from one standing to another.
type Transition struct{ From, To Standing }

// Possible reports whether a session can change like this during one request.
func (t Transition) Possible() bool { return t.From.CanBecome(t.To) }
