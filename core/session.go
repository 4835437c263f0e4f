package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"runtime"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
)

// A Status tells where a session came from.
type Status int

const (
	// StatusNew is a session of a visitor who brought no cookie, and no token of ours.
	StatusNew Status = iota
	// StatusLoaded is a session that was found in the store.
	StatusLoaded
	// StatusUnknown is a new session of a visitor whose cookie, or token, is genuine but
	// whose session has expired, was ended, or cannot be read.
	StatusUnknown
	// StatusInvalid is a new session of a visitor whose cookie, or token, no secret
	// verifies.
	StatusInvalid
	// StatusTakenOver is a session of Config.Predecessor that this request has brought
	// over. From the next request on it is loaded as any other.
	StatusTakenOver
)

// String describes the status for a log.
func (s Status) String() string {
	return valueName("Status", int(s), "new", "loaded", "unknown or expired", "invalid cookie", "taken over")
}

// A Session is what the server remembers of a visitor from request to request.
//
// What a handler reads is what was loaded, with its own changes on top. Changes
// are stored when the response begins; those of other requests that were stored
// in between are kept. Reading costs no round trip and nothing is decoded that
// is not read.
//
// A Session may be used by several goroutines of the request that it belongs
// to, until the handler returns; changes after that are dropped, which is
// logged. It prints without its id and data.
type Session struct {
	*sessionState // a pointer, so that no verb of package fmt follows it
}

// lock takes the session's lock, unless this goroutine holds it already because
// it is inside a function given to Update: that is not a deadlock but an error,
// which the commit reports.
func (s *Session) lock() bool {
	if s.x.mu.TryLock() {
		return true
	}
	if s.inFunc.Load() && calledBy(callFuncName) {
		s.reentered.Store(true)
		return false
	}
	s.x.mu.Lock()
	return true
}

// callFunc calls a function given to Update. The session is locked.
//
//go:noinline
func (s *Session) callFunc(fn record.UpdateFunc, stored json.RawMessage) (json.RawMessage, error) {
	s.inFunc.Store(true)
	defer s.inFunc.Store(false)
	stored, until := s.living(stored)
	value, err := fn(stored)
	if s.reentered.Load() { // what it made of nothing must not be stored, also not where it was called at the commit
		return nil, ErrReentered
	}
	if until != 0 && value != nil {
		value = withLife(value, until)
	}
	return value, err
}

// Names of functions as the runtime has them, whatever they and the package are called:
// under a name that was written down, a renaming would make a deadlock of an error.
var (
	callFuncName = nameOf((*Session).callFunc)
	findName     = nameOf((*Exchange).find)
)

// nameOf returns the name of a function as the runtime has it.
func nameOf(function any) string {
	return runtime.FuncForPC(reflect.ValueOf(function).Pointer()).Name()
}

// calledBy reports whether the function with that name is among the callers of this
// goroutine.
func calledBy(name string) bool {
	pcs := make([]uintptr, 64)
	for {
		n := runtime.Callers(2, pcs)
		if n < len(pcs) {
			pcs = pcs[:n]
			break
		}
		pcs = make([]uintptr, 4*len(pcs))
	}
	frames := runtime.CallersFrames(pcs)
	for {
		frame, more := frames.Next()
		if frame.Function == name {
			return true
		}
		if !more {
			return false
		}
	}
}

// mutable reports whether changes can still be stored. Where they cannot, it says so once in
// the log: what changes a session returns no error. key is what was to be changed, or empty.
func (s *Session) mutable(key string) bool {
	var why string
	switch {
	case s.standing == state.Ended:
		why = "after Destroy; to go on with an empty session use Regenerate in its place"
	case s.standing == state.Ending:
		why = "after Destroy or SignOut failed; the commit does it, and nothing else"
	case s.x.ended.Load():
		why = "after the handler returned"
	default:
		return true
	}
	if !s.warned {
		s.warned = true
		s.tellUnlocked(func() { s.x.drop(why, key) })
	}
	return false
}

// cookieMutable returns why the browser cannot be given another cookie any more, or nil.
func (s *Session) cookieMutable() error {
	mutable := s.mutable("")
	switch {
	case s.x.headersOut():
		return ErrHeadersSent
	case !mutable:
		return ErrSessionGone
	}
	return nil
}

