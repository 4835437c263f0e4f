package ticket

import (
	"net/http"
	"strings"
)

// What is looked at of the cookies in one request. An attacker can send thousands
// with our name; a browser that has a stale duplicate or two is to be served, also
// where somebody without a secret has set as many others as it keeps.
const (
	// MaxSignatures is how many signatures are computed in one request: more than
	// browsers keep cookies of a domain, 180 in Chrome and Firefox. What does not look
	// like a signed value does not count.
	MaxSignatures = 256

	// MaxLookups is how many of those that verify are looked up in the store.
	MaxLookups = 3

	// MaxEnded is how many of those that verify a logout ends.
	MaxEnded = 8
)

// CookieValues calls yield with the value of each cookie called name, as it stands
// in the header but for one pair of quotes, until yield returns false. It parses as
// the npm module cookie does, which Express uses, and not as net/http: names are
// not unescaped, so that nothing can pass for a name with a prefix, and a pair that
// is malformed does not hide the others.
func CookieValues(h http.Header, name string, yield func(value string) bool) {
	// There may be several lines: HTTP/2 allows that (RFC 9113, section 8.2.3).
	for _, line := range h["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			pair = trimSpace(pair)
			// A name in other letters is that of another cookie.
			if len(pair) <= len(name) || pair[:len(name)] != name {
				continue
			}
			rest := trimSpace(pair[len(name):])
			if rest == "" || rest[0] != '=' {
				continue
			}
			// The value may have more equals signs. Quotes are no part of it.
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

// trimSpace removes spaces and tabs from both ends of s, which is what may stand
// around a name and a value. Other white space of Unicode belongs to them.
func trimSpace(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
