package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strings"
	"sync"
)

// A token is a short text that comes back from a client and that the server keeps no
// note of: a sealed one hides what it says, and a marked one shows it. Any process with
// the same secrets reads both.

// NewTokenKeys returns the keys for sealed tokens that are derived from secrets, in their
// order. They have nothing to do with those of records and cookies.
func NewTokenKeys(secrets []string) ([]*Key, error) {
	return newKeys(secrets, "cloakroom token key")
}

// SealToken returns a text encrypted, in base64url, for one purpose alone. No two calls
// return the same.
func (k *Key) SealToken(purpose string, text []byte) string {
	return base64.RawURLEncoding.EncodeToString(k.aead.seal(text, []byte(purpose)))
}

// OpenToken returns the text of a token, if one of the keys sealed it for that purpose.
func OpenToken(keys []*Key, purpose, token string) (text []byte, ok bool) {
	if strings.ContainsAny(token, "\r\n") { // which package base64 skips
		return nil, false
	}
	raw, err := strict.DecodeString(token)
	if err != nil || len(raw) < nonceSize+tagSize {
		return nil, false
	}
	for _, k := range keys {
		if text, err := k.aead.open(raw[:nonceSize], raw[nonceSize:], []byte(purpose)); err == nil {
			return text, true
		}
	}
	return nil, false
}

// A Marker marks texts, by HMAC-SHA256 under keys that are derived from secrets: the first
// marks, all verify. Many goroutines may use it at once.
type Marker struct {
	pools []*sync.Pool // of *markState, one for each secret
}

// A markState is a keyed hash with room for what goes in and comes out.
type markState struct {
	hash hash.Hash
	in   []byte
	sum  [sha256.Size]byte
	text [markLength]byte
}

// markLength is how many characters a mark has, in base64url.
const markLength = 43

// NewMarker returns a Marker for a purpose. HKDF stands between a secret and its key, so
// that nobody gets a mark from what signs other texts with the same secret.
func NewMarker(secrets []string, purpose string) (*Marker, error) {
	m := new(Marker)
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, []byte(secret), nil, purpose, sha256.Size)
		if err != nil {
			return nil, err
		}
		m.pools = append(m.pools, &sync.Pool{New: func() any { return &markState{hash: hmac.New(sha256.New, key)} }})
	}
	return m, nil
}

// Mark returns the mark of the texts, which are put together with dots between them. All
// but the last must be without dots, so that no other texts have the same mark.
func (m *Marker) Mark(texts ...string) string {
	s := m.pools[0].Get().(*markState)
	defer m.pools[0].Put(s)
	return string(s.mark(texts))
}

// Verify reports whether a mark is that of the texts. The time that this takes does not
// depend on how much of it is right.
func (m *Marker) Verify(mark string, texts ...string) bool {
	if len(mark) != markLength {
		return false
	}
	given := [markLength]byte([]byte(mark))
	for _, pool := range m.pools {
		s := pool.Get().(*markState)
		ok := subtle.ConstantTimeCompare(s.mark(texts), given[:]) == 1
		pool.Put(s)
		if ok {
			return true
		}
	}
	return false
}

// mark returns the mark of the texts. It is valid until the next call.
func (s *markState) mark(texts []string) []byte {
	s.in = s.in[:0]
	for i, text := range texts {
		if i > 0 {
			s.in = append(s.in, '.')
		}
		s.in = append(s.in, text...)
	}
	s.hash.Reset()
	s.hash.Write(s.in)
	base64.RawURLEncoding.Encode(s.text[:], s.hash.Sum(s.sum[:0]))
	return s.text[:]
}
