// Package predecessor is the contract of what finds the sessions that an app had
// before it had Cloakroom, so that nobody is logged out when the app moves.
//
// Package takeover implements it for the formats of other libraries. Apps need this
// package only for a format of their own.
package predecessor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// A Source is where sessions were before Cloakroom. It may be used by several
// goroutines at once.
type Source interface {
	// CookieNames returns the names of the cookies by which it finds sessions. A request
	// that has none of them is not asked about.
	CookieNames() []string

	// Find returns the session of the former library that r carries. It changes
	// nothing. The error matches
	//
	//   - [ErrNone] where r carries none that the former library would accept;
	//   - [ErrUnreadable] where it carries one, and what it holds cannot be read.
	//
	// Any other error is a failure of the former library's store. Its text is shown to
	// nobody, because it may hold an id.
	Find(ctx context.Context, r *http.Request) (Session, error)

	// Forget ends the sessions of the former library that r carries, as far as it can
	// end one, and returns the cookies by which a browser deletes its own. It is called
	// at a logout, and returns nil where r carries none.
	Forget(ctx context.Context, r *http.Request) ([]*http.Cookie, error)
}

// A Warner is a Source that has something to say of its settings, once, to whoever
// reads the log: that a key is short, for instance. It says it without secrets.
type Warner interface {
	Source
	Warnings() []string
}

// A Session is one of the former library. It prints nothing of what it holds.
type Session struct {
	// Key identifies it: the id under which the former library stored it, or what its
	// signature is made of, as bytes. It is never the text of a cookie: a text has
	// spellings. It is a secret.
	Key []byte

	// Version changes whenever the former library stores the session anew.
	Version []byte

	// Stored says that the former library kept the session in a store: no two visitors
	// have the same Key, and one that is deleted there is gone. Else the cookie is the
	// session: visitors of whom it holds the same can have the same Key, and earlier
	// cookies of a visitor are as good as the last.
	Stored bool

	// Values are what it holds, by names; encoding/json can write each of them. Numbers
	// and texts have the types that the app gave them.
	Values map[string]any

	// Dropped is how many values it holds that are not among Values, because their
	// names are no strings or because JSON cannot hold them.
	Dropped int

	// User is who is signed in, empty for nobody: a name as core's Session.SignIn takes
	// it.
	User string

	// SavedAt is when the former library stored the session last, zero where that is not
	// known. It is no proof of a login.
	SavedAt time.Time

	// Expires is when the former library will not accept it any more, zero where that is
	// not known.
	Expires time.Time
}

// String describes the session without what it holds.
func (s Session) String() string { return "Session of a predecessor" }

// Format implements [fmt.Formatter]: no verb prints more than String.
func (s Session) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalJSON keeps what it holds out of a response that it ends up in by mistake.
func (s Session) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// The answers of a [Source] that are no failures.
var (
	// ErrNone says that there is no session.
	ErrNone = errors.New("cloakroom: no session of the former library")

	// ErrUnreadable says that there is one whose data cannot be read.
	ErrUnreadable = errors.New("cloakroom: session of the former library cannot be read")
)
