package core

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"
)

// An EventKind names what happened to a session.
//
// A session that ended by a timeout is gone from the store, and with it what was
// known of it. So [EventExpired] tells it only in the process that served the
// session last, for as long as that remembers it; elsewhere it is [EventUnknown].
type EventKind string

// The kinds of events.
const (
	EventCreated     EventKind = "created"      // a session was stored for the first time
	EventTakenOver   EventKind = "taken-over"   // a session of Config.Predecessor was brought over; it follows created
	EventSaved       EventKind = "saved"        // changes were stored
	EventExtended    EventKind = "extended"     // its life began anew, with nothing else written: once for each Config.TouchInterval
	EventRenewed     EventKind = "renewed"      // a session got a new id (Renew, Regenerate, SignIn, Rotate: see Cause)
	EventSignedIn    EventKind = "signed-in"    // it became the session of User; it follows created or renewed
	EventDestroyed   EventKind = "destroyed"    // Destroy or SignOut was called and done
	EventRevoked     EventKind = "revoked"      // it was ended by somebody else: see By and Cause
	EventLimit       EventKind = "limit"        // Config.MaxSessionsPerUser was reached when User signed in
	EventExpired     EventKind = "expired"      // somebody came back after the idle or the absolute timeout: see Cause
	EventUnknown     EventKind = "unknown"      // a signed cookie whose session does not exist (any more)
	EventForged      EventKind = "forged"       // a request with cookies of our name of which no secret verifies any
	EventOldSecret   EventKind = "old-secret"   // a session whose cookie is signed by a secret that is not the first
	EventReissued    EventKind = "reissued"     // that cookie was sent again, signed by the first secret
	EventUndecodable EventKind = "undecodable"  // a record that cannot be read
	EventKeyRetired  EventKind = "key-retired"  // a record that counts as gone because it is sealed under one of Config.RetiredSealKeys: see Count
	EventReplayed    EventKind = "replayed"     // changes were applied again to a newer record
	EventGone        EventKind = "gone"         // a session ended while the request was under way
	EventDropped     EventKind = "dropped"      // changes came too late to be stored
	EventStoreError  EventKind = "store-failed" // the store failed
	EventOutage      EventKind = "outage"       // something could not be done because of that, and Config.Logger has a line of it: see Cause
	EventBound       EventKind = "bound"        // a browser bound its session to a key, see Config.Bind
	EventRefreshed   EventKind = "refreshed"    // a browser has proven that it is the one that a session is bound to
	EventRefused     EventKind = "refused"      // somebody who is not, as far as can be told, asked for a bound session: see Cause
)

// A Cause says more about what happened.
type Cause string

// The causes of [EventExpired], [EventRevoked], [EventRenewed], [EventOutage] and [EventRefused].
const (
	CauseIdle         Cause = "idle"          // expired: no activity for as long as the idle timeout, or the session's max age
	CauseAbsolute     Cause = "absolute"      // expired: the absolute timeout had passed
	CauseRevoke       Cause = "revoke"        // revoked by Manager.Revoke
	CauseRevokeOthers Cause = "revoke-others" // revoked by Manager.RevokeOthers
	CauseRevokeUser   Cause = "revoke-user"   // revoked by Manager.RevokeUser
	CauseLimit        Cause = "limit"         // revoked for a newer session, at Config.MaxSessionsPerUser
	CauseUnfinished   Cause = "unfinished"    // revoked before, by a call that failed or a process that died halfway
	CauseRotate       Cause = "rotate"        // renewed by Session.Rotate, and for no other reason
	CauseLogged       Cause = "logged"        // outage: the line was written
	CauseUnsaid       Cause = "unsaid"        // outage: the same was said within this second, and the next line says how often
	CauseUnproven     Cause = "unproven"      // refused: the cookie of a bound session, without the proof
	CauseForged       Cause = "forged"        // refused: a proof that is none, or by another key
	CauseBound        Cause = "already-bound" // refused: a key for a session that has one
)