// ID returns what the cookie carries: a secret, which belongs in no log and in
// no page. A new session gets its id when it is first asked for or stored.
// After Renew and Regenerate it is the next id. It is empty where
// Config.GenerateID fails; the commit then fails too.
func (s *Session) ID() string {
	for {
		if !s.lock() {
			return ""
		}
		id, err := s.ensureID()
		if errors.Is(err, errNeedsID) {
			err = s.generateID() // then the session may be another one, so ask again
			s.x.unlock()
			if err != nil {
				return ""
			}
			continue
		}
		s.x.unlock()
		return id
	}
}

// ensureID returns the id that the session has, or gets next.
func (s *Session) ensureID() (id string, err error) {
	next := &s.id
	if s.renewal != state.KeepID {
		next = &s.nextID
	}
	if s.standing != state.Live || next == &s.nextID {
		s.shown = true
	}
	if *next == "" {
		*next, err = s.newID()
	}
	return *next, err
}

// Status tells where the session came from, as of the beginning of the request.
func (s *Session) Status() Status { return Status(s.status) }

// CreatedAt returns when the session began, to the millisecond. It is zero for
// a new session and for one that an Express app made and only Express wrote.
func (s *Session) CreatedAt() time.Time {
	if !s.lock() {
		return time.Time{}
	}
	defer s.x.unlock()
	if s.base == nil || s.renewal == state.RegenerateID {
		return time.Time{}
	}
	return s.base.Meta.Created.Time()
}

// SetMaxAge gives this session a life of its own: the cookie stays in the
// browser for d, and the session in the store for d without activity, in place
// of what Config says. It is how "remember me" is done. With d of 0 the cookie
// is one for the browser's session and the idle timeout is Config's. A life never
// passes Config.AbsoluteTimeout; one of less than a second is most likely a number of
// seconds that became one of nanoseconds, and is refused with [ErrMaxAgeTooShort].
//
// It takes effect at the commit. A request of another process that was under way
// may still extend the session once with the life that it had before. SetMaxAge
// returns [ErrHeadersSent] when the headers are out and [ErrSessionGone] after
// Destroy.
func (s *Session) SetMaxAge(d time.Duration) error {
	if !s.lock() {
		return ErrReentered
	}
	defer s.x.unlock()
	if err := s.cookieMutable(); err != nil {
		return err
	}
	if d = max(d, 0); tooShort(d, time.Second) != "" {
		return ErrMaxAgeTooShort
	}
	s.changes.Age, s.changes.AgeSet = record.Age{Own: true, Max: d}, true
	return nil
}

// Renew gives the session a new id at the commit and keeps its data. Call it
// whenever the visitor's rights change, above all at login, so that an id that
// somebody else may know is worth nothing (session fixation). From then on the
// old id is no session any more, in no request and no process. It returns
// [ErrHeadersSent] when the headers are out and [ErrSessionGone] after Destroy.
func (s *Session) Renew() error { return s.renew(state.RenewID) }

// Regenerate gives the session a new id at the commit and drops its data, max
// age and creation time. It returns [ErrHeadersSent] when the headers are out and
// [ErrSessionGone] after Destroy.
func (s *Session) Regenerate() error { return s.renew(state.RegenerateID) }

// Rotate gives the session a new id at the commit and keeps its data, as Renew does, for
// apps that renew ids by the clock. Other than after Renew, requests that were under way
// with the old id, or come with it because the browser had nothing newer when it sent them,
// still read the session for 10 seconds, and what they store until then lands. They get no
// cookie, and cannot renew the id or sign in; where they rotate it too, it is rotated once.
// After that, and after any Renew, SignIn, Regenerate or Destroy, the old id is no session
// any more.
//
// So it is not for a change of rights: that is what Renew is for, and what counts where a
// request calls both. With Config.Sealed it is Renew: the session went with its new cookie.
// A session that is bound to its browser (Config.Bind) keeps its id, which is worth nothing
// elsewhere.
// It returns [ErrHeadersSent] when the headers are out and
// [ErrSessionGone] after Destroy.
func (s *Session) Rotate() error { return s.renew(state.RotateID) }

// renew notes that the session is to get another id. Of several calls the strongest counts:
// see the order of [state.Renewal].
func (s *Session) renew(how state.Renewal) error {
	if !s.lock() {
		return ErrReentered
	}
	defer s.x.unlock()
	if err := s.cookieMutable(); err != nil {
		return err
	}
	if s.isRotated(how) {
		return nil
	}
	if _, _, bound := boundSince(s.base); how == state.RotateID && bound && s.x.m.cfg.Bind != nil {
		return nil // its id is worth nothing elsewhere, and a browser binds a few sessions an hour
	}
	if how == state.RegenerateID {
		s.changes = record.Changes{Cleared: true}
		s.login = nil
	}
	s.renewal = max(s.renewal, how)
	return nil
}

