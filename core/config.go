package core

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	defaultName         = "sid"
	expressName         = "connect.sid"
	defaultIdleTimeout  = 24 * time.Hour
	defaultStoreTimeout = 5 * time.Second
	defaultMaxBytes     = 1 << 20
	defaultMaxKeys      = 1000
	maxTouchInterval    = time.Minute
	touchFraction       = 20 // the default TouchInterval is at most this part of the life
	shortSecret         = 32 // bytes; shorter ones are warned about
)

// EveryRequest is the Config.TouchInterval that extends the session with each
// request.
const EveryRequest time.Duration = -1

// A Policy tells what becomes of a request whose session cannot be loaded.
type Policy int

const (
	// Unavailable answers 503; the handler does not run.
	Unavailable Policy = iota
	// Anonymous runs the handler with an empty session. Nothing is stored, no
	// cookie is set or deleted, and changes make the response fail.
	Anonymous
)

// A Config tells a [Manager] what to do. Store and Secrets are required; the
// zero value of everything else is the recommended setting. Names follow
// express-session where it has the option.
//
// Callbacks may be called by many goroutines at once. Those with a request get
// nil where there is none ([Manager.Load]).
type Config struct {
	// Store keeps the sessions.
	Store Store

	// Secrets sign the cookie (HMAC-SHA256): the first signs, all verify. To
	// rotate, first add the new one second on every instance, then move it to
	// the front. Use 32 random bytes or more; shorter ones are warned about.
	Secrets []string

	// Name is the name of the cookie. The default is "sid", or "connect.sid"
	// with ShareWithExpress.
	Name string

	// Cookie holds the attributes of the cookie.
	Cookie Cookie

	// CookieFor, if not nil, chooses the attributes for each request, in place
	// of Cookie: for hosts of several tenants, for instance.
	CookieFor func(*http.Request) Cookie

	// TrustedProxies are the addresses of the proxies in front of this server.
	// Their X-Forwarded-Proto tells whether a request came over HTTPS. The
	// default is to believe nobody. A network of IPv4 may also be written as one of
	// IPv6, such as ::ffff:10.0.0.0/104.
	TrustedProxies []netip.Prefix

	// TrustUnixSocket is the same for a proxy that connects through a Unix
	// socket.
	TrustUnixSocket bool

	// GenerateID, if not nil, makes the ids of new sessions. They must be
	// impossible to guess: at least 128 bits from crypto/rand, and at least 16
	// characters, as UTF-8. The default is 192 bits as 32 characters of base64url.
	GenerateID func(*http.Request) (string, error)

	// IdleTimeout is how long a session lives without activity. The default is
	// the smallest of 24 hours, Cookie.MaxAge and AbsoluteTimeout; with
	// ShareWithExpress, Cookie.MaxAge may be longer.
	IdleTimeout time.Duration

	// AbsoluteTimeout is how long a session lives at most, counted from its
	// creation, however active it is. The default, 0, is no limit.
	AbsoluteTimeout time.Duration

	// AAL keeps sessions within the time limits that NIST SP 800-63B-4 has for an
	// authenticator assurance level: 1 (30 days), 2 (24 hours, and 1 hour without
	// activity) or 3 (12 hours, and 15 minutes without activity). They become the
	// defaults of AbsoluteTimeout and IdleTimeout, longer ones are refused, and a
	// max age of its own ([Session.SetMaxAge]) does not take a session beyond
	// them. The default, 0, is none of these.
	AAL int

	// TouchInterval is how often, at most, one process extends the life of an
	// active session in the store, so that reads stay reads. A session may
	// therefore end up to that much before its idle timeout, and never after.
	// The default is one minute or 1/20 of the life of the session, whichever is
	// less. [EveryRequest] extends it each time.
	TouchInterval time.Duration

	// Rolling sends the cookie with every response to a request that has a
	// session, which restarts Cookie.MaxAge in the browser.
	Rolling bool

	// Resave writes the session after every request, changed or not.
	Resave bool

	// SaveUninitialized stores new sessions even when nothing was put into
	// them, and sets their cookie.
	SaveUninitialized bool

	// Skip, if not nil, tells which requests to leave alone: health checks,
	// static files. They have no session.
	Skip func(*http.Request) bool

	// Passive, if not nil, tells which requests are no activity and do not
	// extend the session: a page that polls, for instance.
	Passive func(*http.Request) bool

	// Lazy loads the session when the handler first asks for it, in place of
	// before the handler. Where that fails, Get abandons the handler by a
	// panic and the client gets the error page; Load returns the error. Other
	// goroutines than the handler's have to use Load, unless the handler has
	// called Get before: nothing recovers the panic there.
	Lazy bool

	// StoreTimeout limits the time that a load, and that a commit as a whole,
	// may take. The default is 5 seconds.
	StoreTimeout time.Duration

	// MaxBytes limits the encoded session. The default is 1 MiB.
	MaxBytes int

	// MaxKeys limits the number of keys in a session. The default is 1000.
	MaxKeys int

	// HashIDs keeps SHA-256 hashes in the store in place of the ids, so that who
	// can read the store cannot use the sessions. Express cannot share them.
	HashIDs bool

	// SealKeys encrypts the data in the store (XAES-256-GCM): the first key
	// seals, all open. Each is a secret of at least 32 bytes. Records that are
	// not sealed are not read any more: turning this on ends all sessions.
	SealKeys []string

	// MaxSessionsPerUser limits how many sessions a user may have at once: it
	// counts those of [Session.SignIn]. However many sign in together, it is not
	// exceeded. With UserKey those that an Express app made and that are listed
	// count as well; Express is not kept from making more, for which the next SignIn
	// ends those that are too many, or is refused. The store has to be a
	// [UserIndexer]. The default, 0, is no limit; no user has more than 1000.
	MaxSessionsPerUser int

	// AtUserLimit is what SignIn does when that limit is reached. The default is
	// DropLeastRecentlyUsed.
	AtUserLimit AtUserLimit

	// UserKey is the key under which an Express app on the same store keeps who
	// signed in, as a string or a whole number: such as "userId", or with dots
	// between the members of objects "passport.user". It then says whose session
	// it is: [Session.SignIn] sets it, handlers cannot change it, and sessions
	// that the Express app made are listed once a request came here with them.
	// That costs two round trips beside the handler, once for each session.
	UserKey string

	// ShareWithExpress is for a store that an Express app with express-session
	// uses at the same time: this one setting, the same secrets, and the options
	// of Express's cookie as Cookie are all that it takes. docs/express.md is the
	// guide.
	//
	// It makes connect.sid the default name, and Cookie.MaxAge the life of a
	// session where that is set, as Express's stores do. It refuses what Express
	// could not read (HashIDs, SealKeys, and keys that express-session drops
	// when it loads a session) and warns about an AbsoluteTimeout, which Express
	// does not enforce.
	ShareWithExpress bool

	// OnStoreError, if not nil, decides about a request whose session cannot be
	// loaded. The default is Unavailable.
	OnStoreError func(*http.Request, error) Policy

	// ErrorHandler, if not nil, writes the response where the session could
	// not be loaded or saved. [HTTPStatus] gives the status that suits an error.
	// The default is the framework's own way, or a short text with net/http.
	ErrorHandler func(http.ResponseWriter, *http.Request, error)

	// Logger gets what an operator has to know. The default is slog.Default().
	Logger *slog.Logger

	// Observer, if not nil, is told what happens to sessions.
	Observer Observer

	// Now, if not nil, replaces time.Now, for tests.
	Now func() time.Time
}

