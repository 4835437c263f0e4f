package ticket

import (
	"crypto/rand"
	"encoding/base64"
	"unicode/utf8"
)

const (
	// idBytes is how many random bytes an id has: 192 bits, as in express-session.
	idBytes = 24

	// minIDLength is the length of the shortest id that is valid. 16 characters
	// can hold the 64 bits of NIST SP 800-63B and, in base64, 96; whether they do
	// is the affair of who made the id.
	minIDLength = 16
)

// NewID returns a fresh id: 24 random bytes as 32 characters of base64url.
func NewID() string {
	var (
		raw  [idBytes]byte
		text [4 * idBytes / 3]byte
	)
	rand.Read(raw[:]) // This never fails: crypto/rand ends the program rather than return bad bytes.
	base64.RawURLEncoding.Encode(text[:], raw[:])
	return string(text[:])
}

// ValidID reports whether an id that the app made can be one: it is long enough, and
// UTF-8, so that it comes back from a cookie as it was. It need not be unguessable
// for that.
func ValidID(id string) bool {
	return len(id) >= minIDLength && utf8.ValidString(id)
}
