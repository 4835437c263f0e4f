package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/hot"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
	"github.com/cloakroom-go/cloakroom/core/internal/vault"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// How the session of a request is found.

// A lazyLoading is what Config.Lazy needs: several goroutines may ask at once. One of
// them looks, and no lock is held meanwhile.
type lazyLoading struct {
	state atomic.Uint32 // a loadState
	mu    sync.Mutex    // guards changes of the state, and the others
	done  chan struct{} // closed when the state is final; made by the first who waits
	err   error
}

// A loadState is how far the loading has come.
type loadState uint32

const (
	unloaded loadState = iota
	underWay
	loaded
	failed
)

// at returns how far it has come.
func (l *lazyLoading) at() loadState { return loadState(l.state.Load()) }

// wait waits until nobody is at it. The caller holds the lock, which is released
// meanwhile.
func (l *lazyLoading) wait() {
	if l.at() != underWay {
		return
	}
	if l.done == nil {
		l.done = make(chan struct{})
	}
	done := l.done
	l.mu.Unlock()
	<-done
	l.mu.Lock()
}

// end notes what came of it.
func (l *lazyLoading) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err = err; err == nil {
		l.state.Store(uint32(loaded))
	} else {
		l.state.Store(uint32(failed))
	}
	if l.done != nil {
		close(l.done)
	}
}

// isReady reports whether the session was found, or found not to exist. Where it is
// looked for before anybody can ask, it was.
func (x *Exchange) isReady() bool { return x.lazy == nil || x.lazy.at() == loaded }

// isLoaded waits for another goroutine that looks for the session, and reports what
// isReady does then: whether there is a session to commit.
func (x *Exchange) isLoaded() bool { return x.lazy == nil || x.awaitLoading() }

// awaitLoading is isLoaded with Config.Lazy.
func (x *Exchange) awaitLoading() bool {
	x.lazy.mu.Lock()
	defer x.lazy.mu.Unlock()
	x.lazy.wait()
	return x.isReady()
}

// ensureLoaded finds the session, the first time that it is called. It goes by
// the context of the request, whatever context the handler asked with: what one
// caller gave up must not be the answer for all.
func (x *Exchange) ensureLoaded() error {
	if x.isReady() {
		return nil
	}
	lazy := x.lazy
	lazy.mu.Lock()
	if lazy.at() == underWay && calledBy(findName) { // it would wait for itself
		lazy.mu.Unlock()
		return fmt.Errorf("%w yet: it is being loaded, which is what the app is told of here", ErrNoSession)
	}
	lazy.wait()
	if lazy.at() != unloaded {
		defer lazy.mu.Unlock()
		return lazy.err
	}
	lazy.state.Store(uint32(underWay))
	lazy.mu.Unlock()
	err := errPanicked // unless find returns
	defer func() { lazy.end(err) }()
	err = x.find()
	return err
}

// find finds the session. The caller is the only one who asks.
func (x *Exchange) find() error {
	err := x.look()
	switch {
	case err == nil:
	case x.ctx.Err() != nil:
		err = fmt.Errorf("cloakroom: request ended while its session was loaded: %w", x.ctx.Err())
	default: // the store is to blame
		x.logFailure(slog.LevelError, "cloakroom: session could not be loaded", err)
		if x.m.cfg.ServeAnonymously != nil && x.m.cfg.ServeAnonymously(x.r, err) {
			x.ensureSession().become(state.Unavailable)
			err = nil
		}
	}
	return err
}

// A candidate is a verified cookie, or token of a header.
type candidate struct {
	id       string
	outdated bool   // signed by a secret that is not the first
	key      string // what the store calls its session, where that is known already

	// For one that is not known yet, so that it may be remembered.
	value  string // as it stands in the header
	place  hot.Place
	keys   *keyRing     // that verified it
	cookie *knownCookie // a sealed one, with what is in it
}

// candidates collects the cookies of the request that verify, or the tokens in its
// header, without repeats, as many as there is room for, and tells what the client
// brought.
func (x *Exchange) candidates(found []candidate) (n int, brought state.Ticket) {
	keys, signatures := x.m.keys.Load(), 0
	strange := false
	consider := func(value string) bool {
		brought = max(brought, state.Forged)
		c, verdict := x.verify(keys, value)
		if c.key == "" && verdict != ticket.Malformed {
			signatures++
		}
		strange = strange || verdict == ticket.Forged
		known := slices.ContainsFunc(found[:n], func(k candidate) bool { return k.id == c.id })
		if verdict >= ticket.Outdated && !known {
			brought = state.Genuine
			found[n] = c
			n++
		}
		return signatures < ticket.MaxSignatures && n < len(found)
	}
	x.tickets(consider)
	switch {
	case n > 0:
		x.m.strangers.sawGenuine()
	case strange:
		x.warnOfStrangers()
	}
	return n, brought
}

