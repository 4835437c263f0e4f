package core

import (
	"context"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/async"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/vault"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// How the life of a session is extended. One process does it once for each
// Config.TouchInterval, however many requests come at once, and beside the handler:
// the commit waits for it.

// An extension runs beside the handler.
type extension = async.Future[struct{}]

// claimExtension reports whether this request is to extend the session under key,
// which was extended last at last and is to have that life.
func (x *Exchange) claimExtension(key string, last vault.Note, life record.Lifespan, now time.Time) bool {
	left := life.Left(now)
	interval := x.m.touchInterval(left)
	return left > 0 && !x.passive && !last.Within(now, interval) && x.m.extended.Claim(key, now, interval)
}

// extendAhead begins to extend the life of a session while it is being loaded, so
// that the request waits for one round trip and not for two. It goes by what this
// process noted of the session last, and has to be told the life that the session
// has; nothing, when there is none. It returns nil where no extension is due.
func (s *Session) extendAhead(key string, last vault.Note, now time.Time) chan<- record.Lifespan {
	x, m := s.x, s.x.m
	// Nobody knows before the load whether a session is bound, and a request without the
	// proof extends nothing.
	if x.jar != nil || m.cfg.Bind != nil || last.Life.Idle == 0 || !x.claimExtension(key, last, last.Life, now) {
		return nil
	}
	loaded := make(chan record.Lifespan, 1)
	s.extending = beside(x.ctx, x, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, m.claimed(key, func() error {
			if err := m.sessions.Touch(ctx, key, last.Life.Left(now)); err != nil {
				return err
			}
			life, ok := <-loaded
			if !ok {
				return store.ErrNotFound
			}
			return m.extend(ctx, key, life, last.Life, now)
		})
	})
	return loaded
}

// extendBeside extends the life of the session that was loaded, where that is due.
func (s *Session) extendBeside(life record.Lifespan, last vault.Note, now time.Time) {
	if s.x.jar != nil {
		s.extendByCookie(last, now)
		return
	}
	x, key := s.x, s.key
	if s.extending = nil; !x.claimExtension(key, last, life, now) { // nil: what is there is of another session
		return
	}
	s.extending = beside(x.ctx, x, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, x.m.extendClaimed(ctx, key, life, now)
	})
}

// claimed does what somebody has claimed to do for key, and gives the claim back
// where that fails.
func (m *Manager) claimed(key string, extend func() error) error {
	err := errPanicked // unless extend returns
	defer func() {
		if err != nil {
			m.extended.Release(key)
		}
	}()
	err = extend()
	return err
}

// extendClaimed is extend for a caller that has claimed it.
func (m *Manager) extendClaimed(ctx context.Context, key string, life record.Lifespan, now time.Time) error {
	return m.claimed(key, func() error { return m.extend(ctx, key, life, record.Lifespan{}, now) })
}

// extend gives the session that was loaded at that time its life. Where another
// request of this process has written it since then, the life is the one that it
// was given. sent is the life that the store was asked for already, if any.
func (m *Manager) extend(ctx context.Context, key string, life, sent record.Lifespan, loaded time.Time) error {
	for {
		before := m.extended.Last(key)
		if before.Life.Idle > 0 && !before.At.Before(loaded) {
			life = before.Life
		}
		if life != sent {
			left := life.Left(m.cfg.Now())
			if left <= 0 {
				return store.ErrNotFound
			}
			if err := m.sessions.Touch(ctx, key, left); err != nil {
				return err
			}
			sent = life
		}
		if m.extended.PutAfter(key, before, m.cfg.Now(), life) {
			return nil
		}
	}
}

// touchInterval returns how often a session with that life is extended.
func (m *Manager) touchInterval(life time.Duration) time.Duration {
	switch interval := m.cfg.TouchInterval; {
	case interval == EveryRequest:
		return 0
	case interval > 0 && life >= m.cfg.IdleTimeout:
		return interval
	case interval > 0:
		return min(interval, life/touchFraction)
	}
	return min(maxTouchInterval, life/touchFraction)
}

// lifespan returns that of a session with that record: its own max age where it
// has one, else the idle timeout.
func (m *Manager) lifespan(d *record.Document) record.Lifespan {
	l := record.Lifespan{Idle: m.cfg.IdleTimeout, Deadline: m.deadline(d.Meta.Created)}
	if d.Age.Own && d.Age.Max > 0 {
		l.Idle = d.Age.Max
		if limit := m.cfg.level().idle; limit > 0 {
			l.Idle = min(l.Idle, limit)
		}
	}
	return l
}

// deadline returns when the absolute timeout of a session ends, zero for never.
func (m *Manager) deadline(created record.UnixMilli) time.Time {
	if m.cfg.AbsoluteTimeout == 0 || created == 0 {
		return time.Time{}
	}
	return created.Time().Add(m.cfg.AbsoluteTimeout)
}

// isExpired reports whether the absolute timeout of a session has passed. Its
// store would have removed it, but for an Express peer or a clock that was set.
func (m *Manager) isExpired(d *record.Document) bool {
	end := m.deadline(d.Meta.Created)
	return !end.IsZero() && !m.cfg.Now().Before(end)
}

// isLive reports whether a record is that of a session which has not ended.
func (m *Manager) isLive(d *record.Document) bool { return !d.Meta.IsRetired() && !m.isExpired(d) }