// Format implements [fmt.Formatter]: Secrets and SealKeys are not printed. Package
// fmt does not ask where c stands in an unexported field of what is printed, nor for
// %p and %w, which go vet refuses: keep a Manager in a struct, not a Config.
func (c Config) Format(f fmt.State, verb rune) {
	type config Config // without this method
	for _, secrets := range []*[]string{&c.Secrets, &c.SealKeys} {
		*secrets = slices.Repeat([]string{"REDACTED"}, len(*secrets))
	}
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), config(c))
}

// LogValue implements [slog.LogValuer]: Secrets and SealKeys are not logged.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprintf("%+v", c)) }

// withDefaults returns c with every zero value replaced by what it means.
func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = defaultName
		if c.ShareWithExpress {
			c.Name = expressName
		}
	}
	c.Cookie = c.Cookie.withDefaults()
	level := c.level()
	if c.AbsoluteTimeout == 0 {
		c.AbsoluteTimeout = level.absolute
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = defaultIdleTimeout
		if c.Cookie.MaxAge > 0 && (c.Cookie.MaxAge < c.IdleTimeout || c.ShareWithExpress) {
			c.IdleTimeout = c.Cookie.MaxAge
		}
		if level.idle > 0 {
			c.IdleTimeout = min(c.IdleTimeout, level.idle)
		}
		if c.AbsoluteTimeout > 0 {
			c.IdleTimeout = min(c.IdleTimeout, c.AbsoluteTimeout)
		}
	}
	c.TrustedProxies = slices.Clone(c.TrustedProxies)
	for i, p := range c.TrustedProxies {
		if p.Addr().Is4In6() { // which would match nothing: the address of a peer is taken for IPv4
			c.TrustedProxies[i] = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mappedBits)
		}
	}
	if c.StoreTimeout == 0 {
		c.StoreTimeout = defaultStoreTimeout
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = defaultMaxBytes
	}
	if c.MaxKeys == 0 {
		c.MaxKeys = defaultMaxKeys
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// aals are the time limits of the authenticator assurance levels (NIST SP
// 800-63B-4, sections 2.1.3, 2.2.3 and 2.3.3). AAL1 has none for idle sessions.
var aals = [...]struct{ idle, absolute time.Duration }{
	1: {30 * 24 * time.Hour, 30 * 24 * time.Hour},
	2: {time.Hour, 24 * time.Hour},
	3: {15 * time.Minute, 12 * time.Hour},
}

// level returns the time limits of c.AAL, zero for none.
func (c *Config) level() (limits struct{ idle, absolute time.Duration }) {
	if c.AAL > 0 && c.AAL < len(aals) {
		limits = aals[c.AAL]
	}
	return limits
}

// mappedBits is the length of the prefix of IPv6 that all of IPv4 is mapped to.
const mappedBits = 96

// validate tells what is wrong with c, before the defaults are filled in.
func (c Config) validate() error {
	if isNil(c.Store) {
		return &ConfigError{"Store", "is nil: set a store, such as memorystore.New()"}
	}
	if err := validateSecrets(c.Secrets); err != nil {
		return err
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"IdleTimeout", c.IdleTimeout},
		{"AbsoluteTimeout", c.AbsoluteTimeout},
		{"StoreTimeout", c.StoreTimeout},
	} {
		if d.value < 0 {
			return &ConfigError{d.field, fmt.Sprintf("is negative (%v): leave it 0 for the default", d.value)}
		}
	}
	if c.TouchInterval < 0 && c.TouchInterval != EveryRequest {
		return &ConfigError{"TouchInterval", fmt.Sprintf("is negative (%v): leave it 0 for the default, or use EveryRequest", c.TouchInterval)}
	}
	if c.AAL < 0 || c.AAL >= len(aals) {
		return &ConfigError{"AAL", fmt.Sprintf("is %d: use 1, 2 or 3, or leave it 0", c.AAL)}
	}
	if level := c.level(); c.AAL > 0 {
		if c.AbsoluteTimeout > level.absolute {
			return &ConfigError{"AbsoluteTimeout", fmt.Sprintf("(%v) is longer than AAL %d allows (%v): lower it, or leave it 0 for that", c.AbsoluteTimeout, c.AAL, level.absolute)}
		}
		if c.IdleTimeout > level.idle {
			return &ConfigError{"IdleTimeout", fmt.Sprintf("(%v) is longer than AAL %d allows (%v): lower it, or leave it 0 for the default", c.IdleTimeout, c.AAL, level.idle)}
		}
	}
	if c.AbsoluteTimeout > 0 && c.IdleTimeout > c.AbsoluteTimeout {
		return &ConfigError{"AbsoluteTimeout", fmt.Sprintf("(%v) is shorter than IdleTimeout (%v): lower one or raise the other", c.AbsoluteTimeout, c.IdleTimeout)}
	}
	if idle := c.withDefaults().IdleTimeout; c.TouchInterval >= idle {
		return &ConfigError{"TouchInterval", fmt.Sprintf("(%v) is not shorter than the idle timeout (%v), so that active sessions would end: lower it", c.TouchInterval, idle)}
	}
	if c.MaxBytes < 0 {
		return &ConfigError{"MaxBytes", fmt.Sprintf("is negative (%d): leave it 0 for the default", c.MaxBytes)}
	}
	if c.MaxBytes > maxText {
		return &ConfigError{"MaxBytes", "is more than 2 GiB"}
	}
	if c.MaxKeys < 0 {
		return &ConfigError{"MaxKeys", fmt.Sprintf("is negative (%d): leave it 0 for the default", c.MaxKeys)}
	}
	if c.MaxSessionsPerUser < 0 || c.MaxSessionsPerUser > maxListed {
		return &ConfigError{"MaxSessionsPerUser", fmt.Sprintf("is %d: leave it 0 for no limit, or set one of up to %d", c.MaxSessionsPerUser, maxListed)}
	}
	if _, ok := c.Store.(UserIndexer); !ok && c.MaxSessionsPerUser > 0 {
		return &ConfigError{"MaxSessionsPerUser", "is set, but the store does not keep lists of users' sessions: use one that is a UserIndexer"}
	}
	if c.AtUserLimit < DropLeastRecentlyUsed || c.AtUserLimit > RefuseNew {
		return &ConfigError{"AtUserLimit", fmt.Sprintf("is %d: use DropLeastRecentlyUsed, DropOldest or RefuseNew", c.AtUserLimit)}
	}
	if c.UserKey != "" {
		path := strings.Split(c.UserKey, ".")
		if slices.Contains(path, "") || isReserved(path[0]) || path[0] == "__proto__" || !utf8.ValidString(c.UserKey) {
			return &ConfigError{"UserKey", fmt.Sprintf("%q is no key of a session: use one such as \"userId\" or \"passport.user\"", c.UserKey)}
		}
	}
	for i, p := range c.TrustedProxies {
		if p.Addr().Is4In6() && p.Bits() < mappedBits {
			return &ConfigError{"TrustedProxies", fmt.Sprintf("[%d] is %v, which is more than all of IPv4: use a network of IPv4, such as 10.0.0.0/8", i, p)}
		}
	}
	for i, key := range c.SealKeys {
		if len(key) < minSealKey {
			return &ConfigError{"SealKeys", fmt.Sprintf("[%d] has %d bytes: use at least %d", i, len(key), minSealKey)}
		}
	}
	if c.ShareWithExpress {
		for _, conflict := range []struct {
			set        bool
			field, why string
		}{
			{c.HashIDs, "HashIDs", "looks for a session under its id, not under a hash of it"},
			{len(c.SealKeys) > 0, "SealKeys", "cannot read what is sealed"},
		} {
			if conflict.set {
				return &ConfigError{conflict.field, "is set together with ShareWithExpress, but express-session " + conflict.why + ": drop one of the two"}
			}
		}
	}
	c = c.withDefaults()
	if !validCookieName(c.Name) {
		return &ConfigError{"Name", fmt.Sprintf("%q is no token (RFC 6265): use letters, digits, - and _", c.Name)}
	}
	return c.Cookie.validate(c.Name)
}

// validateSecrets is for Config.Secrets and Manager.SetSecrets.
func validateSecrets(secrets []string) error {
	if len(secrets) == 0 {
		return &ConfigError{"Secrets", "is empty: set at least one secret of 32 random bytes or more"}
	}
	for i, s := range secrets {
		if strings.TrimSpace(s) == "" {
			return &ConfigError{"Secrets", fmt.Sprintf("[%d] is empty or blank: is the environment variable set?", i)}
		}
	}
	return nil
}

// isNil also finds a nil pointer in an interface.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	rv := reflect.ValueOf(v)
	return rv.Kind() == reflect.Pointer && rv.IsNil()
}
