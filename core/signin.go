package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-go/cloakroom/core/internal/async"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/roster"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// Who is signed in, since when and how.

const (
	maxUser    = 255 // bytes
	maxMethods = 8
	maxMethod  = 64 // bytes

	// clockSkew is how far the clocks of two processes may be apart for a sign-in
	// to count as recent in the other one at once.
	clockSkew = time.Minute
)

// A login is what SignIn asks for.
type login struct {
	signedIn
	was     string                  // whose session it was, empty for nobody's
	at      time.Time               // when SignIn was called
	began   time.Time               // when what the sign-in depends on began to be looked at: at SignIn, or at BeginSignIn
	list    async.Future[*userList] // the list of the user, while it is on its way; nil before and after
	listKey string                  // its id, where it was asked for by SignIn
	since   *userList               // the list, once it is there: a revocation since then refuses the sign-in
	read    roster.Reading          // when it was read

	attempt *attempt // what it is based on, if it is
}

// SignIn makes this the session of a user, at the commit: it gets a new id, as by
// Renew, so that an id that somebody else may know is worth nothing, also when
// the same user signs in again. Its data is kept, unless it was the session of
// another user: then it is dropped, as by Regenerate. The time from which
// [Session.AuthenticatedAt], [Session.CreatedAt] and Config.AbsoluteTimeout
// count starts anew.
//
// user is the name by which the app knows the user for good, such as a primary
// key: 1 to 255 bytes of UTF-8. methods say how it was shown, such as "password"
// or "totp": for [Session.AuthenticatedBy] and [Manager.Sessions].
//
// Where the session was given another id by another request meanwhile, or before
// this one came, SignIn begins a session of its own: a login whose answer got lost,
// or that was sent twice, ends signed in all the same. Such a session has what this
// request puts into it, and nothing of the other one.
//
// Where the store can ([store.UserIndexer]), the session is put into the list of the
// user's sessions before the old id is given up. The commit then waits for three round
// trips where there was a session and for two where there was none, and for two more
// where Config.MaxSessionsPerUser is reached and another session has to go.
// What existed survives when any of that fails. The commit then fails
//
//   - with [ErrTooManySessions] where Config.MaxSessionsPerUser is reached, or 1000
//     without that, and Config.AtUserLimit says RefuseNew; the visitor's session stays
//     what it was;
//   - with [ErrRevoked] where [Manager.RevokeUser] or [Manager.RevokeOthers] was
//     called for the user since SignIn was; the session may have ended.
//
// What you checked before, such as a password, may have changed by the time that you call
// SignIn, and the user's sessions may have been ended for that: [Session.BeginSignIn]
// before the check makes such a sign-in fail too.
//
// A handler that wants to answer that itself calls [Session.Save] after SignIn,
// which returns the error; what the request changed is forgotten then.
//
// SignIn returns [ErrInvalidUser] for a name that is too long or no UTF-8,
// [ErrHeadersSent] when the headers are out, [ErrSessionGone] after Destroy, and the
// error of ctx where that is done: a visitor who hung up is not signed in.
func (s *Session) SignIn(ctx context.Context, user string, methods ...string) error {
	return s.signIn(ctx, user, methods, nil)
}

// signIn is SignIn, based on an attempt where that is not nil.
func (s *Session) signIn(ctx context.Context, user string, methods []string, attempt *attempt) error {
	if !validUser(user) || !validMethods(methods) {
		return ErrInvalidUser
	}
	if err := ctx.Err(); err != nil {
		return err // whoever hung up is not signed in
	}
	if !s.lock() {
		return ErrReentered
	}
	defer s.x.unlock()
	if err := s.cookieMutable(); err != nil {
		return err
	}
	s.isRotated(state.RenewID)
	m := s.x.m
	before := s.user()
	if before != "" && before != user {
		s.changes, s.renewal = record.Changes{Cleared: true}, state.RegenerateID
	} else {
		s.renewal = max(s.renewal, state.RenewID)
	}
	now := m.cfg.Now()
	s.login = &login{attempt: attempt, was: m.userOf(s.base), at: now, began: now, signedIn: signedIn{Name: user, By: slices.Clone(methods)}}
	if was := s.login.was; s.base != nil && (was == "" || was == user) { // it is the same device
		s.login.Handle = m.handleIn(s.base)
	}
	if r := s.x.r; r != nil && s.x.jar == nil { // a cookie has no room for what nobody is shown
		s.login.Device, s.login.Net = deviceOf(r), m.networkOf(r)
	}
	s.nameUser()
	switch {
	case attempt != nil:
		s.login.began, s.login.since, s.login.read = attempt.began, attempt.list, roster.ReadBefore
	case m.lists != nil:
		// Not by the handler's context, which a framework may use again.
		s.login.listKey = m.listKey(user)
		s.login.list = m.lists.fetch(s.x.ctx, s.x, s.login.listKey)
	}
	return nil
}

// nameUser sets Config.UserKey to who is about to be signed in.
func (s *Session) nameUser() {
	if path := s.x.m.userPath; s.login != nil && len(path) > 0 {
		user := s.login.Name
		s.changes.Update(s.base, path[0], func(stored json.RawMessage) (json.RawMessage, error) {
			return withText(stored, path[1:], user)
		}, s.callFunc)
	}
}

