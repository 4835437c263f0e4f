package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// What a request did to its session reaches the store here. All functions of
// Session in this file are called with the session locked, and with a context
// that limits the commit as a whole.

const (
	retiredLife = time.Minute // how long a given-up id is known as one
	maxCreates  = 3           // how many ids are tried for a new session

	firstRetry = 5 * time.Millisecond // after an unknown outcome, then doubled
	lastRetry  = 200 * time.Millisecond
)

// modified tells whether there is something to store.
func (s *Session) modified() bool {
	return s.renewal != keepID ||
		s.changes.firstError() != nil ||
		s.changes.ageSet && s.base != nil && s.changes.age != s.base.age ||
		s.changes.modify(s.base)
}

// idle tells that store has nothing to do but what modified tells.
func (s *Session) idle() bool {
	return s.touching == nil && s.listing == nil && !s.forced && !s.unfinished && !s.reentered.Load() &&
		!s.x.m.cfg.Resave && !s.x.m.cfg.SaveUninitialized
}

// store brings the store up to date. modified is what the method of that name
// tells. explicit is for Save: it stores also what did not change.
func (s *Session) store(ctx context.Context, modified, explicit bool) (err error) {
	x := s.x
	ctx, end := x.m.begin(ctx, OpCommit)
	defer func() { end(err) }()
	defer func() {
		if errors.Is(err, ErrUnknownOutcome) {
			s.unknown = err // what may have been stored must not be done again
		}
	}()
	defer s.awaitListing(ctx)
	switch {
	case s.reentered.Load():
		return ErrReentered
	case s.unknown != nil:
		return s.unknown
	case s.unfinished:
		if err := s.destroy(ctx); err != nil || !explicit {
			return err
		}
		return ErrSessionGone
	case s.destroyed && explicit:
		return ErrSessionGone
	case s.destroyed:
		return nil
	}
	wanted := explicit || modified
	switch {
	case s.degraded && wanted:
		return ErrDegraded
	case (s.retired || s.gone) && wanted:
		return ErrSessionGone
	case s.degraded, s.retired, s.gone:
		return nil
	}
	if err := s.changes.firstError(); err != nil {
		return err
	}
	if wanted && s.renewal == keepID && !s.changes.ageSet {
		// What is written gets the same life, and tells whether the session is gone.
		defer func() { _ = s.awaitTouch(ctx) }()
	} else if err := s.awaitTouch(ctx); errors.Is(err, ErrNotFound) {
		return s.lost(wanted)
	} else if err != nil && s.saved && !wanted {
		return nil // nothing is lost: what was written has its whole life
	} else if err != nil && !wanted && x.m.cfg.OnStoreError != nil && x.m.cfg.OnStoreError(x.r, err) == Anonymous {
		return nil // nothing is lost but some of the session's life
	} else if err != nil {
		return err
	}
	switch {
	case s.base == nil:
		if !wanted && (s.discarded || !x.m.cfg.SaveUninitialized || x.needsHTTPS()) {
			return nil
		}
		return s.create(ctx)
	case s.renewal != keepID:
		return s.replace(ctx)
	case wanted || x.m.cfg.Resave && !s.saved && !s.discarded:
		return s.write(ctx, modified, explicit)
	case s.forced:
		s.forced = false
		return s.extend(ctx)
	}
	return nil
}

// extend gives the session its whole life from now on.
func (s *Session) extend(ctx context.Context) error {
	err := s.x.touch(ctx, s.key, s.lifespan(s.base), lifespan{}, s.x.m.cfg.Now())
	if errors.Is(err, ErrNotFound) {
		return s.lost(false)
	}
	return err
}

// lost notes that the session ended under the request. It is an error where
// there was something to store.
func (s *Session) lost(wanted bool) error {
	s.gone = true
	s.x.m.notify(s.x.ctx, Event{Kind: EventGone})
	if wanted {
		return ErrSessionGone
	}
	return nil
}

// adopt notes that the store has what s holds, as d.
func (s *Session) adopt(d *document, kind EventKind) {
	s.base, s.key = d, d.record.ID
	signedIn := s.login != nil
	s.discard()
	s.saved = true
	s.x.m.touched.put(s.key, s.x.m.cfg.Now(), s.lifespan(d))
	s.notify(kind)
	if signedIn {
		s.notify(EventSignedIn)
	}
}

