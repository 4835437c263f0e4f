package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// A Status tells where a session came from.
type Status int

const (
	// StatusNew is a session of a visitor who brought no cookie.
	StatusNew Status = iota
	// StatusLoaded is a session that was found in the store.
	StatusLoaded
	// StatusUnknown is a new session of a visitor whose cookie is genuine but
	// whose session has expired, was ended, or cannot be read.
	StatusUnknown
	// StatusInvalid is a new session of a visitor whose cookie no secret
	// verifies.
	StatusInvalid
)

func (s Status) String() string {
	switch s {
	case StatusNew:
		return "new"
	case StatusLoaded:
		return "loaded"
	case StatusUnknown:
		return "unknown or expired"
	case StatusInvalid:
		return "invalid cookie"
	}
	return fmt.Sprintf("Status(%d)", int(s))
}

// A renewal is what Renew and Regenerate ask for.
type renewal uint8

const (
	keepID renewal = iota
	renewID
	regenerateID
)

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

// sessionState is what a Session is made of. Exchange.mu guards it.
type sessionState struct {
	x *Exchange

	inFunc    atomic.Bool // a function given to Update runs
	reentered atomic.Bool // and used the session

	status  Status
	id      string    // what the cookie says, or will say; empty until a new session needs one
	key     string    // what the store calls it
	base    *document // what the store has, as far as we know; nil for a session that is not stored
	changes changes

	limit    timeLimit    // of the load
	touching chan touched // the extension that runs beside the handler
	listing  chan touched // what keeps the session in the list of its user, likewise
	emitted  string       // the Set-Cookie that was set so far; written under Manager.emitting too
	vary     [1]string    // the header, where it is not there yet

	login    *login // SignIn was called
	nextID   string // after a renewal, once it is known
	renewal  renewal
	shown    bool // ID has told an id that is not stored yet
	rotated  bool // the cookie was verified by a secret that is not the first
	hadAny   bool // the request had a cookie with our name
	retired  bool // the id was given up: the session is at another one
	gone     bool // it lived when the request began, and does not any more
	degraded bool // the store was down: see ErrDegraded
	forced   bool // Touch was called

	destroyed  bool  // by this request
	signedOut  bool  // by this request: what there is now is another session
	unfinished bool  // Destroy was called but the store failed
	discarded  bool  // Discard was called
	created    bool  // by this request: the browser needs the cookie
	saved      bool  // by this request
	changed    bool  // and not just written again as it was
	warned     bool  // about changes that were dropped
	unknown    error // a write of which the store did not tell whether it was done: there is no going on
}

// lock takes the session's lock, unless this goroutine holds it already because
// it is inside a function given to Update: that is not a deadlock but an error,
// which the commit reports.
func (s *Session) lock() bool {
	if s.x.mu.TryLock() {
		return true
	}
	if s.inFunc.Load() && calledByUpdate() {
		s.reentered.Store(true)
		return false
	}
	s.x.mu.Lock()
	return true
}

// callFunc calls a function given to Update. The session is locked.
//
//go:noinline
func (s *Session) callFunc(fn updateFunc, stored json.RawMessage) (json.RawMessage, error) {
	s.inFunc.Store(true)
	defer s.inFunc.Store(false)
	value, err := fn(stored)
	if s.reentered.Load() { // what it made of nothing must not be stored, also not where it was called at the commit
		return nil, ErrReentered
	}
	return value, err
}

// calledByUpdate tells whether callFunc is among the callers of this goroutine.
func calledByUpdate() bool {
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
		if frame.Function == "github.com/cloakroom-go/cloakroom/core.(*Session).callFunc" {
			return true
		}
		if !more {
			return false
		}
	}
}

// mutable tells whether changes can still be stored. Where they cannot, it says
// so once in the log: they have no other way to tell.
func (s *Session) mutable() bool {
	var why string
	switch {
	case s.destroyed:
		why = "after Destroy; to go on with an empty session use Regenerate in its place"
	case s.unfinished:
		why = "after Destroy or SignOut failed; the commit does it, and nothing else"
	case s.x.ended.Load():
		why = "after the handler returned"
	default:
		return true
	}
	if !s.warned {
		s.warned = true
		s.x.drop(why)
	}
	return false
}