// User returns the name that SignIn was given, or with Config.UserKey what the
// session has there. It is empty when nobody signed in.
func (s *Session) User() string {
	if !s.lock() {
		return ""
	}
	defer s.x.unlock()
	return s.user()
}

// user is User for a caller that holds the lock.
func (s *Session) user() string {
	m := s.x.m
	switch {
	case s.login != nil:
		return s.login.Name
	case len(m.userPath) > 0:
		return textAt(s.changes.Value(s.base, m.userPath[0]), m.userPath[1:])
	case s.renewal == state.RegenerateID:
		return ""
	}
	return m.userOf(s.base)
}

// AuthenticatedAt returns when the user signed in, to the millisecond. It is
// zero when nobody did, and where an Express app did it.
func (s *Session) AuthenticatedAt() time.Time {
	if !s.lock() {
		return time.Time{}
	}
	defer s.x.unlock()
	at, _ := s.authenticated()
	return at
}

// AuthenticatedBy returns the methods that SignIn was given.
func (s *Session) AuthenticatedBy() []string {
	if !s.lock() {
		return nil
	}
	defer s.x.unlock()
	_, by := s.authenticated()
	return by
}

// authenticated returns when and how the user signed in, as far as that is known. The caller
// holds the lock.
func (s *Session) authenticated() (at time.Time, by []string) {
	if s.login != nil {
		return time.UnixMilli(s.login.at.UnixMilli()), slices.Clone(s.login.By)
	}
	user := s.user()
	if user == "" {
		return at, nil
	}
	in, _ := signedInOf(s.base)
	if in.Name != user || in.Peer {
		return at, nil
	}
	return s.base.Meta.Created.Time(), in.By
}

// RequireUser returns [ErrNotSignedIn] where nobody is signed in, and nil otherwise.
// [RequireUser] is the middleware.
func (s *Session) RequireUser() error {
	if s.User() == "" {
		return ErrNotSignedIn
	}
	return nil
}

// RequireRecentSignIn reports whether the user signed in less than maxAge ago, and whether
// the session lives at this moment: for a page that changes a password or spends
// money. It returns [ErrSignInTooOld] where the user has to sign in (again), and
// [ErrSessionGone] where the session was ended meanwhile. It asks the store, past
// any cache, which costs a round trip. A maxAge of 0 asks for a new login each time; one
// of less than a second is most likely a number of seconds that became one of
// nanoseconds, and is refused with [ErrMaxAgeTooShort]. [RequireRecentSignIn] is the
// middleware.
func (s *Session) RequireRecentSignIn(ctx context.Context, maxAge time.Duration) error {
	if tooShort(maxAge, time.Second) != "" {
		return ErrMaxAgeTooShort
	}
	if !s.lock() {
		return ErrReentered
	}
	at, _ := s.authenticated()
	pending := s.login != nil
	s.x.unlock()
	if age := s.x.m.cfg.Now().Sub(at); at.IsZero() || age >= maxAge || age < -clockSkew {
		return ErrSignInTooOld
	}
	if pending {
		return nil // there is nothing to ask for yet
	}
	return s.Check(store.BypassCache(ctx))
}

// Handle returns a public name of the session, for pages and logs: nobody can
// get at the session by it. It stays the same when the id is renewed.
// [Manager.Revoke] ends the session that has it. It is empty for a session that
// is not stored yet.
func (s *Session) Handle() string {
	if !s.lock() {
		return ""
	}
	defer s.x.unlock()
	if s.base == nil {
		return ""
	}
	return s.x.m.handleIn(s.base)
}

// validUser reports whether a name can be one of a user: see [ErrInvalidUser].
func validUser(user string) bool {
	return user != "" && len(user) <= maxUser && utf8.ValidString(user)
}

// validMethods reports whether a user can have signed in by these: see [ErrInvalidUser].
func validMethods(methods []string) bool {
	for _, method := range methods {
		if method == "" || len(method) > maxMethod || !utf8.ValidString(method) {
			return false
		}
	}
	return len(methods) <= maxMethods
}

// Errors of signing in.
var (
	// ErrInvalidUser says that the name of a user is empty, longer than 255 bytes
	// or not UTF-8, or that there are more than 8 methods or one of more than 64
	// bytes.
	ErrInvalidUser = errors.New("cloakroom: name of the user, or of a method, is empty, too long or not UTF-8")

	// ErrTooManySessions says that the user has as many sessions as
	// Config.MaxSessionsPerUser allows, or 1000 without that, and that
	// Config.AtUserLimit says RefuseNew.
	ErrTooManySessions = errors.New("cloakroom: user has too many sessions")

	// ErrRevoked says that the sessions of the user were ended while SignIn, or
	// Renew, was under way. It is an [ErrSessionGone].
	ErrRevoked = fmt.Errorf("%w: it was revoked meanwhile", ErrSessionGone)

	// ErrNotSignedIn says that nobody is signed in.
	ErrNotSignedIn = errors.New("cloakroom: nobody is signed in")

	// ErrSignInTooOld says that nobody signed in, or too long ago.
	ErrSignInTooOld = errors.New("cloakroom: user has not signed in recently enough")
)