// rebase puts the changes of this request on top of a newer record.
func (s *Session) rebase(newer *document) {
	s.base = newer
	s.changes.rebase(newer, s.callFunc)
}

// canIssue tells why no cookie for id can be set or, where that counts, will
// arrive, so that no record is stored that nobody could use.
func (x *Exchange) canIssue(id string, arrival bool) error {
	switch {
	case x.headersOut():
		return ErrCommitted
	case x.needsHTTPS():
		return ErrInsecure
	case len(x.m.cfg.Name)+3*(len(id)+sigLength+len(signedPrefix)+1) > maxCookie && // with all of it escaped
		len(x.m.cfg.Name)+len(x.m.signer.Load().sign(id)) > maxCookie:
		return ErrCookieTooLarge
	case arrival && x.r != nil && errors.Is(x.r.Context().Err(), context.DeadlineExceeded):
		// A timeout handler around us has answered already; it throws the
		// cookie away.
		return fmt.Errorf("cloakroom: session not stored, its cookie would be lost: %w", x.r.Context().Err())
	}
	return nil
}

// create stores a new session.
func (s *Session) create(ctx context.Context) error {
	x := s.x
	if s.login != nil && x.m.lists != nil {
		return s.enter(ctx)
	}
	if s.renewal != keepID { // there is nothing to renew
		s.id, s.nextID, s.renewal = s.nextID, "", keepID
	}
	wait := firstRetry
	for creates := 0; creates < maxCreates; {
		if s.id == "" {
			id, err := x.m.generateID(x.r)
			if err != nil {
				return err
			}
			s.id = id
		}
		if err := x.canIssue(s.id, true); err != nil {
			return err
		}
		next, err := s.encode(nil, x.m.storeKey(s.id))
		if err != nil {
			return err
		}
		err = x.m.create(ctx, next, s.shown)
		switch {
		case errors.Is(err, ErrExists):
			s.id = ""
			creates++
			continue
		case errors.Is(err, errLate) && pause(ctx, &wait):
			s.id = ""
			continue
		case err != nil:
			return err
		}
		s.created = true
		x.m.issued(next)
		s.adopt(next, EventCreated)
		return nil
	}
	return ErrInvalidID
}

// issued notes that a record was stored under an id that was free: should it be
// one that this process ended before, by a generator that repeats itself, it
// lives again.
func (m *Manager) issued(next *document) {
	if key := next.record.ID; !m.retired.last(key).at.IsZero() {
		m.retired.put(key, time.Time{}, lifespan{})
	}
}

// pause waits for longer each time, and tells whether there is time left.
func pause(ctx context.Context, wait *time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(*wait):
	}
	*wait = min(2**wait, lastRetry)
	return true
}

// write stores the changes, on top of whatever other requests stored by now.
func (s *Session) write(ctx context.Context, modified, explicit bool) error {
	wanted, loaded := explicit || modified, s.base
	turn, err := s.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer s.x.m.turns.leave(s.key, turn)
	if s.base != loaded {
		modified = s.modified()
	}
	if err := s.keepListed(ctx); err != nil {
		return err
	}
	for {
		if err := s.changes.firstError(); err != nil {
			return err
		}
		next, err := s.encode(s.base, s.key)
		if err != nil {
			if errors.Is(err, ErrSessionGone) {
				return s.lost(wanted)
			}
			return err
		}
		var before recentSlot
		if s.changes.ageSet {
			before = s.x.m.touched.last(s.key)
		}
		newer, err := s.x.m.update(ctx, s.base, next, s.x.cookie.MaxAge)
		switch {
		case err == nil:
			turn.latest = next
			// An extension that was under way may have given it its former life.
			stretched := s.changes.ageSet && s.x.m.touched.last(s.key) != before
			s.changed = s.changed || modified
			s.adopt(next, EventSaved)
			if stretched {
				return s.extend(ctx)
			}
			return nil
		case errors.Is(err, ErrConflict):
			if err := s.replay(ctx, newer); errors.Is(err, ErrNotFound) {
				return s.lost(wanted)
			} else if err != nil {
				return err
			}
			if modified = s.modified(); !explicit && !modified { // another request did the same
				s.discard()
				return nil
			}
		case errors.Is(err, ErrNotFound):
			return s.lost(wanted)
		default:
			return err
		}
	}
}

