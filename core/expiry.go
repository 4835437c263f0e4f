package core

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
)

// When a session ends, for a page that warns its visitor in time.

// An Expiry is when a session ends by the clock.
type Expiry struct {
	Idle     time.Time // if there is no more activity; never after Absolute
	Absolute time.Time // whatever happens, by Config.AbsoluteTimeout; zero where there is none
}

// ExpiresAt returns when the session ends, anonymous or signed in, to the precision of the
// store's unit of time and never later than is true. It counts what this request does to
// the life of the session as far as that is under way, and changes nothing itself. To ask
// without extending the session the request has to be one that Config.Passive names.
//
// It costs a round trip, and none with Config.Sealed. The error is [ErrSessionGone] where
// the session has ended or is not stored, and matches [errors.ErrUnsupported] where the
// store is no [store.UserIndexer] and so cannot tell.
func (s *Session) ExpiresAt(ctx context.Context) (Expiry, error) {
	if !s.lock() {
		return Expiry{}, ErrReentered
	}
	m, key, base := s.x.m, s.key, s.base
	lives, extending := s.standing == state.Live, s.extending != nil
	ends := s.cookieEnds()
	s.x.unlock()
	switch {
	case !lives:
		return Expiry{}, ErrSessionGone
	case !ends.IsZero():
		return Expiry{Idle: ends, Absolute: m.deadline(base.Meta.Created)}, nil
	case m.lists == nil:
		return Expiry{}, errNoExpiry
	}
	left, err := m.lifeLeft(ctx, key, s.x.cookie.MaxAge)
	if err != nil {
		return Expiry{}, err
	}
	now := m.cfg.Now()
	if extending { // whether it has come there yet or not
		left = max(left, m.lifespan(base).Left(now))
	}
	expiry := Expiry{Idle: now.Add(left), Absolute: m.deadline(base.Meta.Created)}
	if !expiry.Absolute.IsZero() && expiry.Absolute.Before(expiry.Idle) { // the store was told of another end, or of none
		expiry.Idle = expiry.Absolute
	}
	return expiry, nil
}

// lifeLeft asks the store how long the session that a request with key is led to will live.
func (m *Manager) lifeLeft(ctx context.Context, key string, configured time.Duration) (time.Duration, error) {
	limit := m.limit(ctx)
	defer limit.stop()
	for range maxHops {
		found, err := m.inspect(limit, []string{key}, configured)
		if err != nil {
			return 0, err
		}
		if len(found) == 0 {
			return 0, ErrSessionGone
		}
		doc := found[0]
		switch {
		case m.isLive(doc):
			return doc.Record.TTL, nil
		case !doc.Meta.IsRetired():
			return 0, ErrSessionGone
		}
		next, err := m.rotated(limit, key, doc, configured)
		if next == nil {
			return 0, cmp.Or(err, ErrSessionGone)
		}
		key = next.Record.ID
	}
	return 0, ErrSessionGone
}

// inspect returns what the store has under some keys, past any cache and with the life that
// is left as TTL. What cannot be decoded is left out.
func (m *Manager) inspect(ctx context.Context, keys []string, configured time.Duration) ([]*record.Document, error) {
	call := m.sessions.Call(ctx, "inspect")
	records, err := m.lists.indexer.Inspect(ctx, keys)
	if err := call.End(err); err != nil {
		return nil, err
	}
	found := make([]*record.Document, 0, len(records))
	for _, rec := range records {
		doc, err := m.sessions.Read(rec, configured)
		switch {
		case err == nil:
			found = append(found, doc)
		case !errors.Is(err, ErrUndecodable):
			return nil, err
		}
	}
	return found, nil
}

// errNoExpiry says that the store does not tell how long a session will live.
var errNoExpiry = fmt.Errorf("cloakroom: store does not tell how long a session will live: %w", errors.ErrUnsupported)

// TellExpiry is a handler that tells a page how long the session has left, in whole
// seconds and never more than is true:
//
//	{"idle":1799,"absolute":28799}
//
// idle is the time until it ends if there is no more activity. absolute, which is missing
// where there is no Config.AbsoluteTimeout, is the time until it ends in any case. A
// visitor without a session, or whose session has ended, is answered 401.
//
// It belongs behind the middleware, at a path that Config.Passive names: else asking would
// be activity and extend the session, so that the answer is 500, with the reason in the
// log.
func TellExpiry(w http.ResponseWriter, r *http.Request) {
	s := FromContext(r.Context())
	x := s.x
	if !x.passive {
		var err error = &ConfigError{Field: "Passive", Reason: "does not name the path of TellExpiry, so that to ask how long the session has left would extend it"}
		x.log(slog.LevelError, "cloakroom: a page cannot be told how long its session has left", slog.Any("error", err))
		x.m.Fail(w, r, err)
		return
	}
	expiry, err := s.ExpiresAt(r.Context())
	if errors.Is(err, ErrSessionGone) {
		err = ErrNotSignedIn
	}
	if err != nil {
		x.m.Fail(w, r, err)
		return
	}
	now := x.m.cfg.Now()
	seconds := func(at time.Time) int64 { return int64(max(0, at.Sub(now)) / time.Second) }
	left := struct {
		Idle     int64  `json:"idle"`
		Absolute *int64 `json:"absolute,omitempty"`
	}{Idle: seconds(expiry.Idle)}
	if !expiry.Absolute.IsZero() {
		absolute := seconds(expiry.Absolute)
		left.Absolute = &absolute
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(left) // whoever hung up needs no answer
}
