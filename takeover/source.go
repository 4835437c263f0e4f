package takeover

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
)

const (
	// maxCookies is how many cookies of one name are verified, and maxLookups how many
	// of those are looked up. A browser sends one, and a few where handlers set it for
	// several paths.
	maxCookies = 16
	maxLookups = 3
)

// shortKey is below how many bytes a key is warned about.
const shortKey = 32

const shortKeyWarning = "a key of the former library is shorter than 32 bytes: whoever guesses it can make sessions that are taken over, " +
	"so let the date on which that ends be near"

// A found session is one that some cookie of a request leads to.
type found struct {
	session predecessor.Session
	values  values
}

// finish returns the session, once it is known what it holds. An empty one is none:
// that is how many apps log a visitor out.
func (f found) finish(user func(map[string]any) string, now time.Time) (predecessor.Session, error) {
	s := f.session
	s.Values, s.Dropped = f.values.named, f.values.dropped
	s.Expires = earlier(s.Expires, f.values.expires)
	if len(s.Values) == 0 || !s.Expires.IsZero() && !now.Before(s.Expires) {
		return predecessor.Session{}, predecessor.ErrNone
	}
	if user != nil {
		s.User = user(s.Values)
	}
	return s, nil
}

// earlier returns the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// first returns what look finds for the first of the cookies for which it finds
// anything. A cookie that leads nowhere does not hide a good one, but one that cannot be
// read is remembered.
func first(r *http.Request, name string, look func(text string) (predecessor.Session, error)) (predecessor.Session, error) {
	none := predecessor.ErrNone
	for i, c := range r.CookiesNamed(name) {
		if i == maxCookies {
			break
		}
		s, err := look(c.Value)
		switch {
		case err == nil:
			return s, nil
		case errors.Is(err, predecessor.ErrUnreadable):
			none = predecessor.ErrUnreadable
		case !errors.Is(err, predecessor.ErrNone):
			return predecessor.Session{}, err
		}
	}
	return predecessor.Session{}, none
}

// read reads a record that a cookie leads to.
func read(ctx context.Context, records Records, id string, lookups *int) (Record, error) {
	if *lookups++; *lookups > maxLookups {
		return Record{}, predecessor.ErrNone
	}
	rec, err := records.Record(ctx, id)
	if err == nil && rec.Data == nil {
		err = predecessor.ErrNone
	}
	return rec, err
}

// deletion returns the cookies that delete one of that name in a browser which has sent
// it.
func deletion(r *http.Request, path, domain string, names ...string) (all []*http.Cookie) {
	if path == "" {
		path = "/"
	}
	for _, name := range names {
		if len(r.CookiesNamed(name)) > 0 {
			all = append(all, &http.Cookie{Name: name, Path: path, Domain: domain, MaxAge: -1, HttpOnly: true}) //nolint:gosec // it has no value
		}
	}
	return all
}

// deleteAll deletes the records of those ids, and returns the first error.
func deleteAll(ctx context.Context, records Records, ids []string) (err error) {
	for i, id := range ids {
		if i == maxLookups {
			break
		}
		if e := records.Delete(ctx, id); e != nil && err == nil {
			err = e
		}
	}
	return err
}

// digest returns the version of a record.
func digest(data []byte) []byte {
	sum := sha256.Sum256(data)
	return sum[:]
}
