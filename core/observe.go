package core

import "context"

// An EventKind names what happened to a session.
type EventKind string

// The kinds of events.
const (
	EventCreated     EventKind = "created"      // a session was stored for the first time
	EventSaved       EventKind = "saved"        // changes were stored
	EventRenewed     EventKind = "renewed"      // a session got a new id (Renew, Regenerate)
	EventDestroyed   EventKind = "destroyed"    // Destroy was called and done
	EventExpired     EventKind = "expired"      // the absolute timeout had passed
	EventUnknown     EventKind = "unknown"      // a signed cookie whose session does not exist (any more)
	EventForged      EventKind = "forged"       // a cookie with our name that no secret verifies
	EventUndecodable EventKind = "undecodable"  // a record that cannot be read
	EventReplayed    EventKind = "replayed"     // changes were applied again to a newer record
	EventGone        EventKind = "gone"         // a session ended while the request was under way
	EventDropped     EventKind = "dropped"      // changes came too late to be stored
	EventStoreError  EventKind = "store-failed" // the store failed
)

// An Event tells an [Observer] what happened. It carries no id and no data.
type Event struct {
	Kind EventKind
	Err  error // for EventStoreError, and for EventDropped where the store is why
}

// An Observer is told what happens to sessions, for metrics and audit logs. It
// is called by many goroutines at once, on the way of the request, so it has to
// be quick. It must not use the session. A panic in it is the request's.
type Observer interface {
	Observe(ctx context.Context, e Event)
}
