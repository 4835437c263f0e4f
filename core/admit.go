package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/async"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/roster"
)

// How a session gets into the list of its user, and who has to go for it.

// admit puts a session into the list of its user, which is under key. Its record is stored already.
func (m *Manager) admit(ctx context.Context, user, key string, list *userList, a *roster.Admission) error {
	var evicted []roster.Entry
	_, err := m.lists.edit(ctx, key, list, func(l *roster.List) (_ bool, err error) {
		evicted = nil
		now := m.cfg.Now()
		if a.Revoked(l, now, m.cfg.StoreTimeout) {
			return false, ErrRevoked
		}
		l.Tidy(now)
		addsNone := l.AddsNone(a, !m.refusesNew())
		l.Admit(a)
		if !addsNone {
			evicted, err = m.makeRoom(ctx, user, a.Entry, l, cmp.Or(m.cfg.MaxSessionsPerUser, roster.Most))
		}
		return true, err
	})
	if errors.Is(err, ErrTooManySessions) {
		m.notify(ctx, Event{Kind: EventLimit, User: user})
	}
	if err != nil {
		return err
	}
	return m.evict(ctx, user, evicted)
}

// evict ends the sessions of a user that makeRoom marked, once the list with the marks is
// stored: a session that is marked and lives is ended by whoever comes next, and one that has
// ended without a mark could be renewed meanwhile.
func (m *Manager) evict(ctx context.Context, user string, evicted []roster.Entry) error {
	if len(evicted) == 0 {
		return nil
	}
	m.notify(ctx, Event{Kind: EventLimit, User: user})
	ended, err := m.endSome(ctx, evicted)
	if err != nil {
		return err
	}
	for _, e := range ended {
		m.notify(ctx, Event{Kind: EventRevoked, User: user, Handle: e.Handle, By: user, Cause: CauseLimit})
	}
	return nil
}

// makeRoom keeps a list within a limit, and ends what somebody else left ending. It
// returns what has to end for the limit, which it marks.
func (m *Manager) makeRoom(ctx context.Context, user string, admitted roster.Entry, l *roster.List, limit int) (evicted []roster.Entry, err error) {
	if !l.NeedsLook(limit) {
		return nil, nil
	}
	ended, err := m.endSome(ctx, l.Unfinished())
	if err != nil {
		return nil, err
	}
	l.Finish(m.cfg.Now(), roster.Among(ended))
	looks, err := m.look(ctx, user, l.Live())
	if err != nil {
		return nil, err
	}
	alive := make(map[string]roster.Look, len(looks))
	for key, look := range looks {
		alive[key] = look.Look
	}
	l.Prune(alive, admitted.Key)
	surplus := l.Surplus(limit, admitted, alive, m.cfg.AtUserLimit == DropLeastRecentlyUsed)
	if len(surplus) > 0 && m.cfg.MaxSessionsPerUser == 0 && isFirst(&m.hints.userBound) {
		m.log(ctx, slog.LevelWarn, fmt.Sprintf("cloakroom: a user has %d sessions, which is the most there can be, and signed in again; "+
			"Config.AtUserLimit says what happens then (%v), and Config.MaxSessionsPerUser sets a limit of your own", roster.Most, m.cfg.AtUserLimit))
	}
	switch {
	case len(surplus) == 0:
		return nil, nil
	case m.refusesNew():
		return nil, ErrTooManySessions
	}
	goes := func(e roster.Entry) bool { return slices.Contains(surplus, e.Handle) }
	return slices.DeleteFunc(l.Revoke(goes), func(e roster.Entry) bool { return !goes(e) }), nil
}

// refusesNew reports whether it is the new session that is refused at the limit, so that no
// other one has to go.
func (m *Manager) refusesNew() bool { return m.cfg.AtUserLimit == RefuseNew }

// A look is what was found out about a session of a list.
type look struct {
	roster.Look
	doc *record.Document // with the life that is left as TTL
}

// look returns those of the sessions that are live, by their keys.
func (m *Manager) look(ctx context.Context, user string, sessions []roster.Entry) (map[string]look, error) {
	found := make(map[string]look, len(sessions))
	for batch := range slices.Chunk(sessions, lookBatch) {
		keys := make([]string, len(batch))
		for i, e := range batch {
			keys[i] = e.Key
		}
		docs, err := m.inspect(ctx, keys, m.cfg.Cookie.MaxAge)
		if err != nil {
			return nil, err
		}
		now := m.cfg.Now()
		for _, doc := range docs {
			if m.isLive(doc) {
				found[doc.Record.ID] = look{roster.Look{LastSeen: m.lastSeen(doc, now), Strayed: m.userOf(doc) != user}, doc}
			}
		}
	}
	return found, nil
}

// lastSeen returns when a session was last used, from the life that is left to it: its
// whole life was given to it then. Where the absolute timeout cut that short, it may have
// been used later.
func (m *Manager) lastSeen(doc *record.Document, now time.Time) time.Time {
	seen := now.Add(doc.Record.TTL - m.lifespan(doc).Idle)
	if created := doc.Meta.Created.Time(); created.After(seen) {
		seen = created
	}
	if seen.After(now) {
		return now
	}
	return seen
}

// deleteSessions deletes the records of sessions, all at once, and returns those of
// which it succeeded.
func (m *Manager) deleteSessions(ctx context.Context, batch []roster.Entry) (ended []roster.Entry, err error) {
	calls := make([]func() error, len(batch))
	for i, e := range batch {
		calls[i] = func() error { return m.sessions.Delete(ctx, e.Key) }
	}
	errs := async.Together(calls...)
	for i, e := range batch {
		if errs[i] != nil {
			err = errs[i]
			continue
		}
		m.giveUp(e.Key)
		ended = append(ended, e)
	}
	return ended, err
}

// endSome ends sessions that are marked as ending, as many as half of the time that
// is left allows, and some in any case: whoever signs in does not wait for a thousand.
// It returns those that have ended; the others are for the next one who comes.
func (m *Manager) endSome(ctx context.Context, sessions []roster.Entry) (ended []roster.Entry, err error) {
	until, _ := ctx.Deadline()
	half := time.Now().Add(time.Until(until) / 2)
	for batch := range slices.Chunk(sessions, endBatch) {
		if len(ended) > 0 && time.Now().After(half) {
			break
		}
		did, err := m.deleteSessions(ctx, batch)
		if ended = append(ended, did...); err != nil {
			return ended, err
		}
	}
	return ended, nil
}
