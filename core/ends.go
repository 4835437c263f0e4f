package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/async"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/vault"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What is known of sealed sessions that have ended. For each there is the record that a
// store would have in the place of the session: one without data, which is retired. For
// a user whose sessions were revoked there is one whose token is the epoch of that user.
// A session says in which epoch its user signed in, and has ended where that is over:
// whatever the clocks say, and whoever was about to sign in.

const (
	endSlack     = time.Hour // for how much longer than its session an end is known: clocks differ
	rememberEnds = 1 << 12   // how many a process knows without SealedCookie.Ends
)

// errSealedUsers says that sealed sessions are in no list.
var errSealedUsers = fmt.Errorf("cloakroom: sealed cookies are in no lists of users' sessions, and end for a user where Config.Sealed.Ends is set: %w", errors.ErrUnsupported)

// errSealedTake says that nothing keeps a copy of the cookie from having the value yet.
var errSealedTake = fmt.Errorf("cloakroom: a value in a sealed cookie cannot be taken once; use Pop where twice does no harm, or a store: %w", errors.ErrUnsupported)

// errSealedEdit says that sealed sessions are nowhere but in their browsers.
var errSealedEdit = fmt.Errorf("cloakroom: a sealed cookie can be edited in a request that brings it, and nowhere else: %w", errors.ErrUnsupported)

// errSealedToken says that a sealed session is the cookie itself.
var errSealedToken = fmt.Errorf("cloakroom: a sealed cookie is no token for a header: %w", errors.ErrUnsupported)

// ends are the sessions that have ended, and the epochs of users.
type ends struct {
	*vault.Vault
	m       *Manager
	recent  *recentEnds       // the ends that this process alone knows; nil where all processes share a store of them
	indexer store.UserIndexer // that store, where it can look up several at once; nil where it cannot
}

// newEnds returns what a Manager with Config.Sealed knows of ended sessions. Its records are
// not sealed: they hold nothing of a session, and their ids are hashes where they are shared.
func newEnds(m *Manager) *ends {
	e, st := &ends{m: m}, m.cfg.Sealed.Ends
	if st == nil {
		e.recent = new(recentEnds)
		st = e.recent
	}
	e.indexer, _ = st.(store.UserIndexer)
	o := m.vaultOptions(st, "a note of a session that has ended cannot be decoded; the session counts as ended")
	o.Keys, o.Retired = nil, nil
	if !e.isShared() {
		o.Called = nil // it is memory of this process, and no storage that a request waits for
	}
	e.Vault = vault.New(o)
	return e
}

// isShared reports whether the ends are in SealedCookie.Ends, so that all processes know
// them.
func (e *ends) isShared() bool { return e.recent == nil }

// useCookies makes m one whose sessions are in their cookies.
func (m *Manager) useCookies() {
	m.ends = newEnds(m)
	o := m.vaultOptions(&cookieStore{m: m, ends: m.ends}, "a sealed session cannot be decoded; it counts as gone")
	o.Failed = func(context.Context, error) {} // what can fail are the ends, which have told
	o.Called = nil                             // a cookie is no storage that a request waits for
	o.Hot = maxRecords
	m.sessions = vault.New(o)
}

// key returns what the store of ends calls a session: a hash, because the id is a
// secret as long as another process may not know of its end.
func (e *ends) key(id string) string {
	if !e.isShared() {
		return id
	}
	return hashedKey("ended", e.m.cfg.Cookie.Name, id)
}

// userKey returns what it calls a user.
func (e *ends) userKey(user string) string {
	return hashedKey("epoch", e.m.cfg.Cookie.Name, user)
}

// find returns what is known of the end of a session, nil where nothing is. in says
// whose session it is, if that counts. It returns [store.ErrNotFound] where the epoch
// of that user is over.
func (e *ends) find(ctx context.Context, id string, in signedIn) (*record.Document, error) {
	if !e.isShared() {
		return e.own(ctx, id)
	}
	keys := []string{e.key(id)}
	if in.Name != "" {
		keys = append(keys, e.userKey(in.Name))
	}
	docs, err := e.loadAll(store.BypassCache(ctx), keys)
	if err != nil {
		return nil, err
	}
	if docs[0] == nil && len(docs) > 1 && docs[1] != nil && epochOf(docs[1]) != in.Epoch {
		return nil, store.ErrNotFound
	}
	return docs[0], nil
}

