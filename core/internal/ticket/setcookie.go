package ticket

import (
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of browsers (RFC 6265bis, section 5.6), which drop what exceeds them
// without a word.
const (
	// MaxCookie is how many bytes the name and the value of a cookie may have
	// together.
	MaxCookie = 4096

	// maxAttribute is how many bytes the value of an attribute may have.
	maxAttribute = 1024

	// maxDomain is how many bytes a domain name may have. RFC 1035 allows 255 in its
	// own notation, which are 253 characters.
	maxDomain = 253
)

// Attributes are those of the session cookie as they are for one response: nothing
// is left to be found out.
type Attributes struct {
	// Path limits the cookie to a part of the site. It begins with a slash.
	Path string

	// Domain extends the cookie to all hosts below a domain. It is empty for a cookie
	// of the one host that sets it.
	Domain string

	// Priority is Low, Medium or High, which Chromium goes by when it has to evict
	// cookies, or empty for no such attribute.
	Priority string

	// SameSite tells to which requests of other sites the cookie is added. Values
	// other than Lax, Strict and None leave the attribute out.
	SameSite http.SameSite

	// Secure keeps the cookie off plain HTTP.
	Secure bool

	// HTTPOnly keeps the cookie out of reach of scripts.
	HTTPOnly bool

	// Partitioned makes the browser keep one cookie for each top-level site (CHIPS).
	Partitioned bool
}

// SetCookie returns the value of a Set-Cookie header (RFC 6265, section 4.1). The
// order of the attributes is express-session's. A maxAge of 0 makes a cookie for
// the browser's session, a negative one deletes the cookie; expires counts where
// maxAge is positive, and is when that has passed. Browsers of today go by Max-Age,
// which is rounded up to whole seconds, and old ones by Expires.
func (a Attributes) SetCookie(name, value string, maxAge time.Duration, expires time.Time) string {
	var buf [320]byte // enough unless a path or a domain is long
	b := append(append(append(buf[:0], name...), '='), value...)
	if a.Domain != "" {
		b = append(append(b, "; Domain="...), a.Domain...)
	}
	b = append(append(b, "; Path="...), a.Path...)
	switch {
	case maxAge > 0:
		b = expires.UTC().AppendFormat(append(b, "; Expires="...), http.TimeFormat)
		b = strconv.AppendInt(append(b, "; Max-Age="...), int64((maxAge-1)/time.Second+1), 10)
	case maxAge < 0: // A time in the past, for browsers that do not know Max-Age.
		b = append(b, "; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0"...)
	}
	if a.HTTPOnly {
		b = append(b, "; HttpOnly"...)
	}
	if a.Secure {
		b = append(b, "; Secure"...)
	}
	if a.Partitioned {
		b = append(b, "; Partitioned"...)
	}
	if a.Priority != "" {
		b = append(append(b, "; Priority="...), a.Priority...)
	}
	if s := SameSiteName(a.SameSite); s != "" {
		b = append(append(b, "; SameSite="...), s...)
	}
	return string(b)
}

// SameSiteName returns the value of the attribute SameSite (RFC 6265bis, section
// 4.1.2.7), or an empty string where it is to be left out. Browsers then choose.
func SameSiteName(s http.SameSite) string {
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

// The prefixes of names that browsers have rules for: RFC 6265bis has two of them, the
// layered cookies draft all four.
const (
	SecurePrefix   = "__Secure-"    // set over HTTPS
	HostPrefix     = "__Host-"      // and by the one host, for all of its paths
	HTTPPrefix     = "__Http-"      // set over HTTPS, and by no script
	HostHTTPPrefix = "__Host-Http-" // all of that
)

// Prefix returns which prefix with rules of its own the name of a cookie has, or an
// empty string. Browsers compare them without regard to case (RFC 6265bis, section
// 4.1.3).
func Prefix(name string) string {
	for _, p := range []string{HostHTTPPrefix, SecurePrefix, HostPrefix, HTTPPrefix} { // the longest first
		if len(name) >= len(p) && strings.EqualFold(name[:len(p)], p) {
			return p
		}
	}
	return ""
}

// ValidAttribute reports whether s can be the value of an attribute, such as Path:
// it has no control characters, no semicolon, and is no longer than browsers allow.
func ValidAttribute(s string) bool {
	// A semicolon would begin another attribute, and a line break another header.
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == ';' {
			return false
		}
	}
	return len(s) <= maxAttribute
}

// DomainMatches reports whether a browser takes a cookie with a domain from a host, which
// may have a port (RFC 6265, section 5.1.3). It does not know that some domains are
// those of a registry.
func DomainMatches(host, domain string) bool {
	host = (&url.URL{Host: host}).Hostname()
	_, notAddress := netip.ParseAddr(host)
	host, domain = strings.TrimSuffix(host, "."), strings.TrimSuffix(domain, ".")
	if len(host) > len(domain) && host[len(host)-len(domain)-1] == '.' && notAddress != nil {
		host = host[len(host)-len(domain):]
	}
	return strings.EqualFold(host, domain)
}

// ValidDomain reports whether s looks like the name of a domain, or is empty. An
// underscore is in use, whatever the standards say.
func ValidDomain(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return len(s) <= maxDomain && !strings.Contains(s, "..")
}

// ValidName reports whether name is a token (RFC 9110, section 5.6.2), which is what
// RFC 6265 asks of the name of a cookie. A name is never escaped.
func ValidName(name string) bool {
	// What is in the string are the separators of RFC 2616, which RFC 6265 refers to.
	for i := range len(name) {
		c := name[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			return false
		}
	}
	return name != ""
}
