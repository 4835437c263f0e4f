package core

import (
	"net/http"
	"sync/atomic"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
)

// sessionState is what a Session is made of. Exchange.mu guards it, but for what
// is atomic. What the session is to its request is one value, standing; what is to
// become of it is changes, renewal, login and touched, which forget forgets.
type sessionState struct {
	x *Exchange

	// These two are read by a goroutine that does not hold the lock: see Session.lock.
	inFunc    atomic.Bool // a function given to Update runs
	reentered atomic.Bool // such a function used the session; the commit fails

	standing state.Standing
	deed     state.Deed   // what this request has stored
	ticket   state.Ticket // what the client brought
	renewal  state.Renewal

	touched   bool // Touch was called
	discarded bool // Discard was called
	shown     bool // ID has told an id that is not stored yet
	warned    bool // about changes that were dropped
	proven    bool // this commit found the session under its id
	lifeGiven bool // a write of this request gave the session its whole life
	turned    bool // this request signed somebody in, or ended a session

	idsTried uint8 // how many ids were in use that this commit wanted
	asked    uint8 // how many keys of a large record were read, up to manyKeys
	status   int8  // a Status

	proofUntil int64 // when the bound cookie ends that came with the request, in Unix seconds; 0: none came that counts

	id     string           // what the cookie says, or will say; empty until a new session needs one
	key    string           // what the store calls it
	origin string           // what the store calls the session that the cookie led to
	base   *record.Document // what the store has, as far as we know; nil for a session that is not stored

	changes record.Changes
	login   *login // SignIn was called
	nextID  string // the id that the session gets next, once it is known

	flight        flight     // the place among the requests under way
	loadOp        operation  // the load; here, it costs no allocation of its own
	extending     extension  // extends its life beside the handler; nil where none is under way
	listing       extension  // keeps it in the list of its user beside the handler, or nil; a load sets it without the lock
	sent          sentTicket // the Set-Cookie, or the token, that was set so far
	vary, noStore [1]string  // room for the values of Vary and Cache-Control

	rare *rarities // nil for most
}

// rarities are what few sessions need. The others do without the room for them, which
// has to be cleared for each request.
type rarities struct {
	spareID string // made by Config.GenerateID, for whoever needs an id next
	failure error  // of a write of which the store did not tell whether it was done; every later commit returns it
	untold  func() // what the app is told when the lock is released

	taking    *taking        // what is being taken over from Config.Predecessor
	deletions []*http.Cookie // by which the browser deletes those of the predecessor

	index *record.Index // of base, or of what base was

	locked  *record.Document // what the session is that the request may not have
	binding []byte           // the member by which the session is about to be bound
	offer   offer            // that was set so far

	awaited []awaited // by streams

	followed      bool          // it was rotated by another request: the browser may have a newer id, which this one was not shown
	usedSetFor    bool          // a value with a life was set, which may be over
	flashesNow    flashesByKind // for the page of this request
	flashesPopped flashesByKind // what was removed, in case that it is to be kept
	flashBook     *flashBook    // once this request has left a message
}

// ordinary are the rarities of a session that has none. Nobody writes to them.
var ordinary rarities

// rarities returns what is rare about the session, for reading.
func (s *sessionState) rarities() *rarities {
	if s.rare == nil {
		return &ordinary
	}
	return s.rare
}

// needRarities is rarities for a caller that has something to note.
func (s *sessionState) needRarities() *rarities {
	if s.rare == nil {
		s.rare = new(rarities)
	}
	return s.rare
}
