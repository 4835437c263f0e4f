package core

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What a Config has where the app says nothing. The fields of Config tell about each.
const (
	defaultName         = "sid"
	expressName         = "connect.sid" // with ShareWithExpress
	defaultIdleTimeout  = 24 * time.Hour
	defaultStoreTimeout = 5 * time.Second
	defaultPollInterval = time.Second
	defaultMaxBytes     = 1 << 20
	defaultMaxKeys      = 1000
	maxTouchInterval    = time.Minute
	touchFraction       = 20 // the default TouchInterval is at most this part of the life
	shortSecret         = 32 // bytes; shorter ones are warned about
)

// EveryRequest is the Config.TouchInterval that extends the session with each
// request.
const EveryRequest time.Duration = -1

// A Config tells a [Manager] what to do. Store, or Sealed, and Secrets are required; the
// zero value of everything else is the recommended setting. Names follow
// express-session where it has the option.
//
// Callbacks may be called by many goroutines at once. Those with a request get
// nil where there is none ([Manager.Load]).
type Config struct {
	// Store keeps the sessions. It is nil with Sealed, and only then.
	Store store.Store

	// Sealed, if not nil, keeps each session in its cookie, in place of in a Store, which
	// is nil then: for apps without a server to keep them. What that cannot keep is said
	// there.
	Sealed *SealedCookie

	// Secrets sign the cookie (HMAC-SHA256): the first signs, all verify. To
	// rotate, first add the new one second on every instance, then move it to
	// the front. Use 32 random bytes or more; shorter ones are warned about.
	Secrets []string

	// Cookie holds the name and the attributes of the cookie.
	Cookie Cookie

	// CookieFor, if not nil, chooses the attributes for each request, in place
	// of those of Cookie: for hosts of several tenants, for instance. The name is
	// Cookie.Name for every request; a Name that CookieFor returns is ignored.
	CookieFor func(*http.Request) Cookie

	// Header, if not nil, lets clients that keep no cookies carry the session in a header:
	// &core.Header{} is a bearer token. Then both are served, the cookie to browsers.
	Header *Header

	// Bind, if not nil, binds the sessions of users to their browsers, where these can: a
	// stolen cookie is worth nothing then. It is experimental; docs/binding.md is the guide.
	Bind *Bind

	// TrustedProxies are the addresses of the proxies in front of this server. A network
	// that is too wide lets visitors decide on what follows, and on the address that is
	// shown for their device.
	// Their X-Forwarded-Proto, or else Forwarded, CloudFront-Forwarded-Proto,
	// X-Forwarded-Ssl or Front-End-Https, reports whether a request came over HTTPS, and
	// their X-Forwarded-For where it came from, for [Info]. Where there is no X-Forwarded-For,
	// it is Forwarded (RFC 7239) that does the latter: a proxy that writes Forwarded has
	// to remove the X-Forwarded-For of clients. The default is to believe nobody. A
	// network of IPv4 may also be written as one of IPv6, such as ::ffff:10.0.0.0/104.
	TrustedProxies []netip.Prefix

	// TrustUnixSocket is the same for a proxy that connects through a Unix
	// socket.
	TrustUnixSocket bool

	// IsHTTPS, if not nil, reports whether the browser's request came over HTTPS, where
	// neither its connection nor the header of a trusted proxy does: for a proxy that
	// ends TLS and adds no header, [AlwaysHTTPS].
	IsHTTPS func(*http.Request) bool

	// StrippedPrefix is what a proxy takes off the path of each request, such as "/app"
	// where browsers ask for /app/cart and the app is asked for /cart. Only a Cookie.Path
	// needs it: browsers compare that with the path that they asked for. What the app
	// strips itself (http.StripPrefix, a group of routes) does not belong here. The
	// default is nothing.
	StrippedPrefix string

	// GenerateID, if not nil, makes the ids of new sessions. They must be
	// impossible to guess: at least 128 bits from crypto/rand, and at least 16
	// characters, as UTF-8. The default is 192 bits as 32 characters of base64url.
	GenerateID func(*http.Request) (string, error)

	// IdleTimeout is how long a session lives without activity: at least a second. The
	// default is Cookie.MaxAge where that is set, else 24 hours; but no longer than
	// AbsoluteTimeout, and than AAL allows.
	IdleTimeout time.Duration

	// AbsoluteTimeout is how long a session lives at most, counted from its
	// creation, however active it is: at least a second. The default, 0, is no limit.
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

	// PollInterval is how often the store is asked whether the sessions live whose end
	// somebody waits for ([Session.Ended]), all of them in one call, where it is no
	// [store.Watcher] and cannot tell by itself: at least 10 milliseconds. So much later
	// than it happened may an end by another process be told; ends by this process are
	// told at once. The default is a second.
	PollInterval time.Duration

	// Rolling sends the cookie with every response to a request that has a
	// session, which restarts Cookie.MaxAge in the browser, as express-session
	// does. Cookie.MaxAge alone keeps active sessions, for less: a response that
	// only sends the cookie again costs a round trip here, for the look whether
	// the browser may have a newer one.
	Rolling bool

	// Resave writes the session after every request, changed or not.
	Resave bool

	// SaveUninitialized stores new sessions even when nothing was put into
	// them, and sets their cookie.
	SaveUninitialized bool

	// Skip, if not nil, tells which requests to leave alone: health checks,
	// static files. They have no session. Echo's Use covers the routes that were
	// registered before it as well, so there SaveUninitialized makes a session for each
	// health check that Skip does not name.
	Skip func(*http.Request) bool

	// Passive, if not nil, tells which requests are no activity and do not
	// extend the session: a page that polls, for instance. What such a request
	// changes keeps the life that is left; SignIn, Renew, SetMaxAge and Touch are
	// activity all the same. Any other request is, for as long as it is under way.
	//
	// A page that the browser fetches ahead is activity, too, as is one that is opened
	// from what was fetched: of the latter nothing is heard here. To count neither, say
	// strings.HasPrefix(r.Header.Get("Sec-Purpose"), "prefetch"); a visitor who only ever
	// opens such pages is then logged out by IdleTimeout.
	Passive func(*http.Request) bool

	// Lazy loads the session when the handler first asks for it, in place of
	// before the handler. Where that fails, Get abandons the handler by a
	// panic and the client gets the error page; Load returns the error. Other
	// goroutines than the handler's have to use Load, unless the handler has
	// called Get before: nothing recovers the panic there.
	Lazy bool

	// LeaveCacheControl leaves it to the handlers what caches keep of the pages of those
	// who are signed in. Else a response of a handler that asked for the session of a
	// user, and said nothing of it, has Cache-Control: no-store: what a browser keeps, it
	// shows to whoever goes back after a logout.
	LeaveCacheControl bool

	// StoreTimeout limits the time that a load, and that a commit as a whole,
	// may take: at least a millisecond. The default is 5 seconds.
	StoreTimeout time.Duration

	// MaxBytes limits the encoded session. The default is 1 MiB. With ShareWithExpress
	// a session that Express made larger can still be changed, each time by 1 KiB more
	// than it has.
	MaxBytes int

	// MaxKeys limits the number of keys in a session. The default is 1000. With
	// ShareWithExpress one to which Express gave more gets no others, and can still be
	// changed.
	MaxKeys int

	// HashIDs keeps SHA-256 hashes in the store in place of the ids, so that who
	// can read the store cannot use the sessions. Express cannot share them.
	HashIDs bool

	// SealKeys encrypts the data in the store (XAES-256-GCM): the first key
	// seals, all open. Each is a secret of at least 32 bytes. Records that are
	// not sealed are not read any more: turning this on ends all sessions. A record
	// under a key that is neither here nor in RetiredSealKeys may be a good one, so
	// the request fails with [ErrUnknownSealKey]. docs/keys.md tells how to rotate.
	SealKeys []string

	// RetiredSealKeys are former SealKeys that may be known to others. A session that
	// is sealed under one of them counts as gone: its visitor is a new one, and can log
	// in. The list of a user's sessions is read still, so that those which were sealed
	// anew can be revoked, and is sealed anew when it is written next.
	RetiredSealKeys []string

	// MaxSessionsPerUser limits how many sessions a user may have at once: it
	// counts those of [Session.SignIn]. However many sign in together, it is not
	// exceeded. With UserKey those that an Express app made and that are listed
	// count as well; Express is not kept from making more, for which the next SignIn
	// ends those that are too many, or is refused. The store has to be a
	// [store.UserIndexer]. The default, 0, is no limit but that of a list, which is
	// 1000: AtUserLimit says what happens there, too, and the log says so once.
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

	// Predecessor is where the sessions were before the app had Cloakroom, so that its
	// visitors stay signed in when it moves. docs/migrating.md is the guide.
	Predecessor Predecessor

	// ServeAnonymously, if not nil, decides about a request whose session cannot be
	// loaded, or not be extended, because of the error that the store returned. Where
	// it returns true, the handler runs with an empty session: nothing is stored, no
	// cookie is set or deleted, and changes make the response fail with
	// [ErrDegraded]. Where it returns false, and by default, the response is the
	// error page.
	ServeAnonymously func(*http.Request, error) bool

	// ErrorHandler, if not nil, writes the response where the session could
	// not be loaded or saved, and where a [Guard] refuses a request. [HTTPStatus] gives the status that suits an error.
	// The default is the framework's own way, or a short text with net/http; the latter is also what follows where it writes nothing.
	ErrorHandler func(http.ResponseWriter, *http.Request, error)

	// Logger gets what an operator has to know. The default is slog.Default().
	Logger *slog.Logger

	// Observer, if not nil, is told what happens to sessions.
	Observer Observer

	// Now, if not nil, replaces time.Now, for tests.
	Now func() time.Time
}

