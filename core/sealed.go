package core

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/seal"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What an app sets and meets that keeps its sessions in sealed cookies. How a request
// finds and stores them is in jar.go, what is known of those that ended in ends.go.

// The limits of a SealedCookie, whose fields tell about them.
const (
	defaultSealedBytes  = 3072
	leastSealedBytes    = 512
	defaultSealedLife   = 30 * 24 * time.Hour
	largestKeysReported = 3 // by a CookieSizeError
)

// A SealedCookie keeps the whole session in its cookie, encrypted, for an app without a
// server that could keep it. The zero value is the recommended setting.
//
// It does not keep what takes a server to keep:
//
//   - Of two requests at the same time the browser keeps what the last answer says, and
//     the changes of the other one are lost.
//   - A logout makes the browser drop its cookie. Whoever has a copy goes on, until the
//     session would have ended by itself, unless Ends is set. A process refuses the
//     last 4096 sessions that it has ended itself; other processes do not know of them.
//   - There are no lists of users' sessions, and so no limits: these calls return an
//     error that matches [errors.ErrUnsupported]. Nor can [Key.Take] and [OneTime.Take] promise that a value
//     is taken once.
//
// Config.Secrets encrypt the cookie, with keys that are derived for that alone
// (XAES-256-GCM), so each has to have 32 bytes or more. They are rotated as ever. The
// cookie is worth something under its name, its path and its host only. The host is
// Cookie.Domain where that is set, or else what the request says (Host, without the
// port, as a proxy passes it on). A session that [Manager.Load] made is bound to no host.
//
// A session ends when its cookie says so, by the clock of the process that looks: the
// times are off by what the clocks of the processes differ. A request extends it, by
// sending the cookie again, once in Config.TouchInterval, and not while it is under way.
// Config.AbsoluteTimeout is 30 days where it is not set, or as long as IdleTimeout or
// Cookie.MaxAge where one of these is longer: without such an end, a copy could be kept
// alive for ever.
//
// Config.Store has to be nil then, and so have to be the settings that are about what a
// store holds. docs/sealed-cookie.md is the guide.
type SealedCookie struct {
	// MaxBytes limits the name and the value of the cookie together, as browsers count
	// them: from 512 to 4096, which is what browsers keep. The default is 3072, because a
	// proxy may have to fit all headers of a response into 4096 bytes. A session that
	// does not fit fails the commit with a [*CookieSizeError].
	MaxBytes int

	// Ends, if not nil, is where it is kept which sessions have ended, for as long as
	// a copy of the cookie could be used: a small record for each logout and renewal. Logout
	// and [Manager.RevokeUser] are then final, in all processes, and a request waits for
	// one round trip. It is any store that does not evict records, in memory where there
	// is one process; the sessions themselves never get there.
	Ends store.Store
}

// Format implements [fmt.Formatter]: of Ends only the type is printed.
func (c SealedCookie) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "{MaxBytes:%d Ends:%T}", c.MaxBytes, c.Ends)
}

// A CookieSizeError says that a session does not fit into its sealed cookie. It is an
// [ErrCookieTooLarge], and holds no values.
type CookieSizeError struct {
	Size int // how many bytes the name and the value of the cookie would have
	Max  int // how many they may have: see [SealedCookie.MaxBytes]

	// Largest are the keys that take the most room, the largest first, up to three.
	Largest []KeySize
}

// A KeySize is how much room a key of a session takes.
type KeySize struct {
	Key   string // its name
	Bytes int    // of JSON, with the name: four of them take more than five of the cookie
}

// Error names the largest keys and their sizes.
func (e *CookieSizeError) Error() string {
	keys := make([]string, len(e.Largest))
	for i, k := range e.Largest {
		keys[i] = fmt.Sprintf("%q (%d bytes)", k.Key, k.Bytes)
	}
	return fmt.Sprintf("cloakroom: sealed cookie would have %d bytes, and Config.Sealed.MaxBytes is %d: keep less in the session, or keep it in a store; "+
		"the largest keys are %s", e.Size, e.Max, strings.Join(keys, ", "))
}

// Unwrap returns [ErrCookieTooLarge].
func (e *CookieSizeError) Unwrap() error { return ErrCookieTooLarge }