// Touch extends the session at the commit, even where this process did so a
// moment ago or Config.Passive says that this request is no activity.
func (s *Session) Touch() {
	if !s.lock() {
		return
	}
	defer s.x.unlock()
	s.touched = s.mutable("")
}

// Discard forgets the changes that this request has made and not stored yet,
// SignIn, Renew and Regenerate included. Unless others follow, the session is not
// written and its cookie not set, whatever Config says.
func (s *Session) Discard() {
	if !s.lock() {
		return
	}
	defer s.x.unlock()
	s.forget()
	s.discarded = true
}

// forget forgets what was not stored yet.
func (s *Session) forget() {
	s.changes = record.Changes{}
	s.renewal, s.nextID, s.login = state.KeepID, "", nil
	s.touched = false
}

// Save stores the changes at once, in place of at the commit, and does what
// Renew or Regenerate asked for. It stores the session also when nothing
// changed. Later changes are stored at the commit as usual.
//
// It returns [ErrHeadersSent] when the session needs a cookie and the headers are
// out, or when the handler has returned, since nothing can be stored then. It returns
// [ErrSessionGone] when the session has ended, and whatever else a commit can fail
// with. Like Destroy it does not depend on the request's context.
func (s *Session) Save(ctx context.Context) error {
	return s.operate(ctx, OpCommit, func(op *operation) error {
		if s.x.ended.Load() { // what came since the commit was dropped
			return ErrHeadersSent
		}
		s.proven = false
		return s.run(op, true)
	})
}

// Reload replaces what the request sees by what the store has now. Changes that
// were not stored are forgotten, but not that the id is to be renewed. It returns [ErrSessionGone], and leaves
// everything as it is, when the session has ended or was never stored.
func (s *Session) Reload(ctx context.Context) error {
	limit := s.x.limit(ctx)
	defer limit.end(nil)
	if !s.lock() {
		return ErrReentered
	}
	defer s.x.unlock()
	switch s.standing {
	case state.Live, state.Ending:
	case state.Locked:
		return ErrUnproven
	default:
		return ErrSessionGone
	}
	doc, err := s.x.m.loadRotated(limit, s.key, s.x.cookie.MaxAge)
	if err != nil {
		return err
	}
	if doc.Record.ID != s.key {
		if s.renewal > state.RotateID { // what renews the id for a reason does not follow
			return ErrSessionGone
		}
		s.goOnUnder(doc)
	}
	s.base = doc
	s.changes = record.Changes{Cleared: s.renewal == state.RegenerateID}
	s.touched = false
	s.nameUser()
	return nil
}

// Check asks the store whether the session still lives: nil if so,
// [ErrSessionGone] if not, [ErrDegraded] where the store was down when the request
// came (Config.ServeAnonymously), and [ErrUnproven] where the session is bound to another
// browser (Config.Bind). It is for connections that outlive the request that
// opened them, such as WebSockets and event streams.
func (s *Session) Check(ctx context.Context) error {
	if !s.lock() {
		return ErrReentered
	}
	key, standing := s.key, s.standing
	s.x.unlock()
	switch standing {
	case state.Live, state.Ending:
	case state.Unavailable:
		return ErrDegraded
	case state.Locked:
		return ErrUnproven
	default:
		return ErrSessionGone
	}
	limit := s.x.limit(ctx)
	defer limit.end(nil)
	_, err := s.x.m.loadRotated(limit, key, s.x.cookie.MaxAge)
	return err
}

// UpgradeHeader commits the session and returns the headers that a response
// must carry which net/http does not write: that of a WebSocket library that
// takes over the connection and takes the headers as an argument (the
// responseHeader of gorilla's Upgrade). It is empty where the client has to be told of no
// other cookie or token.
func (s *Session) UpgradeHeader(ctx context.Context) (http.Header, error) {
	h := make(http.Header)
	if err := s.x.commit(ctx, h, false); err != nil {
		return nil, err
	}
	return h, nil
}

// String describes the session without its id and data.
func (s Session) String() string {
	return "Session(" + Status(s.status).String() + ")"
}

// Format implements [fmt.Formatter]: no verb prints more than String.
func (s Session) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue implements [slog.LogValuer]: it prints no more than String.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON keeps a session that ends up in a response by mistake from
// showing what it holds.
func (s Session) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }
