package core

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"unicode/utf8"
)

const (
	// idBytes is how many random bytes an id has: 192 bits, as express-session.
	idBytes = 24

	// minIDLength is the shortest id that is accepted from Config.GenerateID.
	// 16 characters can hold the 64 bits of NIST SP 800-63B and, in base64, 96;
	// whether they do is the generator's affair.
	minIDLength = 16
)

// newID returns a fresh id: 24 random bytes as 32 characters of base64url.
func newID() string {
	var raw [idBytes]byte
	rand.Read(raw[:]) // never fails: crypto/rand ends the program rather than return bad bytes
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// generateID returns an id from Config.GenerateID, or a random one without it.
func (m *Manager) generateID(r *http.Request) (string, error) {
	if m.cfg.GenerateID == nil {
		return newID(), nil
	}
	id, err := m.cfg.GenerateID(r)
	if err != nil || len(id) < minIDLength || !utf8.ValidString(id) {
		return "", ErrInvalidID // the generator's error might contain the id
	}
	return id, nil
}

// storeKey returns the id under which the store keeps a session: the id itself
// or, with Config.HashIDs, its SHA-256. A fast hash is enough for an id that
// cannot be guessed (OWASP ASVS 5.0, 6.5.2).
func (m *Manager) storeKey(id string) string {
	if !m.cfg.HashIDs {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