// checkCookie returns a [*CookieSizeError] where a record does not fit into its cookie.
func (x *Exchange) checkCookie(id string, text []byte) error {
	name, most := x.m.cfg.Cookie.Name, x.m.cfg.Sealed.MaxBytes
	size := len(name) + seal.CookieLength(x.host(), id, len(text))
	if size <= most {
		return nil
	}
	var keys []KeySize
	members, _ := jsontext.Scan(text, nil)
	for _, m := range members {
		if key := jsontext.Name(text, m); !record.IsReserved(key) {
			keys = append(keys, KeySize{key, int(m.ValueEnd-m.Name) + 1}) // with the quote before the name
		}
	}
	slices.SortStableFunc(keys, func(a, b KeySize) int { return b.Bytes - a.Bytes })
	largest := keys[:min(len(keys), largestKeysReported)]
	return &CookieSizeError{Size: size, Max: most, Largest: largest}
}

// withSealedDefaults is withDefaults for what depends on Sealed.
func (c Config) withSealedDefaults() Config {
	if c.Sealed == nil {
		return c
	}
	sealed := *c.Sealed
	if sealed.MaxBytes == 0 {
		sealed.MaxBytes = defaultSealedBytes
	}
	c.Sealed = &sealed
	if c.AbsoluteTimeout == 0 {
		c.AbsoluteTimeout = max(defaultSealedLife, c.IdleTimeout, c.Cookie.MaxAge)
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = sealed.MaxBytes
	}
	return c
}

// validateSealed tells what cannot be set together with Sealed, or in it.
func (c Config) validateSealed() error {
	if c.Sealed == nil {
		return nil
	}
	if n := c.Sealed.MaxBytes; n != 0 && (n < leastSealedBytes || n > ticket.MaxCookie) {
		return &ConfigError{"Sealed.MaxBytes", fmt.Sprintf("is %d: leave it 0 for %d, or set %d to %d", n, defaultSealedBytes, leastSealedBytes, ticket.MaxCookie)}
	}
	if c.Sealed.Ends != nil && isNil(c.Sealed.Ends) {
		return &ConfigError{"Sealed.Ends", "is a nil pointer: leave it nil, or set a store"}
	}
	if err := validateSealingSecrets(c.Secrets); err != nil {
		return err
	}
	const with = "is set together with Sealed, which "
	return firstBroken([]rule{
		{c.Store != nil, "Store", with + "keeps the sessions in their cookies: drop one of the two; a store for logouts is Sealed.Ends"},
		{c.HashIDs, "HashIDs", with + "puts no session into a store, and hashes all that it keeps in Sealed.Ends: drop it"},
		{len(c.SealKeys) > 0, "SealKeys", with + "seals the cookie under keys that are derived from Secrets: drop it"},
		{len(c.RetiredSealKeys) > 0, "RetiredSealKeys", with + "seals the cookie under keys that are derived from Secrets: drop it, and drop a secret that others know from Secrets"},
		{c.MaxSessionsPerUser != 0, "MaxSessionsPerUser", with + "keeps no lists of users' sessions: drop it, or set a Store in place of Sealed"},
		{c.AtUserLimit != 0, "AtUserLimit", with + "keeps no lists of users' sessions: drop it, or set a Store in place of Sealed"},
		{c.UserKey != "", "UserKey", with + "is read by no Express app: drop it"},
		{c.Header != nil, "Header", with + "keeps the sessions in cookies, and a token for a header would be as large: drop one of the two"},
		{c.ShareWithExpress, "ShareWithExpress", with + "express-session cannot read: drop one of the two"},
		{c.Predecessor.Linked, "Predecessor.Linked", with + "cannot follow another session: drop it, or set a Store in place of Sealed"},
	})
}

// validateSealingSecrets tells which secret is too short to encrypt by.
func validateSealingSecrets(secrets []string) error {
	for i, s := range secrets {
		if len(s) < seal.MinSecret {
			return &ConfigError{"Secrets", fmt.Sprintf("[%d] has %d bytes, and encrypts the sessions with Sealed: use at least %d, such as from: openssl rand -base64 32", i, len(s), seal.MinSecret)}
		}
	}
	return nil
}