// cookieMutable returns why the cookie cannot be another any more, or nil.
func (s *Session) cookieMutable() error {
	mutable := s.mutable()
	switch {
	case s.x.headersOut():
		return ErrCommitted
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
	if !s.lock() {
		return ""
	}
	defer s.x.mu.Unlock()
	if s.renewal != keepID {
		s.shown = true
		if s.nextID == "" {
			s.nextID, _ = s.x.m.generateID(s.x.r) // the commit tries again, and reports it
		}
		return s.nextID
	}
	if s.base == nil {
		s.shown = true
	}
	if s.id == "" {
		s.id, _ = s.x.m.generateID(s.x.r)
	}
	return s.id
}

// Status tells where the session came from, as of the beginning of the request.
func (s *Session) Status() Status { return s.status }

// CreatedAt returns when the session began, to the millisecond. It is zero for
// a new session and for one that an Express app made and only Express wrote.
func (s *Session) CreatedAt() time.Time {
	if !s.lock() {
		return time.Time{}
	}
	defer s.x.mu.Unlock()
	if s.base == nil || s.renewal == regenerateID {
		return time.Time{}
	}
	return s.base.meta.created.time()
}

// Get returns the value of key as encoding/json decodes it into an any, or nil
// where there is none. [Key] gives typed access.
func (s *Session) Get(key string) any {
	raw := s.raw(key)
	if raw == nil {
		return nil
	}
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return nil
	}
	return v
}

// Has tells whether the session has a key.
func (s *Session) Has(key string) bool { return s.raw(key) != nil }

// raw returns the JSON of a key, or nil.
func (s *Session) raw(key string) json.RawMessage {
	if !s.lock() {
		return nil
	}
	defer s.x.mu.Unlock()
	return s.changes.value(s.base, key)
}

// Keys returns the keys in the order in which they were added, as of now.
func (s *Session) Keys() iter.Seq[string] {
	if !s.lock() {
		return func(func(string) bool) {}
	}
	defer s.x.mu.Unlock()
	return slices.Values(s.keys())
}

func (s *Session) keys() []string {
	var keys []string
	seen := make(map[string]bool)
	if s.base != nil && !s.changes.cleared {
		for _, m := range s.base.index() {
			name := memberName(s.base.text, m)
			if c := s.changes.get(name); isReserved(name) || seen[name] || c != nil && c.value == nil {
				continue
			}
			seen[name] = true
			keys = append(keys, name)
		}
	}
	for i := range s.changes.list {
		if c := &s.changes.list[i]; c.value != nil && !seen[c.key] {
			keys = append(keys, c.key)
		}
	}
	return keys
}

// Set sets key to v, which is encoded at once. Where that is not possible, or
// the key is reserved ("cookie", "__cloakroom", "__proto__"), the commit fails
// with a [*KeyError].
func (s *Session) Set(key string, v any) {
	raw, err := encodeValue(v)
	if err != nil {
		err = &KeyError{Key: key, Op: "set", Err: safeJSONError(err)}
	} else {
		err = s.x.m.checkKey(key)
	}
	if !s.lock() {
		return
	}
	defer s.x.mu.Unlock()
	if !s.mutable() {
		return
	}
	if err != nil {
		s.changes.fail(key, err)
		return
	}
	s.changes.set(key, raw)
}

// Delete removes a key.
func (s *Session) Delete(key string) {
	if !s.lock() {
		return
	}
	defer s.x.mu.Unlock()
	if s.mutable() && !isReserved(key) {
		s.changes.set(key, nil)
	}
}

// Clear removes all keys. The session stays, with its id; [Session.Destroy]
// ends it.
func (s *Session) Clear() {
	if !s.lock() {
		return
	}
	defer s.x.mu.Unlock()
	if s.mutable() {
		s.changes.clear()
		s.nameUser()
	}
}

