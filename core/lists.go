package core

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/roster"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/internal/vault"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// How the lists of users' sessions are loaded, looked through and stored. What they
// mean is in package roster. A list is one small record for each user, in the store
// that [store.UserIndexer] gives, and is written only on top of what was read, as a
// session is.

const (
	lookBatch = 50 // records that are looked at in one call
	endBatch  = 16 // records that are deleted at once, and lists
)

// userLists are the lists of a store.
type userLists struct {
	m       *Manager
	vault   *vault.Vault
	indexer store.UserIndexer
}

// A userList is a list, and what the store has of it.
type userList struct {
	*roster.List
	doc *record.Document // nil where there is none in the store
}

func newUserLists(m *Manager, indexer store.UserIndexer) *userLists {
	o := m.vaultOptions(indexer.UserIndex(), "the stored list of a user's sessions cannot be decoded; the next sign-in of that user begins a new one")
	// A list that was sealed under a retired key names sessions that were not.
	o.Former, o.Retired = m.retired, nil
	return &userLists{m: m, vault: vault.New(o), indexer: indexer}
}

// listKey returns the id of the list of a user: a hash, which is short and no name.
// Managers whose cookies have different names have different users.
func (m *Manager) listKey(user string) string {
	var buf [128]byte
	text := append(append(append(append(buf[:0], "cloakroom user\x00"...), m.cfg.Cookie.Name...), 0), user...)
	sum := sha256.Sum256(text)
	return string(base64.RawURLEncoding.AppendEncode(buf[:0], sum[:]))
}