// replace gives the session its next id: the new record is stored first, then
// the old one is turned into a retired one, which fails when another request
// changed it meanwhile. So no change is lost, and no client is ever given an id
// while the old one still works.
func (s *Session) replace(ctx context.Context) error {
	x, oldKey := s.x, s.key
	if x.m.lists != nil && s.user() != "" {
		return s.enter(ctx)
	}
	turn, err := s.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer x.m.turns.leave(oldKey, turn)
	wait := firstRetry
	for creates := 0; creates < maxCreates; {
		if err := s.changes.firstError(); err != nil {
			return err
		}
		if s.nextID == "" {
			if s.nextID, err = x.m.generateID(x.r); err != nil {
				return err
			}
		}
		// Regenerate may be a logout, which has to be done all the same.
		if err := x.canIssue(s.nextID, s.renewal != regenerateID); err != nil {
			return err
		}
		base := s.base
		if s.renewal == regenerateID {
			base = nil
		}
		next, err := s.encode(base, x.m.storeKey(s.nextID))
		if errors.Is(err, ErrSessionGone) {
			return s.lost(true)
		} else if err != nil {
			return err
		}
		newer, err := x.m.replace(ctx, s.base, s.retire(), next, s.shown, x.cookie.MaxAge)
		switch {
		case err == nil:
			x.m.retired.put(oldKey, x.m.cfg.Now(), lifespan{})
			s.id, s.created = s.nextID, true
			x.m.issued(next)
			s.adopt(next, EventRenewed)
			return nil
		case errors.Is(err, ErrExists):
			s.nextID = ""
			creates++
		case errors.Is(err, errLate) && pause(ctx, &wait):
			s.nextID = ""
		case errors.Is(err, ErrConflict):
			if err := s.replay(ctx, newer); errors.Is(err, ErrNotFound) {
				return s.lost(true)
			} else if err != nil {
				return err
			}
		case errors.Is(err, ErrNotFound):
			return s.lost(true)
		default:
			return err
		}
	}
	return ErrInvalidID
}

// takeTurn waits until no other commit of this process is at the session, and
// goes on from what the last one wrote.
func (s *Session) takeTurn(ctx context.Context) (*turn, error) {
	turn, err := s.x.m.turns.take(ctx, s.key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConflict, err)
	}
	if turn.latest == nil || turn.latest.meta.token == s.base.meta.token {
		return turn, nil
	}
	newer, err := s.x.m.parser.parse(turn.latest.record, turn.latest.text, s.x.cookie.MaxAge)
	if err != nil {
		panic("cloakroom: a record that was just written cannot be read")
	}
	panicked := true
	defer func() {
		if panicked { // a function given to Update: the next in line must not wait for ever
			s.x.m.turns.leave(s.key, turn)
		}
	}()
	s.rebase(newer)
	panicked = false
	return turn, nil
}

// replay puts the changes on top of the record that won, which is newer, or
// looked up if that is nil. It returns ErrNotFound when the session is gone.
func (s *Session) replay(ctx context.Context, newer *document) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	if newer == nil {
		var err error
		if newer, err = s.x.m.load(ctx, s.key, s.x.cookie.MaxAge); errors.Is(err, ErrUndecodable) {
			return ErrNotFound
		} else if err != nil {
			return err
		}
	}
	if newer.meta.isRetired() {
		return ErrNotFound
	}
	s.rebase(newer)
	s.x.m.notify(s.x.ctx, Event{Kind: EventReplayed})
	return nil
}

// destroy deletes the session.
func (s *Session) destroy(ctx context.Context) error {
	m := s.x.m
	if s.destroyed {
		return nil
	}
	switch {
	case s.base == nil:
	case m.retired.within(s.key, m.cfg.Now(), m.cfg.IdleTimeout):
		// It has ended. The browser may have a newer cookie, which we must not
		// delete, and a retired record has to stay one.
		s.gone = true
	default:
		if err := m.storeFailed(ctx, "delete", m.cfg.Store.Delete(ctx, s.key)); err != nil {
			s.unfinished = true
			return err
		}
		m.retired.put(s.key, m.cfg.Now(), lifespan{})
	}
	event := s.event(EventDestroyed)
	s.unfinished, s.destroyed = false, true
	s.discard()
	m.notify(s.x.ctx, event)
	return nil
}

