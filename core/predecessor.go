package core

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What an app had before Cloakroom, and how its sessions are found: see takeover.go for
// what is made of them, and follow.go for those that go on there.

// A Predecessor is what an app had before Cloakroom, and for how long its sessions are
// taken over: at the first request of a visitor who has one, and once. The visitor gets
// an id of ours; the old one is never used. Who was signed in there is so here, but
// [Session.RequireRecentSignIn] asks for a login.
//
// A request that brings a session over waits for what Source does and, once, for one
// round trip where nobody is signed in and the session was in its cookie, for three where
// it was in a store, for four where somebody is signed in, and for two more where the
// store keeps lists of users' sessions. Later ones wait for none more.
//
// As long as it is in use, [Manager.Count] counts a marker for each session that was
// taken over, and with Linked one for each old cookie of a user that a session followed:
// they are there for as long as that would be accepted. [Manager.Clear] forgets them:
// before you clear, set no Source.
type Predecessor struct {
	// Source finds the old sessions: one of package takeover, or of your own.
	Source predecessor.Source

	// Until is when taking over ends. It is required: by then old sessions have expired,
	// or their visitors have been here. Old keys that others may know are worth nothing
	// after it.
	Until time.Time

	// Linked is for as long as old instances still run and visitors may get to either. A
	// session that was taken over then follows the old one: what changes there changes
	// here, where it ends this one ends, and where another user signs in the session is
	// theirs. That asks Source with each request of such a session, and takes one or two
	// round trips more where the old one has changed. What changes here is not seen there,
	// but a logout is; and a sign-in here ends the link. Without it, what old instances do
	// after a session was taken over is not seen.
	//
	// Cookie.Name has to be another one than that of the old cookie, and the old cookie has
	// to come with every request that ours comes with: to a path or a host where it does
	// not, its absence is a logout. So both need the same Path and Domain.
	Linked bool
}

// warnOfPredecessor says in the log what an operator has to know of the settings.
func (m *Manager) warnOfPredecessor() {
	p := m.cfg.Predecessor
	if p.Source == nil {
		return
	}
	m.oldCookies = p.Source.CookieNames()
	if w, ok := p.Source.(predecessor.Warner); ok {
		for _, warning := range w.Warnings() {
			m.cfg.Logger.Warn("cloakroom: Config.Predecessor: " + warning)
		}
	}
	if !m.isTakingOver() {
		m.cfg.Logger.Warn("cloakroom: Config.Predecessor.Until is past, so that no session is taken over: drop Config.Predecessor")
	}
}

// isTakingOver reports whether sessions are taken over.
func (m *Manager) isTakingOver() bool {
	return m.cfg.Predecessor.Source != nil && m.cfg.Now().Before(m.cfg.Predecessor.Until)
}

// mayTakeOver reports whether the request may have a session of the predecessor.
func (x *Exchange) mayTakeOver() bool {
	return x.m.cfg.Predecessor.Source != nil && x.r != nil && x.carrier == CarrierCookie && x.m.isTakingOver() && x.carriesOld()
}

// carriesOld reports whether the request has a cookie of the predecessor. A source that names
// none has to be asked about each request.
func (x *Exchange) carriesOld() bool {
	return len(x.m.oldCookies) == 0 || slices.ContainsFunc(x.m.oldCookies, x.hasCookie)
}

// besidePredecessor is what a load does where cookies of ours came: without a session
// the old one is taken over, and one that follows it is brought up to date.
func (s *Session) besidePredecessor() error {
	switch {
	case s.standing == state.Fresh && s.x.mayTakeOver():
		return s.takeOver()
	case s.standing == state.Live && s.x.m.cfg.Predecessor.Linked && s.x.r != nil && s.x.carrier == CarrierCookie && s.x.m.isTakingOver():
		return s.follow()
	}
	return nil
}

// takeOver makes this the session that the visitor had before, where there is one.
func (s *Session) takeOver() (err error) {
	if s.x.isForeign() {
		return nil
	}
	op := s.x.operate(s.x.ctx, OpLoad)
	err = errPanicked // unless the rest returns
	defer func() { op.end(err) }()
	old, err := s.findOld(op)
	switch {
	case errors.Is(err, predecessor.ErrUnreadable):
		err = nil
	case err == nil && old != nil:
		err = s.bringOver(op, old)
	}
	err = s.failed(err)
	return err
}

// failed leaves an empty session where err is not nil, because the handler may be run
// all the same (Config.ServeAnonymously). It returns err.
func (s *Session) failed(err error) error {
	if err == nil {
		return nil
	}
	if s.standing == state.Live { // it is stored, and this request does not have it
		s.undo()
	}
	s.x.mu.Lock()
	defer s.x.unlock()
	s.forget()
	if s.rare != nil {
		s.rare.failure = nil
	}
	return err
}

// findOld returns the old session that the request carries, or nil. With
// [predecessor.ErrUnreadable] it carries one of which nothing can be said.
func (s *Session) findOld(ctx context.Context) (*predecessor.Session, error) {
	x, m := s.x, s.x.m
	if !x.carriesOld() {
		return nil, nil
	}
	old, err := m.cfg.Predecessor.Source.Find(ctx, x.r)
	switch now := m.cfg.Now(); {
	case errors.Is(err, predecessor.ErrNone):
		return nil, nil
	case errors.Is(err, predecessor.ErrUnreadable):
		s.leaveBehind(ctx, "it cannot be read")
		return nil, predecessor.ErrUnreadable
	case err != nil:
		return nil, m.predecessorFailed(ctx, "find", err)
	case len(old.Key) == 0, len(old.Values) == 0, !old.Expires.IsZero() && !now.Before(old.Expires):
		return nil, nil
	case old.User != "" && !validUser(old.User):
		s.leaveBehind(ctx, "the name of its user is too long or not UTF-8")
		return nil, predecessor.ErrUnreadable
	}
	return &old, nil
}

// leaveBehind says in the log, now and then, that a session was not taken over.
func (s *Session) leaveBehind(ctx context.Context, why string) {
	m := s.x.m
	times, say := m.outage.unsaid("predecessor: "+why, time.Now())
	if !say {
		return
	}
	attrs := []slog.Attr{slog.String("reason", why)}
	if times > 0 {
		attrs = append(attrs, slog.Int("unsaid", times))
	}
	m.log(ctx, slog.LevelWarn, "cloakroom: a session of Config.Predecessor was not taken over", attrs...)
}

// predecessorFailed makes a [store.Error] of a failure of the former library's store,
// whose text may hold an id.
func (m *Manager) predecessorFailed(ctx context.Context, verb string, err error) error {
	failure := (*store.Error)(nil)
	if errors.As(err, &failure) {
		return m.sessions.Check(ctx, verb, failure)
	}
	failure = &store.Error{Store: "predecessor", Verb: verb, Class: "failed"}
	var network net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		failure.Class, failure.Err = "timeout", context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		failure.Class, failure.Err = "canceled", context.Canceled
	case errors.As(err, &network):
		failure.Class = "connection failed"
	}
	return m.sessions.Check(ctx, verb, failure)
}
