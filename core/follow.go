package core

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// Sessions that were taken over while old instances still run: what changes there changes
// here, and a logout here is one there.

// follow brings a session up to date that follows an old one.
func (s *Session) follow() (err error) {
	was := decodeBefore(s.base.Meta.Before)
	if !was.linked() || !s.x.carriesOld() && said(s.x.r.Header, "Sec-Fetch-Site") == "cross-site" { // it may have been withheld: SameSite
		return nil
	}
	op := s.x.operate(s.x.ctx, OpLoad)
	err = errPanicked // unless the rest returns
	defer func() { op.end(err) }()
	old, err := s.findOld(op)
	switch {
	case errors.Is(err, predecessor.ErrUnreadable): // nothing can be said of it
		err = nil
	case err != nil:
	case old != nil && versionOf(old) == was.Version:
	case old != nil && old.User == s.x.m.userOf(s.base):
		if err = s.markFollowed(op, old); err == nil {
			err = s.followTo(op, old, was)
		}
	default:
		if err = s.endFollowing(op, was); err == nil && old != nil {
			err = s.bringOver(op, old)
		}
	}
	err = s.failed(err)
	return err
}

// markFollowed notes that a later cookie of the old session leads here, too: when this
// session has ended, that one is spent as the first is. What is stored under an id has
// the marker of the take-over.
func (s *Session) markFollowed(op *operation, old *predecessor.Session) error {
	if old.Stored || old.User == "" {
		return nil
	}
	err := s.createMarker(op, markerKey(s.x.m.oldCookies, old), old)
	if errors.Is(err, store.ErrExists) { // by a request at the same moment
		return nil
	}
	return err
}

// followTo stores what has changed in the old session. That is done at once, and only
// where no other request did it: what a handler makes of it must not be undone.
func (s *Session) followTo(op *operation, old *predecessor.Session, was before) error {
	if !s.lock() {
		return ErrReentered
	}
	defer s.x.unlock()
	s.needRarities().taking = &taking{Session: old, before: before{Cookie: was.Cookie, Marker: was.Marker}}
	defer func() { s.rare.taking = nil }()
	if dropped := s.setAll(was); dropped > 0 {
		s.tellDropped(op, dropped)
	}
	for _, name := range was.Names {
		if !slices.Contains(s.rare.taking.before.Names, name) {
			s.changes.Set(name, nil)
		}
	}
	err := s.run(op, true)
	keyErr := (*KeyError)(nil)
	switch {
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrTooManyKeys), errors.As(err, &keyErr):
		s.forget()
		s.leaveBehind(op, "its changes do not fit: see Config.MaxBytes, Config.MaxKeys and Config.UserKey")
		return nil
	case errors.Is(err, ErrSessionGone):
		s.forget()
		return nil // it has ended under this request, as the handler will find
	}
	return err
}

// isTaken reports whether what is stored says that somebody else has brought the session
// up to date.
func (s *Session) isTaken() bool {
	return decodeBefore(s.base.Meta.Before).Version == s.rare.taking.before.Version
}

// endFollowing ends a session because the one that it follows has ended. Libraries use
// the id of such a session for the next login: then it is another one, which is not
// spent.
func (s *Session) endFollowing(op *operation, was before) error {
	m, event, id := s.x.m, s.event(EventDestroyed), s.id
	s.x.mu.Lock()
	_, err := m.endSession(op, s.key, s.base, s)
	s.x.unlock()
	if err != nil && !errors.Is(err, ErrSessionGone) {
		return err
	}
	s.undo()
	m.notify(op, event)
	if was.Marker == "" {
		return nil
	}
	marker, err := m.sessions.Load(store.BypassCache(op), was.Marker, s.x.cookie.MaxAge)
	if err == nil && marker.Meta.IsRetired() {
		if next, ok := m.keys.Load().openSuccessor(was.Marker, marker.Meta.Retired.Next); ok && (next == id || !m.leadsSomewhere(op, next)) { // else it is that of the next login
			_, err = m.sessions.Remove(op, marker, s.x.lockedProof(was.Marker, m.cfg.Now(), retiredLife, nil), s.x.cookie.MaxAge)
		}
	}
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) || errors.Is(err, ErrUndecodable) {
		return nil // it is not that of this session any more
	}
	return err
}

// leadsSomewhere reports whether a session lives under an id, as far as the store tells.
func (m *Manager) leadsSomewhere(ctx context.Context, id string) bool {
	_, err := m.loadLive(store.BypassCache(ctx), m.storeKey(id), 0)
	return !errors.Is(err, store.ErrNotFound)
}

// refuseEarlier refuses earlier cookies of a session that was taken over from one.
func (s *Session) refuseEarlier(op *operation) error {
	m := s.x.m
	if s.base == nil || !decodeBefore(s.base.Meta.Before).Cookie || m.userOf(s.base) == "" {
		return nil
	}
	return m.refuseOld(op, m.userOf(s.base))
}

// forgetPredecessor ends the old session at a logout, as far as it can be ended, and
// refuses earlier cookies of it. An old cookie that came with the request is refused,
// whatever session of ours ends, because a copy of it may be elsewhere.
func (s *Session) forgetPredecessor(op *operation) error {
	x, m := s.x, s.x.m
	if !m.isTakingOver() {
		return nil
	}
	refused := s.refuseEarlier(op)
	if !x.mayTakeOver() {
		return refused
	}
	old, forgotten := s.forgetCarried(op)
	if old != nil && !old.Stored && old.User != "" {
		refused = cmp.Or(refused, m.refuseOld(op, old.User))
	}
	return cmp.Or(forgotten, refused)
}

// forgetCarried ends the old session that the request carries, and returns what it was,
// if anything can be said of it. The lock is released while the source is asked, which
// has half of the time that there is: the session here has to end in any case.
func (s *Session) forgetCarried(op *operation) (old *predecessor.Session, err error) {
	m := s.x.m
	var cookies []*http.Cookie
	s.unlocked(func() {
		ctx, cancel := context.WithTimeout(op, m.cfg.StoreTimeout/2)
		defer cancel()
		var unknown error
		if old, unknown = s.findOld(ctx); errors.Is(unknown, predecessor.ErrUnreadable) {
			unknown = nil
		}
		if cookies, err = m.cfg.Predecessor.Source.Forget(ctx, s.x.r); err != nil {
			err = m.predecessorFailed(op, "forget", err)
		}
		err = cmp.Or(err, unknown)
	})
	s.deleteAt(cookies)
	return old, err
}

// deleteAt lets the browser delete cookies of the predecessor, with the response. One
// with the name of ours is deleted, or gives way, by ours.
func (s *Session) deleteAt(cookies []*http.Cookie) {
	ours := s.x.attributes()
	for _, c := range cookies {
		if c.Name != s.x.m.cfg.Cookie.Name || c.Path != ours.Path || strings.TrimPrefix(c.Domain, ".") != strings.TrimPrefix(ours.Domain, ".") {
			rare := s.needRarities()
			rare.deletions = append(rare.deletions, c)
		}
	}
}