// update calls done where fn may have been called, before anybody calls it again.
func (s *Session) update(key string, fn updateFunc, done func()) {
	err := s.x.m.checkKey(key)
	if !s.lock() {
		return
	}
	defer s.x.mu.Unlock()
	if !s.mutable() {
		return
	}
	if err != nil {
		s.changes.fail(key, err)
		return
	}
	s.changes.update(s.base, key, fn, s.callFunc)
	done()
}

// SetMaxAge gives this session a life of its own: the cookie stays in the
// browser for d, and the session in the store for d without activity, in place
// of what Config says. It is how "remember me" is done. With d of 0 the cookie
// is one for the browser's session and the idle timeout is Config's. A life is
// at least a second and never passes Config.AbsoluteTimeout.
//
// It takes effect at the commit. A request of another process that was under way
// may still extend the session once with the life that it had before. SetMaxAge
// returns [ErrCommitted] when the headers are out and [ErrSessionGone] after
// Destroy.
func (s *Session) SetMaxAge(d time.Duration) error {
	if !s.lock() {
		return ErrReentered
	}
	defer s.x.mu.Unlock()
	if err := s.cookieMutable(); err != nil {
		return err
	}
	if d < 0 {
		d = 0
	} else if d > 0 {
		d = max(d, time.Second)
	}
	s.changes.age, s.changes.ageSet = age{own: true, max: d}, true
	return nil
}

// Renew gives the session a new id at the commit and keeps its data. Call it
// whenever the visitor's rights change, above all at login, so that an id that
// somebody else may know is worth nothing (session fixation). From then on the
// old id is no session any more, in no request and no process. It returns
// [ErrCommitted] when the headers are out and [ErrSessionGone] after Destroy.
func (s *Session) Renew() error { return s.renew(renewID) }

// Regenerate gives the session a new id at the commit and drops its data, max
// age and creation time. It returns [ErrCommitted] when the headers are out and
// [ErrSessionGone] after Destroy.
func (s *Session) Regenerate() error { return s.renew(regenerateID) }

func (s *Session) renew(how renewal) error {
	if !s.lock() {
		return ErrReentered
	}
	defer s.x.mu.Unlock()
	if err := s.cookieMutable(); err != nil {
		return err
	}
	if how == regenerateID {
		s.changes = changes{cleared: true}
		s.login = nil
	}
	if s.renewal != regenerateID {
		s.renewal = how
	}
	return nil
}

// Touch extends the session at the commit, even where this process did so a
// moment ago or Config.Passive says that this request is no activity.
func (s *Session) Touch() {
	if !s.lock() {
		return
	}
	defer s.x.mu.Unlock()
	s.forced = s.mutable()
}

// Discard forgets the changes that this request has made and not stored yet,
// SignIn, Renew and Regenerate included. Unless others follow, the session is not
// written and its cookie not set, whatever Config says.
func (s *Session) Discard() {
	if !s.lock() {
		return
	}
	defer s.x.mu.Unlock()
	s.discard()
	s.discarded = true
}

func (s *Session) discard() {
	s.changes = changes{cleared: s.destroyed} // of what was destroyed nothing is left to be read
	s.renewal, s.nextID, s.login = keepID, "", nil
	s.forced = false
}

// Destroy ends the session, at once and for good: no request that is under way
// can bring it back. The browser is told to delete the cookie with whatever
// response follows. It does not depend on the request's context; a client that
// hangs up cannot stop its own logout.
//
// When the store fails, Destroy returns the error, and the commit tries again
// and fails the response if it cannot. Until then the session takes no changes,
// as after a Destroy that succeeded.
func (s *Session) Destroy(ctx context.Context) error {
	if !s.lock() {
		return ErrReentered
	}
	defer s.x.mu.Unlock()
	if s.degraded {
		return ErrDegraded
	}
	return s.destroyTraced(ctx)
}

func (s *Session) destroyTraced(ctx context.Context) error {
	ctx, end := s.x.m.begin(ctx, OpDestroy)
	limit := s.x.m.detach(ctx)
	defer limit.stop()
	err := s.destroy(limit)
	end(err)
	return err
}