// Format implements [fmt.Formatter]: Secrets and seal keys are not printed, and of
// Store only its type, because it may hold ids. Package fmt does not ask where c
// stands in an unexported field of what is printed, nor for %p and %w, which go vet
// refuses: keep a Manager in a struct, not a Config.
func (c Config) Format(f fmt.State, verb rune) {
	type config Config // without this method
	for _, secrets := range []*[]string{&c.Secrets, &c.SealKeys, &c.RetiredSealKeys} {
		*secrets = redacted(len(*secrets))
	}
	if c.Store != nil {
		c.Store = typeOnly{c.Store}
	}
	if c.Predecessor.Source != nil {
		c.Predecessor.Source = sourceTypeOnly{c.Predecessor.Source}
	}
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), config(c))
}

// typeOnly is a store of which only the type is printed.
type typeOnly struct{ store.Store }

// Format implements [fmt.Formatter].
func (t typeOnly) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%T", t.Store) }

// sourceTypeOnly is a predecessor of which only the type is printed.
type sourceTypeOnly struct{ predecessor.Source }

// Format implements [fmt.Formatter].
func (t sourceTypeOnly) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%T", t.Source) }

// redacted stands for n secrets.
func redacted(n int) []string { return slices.Repeat([]string{"REDACTED"}, n) }

// LogValue implements [slog.LogValuer]: Secrets and seal keys are not logged.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprintf("%+v", c)) }

// valueName returns the name of a value of an enumeration, whose values count from 0, and
// its number for one that has no name: a setting may be any number.
func valueName(kind string, value int, names ...string) string {
	if value >= 0 && value < len(names) {
		return names[value]
	}
	return fmt.Sprintf("%s(%d)", kind, value)
}

// withDefaults returns c with every zero value replaced by what it means.
func (c Config) withDefaults() Config {
	if c.Cookie.Name == "" {
		c.Cookie.Name = defaultName
		if c.ShareWithExpress {
			c.Cookie.Name = expressName
		}
	}
	c.Cookie = c.Cookie.withDefaults()
	c.Header = c.Header.withDefaults()
	c.Bind = c.Bind.withDefaults(&c)
	level := c.level()
	if c.AbsoluteTimeout == 0 {
		c.AbsoluteTimeout = level.absolute
	}
	c = c.withSealedDefaults()
	if c.IdleTimeout == 0 {
		c.IdleTimeout = defaultIdleTimeout
		if c.Cookie.MaxAge > 0 {
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
	if c.PollInterval == 0 {
		c.PollInterval = defaultPollInterval
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
