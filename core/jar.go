package core

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/seal"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
	"github.com/cloakroom-go/cloakroom/core/internal/vault"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// Sessions that are kept in their cookies. The rest of core does not know it: it loads
// and stores records as ever. What it asks is a cookieStore, which finds the records
// that came with a request, and keeps those that go out with the answer, in the jar of
// that request.

// A jar holds the sessions of one exchange.
type jar struct {
	mu   sync.Mutex
	host string // of the first cookie that came, where no request tells
	kept []keptSession
	few  [1]keptSession // room for that of most requests
}

// A keptSession is one that came in a cookie, or that goes out in one.
type keptSession struct {
	id      string
	data    []byte    // its record
	expires time.Time // when it ends, as its cookie says
	unsent  bool      // the browser has another record or expiry, or none: a cookie has to go out
	value   string    // of that cookie, once it is sealed; empty after each change
	known   string    // the value of the cookie that it came in, or that went out since; empty for a new session
	hot     bool      // what is in the cookie is remembered (hot.go), so what is read in data may be, too
}

// find returns the session with an id, or nil. The caller holds the lock of the jar, until it
// is done with what it got.
func (j *jar) find(id string) *keptSession {
	for i := range j.kept {
		if j.kept[i].id == id {
			return &j.kept[i]
		}
	}
	return nil
}

// get returns a copy of the session with an id, and reports whether there is one. j may
// be nil.
func (j *jar) get(id string) (keptSession, bool) {
	if j == nil {
		return keptSession{}, false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if k := j.find(id); k != nil {
		return *k, true
	}
	return keptSession{}, false
}

// put puts a session into the jar, unless there is one with its id.
func (j *jar) put(k keptSession) (ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.find(k.id) != nil {
		return false
	}
	if j.kept == nil {
		j.kept = j.few[:0]
	}
	j.kept = append(j.kept, k)
	return true
}

// change calls do with the session that has an id, and reports whether there is one.
// Where do returns true, the cookie is another.
func (j *jar) change(id string, do func(*keptSession) bool) bool {
	if j == nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	k := j.find(id)
	if k == nil {
		return false
	}
	if do(k) {
		k.unsent, k.value = true, ""
	}
	return true
}

// cameFrom notes the host of a cookie. The first one counts.
func (j *jar) cameFrom(host string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.host == "" {
		j.host = host
	}
}

// drop takes a session out of the jar, and returns it.
func (j *jar) drop(id string) (dropped keptSession) {
	if j == nil {
		return dropped
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if k := j.find(id); k != nil {
		last := len(j.kept) - 1
		dropped, *k, j.kept = *k, j.kept[last], j.kept[:last]
	}
	return dropped
}

// carries reports whether the cookie of the session has to go out, because it holds
// what this request stored, or its new expiry.
func (s *Session) carries() bool {
	if s.x.jar == nil || s.standing != state.Live {
		return false
	}
	kept, _ := s.x.jar.get(s.key)
	return kept.unsent
}

// cookieValue returns the value of the session's cookie.
func (s *Session) cookieValue() string {
	x, keys := s.x, s.x.m.keys.Load()
	if x.jar == nil {
		return keys.signer.Sign(s.id)
	}
	value, host := "", x.host()
	x.jar.change(s.key, func(k *keptSession) bool {
		if k.value == "" {
			k.value = keys.seal(seal.Cookie{Expires: k.expires, Host: host, ID: k.id, Record: k.data}, x.bound(), k.known)
			if k.known != "" {
				k.known = k.value
			}
		}
		value = k.value
		return false
	})
	return value
}

// bound returns what a sealed cookie is bound to. Neither a name nor a path has a zero
// byte.
func (x *Exchange) bound() string { return x.m.cfg.Cookie.Name + "\x00" + x.cookie.Path }

// noHost is the host of a request that names none. It is no host's name.
const noHost = "."

// host returns the host that a sealed cookie is good for. Where there is no request that
// would tell, it is that of the cookie that came, or an empty string.
func (x *Exchange) host() string {
	host := x.cookie.Domain
	if host == "" && x.r != nil {
		host = x.r.Host
		if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
			host = host[:colon]
		}
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	switch {
	case host != "":
		return host
	case x.r != nil:
		return noHost // and not a cookie for all hosts
	}
	x.jar.mu.Lock()
	defer x.jar.mu.Unlock()
	return x.jar.host
}

// verify returns the id in the value of a cookie, and what the value is. A session that
// came in its cookie is put into the jar.
func (x *Exchange) verify(keys *keyRing, value string) (candidate, ticket.Verdict) {
	if x.jar == nil {
		return keys.verify(value)
	}
	if len(value) > ticket.MaxCookie || !seal.IsCookie(value) {
		return candidate{}, ticket.Malformed
	}
	c, isKnown, at, err := keys.open(value, x.bound())
	if host := x.host(); err != nil || c.ID == "" || c.Host != "" && host != "" && !isHost(c.Host, host) {
		return candidate{}, ticket.Forged
	}
	found := candidate{id: c.ID, outdated: c.outdated}
	if !isKnown && keys.opened.Wants(at) {
		opened := c
		found.cookie, found.place, found.keys = &opened, at, keys
	}
	x.jar.cameFrom(c.Host)
	x.jar.put(keptSession{id: c.ID, data: c.Record, expires: c.Expires, known: value, hot: isKnown || found.cookie != nil}) // of two with one id the first counts
	if c.outdated {
		return found, ticket.Outdated
	}
	return found, ticket.Genuine
}

// isHost reports whether what a cookie says of its host is that host, of which it may
// hold the beginning.
func isHost(said, host string) bool {
	return said == host || len(said) == seal.MaxHost && strings.HasPrefix(host, said)
}

// extendByCookie has the cookie sent again, which begins the life of the session anew,
// where the browser has had it for long enough. One request of this process does it,
// however many come at once: each answer that sets the cookie may undo what another one
// says.
func (s *Session) extendByCookie(last vault.Note, now time.Time) {
	var (
		m       = s.x.m
		life    = m.lifespan(s.base)
		left    = life.Left(now)
		kept, _ = s.x.jar.get(s.key)
		issued  = kept.expires.Add(-life.Idle)
		due     = m.touchInterval(left)
	)
	switch {
	case left <= 0, s.x.passive, s.x.headersOut(),
		!life.Deadline.IsZero() && !kept.expires.Add(time.Millisecond).Before(life.Deadline), // it cannot live longer
		now.Sub(issued).Abs() < due, // else it is older, or was given a longer life than it would be now
		last.Within(now, due):
		return
	}
	s.touched = m.extended.PutAfter(s.key, last, now, life)
}

// cookieEnds returns when a session ends that is in its cookie, as this request leaves it;
// the zero time for any other.
func (s *Session) cookieEnds() time.Time {
	kept, ok := s.x.jar.get(s.key)
	if ok && s.touched && s.base != nil {
		now := s.x.m.cfg.Now()
		return now.Add(s.x.m.lifespan(s.base).Left(now))
	}
	return kept.expires
}

// A cookieStore is a [store.Store] of what is in the jar of the request that it is asked
// for. All else is in ends: what became of sessions that ended, and what is noted of
// those of a Predecessor.
type cookieStore struct {
	m      *Manager
	ends   *ends
	parser record.Parser
}

// jar returns the jar of the request that ctx belongs to, or nil where it belongs to none: a
// store is called with a context alone, and core calls it with that of an operation.
func (c *cookieStore) jar(ctx context.Context) *jar {
	if op, ok := ctx.Value(operationKey{}).(*operation); ok && op.exchange != nil && op.exchange.m == c.m {
		return op.exchange.jar
	}
	return nil
}

// Load implements [store.Store].
func (c *cookieStore) Load(ctx context.Context, id string) (store.Record, error) {
	kept, ok := c.jar(ctx).get(id)
	now := c.m.cfg.Now()
	if ok && !now.Before(kept.expires) {
		c.forget(kept)
		return store.Record{}, store.ErrNotFound
	}
	// What is known of the end of the session comes before what its cookie says: a copy of the
	// cookie says that it lives.
	rec := store.Record{ID: id, Data: kept.data, Shared: kept.hot}
	end, err := c.ends.find(ctx, id, c.userOf(rec))
	switch {
	case errors.Is(err, store.ErrNotFound):
		c.forget(kept)
		return store.Record{}, err
	case err != nil:
		return store.Record{}, err
	case end != nil:
		c.forget(kept)
		return store.Record{ID: id, Data: end.Text}, nil
	case !ok, c.endedHere(id, now):
		c.forget(kept)
		return store.Record{}, store.ErrNotFound
	}
	return rec, nil
}

// forget forgets what is remembered of the cookie of a session that has ended.
func (c *cookieStore) forget(k keptSession) {
	if k.known != "" {
		c.m.keys.Load().opened.Drop(k.known)
	}
}

// userOf returns whose session it is, where a revocation of that user's sessions may
// have ended it.
func (c *cookieStore) userOf(rec store.Record) (in signedIn) {
	if !c.ends.isShared() || rec.Data == nil {
		return in
	}
	if doc, err := c.parser.Parse(rec, rec.Data, 0); err == nil {
		in, _ = signedInOf(doc)
	}
	return in
}

// endedHere reports whether this process has ended the session, or given up its id.
func (c *cookieStore) endedHere(id string, now time.Time) bool {
	return c.m.givenUp.Within(id, now, c.m.cfg.AbsoluteTimeout)
}

// Create implements [store.Store].
func (c *cookieStore) Create(ctx context.Context, rec store.Record) error {
	jar := c.jar(ctx)
	doc, err := c.parser.Parse(rec, rec.Data, 0)
	if err != nil || jar == nil || doc.Meta.IsRetired() {
		return c.ends.create(ctx, rec)
	}
	if c.m.cfg.GenerateID != nil { // it may repeat itself
		if end, err := c.ends.find(ctx, rec.ID, signedIn{}); err != nil {
			return err
		} else if end != nil {
			return store.ErrExists
		}
	}
	if !jar.put(keptSession{id: rec.ID, data: rec.Data, expires: c.m.cfg.Now().Add(rec.TTL), unsent: true}) {
		return store.ErrExists
	}
	return nil
}

// Update implements [store.Store].
func (c *cookieStore) Update(ctx context.Context, old, next store.Record) (err error) {
	kept := c.jar(ctx).change(old.ID, func(k *keptSession) bool {
		if err = c.unchangeable(*k, old); err != nil {
			return false
		}
		k.data = next.Data
		if next.TTL != store.KeepTTL {
			k.expires = c.m.cfg.Now().Add(next.TTL)
		}
		return true
	})
	if !kept {
		return c.ends.update(ctx, old, next)
	}
	return err
}

// Touch implements [store.Store].
func (c *cookieStore) Touch(ctx context.Context, id string, ttl time.Duration) (err error) {
	kept := c.jar(ctx).change(id, func(k *keptSession) bool {
		now := c.m.cfg.Now()
		if !now.Before(k.expires) || c.endedHere(id, now) {
			err = store.ErrNotFound
			return false
		}
		k.expires = now.Add(ttl)
		return true
	})
	if !kept {
		return store.ErrNotFound
	}
	return err
}

// Delete implements [store.Store].
func (c *cookieStore) Delete(ctx context.Context, id string) error {
	jar := c.jar(ctx)
	if _, kept := jar.get(id); kept {
		c.forget(jar.drop(id))
		return nil
	}
	return c.ends.delete(ctx, id)
}

// live returns the session of the jar that old is, or why old is none that lives there.
func (c *cookieStore) live(jar *jar, old store.Record) (keptSession, error) {
	kept, ok := jar.get(old.ID)
	if !ok {
		return kept, store.ErrNotFound
	}
	return kept, c.unchangeable(kept, old)
}

// unchangeable returns why a session of the jar cannot be changed by whoever has read old, or
// nil. Where there is something else, core looks at it.
func (c *cookieStore) unchangeable(k keptSession, old store.Record) error {
	now := c.m.cfg.Now()
	switch {
	case !now.Before(k.expires):
		return store.ErrNotFound
	case c.endedHere(old.ID, now), !bytes.Equal(k.data, old.Data):
		return store.ErrConflict
	}
	return nil
}

// Replace implements [store.Replacer].
func (c *cookieStore) Replace(ctx context.Context, old, retired, next store.Record) error {
	jar := c.jar(ctx)
	kept, err := c.live(jar, old)
	if err != nil {
		return err
	}
	// The next session is put into the jar first and taken out again, because to note the end
	// of the old one cannot be undone.
	if err := c.Create(ctx, next); err != nil {
		return err
	}
	if err := c.ends.end(ctx, old.ID, retired.Data, kept.expires); err != nil {
		jar.drop(next.ID)
		return err
	}
	c.forget(jar.drop(old.ID))
	return nil
}

// Remove implements [store.Remover].
func (c *cookieStore) Remove(ctx context.Context, old store.Record) error {
	jar := c.jar(ctx)
	kept, err := c.live(jar, old)
	if err != nil {
		return err
	}
	if err := c.ends.endUnseen(ctx, old.ID, kept.expires); err != nil {
		return err
	}
	c.forget(jar.drop(old.ID))
	return nil
}
