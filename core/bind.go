package core

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
)

// What a Bind has where the app says nothing, and what it must have.
const (
	defaultBindPath  = "/.session/bind"
	defaultBindLife  = 10 * time.Minute
	defaultBindGrace = time.Minute

	// leastBindLife has to be passed: a browser makes six signatures in nine minutes, and
	// refreshes a cookie beside each request when less than two minutes of it are left.
	leastBindLife = 4 * time.Minute

	boundSuffix = "-bound" // of the name of the bound cookie
)

// Bind makes the sessions of users such that a thief cannot use them: a browser that knows
// Device Bound Session Credentials binds its session to a key that does not leave the
// device, so that a copied cookie is worth nothing elsewhere after ten minutes. Other
// browsers keep plain sessions. docs/binding.md is the guide, and says what this does not
// protect from.
//
// It is experimental: the specification is a draft, of which this follows
// that of 17 February 2026 (w3c/webappsec-dbsc) as Chromium 156 does. The zero value is the
// recommended setting. It needs HTTPS and [SecureAlways].
//
// A browser is offered a binding whenever a user gets a session of another id: by SignIn and
// by Renew, and by Rotate as long as the session is not bound. Then it posts its key to Path,
// and from then on, whenever the bound cookie has ended, a proof that it still has it. The
// middleware answers both before the handlers of the app, in a round trip or two. Requests
// wait for nothing more than without.
//
// A request with the cookie of a bound session and without the proof is that of an
// anonymous visitor: the cookie stays, nothing is stored, and changes make the response fail
// with [ErrUnproven]. [Session.Binding] tells, SignIn begins a new session, and Destroy ends
// the one that the cookie leads to.
type Bind struct {
	// Path is where browsers send their keys and proofs, as they ask for it: with what a
	// proxy takes off ([Config.StrippedPrefix]). It belongs to the middleware alone. What
	// stands in front of the app must let it through: see the guide. The default is
	// /.session/bind below Cookie.Path. Two Managers around one handler need two.
	Path string

	// Life is how long the bound cookie lives, and so for how long a copy of all cookies is
	// worth something: more than 4 minutes. The default is 10 minutes. Browsers bear no
	// much shorter one: they make 6 signatures in 9 minutes.
	Life time.Duration

	// Grace is for how long after a login Required lets a session through that is not
	// bound yet, and after it was bound a request that does not have the bound cookie yet:
	// the browser binds it beside the first pages. The default is a minute.
	Grace time.Duration

	// Exclude are paths below which the browser does not wait for a proof before it asks,
	// such as "/static". A request there may come without it, so let them be of files
	// that need no session.
	Exclude []string

	// Required, if not nil, tells which requests of users need a bound session. Others are
	// refused with [ErrUnproven], a 401, those of all browsers that cannot bind sessions
	// among them. Visitors who are not signed in are let through: [RequireUser] is for them.
	Required func(*http.Request) bool

	// ExpressChecks says that an Express app on the same store checks the bound cookie, too,
	// which docs/binding.md tells how to do. Without that Bind is refused with
	// Config.ShareWithExpress: a stolen session would be good there.
	ExpressChecks bool
}

// String describes the setting.
func (b *Bind) String() string {
	if b == nil {
		return "none"
	}
	return b.Path + ", for " + b.Life.String()
}

// withDefaults returns a copy with the zero values replaced by what they mean. c has its
// defaults already.
func (b *Bind) withDefaults(c *Config) *Bind {
	if b == nil {
		return nil
	}
	full := *b
	if full.Path == "" {
		below := strings.TrimSuffix(c.Cookie.Path, "/")
		if !ticket.PathMatches(below+"/", c.StrippedPrefix+"/") {
			below = c.StrippedPrefix
		}
		full.Path = below + defaultBindPath
	}
	if full.Life == 0 {
		full.Life = defaultBindLife
	}
	if full.Grace == 0 {
		full.Grace = defaultBindGrace
	}
	full.Exclude = slices.Clone(full.Exclude)
	return &full
}

// validateBind tells what of Bind cannot be. c has its defaults already.
func (c Config) validateBind() error {
	b := c.Bind
	if b == nil {
		return nil
	}
	err := firstBroken([]rule{
		{c.Sealed != nil, "Bind", "is set together with Sealed: a browser binds its session by a request that need not have the cookie, which would be all that there is of the session; use a Store"},
		{c.Header.isOnly(), "Bind", "is set, but Header.Only is AlwaysHeader: what is bound is a cookie of a browser, so drop one of the two"},
		{c.ShareWithExpress && !b.ExpressChecks, "Bind.ExpressChecks", "is not set, but ShareWithExpress is: an Express app that does not check the bound cookie lets a thief in; see docs/binding.md"},
		{b.Life < 0, "Bind.Life", fmt.Sprintf("is negative (%v): leave it 0 for the default", b.Life)},
		{b.Life <= leastBindLife, "Bind.Life", fmt.Sprintf("is too short: it is %v, and browsers make no more than 6 signatures in 9 minutes: use more than %v", b.Life, leastBindLife)},
		{b.Grace < 0, "Bind.Grace", fmt.Sprintf("is negative (%v): leave it 0 for the default", b.Grace)},
		{tooShort(b.Grace, time.Second) != "", "Bind.Grace", tooShort(b.Grace, time.Second)},
		{!validBindPath(b.Path), "Bind.Path", fmt.Sprintf("%q is no path of this site: write one like %q, without a query, dots and double slashes", b.Path, defaultBindPath)},
		{!strings.HasPrefix(b.Path, c.StrippedPrefix), "Bind.Path", fmt.Sprintf("%q does not begin with StrippedPrefix: write it as browsers ask for it", b.Path)},
	})
	for _, path := range b.Exclude {
		if err == nil && !validBindPath(path) {
			err = &ConfigError{"Bind.Exclude", fmt.Sprintf("%q is no path of this site: write one like \"/static\"", path)}
		}
	}
	return err
}

// validBindPath reports whether a path can stand in the headers and the JSON that browsers
// get.
func validBindPath(path string) bool {
	return isSafePath(path) && !strings.ContainsAny(path, `?#"\`)
}

// validateBindable tells why browsers could not bind a session with that cookie.
func (c Cookie) validateBindable(name string) error {
	return firstBroken([]rule{
		{c.Secure != SecureAlways, "Cookie.Secure", "must be SecureAlways because Bind is set: sessions are bound over HTTPS alone"},
		{c.Partitioned, "Cookie.Partitioned", "is set together with Bind, but browsers bind no partitioned cookies: drop one of the two"},
		{ticket.Prefix(name) == ticket.HostHTTPPrefix, "Cookie.Name", "begins with " + ticket.HostHTTPPrefix + ", but browsers bind no such cookies: use " + ticket.HostPrefix + ", or drop Bind"},
	})
}

// isOnly reports whether no request has a cookie. h may be nil.
func (h *Header) isOnly() bool {
	return h != nil && reflect.ValueOf(h.Only).Pointer() == reflect.ValueOf(AlwaysHeader).Pointer()
}

// A Binding tells whether a session is bound to its browser, see [Bind].
type Binding int

const (
	// Unbound is a plain session: its browser cannot bind it, or has not done so yet.
	Unbound Binding = iota
	// Bound is a session that its browser has bound to a key, and the request came from
	// there: it has the bound cookie, or the session was bound less than Bind.Grace ago.
	Bound
	// Unproven is a bound session whose cookie came without the proof: whoever has it is an
	// anonymous visitor.
	Unproven
)

func (b Binding) String() string { return valueName("Binding", int(b), "unbound", "bound", "unproven") }
