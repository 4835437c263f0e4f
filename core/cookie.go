package core

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxCookie     = 4096 // of name and value together; browsers drop more (RFC 6265bis section 5.6)
	maxAttribute  = 1024 // of the value of an attribute, likewise
	maxCandidates = 8    // cookies with our name that are verified in one request
	maxLookups    = 3    // of these, how many are looked up in the store
)

// SameSiteAuto sends SameSite=None on a secure request and Lax on any other.
const SameSiteAuto http.SameSite = -1

// Secure tells when the cookie carries the Secure attribute.
type Secure int

const (
	// SecureAuto sets Secure when the request came over HTTPS: its connection
	// is TLS, or a proxy in Config.TrustedProxies says so.
	SecureAuto Secure = iota
	// SecureAlways sets Secure and sends the cookie over HTTPS only. Where a
	// proxy ends the TLS, name it in Config.TrustedProxies.
	SecureAlways
	// SecureNever leaves Secure out, also over HTTPS.
	SecureNever
)

func (s Secure) String() string {
	switch s {
	case SecureAuto:
		return "auto"
	case SecureAlways:
		return "always"
	case SecureNever:
		return "never"
	}
	return "Secure(" + strconv.Itoa(int(s)) + ")"
}

// Priority is the Priority attribute, a hint of Chromium's for what to evict
// first. It is left out when empty.
type Priority string

// The values of Priority.
const (
	PriorityLow    Priority = "Low"
	PriorityMedium Priority = "Medium"
	PriorityHigh   Priority = "High"
)

// A Cookie holds the attributes of the session cookie (RFC 6265). The zero
// value is a cookie for the whole site, for as long as the browser runs, out of
// reach of scripts, SameSite=Lax, and Secure whenever the request is.
type Cookie struct {
	// Path limits the cookie, and the sessions, to a part of the site. Requests
	// outside of it are left alone. The default is "/".
	Path string

	// Domain extends the cookie to all hosts below a domain. The default, none,
	// keeps it on the one host that set it.
	Domain string

	// MaxAge makes the cookie outlive the browser, for that long after each
	// time that it is sent. The default, 0, is a cookie for the browser's
	// session. Browsers allow at most 400 days.
	MaxAge time.Duration

	// Partitioned keeps one cookie per top-level site (CHIPS). It needs
	// SecureAlways.
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
	prefix := cookiePrefix(name)
	for _, rule := range []struct {
		broken        bool
		field, reason string
	}{
		{c.Secure < SecureAuto || c.Secure > SecureNever, "Secure", "is no known value: use SecureAuto, SecureAlways or SecureNever"},
		{c.SameSite < SameSiteAuto || c.SameSite > http.SameSiteNoneMode, "SameSite", "is no known value: use one of net/http's or SameSiteAuto"},
		{c.SameSite == http.SameSiteNoneMode && !always, "SameSite", "is None, which browsers accept with Secure only: set Cookie.Secure to SecureAlways"},
		{c.Partitioned && !always, "Partitioned", "is set, which browsers accept with Secure only: set Cookie.Secure to SecureAlways"},
		{prefix != "" && !always, "Secure", "must be SecureAlways because Config.Name begins with " + prefix},
		{prefix == "__Host-" && c.Domain != "", "Domain", "must be empty because Config.Name begins with __Host-"},
		{prefix == "__Host-" && c.Path != "/", "Path", `must be "/" because Config.Name begins with __Host-`},
		{!strings.HasPrefix(c.Path, "/"), "Path", `must begin with "/"`},
		{!validAttribute(c.Path), "Path", "has a character that a cookie attribute cannot hold, or is longer than 1024 bytes"},
		{!validDomain(c.Domain), "Domain", "is not a domain name"},
		{c.MaxAge < 0, "MaxAge", "is negative: 0 is a cookie for the browser's session"},
		{!validPriority(c.Priority), "Priority", "is no known value: use PriorityLow, PriorityMedium or PriorityHigh"},
	} {
		if rule.broken {
			return &ConfigError{Field: "Cookie." + rule.field, Reason: rule.reason}
		}
	}
	return nil
}

// cookiePrefix returns which prefix with rules of its own a name has. Browsers
// compare them without regard to case (RFC 6265bis section 4.1.3).
func cookiePrefix(name string) string {
	for _, p := range []string{"__Host-", "__Secure-"} {
		if len(name) >= len(p) && strings.EqualFold(name[:len(p)], p) {
			return p
		}
	}
	return ""
}

func validAttribute(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == ';' {
			return false
		}
	}
	return len(s) <= maxAttribute
}