// mayBring reports whether a request may have a ticket of ours.
func (m *Manager) mayBring(r *http.Request) bool {
	return r.Header["Cookie"] != nil || m.cfg.Header != nil && r.Header[m.cfg.Header.Request] != nil
}

// bringsNothing reports whether newExchange has seen that the request has no ticket.
func (x *Exchange) bringsNothing() bool { return x.r != nil && x.room == nil && x.lazy == nil }

// look finds the session of the request: that of the first ticket that is genuine
// and known to the store, because a stale duplicate must not hide a good one. An id
// that the store does not know is never used again.
func (x *Exchange) look() error {
	if x.bringsNothing() && !x.m.cfg.SaveUninitialized && !x.mayTakeOver() {
		return nil
	}
	var found [ticket.MaxLookups]candidate
	n, brought := x.candidates(found[:])
	former := n == 0 && x.mayTakeOver()
	if brought == state.NoTicket && !x.m.cfg.SaveUninitialized && !former {
		return nil
	}
	s := x.ensureSession()
	s.ticket = brought
	if n == 0 {
		if former {
			if err := s.takeOver(); err != nil || s.standing != state.Fresh {
				return err
			}
		}
		if brought == state.Forged {
			s.status = int8(StatusInvalid)
			x.m.notify(x.ctx, Event{Kind: EventForged})
		}
		return nil
	}
	if err := s.lookUp(found[:n]); err != nil || x.m.cfg.Predecessor.Source == nil {
		return err
	}
	return s.besidePredecessor()
}

// lookUp asks the store for the candidates.
func (s *Session) lookUp(found []candidate) error {
	m := s.x.m
	s.status = int8(StatusUnknown)
	now := time.Now()
	op := s.limitLoad(now)
	if m.otherClock {
		now = m.cfg.Now()
	}
	err := errPanicked // unless lookup returns
	defer func() { op.end(err) }()
	err = s.lookup(op, found, now)
	return err
}

// limitLoad begins the operation of the load. That of an HTTP request goes on when
// its client hangs up: it is over in a moment, and a context that listened to both
// would cost more than the rest of the load.
func (s *Session) limitLoad(now time.Time) *operation {
	x, op := s.x, &s.loadOp
	op.exchange = x
	op.parent, op.until = op.trace(x.ctx, x.m, OpLoad), now.Add(x.m.cfg.StoreTimeout)
	if _, ok := op.parent.Deadline(); !ok && x.r != nil {
		op.detached = &x.m.deadlines
	}
	return op
}

// lookup asks the store for the candidates, in turn.
func (s *Session) lookup(op *operation, found []candidate, now time.Time) error {
	var (
		m     = s.x.m
		other = strays{event: Event{Kind: EventUnknown}}
		first = m.keyOf(&found[0])
		last  = m.extended.Last(first)
		ahead = s.extendAhead(first, last, now)
	)
	if ahead != nil {
		defer func() {
			close(ahead)
			if s.base == nil {
				s.extending = nil
			}
		}()
	}
	for i := range found {
		c, key := &found[i], first
		if i > 0 {
			key = m.keyOf(c)
			last = m.extended.Last(key)
		}
		doc, err := m.sessions.Load(op, key, s.x.cookie.MaxAge)
		switch {
		case err == nil && m.isLive(doc):
			if !s.foundBy(op, c, key, doc) {
				other.locked, other.origin = doc, key
				continue
			}
			if i > 0 { // what began before is about another session
				s.attend(nil, last, now)
			} else {
				s.attend(ahead, last, now)
			}
			return nil
		case errors.Is(err, store.ErrNotFound):
			other.event = m.expiredOrUnknown(key, last, now, other.event)
		case errors.Is(err, ErrUndecodable):
		case err != nil:
			return err
		case doc.Meta.IsRetired():
			if ahead != nil && i == 0 {
				ahead <- record.Lifespan{Idle: retiredLife}
			}
			if ok, err := s.foundBehind(op, c.id, key, doc, now, &other); ok || err != nil {
				return err
			}
		default: // the absolute timeout has passed
			other.event = Event{Kind: EventExpired, Cause: CauseAbsolute, User: m.userOf(doc), Handle: m.handleIn(doc)}
		}
	}
	s.foundNone(op, &other)
	return nil
}