// reload forgets the changes and reads the record again.
func (s *Session) reload(ctx context.Context) error {
	if s.base == nil || s.destroyed || s.gone {
		return ErrSessionGone
	}
	doc, err := s.x.m.loadLive(ctx, s.key, s.x.cookie.MaxAge)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUndecodable) {
		return ErrSessionGone
	}
	if err != nil {
		return err
	}
	how, nextID, login := s.renewal, s.nextID, s.login
	s.discard()
	s.base, s.renewal, s.nextID, s.login = doc, how, nextID, login
	s.changes.cleared = how == regenerateID
	s.nameUser()
	return nil
}

// take removes a key in the store and returns the value that it had, or nil.
func (s *Session) take(ctx context.Context, key string) (value []byte, err error) {
	if !s.lock() {
		return nil, ErrReentered
	}
	defer s.x.mu.Unlock()
	switch {
	case s.degraded:
		return nil, ErrDegraded
	case s.destroyed, s.unfinished, s.gone, s.retired:
		return nil, ErrSessionGone
	case s.unknown != nil:
		return nil, s.unknown
	}
	limit := s.x.m.detach(ctx)
	defer limit.stop()
	traced, end := s.x.m.begin(limit, OpTake)
	defer func() { end(err) }()
	mine := s.changes.get(key)
	if s.base == nil || s.changes.cleared || mine != nil && mine.absolute { // made by this request: nobody else has it
		value := s.changes.value(s.base, key)
		s.changes.set(key, nil)
		return value, nil
	}
	seen := s.base
	turn, err := s.takeTurn(traced)
	if err != nil {
		return nil, err
	}
	defer s.x.m.turns.leave(s.key, turn)
	defer func() {
		if errors.Is(err, ErrUnknownOutcome) {
			s.unknown = err
		}
	}()
	if s.base != seen && s.base.get(key) == nil && seen.get(key) != nil {
		// Somebody has taken it, or what this process wrote last is older than
		// what another one put there.
		if err := s.replay(traced, nil); errors.Is(err, ErrNotFound) {
			return nil, s.lost(true)
		} else if err != nil {
			return nil, err
		}
	}
	for {
		value := s.changes.value(s.base, key)
		if s.base.get(key) == nil { // nobody else can have it
			s.changes.set(key, nil)
			return value, nil
		}
		if err := s.keepListed(traced); err != nil {
			return nil, err // what is written says for how long the list has it
		}
		others := s.changes
		s.changes = changes{}
		s.changes.set(key, nil)
		next, err := s.encode(s.base, s.key)
		s.changes = others
		if errors.Is(err, ErrSessionGone) {
			return nil, s.lost(true)
		} else if err != nil {
			return nil, err
		}
		newer, err := s.x.m.update(traced, s.base, next, s.x.cookie.MaxAge)
		switch {
		case err == nil:
			turn.latest = next
			s.changes.set(key, nil)
			s.rebase(next)
			s.saved, s.changed = true, true
			s.x.m.touched.put(s.key, s.x.m.cfg.Now(), s.lifespan(next))
			return value, nil
		case errors.Is(err, ErrConflict):
			if err := s.replay(traced, newer); errors.Is(err, ErrNotFound) {
				return nil, s.lost(true)
			} else if err != nil {
				return nil, err
			}
		case errors.Is(err, ErrNotFound):
			return nil, s.lost(true)
		default:
			return nil, err
		}
	}
}

// awaitTouch waits for the extension that runs beside the handler.
func (s *Session) awaitTouch(ctx context.Context) error {
	if s.touching == nil {
		return nil
	}
	select {
	case result := <-s.touching:
		s.touching = nil
		if result.panicked {
			panic(result.value)
		}
		return result.err
	case <-ctx.Done():
		return s.x.m.storeFailed(ctx, "touch", ctx.Err())
	}
}

// currentAge returns the max age of the session with the changes on top.
func (s *Session) currentAge() age {
	switch {
	case s.changes.ageSet:
		return s.changes.age
	case s.base != nil && s.renewal != regenerateID:
		return s.base.age
	}
	return age{max: s.x.cookie.MaxAge}
}

