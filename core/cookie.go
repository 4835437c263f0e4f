package core

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
)

// SameSiteAuto sends SameSite=None on a secure request and Lax on any other.
const SameSiteAuto http.SameSite = -1

// Secure tells when the cookie carries the Secure attribute.
type Secure int

const (
	// SecureAuto sets Secure when the request came over HTTPS: its connection
	// is TLS, or a proxy in Config.TrustedProxies says so.
	SecureAuto Secure = iota
	// SecureAlways sets Secure and sends the cookie, and the token of [Header], over HTTPS
	// only. Where a
	// proxy ends the TLS, name it in Config.TrustedProxies, or see Config.IsHTTPS.
	SecureAlways
	// SecureNever leaves Secure out, also over HTTPS.
	SecureNever
)

func (s Secure) String() string { return valueName("Secure", int(s), "auto", "always", "never") }

// Priority is the Priority attribute, a hint of Chromium's for what to evict
// first. It is left out when empty.
type Priority string

// The values of Priority.
const (
	PriorityLow    Priority = "Low"
	PriorityMedium Priority = "Medium"
	PriorityHigh   Priority = "High"
)

// A Cookie holds the name and the attributes of the session cookie (RFC 6265). The
// zero value is a cookie for the whole site, for as long as the browser runs, out of
// reach of scripts, SameSite=Lax, and Secure whenever the request is.
type Cookie struct {
	// Name is the name of the cookie. The default is "sid", or "connect.sid"
	// with [Config.ShareWithExpress]. With a prefix that browsers have rules for
	// (RFC 6265bis, section 4.1.3) the other fields have to follow them: __Secure-,
	// __Host- (no other host can set it), __Http- (no script can) and __Host-Http-,
	// which is the strongest. Browsers that do not know a prefix go without its rules.
	Name string

	// Path limits the cookie, and the sessions, to a part of the site. Requests
	// outside of it are left alone. The default is "/".
	Path string

	// Domain extends the cookie to all hosts below a domain. The default, none,
	// keeps it on the one host that set it.
	Domain string

	// MaxAge makes the cookie outlive the browser, for that long after each
	// time that it is sent: with a change, and with the first request after a
	// tenth of that time, so that the cookie of an active session never ends. The
	// default, 0, is a cookie for the browser's session. It is at least a second;
	// browsers allow at most 400 days. It is a time.Duration: 3600 * time.Second is an
	// hour, and 3600 is refused.
	MaxAge time.Duration

	// Partitioned keeps one cookie per top-level site (CHIPS), for pages that are shown
	// in frames on other sites. It needs SecureAlways and SameSite=None.
	Partitioned bool

	// Priority is left out by default.
	Priority Priority

	// SameSite is Lax by default. http.SameSiteDefaultMode leaves the attribute
	// out, [SameSiteAuto] chooses by the request, None needs SecureAlways.
	SameSite http.SameSite

	// Secure is SecureAuto by default.
	Secure Secure

	// ScriptAccess leaves HttpOnly out, so that scripts can read the cookie.
	ScriptAccess bool
}

// withDefaults returns c with the zero values replaced by what they mean.
func (c Cookie) withDefaults() Cookie {
	if c.Path == "" {
		c.Path = "/"
	}
	if c.SameSite == 0 {
		c.SameSite = http.SameSiteLaxMode
	}
	c.Domain = strings.TrimPrefix(c.Domain, ".")
	return c
}

// validate tells what a browser would reject or what would be unsafe, given the
// name of the cookie. It expects the defaults to be filled in.
func (c Cookie) validate(name string) error {
	always := c.Secure == SecureAlways
	prefix := ticket.Prefix(name)
	oneHost := prefix == ticket.HostPrefix || prefix == ticket.HostHTTPPrefix
	noScript := prefix == ticket.HTTPPrefix || prefix == ticket.HostHTTPPrefix
	return firstBroken([]rule{
		{c.Secure < SecureAuto || c.Secure > SecureNever, "Cookie.Secure", "is no known value: use SecureAuto, SecureAlways or SecureNever"},
		{c.SameSite < SameSiteAuto || c.SameSite > http.SameSiteNoneMode, "Cookie.SameSite", "is no known value: use one of net/http's or SameSiteAuto"},
		{c.SameSite == http.SameSiteNoneMode && !always, "Cookie.SameSite", "is None, which browsers accept with Secure only: set Cookie.Secure to SecureAlways"},
		{c.Partitioned && !always, "Cookie.Partitioned", "is set, which browsers accept with Secure only: set Cookie.Secure to SecureAlways"},
		{c.Partitioned && c.SameSite != http.SameSiteNoneMode, "Cookie.Partitioned", "is of use in frames on other sites only, where browsers store no cookie but one with SameSite=None: set Cookie.SameSite to http.SameSiteNoneMode"},
		{prefix != "" && !always, "Cookie.Secure", "must be SecureAlways because Cookie.Name begins with " + prefix},
		{oneHost && c.Domain != "", "Cookie.Domain", "must be empty because Cookie.Name begins with " + prefix},
		{oneHost && c.Path != "/", "Cookie.Path", `must be "/" because Cookie.Name begins with ` + prefix},
		{noScript && c.ScriptAccess, "Cookie.ScriptAccess", "must be false because Cookie.Name begins with " + prefix},
		{!strings.HasPrefix(c.Path, "/"), "Cookie.Path", `must begin with "/"`},
		{!ticket.ValidAttribute(c.Path), "Cookie.Path", "has a character that a cookie attribute cannot hold, or is longer than 1024 bytes"},
		{!ticket.ValidDomain(c.Domain), "Cookie.Domain", fmt.Sprintf("%q is not the name of a domain: write it without a scheme, a port and a path, such as example.com, or leave it empty for the one host", c.Domain)},
		{c.MaxAge < 0, "Cookie.MaxAge", "is negative: 0 is a cookie for the browser's session"},
		{tooShort(c.MaxAge, time.Second) != "", "Cookie.MaxAge", tooShort(c.MaxAge, time.Second)},
		{!validPriority(c.Priority), "Cookie.Priority", "is no known value: use PriorityLow, PriorityMedium or PriorityHigh"},
	})
}

// validPriority reports whether p is one of the values above, or left out.
func validPriority(p Priority) bool {
	return p == "" || p == PriorityLow || p == PriorityMedium || p == PriorityHigh
}

// resolve returns the attributes for one request, given whether that came over
// HTTPS. Nothing in them is left to be found out.
func (c Cookie) resolve(secureRequest bool) ticket.Attributes {
	a := ticket.Attributes{
		Path: c.Path, Domain: c.Domain, Priority: string(c.Priority), SameSite: c.SameSite,
		Secure:   c.Secure == SecureAlways || c.Secure == SecureAuto && secureRequest,
		HTTPOnly: !c.ScriptAccess, Partitioned: c.Partitioned,
	}
	if c.SameSite == SameSiteAuto {
		a.SameSite = http.SameSiteLaxMode
		if secureRequest && a.Secure {
			a.SameSite = http.SameSiteNoneMode
		}
	}
	return a
}
