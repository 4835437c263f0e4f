package takeover

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
)

// Libraries whose cookie is the bare id of the session.

// SCS is the sessions of alexedwards/scs, version 2.
type SCS struct {
	// Name is the name of the cookie. The default is "session", as there.
	Name string

	// Records is where the data is. Its ids are the tokens: the store of scs puts
	// "scs:session:" before them.
	Records Records

	// HashTokenInStore says that the SessionManager has that field set.
	HashTokenInStore bool

	// Path and Domain are those of the cookie, by which a browser deletes it. The
	// default of Path is "/".
	Path, Domain string

	// User is as in [Gorilla].
	User func(values map[string]any) string

	// Now, if not nil, replaces time.Now, for tests.
	Now func() time.Time
}

var _ predecessor.Source = SCS{}

// CookieNames implements [predecessor.Source].
func (s SCS) CookieNames() []string { return []string{s.tokens().name} }

// Find implements [predecessor.Source].
func (s SCS) Find(ctx context.Context, r *http.Request) (predecessor.Session, error) {
	return s.tokens().find(ctx, r, fromSCS, s.User, clock(s.Now))
}

// Forget implements [predecessor.Source].
func (s SCS) Forget(ctx context.Context, r *http.Request) ([]*http.Cookie, error) {
	return s.tokens().forget(ctx, r)
}

func (s SCS) tokens() tokens {
	t := tokens{cmp.Or(s.Name, "session"), s.Path, s.Domain, s.Records, nil}
	if s.HashTokenInStore {
		t.stored = func(token string) string {
			sum := sha256.Sum256([]byte(token))
			return base64.RawURLEncoding.EncodeToString(sum[:])
		}
	}
	return t
}

// Fiber is the sessions of Fiber v3's middleware, whose id is in a cookie.
//
// With an AbsoluteTimeout, Fiber keeps its end among the values, under a key of a type
// of its own: such sessions are always read without the app's types.
type Fiber struct {
	// Name is the name of the cookie. The default is "session_id", as there.
	Name string

	// Records is where the data is. Fiber's storages put nothing before the ids.
	Records Records

	// Path and Domain are those of the cookie, by which a browser deletes it. The
	// default of Path is "/".
	Path, Domain string

	// User is as in [Gorilla].
	User func(values map[string]any) string

	// Now, if not nil, replaces time.Now, for tests.
	Now func() time.Time
}

var _ predecessor.Source = Fiber{}

// CookieNames implements [predecessor.Source].
func (f Fiber) CookieNames() []string { return []string{f.tokens().name} }

// Find implements [predecessor.Source].
func (f Fiber) Find(ctx context.Context, r *http.Request) (predecessor.Session, error) {
	return f.tokens().find(ctx, r, fromGob, f.User, clock(f.Now))
}

// Forget implements [predecessor.Source].
func (f Fiber) Forget(ctx context.Context, r *http.Request) ([]*http.Cookie, error) {
	return f.tokens().forget(ctx, r)
}

func (f Fiber) tokens() tokens {
	return tokens{cmp.Or(f.Name, "session_id"), f.Path, f.Domain, f.Records, nil}
}

// tokens finds sessions by the bare id that is in a cookie.
type tokens struct {
	name, path, domain string
	records            Records
	stored             func(token string) string // what the store calls it; nil: the same
}

func (t tokens) find(ctx context.Context, r *http.Request, decode func([]byte) (values, bool), user func(map[string]any) string, now time.Time) (predecessor.Session, error) {
	lookups := 0
	return first(r, t.name, func(text string) (predecessor.Session, error) {
		id, ok := t.id(text)
		if !ok {
			return predecessor.Session{}, predecessor.ErrNone
		}
		rec, err := read(ctx, t.records, id, &lookups)
		if err != nil {
			return predecessor.Session{}, err
		}
		v, ok := decode(rec.Data)
		if !ok {
			return predecessor.Session{}, predecessor.ErrUnreadable
		}
		f := found{predecessor.Session{Key: []byte(text), Version: digest(rec.Data), Stored: true, Expires: rec.Expires}, v}
		return f.finish(user, now)
	})
}

func (t tokens) forget(ctx context.Context, r *http.Request) ([]*http.Cookie, error) {
	cookies := deletion(r, t.path, t.domain, t.name)
	var ids []string
	_, _ = first(r, t.name, func(text string) (predecessor.Session, error) {
		if id, ok := t.id(text); ok {
			ids = append(ids, id)
		}
		return predecessor.Session{}, predecessor.ErrNone
	})
	return cookies, deleteAll(ctx, t.records, ids)
}

// id returns what the store calls the session of a cookie, which has to look like an
// id: 22 characters of base64url, which are 128 bits, or more.
func (t tokens) id(text string) (string, bool) {
	if len(text) < 22 || len(text) > 128 {
		return "", false
	}
	for _, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return "", false
		}
	}
	if t.stored != nil {
		text = t.stored(text)
	}
	return text, true
}
