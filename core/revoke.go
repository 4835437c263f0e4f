package core

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/cloakroom-go/cloakroom/core/internal/roster"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// Revoke ends one session of a user, by its handle. It returns [store.ErrNotFound] where
// the user has no session with that handle, whoever else has. When it returns nil,
// the session lives no more, in no process, and under no id that it gets from a
// Renew or a SignIn that was under way. With a store that reads from a cache, other
// processes see it when that store says.
//
// The session of the request that ctx belongs to ends as by RevokeUser.
//
// It costs four round trips, and one more with Config.Observer, which is told what
// has ended. Where it fails, the session may have ended; call it again. The error
// matches [errors.ErrUnsupported] where the store is no [store.UserIndexer].
func (m *Manager) Revoke(ctx context.Context, user, handle string) error {
	_, err := m.revoke(ctx, user, CauseRevoke, func(l *roster.List) (chosen, error) {
		of := func(e roster.Entry) bool { return e.Handle == handle }
		if handle == "" || !slices.ContainsFunc(l.Sessions, of) {
			return nil, store.ErrNotFound
		}
		return of, nil
	})
	return err
}

// RevokeUser ends all sessions of a user: "log me out everywhere", a password that
// was reset, an account that was closed. When it returns nil, no session lives
// whose SignIn was acknowledged before the call, in any process; and a SignIn that
// was called before fails with [ErrRevoked] at its commit, where the clocks of the
// two processes agree so far, or else counts as one that came after. A login that
// checked a password, read before the call, and calls SignIn afterwards ends well, unless
// it is based on a [SignInAttempt], which was begun before the password was read. So
// store the new password first, then call RevokeUser or RevokeOthers, and have
// [Session.BeginSignIn] in every login. With a store that reads from a cache, other
// processes see it when that store says; [Session.RequireRecentSignIn] sees it at once.
//
// Where the session of the request that ctx belongs to is among them, and the handler
// has changed nothing in it yet, it is then as after [Session.SignOut]: empty, and
// SignIn makes it one of that user again. [Manager.RevokeOthers] spares it.
//
// Users belong to Cookie.Name: a job that ends the sessions of a web app, or lists
// them, needs a Manager with the same Cookie.Name, SealKeys and UserKey. With another Name
// it finds none, which is no error.
//
// The first write marks all of the sessions in the list of the user, so that no sign-in
// comes through any more; then they are ended, 16 at once. Each of these steps may take
// Config.StoreTimeout. A caller whose ctx ends does not stop it within the first
// StoreTimeout, and stops it between two steps after that. Where it fails once the
// sessions are marked, the error is a [*RevocationError], which says how far it came:
// the next call goes on from there, and so does each sign-in of the user.
//
// It costs four round trips, and one more for every 16 sessions beyond the first
// 16. With Config.Observer, which is told what has ended, it costs one more for
// every 16. The error matches [errors.ErrUnsupported] where the store is no
// [store.UserIndexer]. With Config.Sealed it needs SealedCookie.Ends and two round trips,
// however many sessions there are, and the Observer is told once.
func (m *Manager) RevokeUser(ctx context.Context, user string) error {
	if m.ends != nil {
		return m.revokeSealed(ctx, user)
	}
	_, err := m.revoke(ctx, user, CauseRevokeUser, func(l *roster.List) (chosen, error) {
		l.RevokeAll(m.cfg.Now())
		return func(roster.Entry) bool { return true }, nil
	})
	return err
}

// RevokeOthers is RevokeUser for the user of s, but for s itself: "log me out
// everywhere else". It also spares what s becomes when SignIn or Renew was called
// for it, unless somebody else ended the user's sessions since: then it returns
// [ErrRevoked], and so does the commit. It returns [ErrSignInTooOld] where nobody has
// signed in with s, and [ErrSessionGone] where s has ended. It costs one round trip more
// than RevokeUser.
func (m *Manager) RevokeOthers(ctx context.Context, s *Session) error {
	if !s.lock() {
		return ErrReentered
	}
	user, key, login := s.user(), s.key, s.login
	mine := s.base != nil && m.userOf(s.base) == user
	var entry roster.Entry
	if mine {
		entry = roster.Entry{Key: key, Handle: m.handleIn(s.base), Until: roster.ListedUntil(m.lifespan(s.base), m.cfg.Now())}
	}
	op := m.untraced(ctx)
	underWay, err := s.signInUnderWay(op)
	s.x.unlock()
	op.end(err)
	if err != nil {
		return err
	}
	if user == "" {
		return ErrSignInTooOld
	}
	if err := m.canList(user); err != nil {
		return err
	}
	if mine {
		if err := s.Check(store.BypassCache(ctx)); err != nil {
			return err
		}
	}
	at := m.cfg.Now()
	list, err := m.revoke(ctx, user, CauseRevokeOthers, func(l *roster.List) (chosen, error) {
		i := l.Find(key)
		switch {
		case underWay != nil && underWay.Revoked(l, m.cfg.Now(), m.cfg.StoreTimeout):
			return nil, ErrRevoked // by somebody else, since SignIn was called
		case mine && i < 0: // it is one that has not been listed yet
			l.Sessions = append(l.Sessions, entry)
		case mine && l.Sessions[i].State != roster.Live:
			return nil, ErrSessionGone
		}
		at = m.cfg.Now()
		l.RevokeAll(at)
		return func(e roster.Entry) bool { return !mine || e.Handle != entry.Handle }, nil
	})
	if err == nil && login != nil {
		s.x.mu.Lock()
		defer s.x.unlock()
		login.since, login.at, login.began = list, at, at // for it, this was before
	}
	return err
}