// own is find for what this process alone knows.
func (e *ends) own(ctx context.Context, id string) (*record.Document, error) {
	if !e.recent.has(id) {
		return nil, nil
	}
	d, err := e.Load(ctx, id, 0)
	if errors.Is(err, store.ErrNotFound) { // it was forgotten meanwhile
		return nil, nil
	}
	return d, err
}

// loadAll returns what there is under one or two keys, in one round trip.
func (e *ends) loadAll(ctx context.Context, keys []string) ([]*record.Document, error) {
	docs := make([]*record.Document, len(keys))
	if len(keys) > 1 && e.indexer != nil {
		call := e.Call(ctx, "inspect")
		found, err := e.indexer.Inspect(ctx, keys)
		if err := call.End(err); err != nil {
			return nil, err
		}
		for _, rec := range found {
			for i, key := range keys {
				if rec.ID != key {
					continue
				}
				if docs[i], err = e.Read(rec, 0); err != nil {
					return nil, store.ErrNotFound // whatever it says, it is there
				}
			}
		}
		return docs, nil
	}
	load := func(i int) (err error) {
		docs[i], err = e.Load(ctx, keys[i], 0)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil
		case errors.Is(err, ErrUndecodable):
			return store.ErrNotFound // likewise
		}
		return err
	}
	if len(keys) == 1 {
		return docs, load(0)
	}
	for _, err := range async.Together(func() error { return load(0) }, func() error { return load(1) }) {
		if err != nil {
			return nil, err
		}
	}
	return docs, nil
}

// epochOf returns the epoch of a user whose record that is.
func epochOf(d *record.Document) string {
	if d == nil {
		return ""
	}
	return string(d.Meta.Token[:])
}

// end notes that a session has ended, which is what data says, a retired record, and whose
// cookie would have expired then. It returns [store.ErrConflict] where somebody else did.
func (e *ends) end(ctx context.Context, id string, data []byte, expires time.Time) error {
	d, err := e.Read(store.Record{ID: e.key(id), Data: data}, 0)
	if err != nil {
		return err
	}
	now, until := e.m.cfg.Now(), e.m.deadline(d.Meta.Created)
	if until.IsZero() {
		until = now.Add(e.m.cfg.AbsoluteTimeout)
	}
	d.Record.TTL = max(until.Sub(now), expires.Sub(now), 0) + endSlack // by another process, which has another AbsoluteTimeout
	err = e.Create(ctx, d, true)
	if errors.Is(err, store.ErrExists) {
		return store.ErrConflict
	}
	return err
}

// endUnseen is end for a session that is to have no other id.
func (e *ends) endUnseen(ctx context.Context, id string, expires time.Time) error {
	now := e.m.cfg.Now()
	return e.end(ctx, id, record.RetiredText(record.Meta{
		Token: record.NewToken(), Retired: &record.Retirement{At: record.Millis(now)},
	}, record.CookieWriter{Now: now}), expires)
}

// create, update and delete keep what is noted beside the ends, such as the markers of
// takeover.go. They do what the verbs of a store do, under the key that a note has here.
func (e *ends) create(ctx context.Context, rec store.Record) error {
	rec.ID = e.key(rec.ID)
	return e.Call(ctx, "create").End(e.Store.Create(ctx, rec))
}

func (e *ends) update(ctx context.Context, old, next store.Record) error {
	old.ID, next.ID, old.Token = e.key(old.ID), e.key(next.ID), nil
	return e.Call(ctx, "update").End(e.Store.Update(ctx, old, next))
}

func (e *ends) delete(ctx context.Context, id string) error {
	return e.Call(ctx, "delete").End(e.Store.Delete(ctx, e.key(id)))
}

// epoch returns that of a user, empty where their sessions were not revoked for so long
// that all from before have ended.
func (e *ends) epoch(ctx context.Context, user string) (string, error) {
	docs, err := e.loadAll(store.BypassCache(ctx), []string{e.userKey(user)})
	if errors.Is(err, store.ErrNotFound) { // it cannot be decoded: no session is of such an epoch
		return "-", nil
	} else if err != nil {
		return "", err
	}
	return epochOf(docs[0]), nil
}

