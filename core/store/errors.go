package store

import "errors"

// The errors that a store returns, part of its contract ([Store]).
var (
	// ErrNotFound says that there is no live record with this id: never
	// created, deleted or expired.
	ErrNotFound = errors.New("cloakroom: no such session")

	// ErrExists says that Create was given an id that is in use.
	ErrExists = errors.New("cloakroom: session id is in use")

	// ErrConflict says that a session was changed by another request in the
	// meantime. A commit returns it only when it could not get its turn within
	// Config.StoreTimeout; the changes were not stored.
	ErrConflict = errors.New("cloakroom: session was changed by another request")

	// ErrUndecodable says that what is stored under this id is no record of the
	// store, such as one of another type that another program put there. To core
	// the session is gone. It says so once, and what is there stays there.
	ErrUndecodable = errors.New("cloakroom: session record cannot be decoded")

	// ErrFull says that the store has reached its limit and refuses what
	// needs more room: a new session, or one that grows.
	ErrFull = errors.New("cloakroom: session store is full")
)

// An Outcome tells what a failed call did to the storage.
type Outcome int

// What a store can say of a call that failed.
const (
	// OutcomeUnknown says that the call may or may not have been applied, now or later.
	OutcomeUnknown Outcome = iota
	// OutcomeNotApplied says that it was not sent, or that the storage refused it.
	OutcomeNotApplied
)

// An Error is a failure of the storage, as opposed to an answer of it.
type Error struct {
	Store   string  // the kind of store, such as "valkey"
	Verb    string  // "load", "create", "update", "touch", "delete", ...
	Outcome Outcome // for the verbs that write
	Class   string  // what went wrong in a word or two, such as "timeout" or "out of memory"; without it, a read is not tried again
	Err     error   // a sentinel of this package, a context or a net error; nil where only the driver had one
}

// Error names the store, the verb and what went wrong: no id and no data.
func (e *Error) Error() string {
	s := "cloakroom: " + e.Store + " store: " + e.Verb
	if e.Class != "" {
		s += ": " + e.Class
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