// load returns the list that the store has under key, or an empty one.
func (u *userLists) load(ctx context.Context, key string) (*userList, error) {
	doc, err := u.vault.Load(ctx, key, 0)
	if errors.Is(err, store.ErrNotFound) {
		return &userList{List: new(roster.List)}, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeList(doc)
}

func decodeList(doc *record.Document) (*userList, error) {
	l, ok := roster.Decode(doc.Text, doc.Members())
	if !ok || !doc.Meta.Present {
		return nil, ErrUndecodable
	}
	return &userList{l, doc}, nil
}

// loadOrClear is load for whoever adds a session. A list that cannot be decoded is
// removed: whoever wrote it was configured otherwise, and none of its sessions can
// be decoded either.
func (u *userLists) loadOrClear(ctx context.Context, key string) (*userList, error) {
	l, err := u.load(ctx, key)
	if errors.Is(err, ErrUndecodable) {
		return &userList{List: new(roster.List)}, u.vault.Delete(ctx, key)
	}
	return l, err
}

// edit changes the list under key: change gets a copy of it, again with a newer
// one where somebody else was faster, and reports whether there is anything to
// store. list is what the store had a moment ago; where change returns an error
// about such a list, it is asked again about what the store has now. Edit returns
// what that is then.
func (u *userLists) edit(ctx context.Context, key string, list *userList, change func(*roster.List) (bool, error)) (*userList, error) {
	turn, err := u.vault.Take(ctx, key)
	if err != nil {
		return nil, u.vault.Check(ctx, "update", err)
	}
	defer u.vault.Leave(key, turn)
	if latest := turn.Latest(); latest != nil {
		if list, err = decodeList(latest); err != nil {
			return nil, err
		}
	}
	// In the first round list may be old, so an error about it says nothing yet. In all others it
	// is what the store had after somebody else was faster.
	for newest := false; ; newest = true {
		next := list.Clone()
		changed, err := change(next)
		if err != nil && !newest {
			if list, err = u.load(ctx, key); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil || !changed {
			return list, err
		}
		stored, newer, err := u.put(ctx, key, list, next)
		switch {
		case err == nil:
			turn.Wrote(stored.doc)
			return stored, nil
		case errors.Is(err, store.ErrNotFound):
			list = &userList{List: new(roster.List)}
		case newer != nil:
			list, err = decodeList(newer)
		case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict):
			list, err = u.load(ctx, key)
		default:
			return nil, err
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, u.vault.Check(ctx, "update", ctx.Err())
		}
	}
}

// put stores next in the place of list. With [store.ErrConflict] it may return what
// is stored.
func (u *userLists) put(ctx context.Context, key string, list *userList, next *roster.List) (stored *userList, newer *record.Document, err error) {
	now := u.m.cfg.Now()
	meta := record.Meta{Present: true, Created: record.Millis(now), Token: record.NewToken()}
	if list.doc != nil {
		meta.Created = list.doc.Meta.Created
	}
	var buf [128]byte
	text := next.Encode(meta.Append(buf[:0]))
	doc := &record.Document{
		Meta: meta, Text: text,
		Record: store.Record{ID: key, Data: u.vault.Seal(key, text), TTL: next.Life(now), Shared: true, Sessions: next.Keys(), Linger: next.Linger(now)},
	}
	if list.doc == nil {
		err = u.vault.Create(ctx, doc, true)
	} else {
		newer, err = u.vault.Update(ctx, list.doc, doc, 0)
	}
	return &userList{next, doc}, newer, err
}

// keepListed puts a session into the list of its user where it is not, or not for
// long enough: one that lives longer than most, one that Express made, one whose
// list was lost. One that is being revoked ends here.
func (m *Manager) keepListed(ctx context.Context, doc *record.Document, life record.Lifespan) error {
	user := m.userOf(doc)
	key := m.listKey(user)
	list, err := m.lists.loadOrClear(ctx, key)
	if err != nil {
		return err
	}
	entry := roster.Entry{Key: doc.Record.ID, Handle: m.handleIn(doc)}
	var (
		revoked bool
		evicted []roster.Entry
	)
	_, err = m.lists.edit(ctx, key, list, func(l *roster.List) (changed bool, err error) {
		evicted = nil
		changed, revoked = l.Keep(entry, doc.Meta.Created.Time(), life, m.cfg.Now())
		if changed && len(l.Sessions) > roster.Most {
			evicted, err = m.makeRoom(ctx, user, entry, l, roster.Most)
		}
		return changed, err
	})
	switch {
	case errors.Is(err, ErrTooManySessions):
		m.notify(ctx, Event{Kind: EventLimit, User: user}) // it is not listed, and lives on
	case err != nil:
		return err
	}
	if err := m.evict(ctx, user, evicted); err != nil {
		return err
	}
	if revoked {
		if _, err := m.deleteSessions(ctx, []roster.Entry{entry}); err != nil {
			return err
		}
		m.notify(ctx, Event{Kind: EventRevoked, User: user, Handle: entry.Handle, Cause: CauseUnfinished})
	}
	now := m.cfg.Now()
	m.relisted.Put(relistedAs(doc, user), now, record.Lifespan{Deadline: time.UnixMilli(roster.ListedUntil(life, now))})
	return nil
}

// isListDue reports whether a session has to be put into the list of its user
// again. The record says until when it is there, but for what this process did
// since.
func (m *Manager) isListDue(doc *record.Document, life record.Lifespan, now time.Time) bool {
	if m.lists == nil || doc.Meta.User == nil && len(m.userPath) == 0 {
		return false
	}
	until := doc.Meta.Until
	if len(m.userPath) > 0 && until > 0 && userName(doc) != m.userOf(doc) {
		until = 0 // by another user
	}
	if !roster.IsDue(life, until, now) {
		return false
	}
	user := m.userOf(doc)
	if user == "" {
		return false
	}
	last := m.relisted.Last(relistedAs(doc, user))
	return last.At.IsZero() || roster.IsDue(life, last.Life.Deadline.UnixMilli(), now)
}

// relistedAs returns what a session is remembered by that was put into the list of
// a user: an Express app may make it another user's.
func relistedAs(doc *record.Document, user string) string { return doc.Record.ID + "\x00" + user }

// keepListedBeside puts the session that was loaded into the list of its user,
// beside the handler, where that is due.
func (s *Session) keepListedBeside(life record.Lifespan, now time.Time) {
	x, doc := s.x, s.base
	if !x.m.isListDue(doc, life, now) {
		return
	}
	s.listing = beside(x.ctx, x, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, x.m.keepListed(ctx, doc, life)
	})
}

// awaitListing waits for that. Where it failed, a later request does it.
func (s *Session) awaitListing(op *operation) {
	if s.listing == nil {
		return
	}
	_, err := s.listing.Await(op)
	if err != nil && op.Err() != nil {
		return // it is still under way
	}
	s.listing = nil
	if err != nil {
		s.x.m.logFailure(op, slog.LevelWarn, "cloakroom: a session could not be put into the list of its user; the next request tries again", err)
	}
}

// keepListed sees to it, before the session is stored now, that the list of its user
// has it for as long as it may live then.
func (s *Session) keepListed(ctx context.Context, now time.Time) error {
	m := s.x.m
	if m.lists == nil || s.base.Meta.User == nil && len(m.userPath) == 0 {
		return nil
	}
	next := &record.Document{Meta: s.base.Meta, Age: s.currentAge()}
	if life := m.lifespan(next); m.isListDue(s.base, life, now) {
		return m.keepListed(ctx, s.base, life)
	}
	return nil
}

// revoked makes the session of the request an empty one where its handler has ended it by a
// revocation, which ended tells of a live session. One with changes stays what it was: they
// are an error of the commit, and not lost without a word. x may be nil.
func (x *Exchange) revoked(ended func(*Session) bool) {
	if x == nil || !x.isReady() {
		return
	}
	s := x.session.Load()
	if s == nil || !s.lock() {
		return
	}
	defer x.unlock()
	if s.standing == state.Live && !s.modified() && ended(s) {
		s.startAnew(state.SignedOut)
	}
}