// beginEpoch ends all sessions of a user.
func (e *ends) beginEpoch(ctx context.Context, user string) error {
	now := e.m.cfg.Now()
	next := &record.Document{Meta: record.Meta{Present: true, Created: record.Millis(now), Token: record.NewToken()}}
	next.Text = append(next.Meta.Append([]byte(`{"__cloakroom":`)), '}')
	next.Record = store.Record{ID: e.userKey(user), Data: next.Text, TTL: e.m.cfg.AbsoluteTimeout + endSlack}
	return e.Overwrite(ctx, next, nil)
}

// canEnd returns why the sealed sessions of a user cannot be ended, or nil.
func (e *ends) canEnd(user string) error {
	if !e.isShared() {
		return errSealedUsers
	}
	if !validUser(user) {
		return ErrInvalidUser
	}
	return nil
}

// revokeSealed is RevokeUser for sealed sessions.
func (m *Manager) revokeSealed(ctx context.Context, user string) (err error) {
	if err := m.ends.canEnd(user); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	event, own := Event{Kind: EventRevoked, User: user, By: m.actor(ctx), Cause: CauseRevokeUser}, exchangeOf(ctx).of(m)
	op := m.operate(ctx, OpRevoke)
	err = errPanicked // unless the rest returns
	defer func() { op.end(err) }()
	if err := m.refuseOld(op, user); err != nil {
		return err
	}
	if err := m.ends.beginEpoch(op, user); err != nil {
		return err
	}
	m.notify(op, event)
	own.revoked(func(s *Session) bool {
		if m.userOf(s.base) != user {
			return false
		}
		m.giveUp(s.key)
		return true
	})
	return nil
}

// enterEpoch notes in which epoch the user signs in, or an old session of theirs comes
// over. It returns [ErrRevoked] where that is not the one in which the attempt was begun.
func (s *Session) enterEpoch(op *operation) (err error) {
	login, old, ends := s.login, s.rarities().taking, s.x.m.ends
	switch {
	case ends == nil || !ends.isShared():
	case old != nil && old.User != "": // whether it is refused is asked after this, and noted before
		old.epoch, err = ends.epoch(op, old.User)
	case login != nil:
		login.Epoch, err = ends.epoch(op, login.Name)
		if err == nil && login.attempt != nil && login.attempt.epoch != login.Epoch {
			s.forget() // the session stays what it was
			return ErrRevoked
		}
	}
	return err
}

// recentEnds is a [store.Store] of the last ends that this process knows. It is no more
// than a help: whoever needs all of them sets SealedCookie.Ends.
type recentEnds struct {
	mu    sync.Mutex
	ends  map[string]recentEnd
	order [rememberEnds]string // their ids, and those of some that were deleted
	next  int                  // where the oldest one is in order
}

// A recentEnd is one of them.
type recentEnd struct {
	store.Record

	place int // in order, where its id may stand a second time: it was deleted and came again
}

// has reports whether there is something under id.
func (r *recentEnds) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.ends[id]
	return ok
}

// Load implements [store.Store].
func (r *recentEnds) Load(_ context.Context, id string) (store.Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	end, ok := r.ends[id]
	if !ok {
		return store.Record{}, store.ErrNotFound
	}
	return end.Record, nil
}

// Create implements [store.Store].
func (r *recentEnds) Create(_ context.Context, rec store.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.ends[rec.ID]; ok {
		return store.ErrExists
	}
	if r.ends == nil {
		r.ends = make(map[string]recentEnd)
	}
	if oldest := r.order[r.next]; r.ends[oldest].place == r.next {
		delete(r.ends, oldest)
	}
	r.ends[rec.ID] = recentEnd{rec, r.next}
	r.order[r.next] = rec.ID
	r.next = (r.next + 1) % len(r.order)
	return nil
}

// Update implements [store.Store].
func (r *recentEnds) Update(_ context.Context, old, next store.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	end, ok := r.ends[old.ID]
	if !ok {
		return store.ErrNotFound
	}
	r.ends[next.ID] = recentEnd{next, end.place}
	return nil
}

// Touch implements [store.Store].
func (r *recentEnds) Touch(context.Context, string, time.Duration) error { return nil }

// Delete implements [store.Store].
func (r *recentEnds) Delete(_ context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ends, id)
	return nil
}