// A RevocationError says how far a revocation came before the store failed or the time
// of the caller was over. No sign-in that was under way comes through any more; the
// sessions that are left end when it is called again, or when the user signs in.
type RevocationError struct {
	Ended int   // how many sessions have ended by this call
	Left  int   // how many may live yet
	Err   error // why
}

// Error implements the error interface.
func (e *RevocationError) Error() string {
	return fmt.Sprintf("cloakroom: %d sessions were revoked, %d are left: %v", e.Ended, e.Left, e.Err)
}

// Unwrap returns why.
func (e *RevocationError) Unwrap() error { return e.Err }

// chosen reports whether a session is one that a revocation is to end.
type chosen func(roster.Entry) bool

// A revocation is one that is marked in the list of the user already.
type revocation struct {
	m     *Manager
	op    *operation
	event Event // without a handle

	unfinished []roster.Entry  // sessions that another call marked, which did not end well or is under way
	asked      []roster.Entry  // sessions that this call is to end
	ended      []roster.Entry  // sessions of both kinds that have ended by now
	told       map[string]bool // the handles that the Observer was told of
}

// revoke ends what choose chooses from the list of a user, and returns when it has
// ended, with the list as it was marked. What an earlier call left ends as well.
func (m *Manager) revoke(ctx context.Context, user string, cause Cause, choose func(*roster.List) (chosen, error)) (marked *userList, err error) {
	if err := m.canList(user); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	event, own := Event{Kind: EventRevoked, User: user, By: m.actor(ctx), Cause: cause}, exchangeOf(ctx).of(m)
	op := m.operate(ctx, OpRevoke)
	err = errPanicked // unless the rest returns
	defer func() { op.end(err) }()
	if err := m.refuseOld(op, user); err != nil { // before the list changes: see takeover.go
		return nil, err
	}
	key := m.listKey(user)
	list, err := m.lists.load(op, key)
	if err != nil {
		return nil, err
	}
	// The first write marks what is to end. From then on no sign-in and no renewal of it comes
	// through, whatever becomes of the rest.
	r := revocation{m: m, op: op, event: event, told: make(map[string]bool)}
	var others []roster.Entry
	marked, err = m.lists.edit(op, key, list, func(l *roster.List) (bool, error) {
		r.unfinished = l.Unfinished()
		which, err := choose(l)
		if err != nil {
			return false, err
		}
		others = l.Revoke(which)
		r.asked = slices.DeleteFunc(slices.Clone(others), func(e roster.Entry) bool { return !which(e) })
		others = slices.DeleteFunc(others, which)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	err = r.end(ctx, slices.Concat(r.asked, others))
	own.revoked(func(s *Session) bool {
		return slices.ContainsFunc(r.ended, func(e roster.Entry) bool { return e.Key == s.key })
	})
	if len(r.ended) > 0 {
		m.finishRevocation(op, key, marked, r.ended)
	}
	if left := r.left(); err != nil && left > 0 {
		return nil, &RevocationError{Ended: countHandles(r.asked) - left, Left: left, Err: err}
	}
	return marked, nil
}

// end ends sessions, a batch after the other, each within Config.StoreTimeout.
func (r *revocation) end(ctx context.Context, sessions []roster.Entry) error {
	for batch := range slices.Chunk(sessions, endBatch) {
		if r.op.Err() != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.endBatch(batch); err != nil {
			return err
		}
	}
	return nil
}

// endBatch ends some sessions at once, and tells the Observer which have ended.
func (r *revocation) endBatch(batch []roster.Entry) error {
	limit := r.m.detach(r.op)
	defer limit.stop()
	lived := r.m.whichLive(limit, r.event.User, batch)
	ended, err := r.m.deleteSessions(limit, batch)
	r.ended = append(r.ended, ended...)
	for _, handle := range lived {
		of := func(l roster.Entry) bool { return l.Handle == handle }
		if r.told[handle] || !slices.ContainsFunc(ended, of) {
			continue
		}
		r.told[handle] = true
		e := r.event
		e.Handle = handle
		if e.Cause == CauseRevoke && slices.ContainsFunc(r.unfinished, of) {
			e.By, e.Cause = "", CauseUnfinished // another one than was asked for, or again
		}
		r.m.notify(r.op, e)
	}
	return err
}

// left returns how many of the sessions that this call is to end may live yet.
func (r *revocation) left() int {
	return countHandles(slices.DeleteFunc(slices.Clone(r.asked), roster.Among(r.ended)))
}

// countHandles returns how many sessions there are, some of which may have several ids.
func countHandles(sessions []roster.Entry) int {
	handles := make(map[string]bool)
	for _, e := range sessions {
		handles[e.Handle] = true
	}
	return len(handles)
}

// finishRevocation notes in the list that the records of these sessions are deleted.
// Where that fails, the next one who looks does it.
func (m *Manager) finishRevocation(op *operation, key string, list *userList, ended []roster.Entry) {
	limit := m.detach(op)
	defer limit.stop()
	_, err := m.lists.edit(limit, key, list, func(l *roster.List) (bool, error) {
		l.Finish(m.cfg.Now(), roster.Among(ended))
		return true, nil
	})
	if err != nil {
		m.logFailure(op, slog.LevelWarn, "cloakroom: sessions were revoked, but their user's list still says that they are being revoked", err)
	}
}

// whichLive returns the handles of the sessions that are live, for the Observer:
// the list has also those that ended by themselves.
func (m *Manager) whichLive(ctx context.Context, user string, sessions []roster.Entry) (handles []string) {
	if m.cfg.Observer == nil {
		return nil
	}
	records, _ := m.look(ctx, user, sessions) // where that fails, what ends is not told
	for _, e := range sessions {
		if r, lives := records[e.Key]; lives && !r.Strayed && !slices.Contains(handles, e.Handle) {
			handles = append(handles, e.Handle)
		}
	}
	return handles
}