// An Event is one thing that happened to a session. It is what an [Observer]
// counts and what an audit log has as a line: who, which session, by whom and why.
// It holds no id and nothing of the session's data, so all of it may be logged.
// What is not known is empty.
type Event struct {
	Kind   EventKind
	Err    error  // for EventStoreError and EventOutage, and for EventDropped where the store is why
	User   string // whose session it is, where that is known
	Handle string // which one it is: see Session.Handle
	By     string // for EventRevoked: whose request did it, or what WithActor says; empty where that is unknown
	Cause  Cause  // for EventExpired, EventRevoked, EventRenewed, EventOutage and EventRefused
	Count  int    // for EventKeyRetired: how many such records this Manager has met
}

// An Observer is told what happens to sessions, for metrics and audit logs: see
// [LogObserver] and package otelsession, and [Observers] for more than one.
// Config.Observer is where it goes.
//
// Observe is called after what the event tells of, once for each, and by whichever
// goroutine did it: most often the one that serves the request, sometimes one that
// works beside the handler, and by many at once. The request waits for it, so it
// must return soon: whoever has more to do hands the event to a goroutine of their
// own. No lock is held: it may use the session and the Manager, which tell it of what
// it does there in turn. While a session is being loaded there is none yet
// ([ErrNoSession]). A panic in it is the request's.
type Observer interface {
	// Observe is told of e. ctx is that of the request, or the one that a method of
	// the Manager was called with; it may be done already.
	Observe(ctx context.Context, e Event)
}

// An Operation is what a request waits for, because of its session.
type Operation string

// The operations.
const (
	OpLoad    Operation = "load"    // find the session of a request that has a cookie
	OpCommit  Operation = "commit"  // store what the request did
	OpDestroy Operation = "destroy" // Destroy and SignOut
	OpTake    Operation = "take"    // Key.Take
	OpList    Operation = "list"    // Manager.Sessions
	OpRevoke  Operation = "revoke"  // Manager.Revoke, RevokeUser and RevokeOthers
	OpBind    Operation = "bind"    // bind a session to its browser, or check its proof
)

// A Tracer is an [Observer] that is also told when an operation begins and ends,
// for spans and for measuring how long requests wait for their sessions. Core finds
// out by itself whether Config.Observer is one. What Observer says of goroutines,
// time and panics holds for both functions.
type Tracer interface {
	Observer

	// Start is told that op begins. The context that it returns, which is ctx or one
	// derived from it, is the one that the store gets: the spans of a driver stand
	// below one that Start put there. end is called once, with the error of the
	// operation or nil. What costs no call of the store is no operation.
	Start(ctx context.Context, op Operation) (_ context.Context, end func(error))
}

// A StoreCall is one call of the store that has ended. It holds no id and no data.
type StoreCall struct {
	Verb     string // "load", "create", "update", "replace", "remove", "touch", "delete", "inspect", "count", "clear" or "ping"
	Duration time.Duration
	Err      error // a [store.Error] where the store failed; else what it answered, such as [store.ErrNotFound], or nil
}

// A StoreObserver is an [Observer] that is also told of each call of the store, of its
// sessions and of its lists of users: for measuring the store, and for counting the round
// trips of a request. Core finds out by itself whether Config.Observer is one, and
// measures nothing where it is not. A walk of all sessions (Manager.All) is no call.
//
// What Observer says of goroutines, time and panics holds here as well. ObserveStore
// only measures: it calls no method of the session or the Manager.
type StoreObserver interface {
	Observer

	// ObserveStore is told of call when the operation that it belongs to has ended.
	ObserveStore(ctx context.Context, call StoreCall)
}

// observeCall returns what a vault calls after each call of the store, nil where nobody is
// to be told.
func (m *Manager) observeCall() func(ctx context.Context, verb string, took time.Duration, err error) {
	if m.storeObserver == nil {
		return nil
	}
	return func(ctx context.Context, verb string, took time.Duration, err error) {
		tell(ctx, func(ctx context.Context) { m.storeObserver.ObserveStore(ctx, StoreCall{verb, took, err}) })
	}
}

// Observers returns an Observer that tells all of these, in this order, but for those that are
// nil. Where one of them is a [Tracer] or a [StoreObserver], it is both.
func Observers(all ...Observer) Observer {
	all = slices.DeleteFunc(slices.Clone(all), func(o Observer) bool { return o == nil })
	measuring := measuringObservers{observers: all}
	for _, o := range all {
		if t, ok := o.(Tracer); ok {
			measuring.tracers = append(measuring.tracers, t)
		}
		if c, ok := o.(StoreObserver); ok {
			measuring.calls = append(measuring.calls, c)
		}
	}
	if len(measuring.tracers) == 0 && len(measuring.calls) == 0 {
		return observers(all)
	}
	return measuring
}