// strays are what the candidates lead to that is not the session of the request.
type strays struct {
	event   Event            // what is told where none of them is
	movedOn bool             // a session had one of these ids until a moment ago
	locked  *record.Document // one that is bound to another browser, which must not hide a good one
	origin  string           // and the key that led to it
}

// foundBehind makes s the session that has taken over from a retired record, and reports
// whether the request may have it.
func (s *Session) foundBehind(op *operation, id, key string, retired *record.Document, now time.Time, other *strays) (bool, error) {
	next, err := s.x.m.rotated(op, key, retired, s.x.cookie.MaxAge)
	switch {
	case err != nil:
		return false, err
	case next == nil:
		other.movedOn = other.movedOn || retiredStanding(retired) == state.MovedOn && now.Sub(retired.Meta.Retired.At.Time()) < retiredLife
	case s.foundRotated(id, key, next, now):
		return true, nil
	default:
		other.locked, other.origin = next, key
	}
	return false, nil
}

// foundNone makes s what follows from what there was in place of a session.
func (s *Session) foundNone(op *operation, other *strays) {
	switch {
	case other.locked != nil:
		s.keepLocked(op, other.origin, other.locked)
		return
	case other.movedOn:
		s.become(state.MovedOn)
	}
	s.x.m.notify(op, other.event)
}

// expiredOrUnknown returns the event for an id that the store does not know. Where
// this process extended the session last, it can tell that it was a timeout.
func (m *Manager) expiredOrUnknown(key string, last vault.Note, now time.Time, event Event) Event {
	if !last.Over(now) || m.givenUp.Within(key, now, m.cfg.IdleTimeout) {
		return event
	}
	cause := CauseIdle
	if last.ByDeadline() {
		cause = CauseAbsolute
	}
	return Event{Kind: EventExpired, Cause: cause} // its handle is gone with its record
}

// retiredStanding returns what the session of a retired record is: one that moved on,
// or one that was about to be deleted.
func retiredStanding(d *record.Document) state.Standing {
	if d.Meta.Retired.Next != nil {
		return state.MovedOn
	}
	return state.Gone
}

// keyOf returns what the store calls the session of a candidate.
func (m *Manager) keyOf(c *candidate) string {
	if c.key != "" {
		return c.key
	}
	return m.storeKey(c.id)
}

// foundBy makes s the session of a record that a candidate led to. It reports false where
// the request may not have it.
func (s *Session) foundBy(op *operation, c *candidate, key string, doc *record.Document) bool {
	m := s.x.m
	c.remember(doc)
	if !s.found(c.id, key, doc) {
		return false
	}
	if c.outdated {
		s.ticket = state.Outdated
		m.notify(op, Event{Kind: EventOldSecret, User: m.userOf(doc), Handle: m.handleIn(doc)})
	}
	return true
}

// attend sees to it that the session that was loaded lives on while its request is under
// way, and after that. ahead is who waits for the life that it has, because its extension
// began before the load; nil: nobody does. last is when this process extended it last.
func (s *Session) attend(ahead chan<- record.Lifespan, last vault.Note, now time.Time) {
	m := s.x.m
	life := m.lifespan(s.base)
	s.keepListedBeside(life, now)
	if ahead != nil {
		ahead <- life
	} else {
		s.extendBeside(life, last, now)
	}
	m.flights.enter(s, life, now)
}

// found makes s the session of a record. It reports false, and leaves s as it is, where that
// is bound to a browser and nothing shows that the request comes from there.
func (s *Session) found(id, key string, doc *record.Document) bool {
	if !s.isProven(doc) {
		return false
	}
	s.become(state.Live)
	s.status, s.id, s.key, s.origin, s.base = int8(StatusLoaded), id, key, key, doc
	return true
}

// loadLive returns what the store has under key, for a caller that has no use for a session that
// has ended.
func (m *Manager) loadLive(ctx context.Context, key string, configured time.Duration) (*record.Document, error) {
	doc, err := m.sessions.Load(ctx, key, configured)
	if errors.Is(err, ErrUndecodable) || err == nil && !m.isLive(doc) {
		return nil, store.ErrNotFound
	}
	return doc, err
}
