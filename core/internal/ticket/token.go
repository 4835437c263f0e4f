package ticket

import (
	"net/http"
	"strings"
)

// HeaderTokens calls yield with the token in each line of the header called name, which
// is in its canonical form, until yield returns false. With bearer set the lines are
// credentials (RFC 9110, section 11.4) and those of the scheme Bearer count, without the
// scheme; the token is empty where there is nothing behind it. Otherwise each line is a
// token.
func HeaderTokens(h http.Header, name string, bearer bool, yield func(token string) bool) {
	for _, token := range h[name] {
		token = trimSpace(token)
		if bearer {
			scheme, rest, _ := strings.Cut(token, " ")
			if !strings.EqualFold(scheme, "Bearer") {
				continue
			}
			token = trimSpace(rest)
		}
		if !yield(token) {
			return
		}
	}
}

// LooksSigned reports whether a value has the form of a signed one from its beginning, as
// [Signer.Sign] writes it or unescaped. No token of another kind does: a colon or a
// percent sign are in none of them (RFC 6750, section 2.1, and RFC 7515).
func LooksSigned(value string) bool {
	return strings.HasPrefix(value, signedPrefix) || len(value) >= len(escapedPrefix) && strings.EqualFold(value[:len(escapedPrefix)], escapedPrefix)
}

// escapedPrefix is signedPrefix as it stands in a cookie.
const escapedPrefix = "s%3A"