// A lifespan is how long a session lives without activity, and when it ends all
// the same.
type lifespan struct {
	idle     time.Duration
	deadline time.Time // zero for none
}

// from returns how long that is, counted from now. It is not positive when the
// deadline has passed.
func (l lifespan) from(now time.Time) time.Duration {
	if l.deadline.IsZero() {
		return l.idle
	}
	return min(l.idle, l.deadline.Sub(now))
}

// lifespan returns that of a session with that record: its own max age where it
// has one, else the idle timeout.
func (s *Session) lifespan(d *document) lifespan { return s.x.m.lifespan(d) }

func (m *Manager) lifespan(d *document) lifespan {
	l := lifespan{m.cfg.IdleTimeout, m.deadline(d.meta.created)}
	if d.age.own && d.age.max > 0 {
		l.idle = d.age.max
		if limit := m.cfg.level().idle; limit > 0 {
			l.idle = min(l.idle, limit)
		}
	}
	return l
}

// deadline returns when the absolute timeout of a session ends, zero for never.
func (m *Manager) deadline(created unixMilli) time.Time {
	if m.cfg.AbsoluteTimeout == 0 || created == 0 {
		return time.Time{}
	}
	return created.time().Add(m.cfg.AbsoluteTimeout)
}

// isExpired tells whether the absolute timeout of a session has passed. Its
// store would have removed it, but for an Express peer or a clock that was set.
func (m *Manager) isExpired(d *document) bool {
	end := m.deadline(d.meta.created)
	return !end.IsZero() && !m.cfg.Now().Before(end)
}

func (m *Manager) isLive(d *document) bool { return !d.meta.isRetired() && !m.isExpired(d) }

// encode returns the record that results from the changes on top of base, to be
// stored under key. ErrSessionGone says that its absolute timeout has passed.
func (s *Session) encode(base *document, key string) (*document, error) {
	x, now := s.x, s.x.m.cfg.Now()
	next := &document{meta: meta{present: true, created: toMillis(now), token: newToken()}}
	cookie := cookieWriter{attributes: x.attributes(), age: s.currentAge(), set: s.changes.ageSet, now: now}
	next.age = cookie.age
	next.meta.age = cookie.age
	if base != nil {
		next.meta.rest = base.meta.rest
		if base.meta.created != 0 {
			next.meta.created = base.meta.created
		}
		if s.login != nil && key != s.key {
			next.meta.created = toMillis(now)
		}
		if !cookie.set && base.bare {
			next.meta.age.max = 0 // it stays as it was found
		} else if found := findMember(base.text, base.index(), cookieMember); !cookie.set && isObject(found) {
			next.meta.age.max = cookieMaxAge(found)
		}
	}
	life := s.lifespan(next).from(now)
	if life <= 0 {
		return nil, ErrSessionGone
	}
	if err := s.checkUserKey(base, key); err != nil {
		return nil, err
	}
	next.meta.user = s.userMember(base, next, key)
	text, keys := encode(base, &s.changes, next.meta, cookie)
	switch {
	case len(text) > x.m.cfg.MaxBytes:
		return nil, fmt.Errorf("%w (%d bytes, at most %d)", ErrTooLarge, len(text), x.m.cfg.MaxBytes)
	case keys > x.m.cfg.MaxKeys:
		return nil, fmt.Errorf("%w (%d keys, at most %d)", ErrTooManyKeys, keys, x.m.cfg.MaxKeys)
	}
	next.text = text
	next.record = Record{ID: key, Data: x.m.seal(key, text), TTL: life}
	return next, nil
}

// retire returns what takes the place of the present record when the session
// moves on to another id.
func (s *Session) retire() *document {
	cookie := cookieWriter{attributes: s.x.attributes(), now: s.x.m.cfg.Now()}
	d := &document{meta: meta{present: true, created: s.base.meta.created, token: newToken(), retired: toMillis(cookie.now)}}
	d.text = retiredText(d.meta, cookie)
	d.record = Record{ID: s.key, Data: s.x.m.seal(s.key, d.text), TTL: retiredLife}
	return d
}

func (m *Manager) seal(key string, text []byte) []byte {
	if len(m.sealKeys) == 0 {
		return text
	}
	return m.sealKeys[0].seal(key, text)
}