func validDomain(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return len(s) <= 253 && !strings.Contains(s, "..")
}

func validPriority(p Priority) bool {
	return p == "" || p == PriorityLow || p == PriorityMedium || p == PriorityHigh
}

// validCookieName tells whether name is a token (RFC 9110 section 5.6.2), which
// is what RFC 6265 asks of a cookie's name.
func validCookieName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			return false
		}
	}
	return name != ""
}

// An attributes is a Cookie as it is for one request: nothing is left to be
// found out.
type attributes struct {
	Cookie
	secure   bool          // the Secure attribute
	sameSite http.SameSite // never SameSiteAuto
}

func (c Cookie) resolve(secureRequest bool) attributes {
	a := attributes{Cookie: c, sameSite: c.SameSite}
	a.secure = c.Secure == SecureAlways || c.Secure == SecureAuto && secureRequest
	if c.SameSite == SameSiteAuto {
		a.sameSite = http.SameSiteLaxMode
		if secureRequest && a.secure {
			a.sameSite = http.SameSiteNoneMode
		}
	}
	return a
}

// setCookie returns the value of a Set-Cookie header. The order of the
// attributes is express-session's. A maxAge of 0 makes a cookie for the
// browser's session, a negative one deletes the cookie.
func (a attributes) setCookie(name, value string, maxAge time.Duration, expires time.Time) string {
	var b strings.Builder
	b.Grow(len(name) + len(value) + 160)
	b.WriteString(name)
	b.WriteByte('=')
	b.WriteString(value)
	if a.Domain != "" {
		b.WriteString("; Domain=")
		b.WriteString(a.Domain)
	}
	b.WriteString("; Path=")
	b.WriteString(a.Path)
	switch {
	case maxAge > 0:
		b.WriteString("; Expires=")
		b.WriteString(expires.UTC().Format(http.TimeFormat))
		b.WriteString("; Max-Age=")
		b.WriteString(strconv.FormatInt(int64((maxAge-1)/time.Second+1), 10))
	case maxAge < 0:
		b.WriteString("; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0")
	}
	if !a.ScriptAccess {
		b.WriteString("; HttpOnly")
	}
	if a.secure {
		b.WriteString("; Secure")
	}
	if a.Partitioned {
		b.WriteString("; Partitioned")
	}
	if a.Priority != "" {
		b.WriteString("; Priority=")
		b.WriteString(string(a.Priority))
	}
	if s := sameSiteName(a.sameSite); s != "" {
		b.WriteString("; SameSite=")
		b.WriteString(s)
	}
	return b.String()
}

func sameSiteName(s http.SameSite) string {
	switch s {
	case http.SameSiteLaxMode:
		return "Lax"
	case http.SameSiteStrictMode:
		return "Strict"
	case http.SameSiteNoneMode:
		return "None"
	}
	return ""
}

// cookieValues calls yield with the value of each cookie called name, as it
// stands in the header but for one pair of quotes, until yield returns false.
// It parses as Node's cookie module does: names are not unescaped, so that
// nothing can pass for a name with a prefix.
func cookieValues(h http.Header, name string, yield func(value string) bool) {
	for _, line := range h["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			pair = trimSpace(pair)
			if len(pair) <= len(name) || pair[:len(name)] != name {
				continue
			}
			rest := trimSpace(pair[len(name):])
			if rest == "" || rest[0] != '=' {
				continue
			}
			value := trimSpace(rest[1:])
			if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
				value = value[1 : n-1]
			}
			if !yield(value) {
				return
			}
		}
	}
}

func trimSpace(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// pathMatches tells whether a cookie with that path is sent to a request path
// (RFC 6265 section 5.1.4).
func pathMatches(requestPath, cookiePath string) bool {
	if cookiePath == "/" || requestPath == cookiePath {
		return true
	}
	return strings.HasPrefix(requestPath, cookiePath) &&
		(cookiePath[len(cookiePath)-1] == '/' || requestPath[len(cookiePath)] == '/')
}

// requestPath returns the path that the client asked for, before any prefix
// was stripped on the way to the handler, because that is what the browser
// matches. It is not unescaped, likewise.
func requestPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if _, rest, ok := strings.Cut(path, "://"); ok && path[0] != '/' { // absolute form, as to a proxy
		slash := strings.IndexByte(rest, '/')
		if slash < 0 {
			return "/"
		}
		return rest[slash:]
	}
	if !strings.HasPrefix(path, "/") { // a request made in a test, or "*"
		return r.URL.EscapedPath()
	}
	return path
}