// observers are several Observers as one.
type observers []Observer

// Observe implements [Observer].
func (all observers) Observe(ctx context.Context, e Event) {
	for _, o := range all {
		o.Observe(ctx, e)
	}
}

// measuringObservers are observers of which some are told of operations or of calls of the
// store as well. They are another type because core asks by type who wants to be told: to
// measure what nobody hears of would cost each request.
type measuringObservers struct {
	observers
	tracers []Tracer
	calls   []StoreObserver
}

// ObserveStore implements [StoreObserver].
func (o measuringObservers) ObserveStore(ctx context.Context, call StoreCall) {
	for _, c := range o.calls {
		c.ObserveStore(ctx, call)
	}
}

// Start implements [Tracer]. The spans are inside of one another, so the last one that began
// ends first.
func (o measuringObservers) Start(ctx context.Context, op Operation) (context.Context, func(error)) {
	ends := make([]func(error), len(o.tracers))
	for i, t := range o.tracers {
		ctx, ends[i] = t.Start(ctx, op)
	}
	return ctx, func(err error) {
		for i := len(ends) - 1; i >= 0; i-- {
			ends[i](err)
		}
	}
}

// LogObserver returns an [Observer] that writes an audit log: a line for each
// event, with the attributes "event", "user", "session" (the handle), "by",
// "cause", "count" and "error", as far as they are known. What an administrator should see
// is at level Warn, what is done all day at Info, what only tells about load at
// Debug. A nil logger is slog.Default().
func LogObserver(logger *slog.Logger) Observer { return logObserver{cmp.Or(logger, slog.Default())} }

// A logObserver is what [LogObserver] returns.
type logObserver struct{ logger *slog.Logger }

// Observe implements [Observer].
func (o logObserver) Observe(ctx context.Context, e Event) {
	level := slog.LevelInfo
	switch e.Kind {
	case EventSaved, EventExtended, EventReplayed, EventOutage, EventRefreshed: // an outage has its own lines, in Config.Logger
		level = slog.LevelDebug
	case EventForged, EventUndecodable, EventLimit, EventDropped, EventRefused:
		level = slog.LevelWarn
	case EventStoreError:
		level = slog.LevelError
	}
	if !o.logger.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 1, 7)
	attrs[0] = slog.String("event", string(e.Kind))
	for _, a := range [...]slog.Attr{
		slog.String("user", e.User), slog.String("session", e.Handle), slog.String("by", e.By), slog.String("cause", string(e.Cause)),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if e.Count > 0 {
		attrs = append(attrs, slog.Int("count", e.Count))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	o.logger.LogAttrs(ctx, level, "session "+string(e.Kind), attrs...)
}

// actorKey is the key under which a context says who acts.
type actorKey struct{}

// WithActor returns a context that says who acts, for [Event].By: an operator or a
// job, where sessions are revoked outside of a request, or in one whose session is
// not that of the app's user.
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// actor returns who acts: what WithActor says, or the user of the session of the
// request that ctx belongs to.
func (m *Manager) actor(ctx context.Context) string {
	if actor, ok := ctx.Value(actorKey{}).(string); ok {
		return actor
	}
	if x := exchangeOf(ctx).of(m); x != nil && x.isReady() {
		if s := x.session.Load(); s != nil {
			return s.User()
		}
	}
	return ""
}

// event returns an event about the session as it is stored.
func (s *Session) event(kind EventKind) Event {
	e := Event{Kind: kind}
	if m, doc := s.x.m, cmp.Or(s.base, s.rarities().locked); m.cfg.Observer != nil && doc != nil {
		e.User, e.Handle = m.userOf(doc), m.handleIn(doc)
	}
	return e
}

// notify tells the Observer about the session, when no lock is held.
func (s *Session) notify(ctx context.Context, kind EventKind) {
	if s.x.m.cfg.Observer != nil {
		s.x.m.notify(ctx, s.event(kind))
	}
}
