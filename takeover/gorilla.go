package takeover

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
)

// Gorilla is the sessions of gorilla/sessions, and of gin-contrib/sessions and
// echo-contrib/session, which are made of it.
//
// The text of a cookie, and of a record in files, MongoDB or SQL, is bound to the name of
// the cookie: Name is the one that the app gave then.
type Gorilla struct {
	// Name is the name of the cookie: what sessions.Sessions, or store.Get, was given.
	Name string

	// KeyPairs are the keys that the store was given, in that order: hash, block, hash,
	// block and so on. The last block key may be missing.
	KeyPairs [][]byte

	// MaxAge is the age beyond which the library does not accept what it signed. It is
	// what MaxAge of gorilla's stores was given, and not MaxAge of Options. The default
	// is 30 days, as there; a negative one is no limit, which is 0 there. One of less than
	// a second takes no session over, and is warned about.
	MaxAge time.Duration

	// Records is where the data is. It is nil for the stores that keep it in the cookie.
	Records Records

	// Unsigned says that the records have no signature: those in Redis or Valkey by
	// boj/redistore, with gob or with its JSONSerializer. All others have one.
	Unsigned bool

	// Path and Domain are those of the cookie, by which a browser deletes it. The
	// default of Path is "/".
	Path, Domain string

	// User returns whose session it is, by what is in it, or an empty string. What it
	// returns is signed in. nil: no session is anybody's, and each is taken over with
	// what it holds and nothing else.
	User func(values map[string]any) string

	// Now, if not nil, replaces time.Now, for tests.
	Now func() time.Time
}

var _ predecessor.Warner = Gorilla{}

// CookieNames implements [predecessor.Source].
func (g Gorilla) CookieNames() []string { return []string{g.Name} }

// Warnings implements [predecessor.Warner].
func (g Gorilla) Warnings() (warnings []string) {
	if g.Name == "" {
		warnings = append(warnings, "Name is empty, so that no session is taken over: set what sessions.Sessions, or store.Get, was given")
	}
	usable := codecs(g.KeyPairs)
	switch isShort := func(c codec) bool { return len(c.hash) < shortKey }; {
	case len(usable) == 0:
		warnings = append(warnings, "no pair of KeyPairs can be used, so that no session is taken over: a hash key must not be empty, and a block key has 16, 24 or 32 bytes")
	case slices.ContainsFunc(usable, isShort):
		warnings = append(warnings, shortKeyWarning)
	}
	if g.MaxAge > 0 && g.MaxAge < time.Second { // gorilla's stores were given a number of seconds
		warnings = append(warnings, fmt.Sprintf("MaxAge is less than a second, so that no session is taken over: %d is %v: write %d * time.Second", int64(g.MaxAge), g.MaxAge, int64(g.MaxAge)))
	}
	return warnings
}

// Find implements [predecessor.Source].
func (g Gorilla) Find(ctx context.Context, r *http.Request) (predecessor.Session, error) {
	var (
		now     = clock(g.Now)
		codecs  = codecs(g.KeyPairs)
		lookups = 0
	)
	return first(r, g.Name, func(text string) (predecessor.Session, error) {
		var (
			f   found
			err error
		)
		if g.Records == nil {
			f, err = g.inCookie(codecs, text, now)
		} else {
			f, err = g.inRecord(ctx, codecs, text, now, &lookups)
		}
		if err != nil {
			return predecessor.Session{}, err
		}
		return f.finish(g.User, now)
	})
}

// Forget implements [predecessor.Source]. A session that is kept in its cookie cannot be
// ended there: the browser is told to delete it.
func (g Gorilla) Forget(ctx context.Context, r *http.Request) ([]*http.Cookie, error) {
	cookies := deletion(r, g.Path, g.Domain, g.Name)
	if len(cookies) == 0 || g.Records == nil {
		return cookies, nil
	}
	var ids []string
	now, codecs := clock(g.Now), codecs(g.KeyPairs)
	_, _ = first(r, g.Name, func(text string) (predecessor.Session, error) {
		if id, _, err := g.id(codecs, text, now); err == nil {
			ids = append(ids, id)
		}
		return predecessor.Session{}, predecessor.ErrNone
	})
	return cookies, deleteAll(ctx, g.Records, ids)
}

// inCookie reads a session that the cookie holds.
func (g Gorilla) inCookie(codecs []codec, text string, now time.Time) (f found, err error) {
	f.values, f.session, err = g.openValues(codecs, text, now)
	f.session.Key = f.session.Version
	return f, err
}

// inRecord reads a session whose id the cookie holds.
func (g Gorilla) inRecord(ctx context.Context, codecs []codec, text string, now time.Time, lookups *int) (f found, err error) {
	id, at, err := g.id(codecs, text, now)
	if err != nil {
		return f, err
	}
	rec, err := read(ctx, g.Records, id, lookups)
	if err != nil {
		return f, err
	}
	if g.Unsigned {
		f.values, err = unsigned(rec.Data)
		f.session.SavedAt, f.session.Expires = at, g.end(at)
	} else {
		f.values, f.session, err = g.openValues(codecs, string(rec.Data), now)
		f.session.Expires = earlier(f.session.Expires, g.end(at))
	}
	f.session.Key, f.session.Version, f.session.Stored = []byte(id), digest(rec.Data), true
	f.session.Expires = earlier(f.session.Expires, rec.Expires)
	return f, err
}

// openValues reads the signed text of a session.
func (g Gorilla) openValues(codecs []codec, text string, now time.Time) (v values, s predecessor.Session, err error) {
	err = predecessor.ErrNone
	for _, c := range codecs {
		o, ok := c.open(g.Name, text, g.maxAge(), now)
		if !ok {
			continue
		}
		err = predecessor.ErrUnreadable // unless this is the right block key
		if v, ok := fromGob(o.value); ok {
			return v, predecessor.Session{Version: o.mac, SavedAt: o.at, Expires: g.end(o.at)}, nil
		}
	}
	return v, s, err
}

// id returns the id that a cookie holds, and when the cookie was made.
func (g Gorilla) id(codecs []codec, text string, now time.Time) (id string, at time.Time, err error) {
	for _, c := range codecs {
		if o, ok := c.open(g.Name, text, g.maxAge(), now); ok {
			if id, ok := textOf(o.value); ok && id != "" {
				return id, o.at, nil
			}
		}
	}
	return "", time.Time{}, predecessor.ErrNone
}

// maxAge is the limit that the texts are held to.
func (g Gorilla) maxAge() time.Duration { return cmp.Or(g.MaxAge, securecookieAge) }

// end returns until when a text is accepted that was made then, or zero.
func (g Gorilla) end(at time.Time) time.Time {
	if g.maxAge() < 0 {
		return time.Time{}
	}
	return at.Add(g.maxAge() + time.Second) // at has no fraction, and a text of just that age is accepted
}

// unsigned reads a record of redistore: a gob, or an object of JSON. No gob of a map
// begins as an object does.
func unsigned(data []byte) (values, error) {
	if v, ok := fromGob(data); ok {
		return v, nil
	}
	if v, ok := fromJSON(data); ok {
		return v, nil
	}
	return values{}, predecessor.ErrUnreadable
}

// clock returns the time.
func clock(now func() time.Time) time.Time {
	if now == nil {
		return time.Now()
	}
	return now()
}