// Save stores the changes at once, in place of at the commit, and does what
// Renew or Regenerate asked for. It stores the session also when nothing
// changed. Later changes are stored at the commit as usual.
//
// It returns [ErrCommitted] when the session needs a cookie and the headers are
// out, [ErrSessionGone] when the session has ended, and whatever else a commit
// can fail with. Like Destroy it does not depend on the request's context.
func (s *Session) Save(ctx context.Context) error {
	if !s.lock() {
		return ErrReentered
	}
	defer s.x.mu.Unlock()
	limit := s.x.m.detach(ctx)
	defer limit.stop()
	return s.store(limit, s.modified(), true)
}

// Reload replaces what the request sees by what the store has now. Changes that
// were not stored are forgotten, but not that the id is to be renewed. It returns [ErrSessionGone], and leaves
// everything as it is, when the session has ended or was never stored.
func (s *Session) Reload(ctx context.Context) error {
	if !s.lock() {
		return ErrReentered
	}
	defer s.x.mu.Unlock()
	limit := s.x.m.limit(ctx)
	defer limit.stop()
	return s.reload(limit)
}

// Check asks the store whether the session still lives: nil if so,
// [ErrSessionGone] if not. It is for connections that outlive the request that
// opened them, such as WebSockets and event streams.
func (s *Session) Check(ctx context.Context) error {
	if !s.lock() {
		return ErrReentered
	}
	key, known := s.key, s.base != nil && !s.destroyed && !s.gone
	s.x.mu.Unlock()
	if !known {
		return ErrSessionGone
	}
	limit := s.x.m.limit(ctx)
	defer limit.stop()
	_, err := s.x.m.loadLive(limit, key, s.x.cookie.MaxAge)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUndecodable) {
		return ErrSessionGone
	}
	return err
}

// UpgradeHeader commits the session and returns the headers that a response
// must carry which net/http does not write: that of a WebSocket library that
// takes over the connection and takes the headers as an argument (the
// responseHeader of gorilla's Upgrade). It is empty where no cookie has to be
// set.
func (s *Session) UpgradeHeader(ctx context.Context) (http.Header, error) {
	h := make(http.Header)
	if err := s.x.commit(ctx, h, false); err != nil {
		return nil, err
	}
	return h, nil
}

// Flash leaves a message for the next request: of a kind such as "info" or
// "error". It is stored as connect-flash does, under the key "flash".
func (s *Session) Flash(kind, message string) {
	flashes.Update(s, func(all map[string][]string) map[string][]string {
		if all == nil {
			all = make(map[string][]string, 1)
		}
		all[kind] = append(all[kind], message)
		return all
	})
}

// Flashes returns the messages of a kind and removes them at the commit. Two
// requests at the same time may both get them; one that is added meanwhile is
// not lost.
func (s *Session) Flashes(kind string) []string {
	seen := flashes.Get(s)[kind]
	if len(seen) == 0 {
		return nil
	}
	s.update(string(flashes), func(stored json.RawMessage) (json.RawMessage, error) {
		all, _ := decodeKey[map[string][]string](string(flashes), "update", stored)
		if len(all[kind]) == 0 { // another request removed them
			return stored, nil
		}
		left := all[kind]
		for _, message := range seen {
			if i := slices.Index(left, message); i >= 0 {
				left = slices.Delete(left, i, i+1)
			}
		}
		if all[kind] = left; len(left) == 0 {
			delete(all, kind)
		}
		if len(all) == 0 {
			return nil, nil
		}
		return encodeValue(all)
	}, func() {})
	return seen
}

const flashes Key[map[string][]string] = "flash"

// String describes the session without its id and data.
func (s Session) String() string {
	return "Session(" + s.status.String() + ")"
}

// Format implements [fmt.Formatter]: no verb prints more than String.
func (s Session) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue implements [slog.LogValuer]: it prints no more than String.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON keeps a session that ends up in a response by mistake from
// showing what it holds.
func (s Session) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }
