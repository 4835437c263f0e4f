package core

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/roster"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// How sessions are taken over that an app had before Cloakroom.
//
// The order of things is what makes one session of ours of each of theirs, whatever
// comes at once and wherever a process dies:
//
//	find the old one; look for its marker; create the record; list it; look whether
//	the user's old ones are refused; create the marker; answer
//
// The marker is a retired record under a hash of the old session's key. It says where
// that went, sealed under Config.Secrets, for as long as the old one would be accepted.
// Only one request creates it: the others withdraw what they made, and go on with what
// the marker leads to. After a minute it leads nowhere, and the old session is spent. A
// process that dies before the marker leaves a record that nobody knows. Whoever revokes
// refuses old sessions before it changes the list, and whoever takes over looks in the
// opposite order, so that one of the two finds the other.

// A taking is a session that is being taken over, or followed.
type taking struct {
	*predecessor.Session
	before before
	epoch  string // of its user, with Config.Sealed
}

// A before is the member "before" of __cloakroom.
type before struct {
	Cookie  bool     `json:"cookie,omitempty"`  // it was kept in its cookie, so that earlier cookies of its user are as good
	Version string   `json:"version,omitempty"` // of the old session, where this one follows it
	Names   []string `json:"names,omitempty"`   // what has come from it
	Sums    []string `json:"sums,omitempty"`    // of these, what each was there
	Marker  string   `json:"marker,omitempty"`  // the key of the marker, where the old id may be used again
}

// linked reports whether the session follows the old one, see Predecessor.Linked.
func (b before) linked() bool { return b.Version != "" }

// has reports whether a value was the same in the old session the last time.
func (b before) has(name, sum string) bool {
	i := slices.Index(b.Names, name)
	return i >= 0 && i < len(b.Sums) && b.Sums[i] == sum
}

// sumLength is how many characters of a hash tell whether a value has changed.
const sumLength = 8

// bringOver makes a session of ours of an old one, or goes on with the one that was.
// What holds for one user, or was stored under an id, is one session however often it
// comes. All else has no owner: two visitors may have the same cookie, and each gets a
// session of their own.
func (s *Session) bringOver(op *operation, old *predecessor.Session) error {
	unique := (old.Stored || old.User != "") && s.x.jar == nil // there, no request sees what another one made
	marker := markerKey(s.x.m.oldCookies, old)
	if unique {
		if spent, err := s.goOnAs(op, marker, old); spent || err != nil || s.standing != state.Fresh {
			return err
		}
	}
	// From here on a record of ours is stored. Until its marker is, no browser knows it, and
	// whatever fails withdraws it or leaves it to its end.
	if created, err := s.createFrom(op, old); !created || err != nil {
		return err
	}
	made := s.key
	if err := s.admitOld(op, old); err != nil || s.standing != state.Live { // before the marker: where it fails, the next request tries again
		return err
	}
	if unique {
		if err := s.mark(op, marker, old); err != nil {
			return err
		}
	} else if !s.x.m.cfg.Predecessor.Linked {
		// No marker keeps the old cookie from coming again, when this session has ended.
		cookies, err := s.x.m.cfg.Predecessor.Source.Forget(op, s.x.r)
		if err != nil {
			return s.x.m.predecessorFailed(op, "forget", err)
		}
		s.deleteAt(cookies)
	}
	if s.standing == state.Live && s.key == made {
		s.notify(op, EventTakenOver)
	}
	return nil
}

// goOnAs is goOnFrom where the session that the marker leads to is that user's: a
// library may have used the id again, for the next login.
func (s *Session) goOnAs(op *operation, marker string, old *predecessor.Session) (spent bool, err error) {
	spent, err = s.goOnFrom(op, marker)
	if err != nil || s.standing != state.Live || s.x.m.userOf(s.base) == old.User {
		return spent, err
	}
	if was := decodeBefore(s.base.Meta.Before); s.x.m.cfg.Predecessor.Linked && was.linked() {
		return false, s.endFollowing(op, was)
	}
	s.undo()
	return true, nil
}

// markerKey returns what the store calls the marker of an old session: a hash, because
// the key is a secret.
func markerKey(names []string, old *predecessor.Session) string {
	return hashedKey("taken", append(slices.Clone(names), string(old.Key))...)
}

// refusalKey returns what the store calls the note from when on the old sessions of a
// user are refused.
func (m *Manager) refusalKey(user string) string {
	return hashedKey("refused", m.cfg.Cookie.Name, user)
}

// hashedKey returns a key for a note that core keeps in a store beside the sessions. No id that
// core makes looks like it.
func hashedKey(what string, of ...string) string {
	return "cloakroom-" + what + "-" + hashed(of...)
}

// hashed returns a hash of texts, which differs for texts that are put together in
// another way.
func hashed(of ...string) string {
	h := sha256.New()
	for _, part := range of {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part)))
		_, _ = h.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// goOnFrom makes s the session that a marker leads to. It reports whether the marker
// leads nowhere any more; then the old session is spent.
func (s *Session) goOnFrom(op *operation, marker string) (spent bool, err error) {
	x, m := s.x, s.x.m
	doc, err := m.sessions.Load(store.BypassCache(op), marker, x.cookie.MaxAge)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case errors.Is(err, ErrUndecodable), err == nil && !doc.Meta.IsRetired():
		return true, nil
	case err != nil:
		return false, err
	}
	id, ok := m.keys.Load().openSuccessor(marker, doc.Meta.Retired.Next)
	if !ok || m.cfg.Now().Sub(doc.Meta.Retired.At.Time()) >= retiredLife {
		return true, nil
	}
	key := m.storeKey(id)
	doc, err = m.sessions.Load(store.BypassCache(op), key, x.cookie.MaxAge)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, ErrUndecodable):
		return true, nil
	case err != nil:
		return false, err
	case doc.Meta.IsRetired():
		if retiredStanding(doc) == state.MovedOn {
			s.become(state.MovedOn)
		}
		return true, nil
	case m.isExpired(doc):
		return true, nil
	}
	if !s.found(id, key, doc) {
		s.keepLocked(op, key, doc)
		return false, nil
	}
	s.status, s.deed = int8(StatusTakenOver), state.Created // the browser does not have its id yet
	m.flights.enter(s, m.lifespan(doc), m.cfg.Now())
	return false, nil
}

// createFrom stores a session of ours with what an old one holds. It reports whether it
// did: what is too large, or gets no cookie, is left behind.
func (s *Session) createFrom(op *operation, old *predecessor.Session) (created bool, err error) {
	if !s.lock() {
		return false, ErrReentered
	}
	defer s.x.unlock()
	s.needRarities().taking = &taking{Session: old, before: before{Cookie: !old.Stored}}
	defer func() { s.rare.taking = nil }()
	if s.x.m.cfg.Predecessor.Linked && old.Stored {
		s.rare.taking.before.Marker = markerKey(s.x.m.oldCookies, old)
	}
	if dropped := s.setAll(before{}); dropped > 0 {
		s.tellDropped(op, dropped)
	}
	if !s.changes.Modifies(nil) {
		s.forget()
		return false, nil
	}
	err = s.run(op, true)
	why, keyErr := "", (*KeyError)(nil)
	switch {
	case err == nil:
		s.status = int8(StatusTakenOver)
		return true, nil
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrTooManyKeys), errors.Is(err, ErrCookieTooLarge):
		why = "it is larger than Config.MaxBytes or Config.MaxKeys, or a cookie, allow"
	case errors.As(err, &keyErr):
		why = "it has a value under Config.UserKey, and is not that user's"
	case errors.Is(err, ErrInsecure), errors.Is(err, ErrHeadersSent):
		why = "its cookie could not be set"
	default:
		return false, err
	}
	s.forget()
	s.leaveBehind(op, why)
	return false, nil
}

// setAll makes changes of what is new in the old session since it was as noted, and returns
// how much of it cannot be one of ours. What did not change there is as it is here by now.
func (s *Session) setAll(was before) (dropped int) {
	t, m := s.rare.taking, s.x.m
	dropped = t.Dropped
	for _, name := range slices.Sorted(maps.Keys(t.Values)) {
		raw, err := jsontext.Encode(t.Values[name])
		if err != nil || m.checkKey(name) != nil || name == string(flashes) && !areFlashes(raw) {
			dropped++
			continue
		}
		if m.cfg.Predecessor.Linked {
			sum := hashed(name, string(raw))[:sumLength]
			t.before.Names, t.before.Sums = append(t.before.Names, name), append(t.before.Sums, sum)
			if was.has(name, sum) && (len(m.userPath) == 0 || name != m.userPath[0]) {
				continue
			}
		}
		s.changes.Set(name, raw)
	}
	if m.cfg.Predecessor.Linked {
		t.before.Version = versionOf(t.Session)
	}
	if path := m.userPath; len(path) > 0 && t.User != "" {
		s.changes.Update(nil, path[0], func(stored json.RawMessage) (json.RawMessage, error) {
			return withText(stored, path[1:], t.User)
		}, s.callFunc)
	}
	return dropped
}

// versionOf returns what a session that follows an old one notes of it.
func versionOf(old *predecessor.Session) string {
	return hashed(string(old.Key), string(old.Version))
}

// tellDropped says in the log, now and then, how many values did not come over.
func (s *Session) tellDropped(ctx context.Context, n int) {
	if _, say := s.x.m.outage.unsaid("predecessor: values", time.Now()); say {
		s.x.m.log(ctx, slog.LevelWarn, "cloakroom: values of a session of Config.Predecessor were not taken over, because their names are reserved or no strings, "+
			"because JSON cannot hold them, or because what is under flash is no messages by kind", slog.Int("values", n))
	}
}

// createMarker notes that an old session is this one. The error matches [store.ErrExists]
// where somebody has noted something of it.
func (s *Session) createMarker(op *operation, marker string, old *predecessor.Session) error {
	x, m, now := s.x, s.x.m, s.x.m.cfg.Now()
	life := m.cfg.Predecessor.Until.Sub(now)
	if left := old.Expires.Sub(now); !old.Expires.IsZero() && !old.Stored { // a store may give it more
		life = min(life, left)
	}
	var proof *record.Document
	m.keys.Load().withSuccessor(marker, s.id, func(next []byte) {
		proof = x.lockedProof(marker, now, max(life, retiredLife), next)
		proof.Meta.Retired.Next = nil // it is in the text
	})
	return m.sessions.Create(op, proof, true)
}

// mark notes where the old session went. Where another request was faster, what this
// one made is withdrawn, and s is what the other made.
func (s *Session) mark(op *operation, marker string, old *predecessor.Session) error {
	m := s.x.m
	err := s.createMarker(op, marker, old)
	if err == nil {
		return nil
	}
	if !errors.Is(err, ErrUnknownOutcome) { // else the marker may lead to it
		m.sessions.Withdraw(op, s.base)
	}
	m.giveUp(s.key)
	m.notify(op, s.event(EventDestroyed))
	s.undo()
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	_, err = s.goOnAs(op, marker, old)
	return err
}

// lockedProof is proof for a caller that does not hold the lock.
func (x *Exchange) lockedProof(key string, at time.Time, life time.Duration, next []byte) *record.Document {
	x.mu.Lock()
	defer x.unlock()
	return x.proof(key, at, life, next)
}

// undo makes s the empty session again that it was.
func (s *Session) undo() {
	s.x.mu.Lock()
	defer s.x.unlock()
	s.x.m.flights.leave(s.x)
	s.become(state.Gone)
	s.startAnew(state.Fresh)
	s.status = int8(StatusUnknown)
	if s.ticket == state.NoTicket {
		s.status = int8(StatusNew)
	}
}

// admitOld lists a session that was taken over for its user, and ends it where the
// user's old sessions are refused.
func (s *Session) admitOld(op *operation, old *predecessor.Session) (err error) {
	m := s.x.m
	if old.User == "" {
		return nil
	}
	defer func() {
		if err != nil { // nobody knows it
			m.sessions.Withdraw(op, s.base)
		}
	}()
	if m.lists != nil && m.userOf(s.base) == old.User {
		if err := m.keepListed(op, s.base, m.lifespan(s.base)); err != nil {
			return err
		}
	}
	refused, err := m.isRefused(op, old)
	if err != nil || !refused {
		return err
	}
	_, err = m.deleteSessions(op, []roster.Entry{{Key: s.key}})
	s.undo()
	return err
}

// isRefused reports whether somebody has ended the sessions of a user since an old one
// was stored.
func (m *Manager) isRefused(ctx context.Context, old *predecessor.Session) (bool, error) {
	doc, err := m.sessions.Load(store.BypassCache(ctx), m.refusalKey(old.User), 0)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case errors.Is(err, ErrUndecodable), err == nil && !doc.Meta.IsRetired():
		return true, nil
	case err != nil:
		return false, err
	}
	return !old.SavedAt.After(doc.Meta.Retired.At.Time()), nil
}

// refuseOld notes that the old sessions of a user are refused which were stored until
// now.
func (m *Manager) refuseOld(ctx context.Context, user string) error {
	if !m.isTakingOver() {
		return nil
	}
	now := m.cfg.Now()
	next := m.newFoundExchange(ctx).proof(m.refusalKey(user), now, max(m.cfg.Predecessor.Until.Sub(now), retiredLife), nil)
	return m.sessions.Overwrite(ctx, next, func(stored *record.Document) bool { // somebody else did it, at the same time or later
		return stored.Meta.IsRetired() && !now.After(stored.Meta.Retired.At.Time())
	})
}

// userMember is Session.userMember for a session that is taken over. It does not say
// when the user signed in, which nobody knows. The list has the session before anybody
// knows its id: see admitOld.
func (t *taking) userMember(m *Manager, next *record.Document, key string) (member []byte, until int64) {
	in := signedIn{Name: t.User, Handle: handleOf(key), Epoch: t.epoch, Peer: true}
	if m.lists != nil {
		in.Until = roster.ListedUntil(m.lifespan(next), m.cfg.Now())
	}
	return encodeMember(in), in.Until
}

// beforeMember returns the member "before" for the record that takes the place of one
// with that member. A sign-in here ends the link.
func (s *Session) beforeMember(member []byte, key string) []byte {
	var b before
	switch {
	case s.rarities().taking != nil:
		b = s.rare.taking.before
	case member == nil || s.login == nil || key == s.key:
		return member
	default:
		b = before{Cookie: decodeBefore(member).Cookie}
	}
	return encodeMember(b)
}

// decodeBefore reads the member. What cannot be read is nothing.
func decodeBefore(member []byte) (b before) {
	if member != nil {
		_ = json.Unmarshal(member, &b)
	}
	return b
}
