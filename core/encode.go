package core

import (
	"fmt"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What the records of a session say.

// currentAge returns the max age of the session with the changes on top.
func (s *Session) currentAge() record.Age {
	switch {
	case s.changes.AgeSet:
		return s.changes.Age
	case s.base != nil && s.renewal != state.RegenerateID:
		return s.base.Age
	}
	return record.Age{Max: s.x.cookie.MaxAge}
}

// isActivity reports whether what is written under key is activity of the visitor,
// who then gets the whole life of the session again.
func (s *Session) isActivity(key string) bool {
	return !s.x.passive || s.touched || s.changes.AgeSet || key != s.key
}

// encode returns the record that results from the changes on top of base, to be
// stored under key now, and [store.ErrNotFound] where the absolute timeout has passed.
func (s *Session) encode(base *record.Document, key string, now time.Time) (*record.Document, error) {
	if err := s.changes.FirstError(); err != nil {
		return nil, final{err} // it is the app's, and may wrap anything
	}
	x := s.x
	next := &record.Document{Meta: record.Meta{Present: true, Created: record.Millis(now), Token: record.NewToken()}}
	cookie := s.cookieWriter(base, key, now)
	next.Age = cookie.Age
	next.Meta.Age = cookie.Age
	if base != nil {
		next.Meta.Rest = base.Meta.Rest
		next.Meta.Before = base.Meta.Before
		if base.Meta.Created != 0 && (s.login == nil || key == s.key) {
			next.Meta.Created = base.Meta.Created
		}
		if !cookie.Set { // it stays as it was found
			next.Meta.Age.Max = base.WrittenMaxAge(next.Meta.Age.Max)
		}
	}
	life := x.m.lifespan(next)
	left := life.Left(now)
	if left <= 0 {
		return nil, store.ErrNotFound
	}
	if err := s.checkUserKey(base, key); err != nil {
		return nil, err
	}
	next.Meta.User, next.Meta.Until = s.userMember(base, next, key, life, now)
	next.Meta.Before = s.beforeMember(next.Meta.Before, key)
	var err error
	if next.Meta.Bind, err = s.bindMember(base, next, key); err != nil {
		return nil, err
	}
	keys := record.Encode(next, base, &s.changes, cookie)
	if x.jar != nil {
		if err := x.checkCookie(key, next.Text); err != nil {
			return nil, err
		}
	}
	if err := x.m.checkSize(base, len(next.Text), keys); err != nil {
		return nil, err
	}
	next.Record = store.Record{ID: key, Data: x.m.sessions.Seal(key, next.Text), TTL: left, Shared: true}
	if base != nil && !s.isActivity(key) {
		next.Record.TTL = store.KeepTTL
	}
	return next, nil
}

// sharedGrowth is how many bytes a change may add to a record that Express made larger
// than Config.MaxBytes: enough for a counter that grows and the member __cloakroom.
const sharedGrowth = 1 << 10

// checkSize returns an error where a record that takes the place of base is too large. What
// Express stored beyond the limits can still be changed, but gets no keys on top.
func (m *Manager) checkSize(base *record.Document, size, keys int) error {
	mostBytes, mostKeys := m.cfg.MaxBytes, m.cfg.MaxKeys
	if base != nil && m.cfg.ShareWithExpress {
		if len(base.Text) > mostBytes {
			mostBytes = len(base.Text) + sharedGrowth
		}
		if keys > mostKeys {
			mostKeys = max(mostKeys, base.Keys())
		}
	}
	switch {
	case size > mostBytes:
		return fmt.Errorf("%w (%d bytes, at most %d)", ErrTooLarge, size, mostBytes)
	case keys > mostKeys:
		return fmt.Errorf("%w (%d keys, at most %d)", ErrTooManyKeys, keys, mostKeys)
	}
	return nil
}

// cookieWriter returns what writes the member cookie of a record with the attributes that
// the cookie has for this request.
func (x *Exchange) cookieWriter(now time.Time) record.CookieWriter {
	return record.CookieWriter{Attributes: x.attributes(), OmitSecure: x.cookie.Secure == SecureNever, Now: now}
}

// cookieWriter returns what writes the member cookie of a record on top of base, with the max
// age of the session.
func (s *Session) cookieWriter(base *record.Document, key string, now time.Time) record.CookieWriter {
	w := s.x.cookieWriter(now)
	w.Age, w.Set = s.currentAge(), s.changes.AgeSet
	if base != nil && key == s.key && !w.Set {
		w.Keep = !s.isActivity(key) || s.x.headersOut() // the browser is not told another expiry
		// A max age that is no other one stays as somebody wrote it.
		w.Set = !w.Keep && s.isCookieDue() && base.WrittenMaxAge(0) != w.Age.Max
	}
	return w
}

// retire returns what takes the place of the present record when the session moves
// on to the next one. It says where to, sealed under the secrets of this deployment: nobody
// who has the old cookie, or shares the store, learns anything from it.
func (s *Session) retire(next *record.Document) (d record.Document) {
	s.x.m.keys.Load().withSuccessor(s.key, next.Record.ID, func(member []byte) {
		d = s.withoutData(s.base, member, s.renewal == state.RotateID)
	})
	return d
}

// proof returns the record of a note under a key that is no session's, such as a marker of
// takeover.go: a retired record that says since when, and where to look instead.
func (x *Exchange) proof(key string, at time.Time, life time.Duration, next []byte) *record.Document {
	made := new(struct {
		record.Document
		record.Retirement
	})
	made.Retirement = record.Retirement{At: record.Millis(at), Next: next}
	d := &made.Document
	d.Meta = record.Meta{Present: true, Created: record.Millis(at), Token: record.NewToken(), Retired: &made.Retirement}
	d.Text = record.RetiredText(d.Meta, x.cookieWriter(at))
	d.Record = store.Record{ID: key, Data: x.m.sessions.Seal(key, d.Text), TTL: life, Shared: true}
	return d
}

// tombstone returns what takes the place of a record that is about to be deleted.
func (s *Session) tombstone(of *record.Document) record.Document {
	return s.withoutData(of, nil, false)
}

// withoutData returns a record that is the proof that there was a session, and nothing of it.
// That it is retired stands in its text alone: nobody asks its Meta, and next may be memory
// that is used again.
func (s *Session) withoutData(of *record.Document, next []byte, rotated bool) (d record.Document) {
	m, now, key := s.x.m, s.x.m.cfg.Now(), of.Record.ID
	d.Meta = record.Meta{Present: true, Created: of.Meta.Created}
	if next == nil {
		d.Meta.Token = record.NewToken()
	} else {
		d.Meta.Token = record.Token(next[1:]) // of the nonce, which is as random
	}
	said := d.Meta
	said.Retired = &record.Retirement{At: record.Millis(now), Next: next, Rotated: rotated}
	d.Text = record.RetiredText(said, s.x.cookieWriter(now))
	d.Record = store.Record{ID: key, Data: m.sessions.Seal(key, d.Text), TTL: retiredLife, Shared: true}
	return d
}