// read makes a document of a record that the store returned.
func (m *Manager) read(rec Record, configured time.Duration) (*document, error) {
	text := rec.Data
	if _, sealed := sealedBody(text); sealed || len(m.sealKeys) > 0 {
		var err error
		if text, err = open(m.sealKeys, rec.ID, rec.Data); err != nil {
			return nil, err
		}
	}
	return m.parser.parse(rec, text, configured)
}

// load returns what the store has under key. A record that cannot be read is
// reported once and left where it is.
func (m *Manager) load(ctx context.Context, key string, configured time.Duration) (*document, error) {
	rec, err := m.cfg.Store.Load(ctx, key)
	if err != nil {
		return nil, m.storeFailed(ctx, "load", err)
	}
	rec.ID = key
	doc, err := m.read(rec, configured)
	if errors.Is(err, ErrUndecodable) {
		now := m.cfg.Now()
		if !m.reported.within(key, now, m.cfg.IdleTimeout) {
			m.reported.put(key, now, lifespan{})
			m.cfg.Logger.WarnContext(ctx, "cloakroom: a stored session cannot be decoded; it counts as gone and was left in the store")
			m.notify(ctx, Event{Kind: EventUndecodable})
		}
	}
	return doc, err
}

// loadLive is load for who has no use for a session that has ended.
func (m *Manager) loadLive(ctx context.Context, key string, configured time.Duration) (*document, error) {
	doc, err := m.load(ctx, key, configured)
	if err == nil && !m.isLive(doc) {
		return nil, ErrNotFound
	}
	return doc, err
}

// storeFailed passes on what a store answered, and makes a StoreError of any
// other error.
func (m *Manager) storeFailed(ctx context.Context, verb string, err error) error {
	switch {
	case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, ErrExists), errors.Is(err, ErrConflict), errors.Is(err, errors.ErrUnsupported):
		return err
	}
	var failure *StoreError
	if !errors.As(err, &failure) {
		failure = &StoreError{Store: "session", Verb: verb, Err: err}
		if errors.Is(err, ErrStoreFull) {
			failure.Outcome = NotApplied
		}
		err = failure
	}
	m.notify(ctx, Event{Kind: EventStoreError, Err: err})
	return err
}

// create stores a new record. Where the store could not tell, and does not have
// it, the record may be stored yet, at any time: after a logout it would be a
// session that comes back. So it is given up, with errLate, and the next attempt
// takes another id, unless somebody was shown this one.
func (m *Manager) create(ctx context.Context, next *document, shown bool) error {
	err := m.storeFailed(ctx, "create", m.cfg.Store.Create(ctx, next.record))
	if !isUnknown(err) {
		return err
	}
	send := func() error { return m.storeFailed(ctx, "create", m.cfg.Store.Create(ctx, next.record)) }
	return m.settle(ctx, err, send, func(stored *document) error {
		switch {
		case stored == nil && shown:
			return errNotYet
		case stored == nil:
			return fmt.Errorf("%w: %w", errLate, err)
		case stored.meta.token == next.meta.token:
			return nil
		}
		return ErrUnknownOutcome
	}, next)
}

// update replaces old by next. With ErrConflict it may return what is stored.
func (m *Manager) update(ctx context.Context, old, next *document, configured time.Duration) (newer *document, err error) {
	newer, err = m.sendUpdate(ctx, old, next, configured)
	if isUnknown(err) {
		newer, err = m.settleUpdate(ctx, err, old, next, configured)
	}
	if errors.Is(err, ErrConflict) && newer != nil && newer.meta.token == next.meta.token {
		return nil, nil // what is in the way is next: the driver sent it twice
	}
	return newer, err
}

func (m *Manager) sendUpdate(ctx context.Context, old, next *document, configured time.Duration) (newer *document, err error) {
	if m.updateLoader == nil {
		return nil, m.storeFailed(ctx, "update", m.cfg.Store.Update(ctx, old.record, next.record))
	}
	rec, err := m.updateLoader.UpdateOrLoad(ctx, old.record, next.record)
	if errors.Is(err, ErrConflict) {
		rec.ID = next.record.ID
		newer, _ = m.read(rec, configured) // nil: it will be loaded, which tells why
	}
	return newer, m.storeFailed(ctx, "update", err)
}

