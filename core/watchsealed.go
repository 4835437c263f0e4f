package core

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/async"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// How the ends of sealed sessions are found out that somebody waits for.

// An inCookie is what a cookie says of when its session ends: after a time, and with an
// epoch of its user.
type inCookie struct {
	until time.Time
	whose signedIn
}

// inCookie returns what the cookie of the session says, and nothing where the session is
// in a store. The caller holds the lock.
func (s *Session) inCookie() (in inCookie) {
	if s.x.jar == nil || s.base == nil {
		return in
	}
	in.until = s.cookieEnds()
	in.whose, _ = signedInOf(s.base)
	return in
}

// livesInCookies returns which sealed sessions that somebody waits for live, as far as
// this process knows, and the life that is left to them.
func (m *Manager) livesInCookies(ctx context.Context, keys []string) (map[string]time.Duration, error) {
	now := m.cfg.Now()
	waits, live := m.endings.inCookies(keys)
	for key, in := range waits {
		until := in.until
		if last := m.extended.Last(key); last.Life.Idle > 0 { // by another request of this process
			if end := last.At.Add(last.Life.Left(last.At)); end.After(until) {
				until = end
			}
		}
		if now.Before(until) && !m.givenUp.Within(key, now, m.cfg.AbsoluteTimeout) {
			live[key] = until.Sub(now)
		}
	}
	for batch := range slices.Chunk(slices.Collect(maps.Keys(live)), sweepBatch) {
		ended := make([]bool, len(batch))
		calls := make([]func() error, len(batch))
		for i, key := range batch {
			calls[i] = func() error {
				end, err := m.ends.find(ctx, key, waits[key].whose)
				ended[i] = end != nil || errors.Is(err, store.ErrNotFound)
				if ended[i] {
					return nil
				}
				return err
			}
		}
		for i, err := range async.Together(calls...) {
			if err != nil {
				return nil, err
			}
			if ended[i] {
				delete(live, batch[i])
			}
		}
	}
	return live, nil
}