func (m *Manager) settleUpdate(ctx context.Context, err error, old, next *document, configured time.Duration) (newer *document, _ error) {
	send := func() (err error) {
		newer, err = m.sendUpdate(ctx, old, next, configured)
		return err
	}
	err = m.settle(ctx, err, send, func(stored *document) error {
		switch {
		case stored == nil:
			return ErrNotFound
		case stored.meta.token == next.meta.token:
			return nil
		case bytes.Equal(stored.text, old.text):
			return errNotYet
		}
		return ErrUnknownOutcome
	}, next)
	return newer, err
}

// replace stores next and puts retired in the place of old. With ErrConflict it
// may return what is stored.
func (m *Manager) replace(ctx context.Context, old, retired, next *document, shown bool, configured time.Duration) (newer *document, err error) {
	if m.replacer != nil {
		send := func() error {
			return m.storeFailed(ctx, "replace", m.replacer.Replace(ctx, old.record, retired.record, next.record))
		}
		err := send()
		if isUnknown(err) {
			err = m.settle(ctx, err, send, func(stored *document) error {
				switch {
				case stored == nil:
					return errNotYet // sent again, it tells what became of old
				case stored.meta.token == next.meta.token:
					return nil
				}
				return ErrExists
			}, next)
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return nil, err
		}
	}
	if err := m.create(ctx, next, shown); err != nil {
		return nil, err
	}
	newer, err = m.update(ctx, old, retired, configured)
	if err != nil {
		// Nobody was given the new id. Where this fails, its record ends by itself.
		if err := m.storeFailed(ctx, "delete", m.cfg.Store.Delete(ctx, next.record.ID)); err != nil {
			m.cfg.Logger.WarnContext(ctx, "cloakroom: the record of a renewal that failed was left in the store until it expires", slog.Any("error", err))
		}
	}
	return newer, err
}

// errNotYet says that a write was not applied so far and is to be sent again.
var errNotYet = errors.New("not applied")

// errLate says that a record may be created yet whose id is not used any more.
var errLate = fmt.Errorf("%w, and it may be saved later under an id that is not used", ErrUnknownOutcome)

// isUnknown tells that a store did not say whether it did a write.
func isUnknown(err error) bool {
	if err == nil {
		return false
	}
	var failure *StoreError
	return errors.As(err, &failure) && failure.Outcome == Unknown
}

// settle finds out what became of a write to next.record.ID of which the store
// could not tell, as err says: judge looks at what is stored (nil: nothing)
// and decides. Sending the same bytes again is safe, because the store applies
// them only to the state that they were made for. What it then answers may be
// about the first copy, which came after all, so that is looked at too. Where the
// second copy is refused, the first one may come yet.
func (m *Manager) settle(ctx context.Context, err error, send func() error, judge func(stored *document) error, next *document) error {
	resent, cause := false, err
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		var failure *StoreError
		failed := errors.As(err, &failure)
		unknown := failed && failure.Outcome == Unknown
		if failed { // an answer would be taken for one about this write
			cause = err
		}
		switch {
		case err == nil, !unknown && !resent:
			return err
		case unknown:
			select {
			case <-ctx.Done():
				return fmt.Errorf("%w: %w", ErrUnknownOutcome, cause)
			case <-time.After(wait):
			}
		}
		stored, loadErr := m.load(ctx, next.record.ID, 0)
		switch {
		case loadErr == nil:
		case errors.Is(loadErr, ErrNotFound):
			stored = nil
		case errors.Is(loadErr, ErrUndecodable):
			return fmt.Errorf("%w: %w", ErrUnknownOutcome, cause)
		case !unknown:
			return fmt.Errorf("%w: %w", ErrUnknownOutcome, loadErr)
		default:
			continue // the store is still not well; err stays what it was
		}
		switch verdict := judge(stored); {
		case errors.Is(verdict, errNotYet) && unknown:
			err, resent = send(), true
		case errors.Is(verdict, errNotYet) && !failed:
			return err
		case errors.Is(verdict, errLate):
			return verdict
		case errors.Is(verdict, errNotYet), errors.Is(verdict, ErrUnknownOutcome):
			return fmt.Errorf("%w: %w", ErrUnknownOutcome, cause)
		default:
			return verdict
		}
	}
}

func isObject(raw []byte) bool {
	var buf [12]member
	_, ok := scanObject(raw, buf[:0])
	return ok
}
