package core

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"sync"

	"github.com/cloakroom-go/cloakroom/core/internal/hot"
	"github.com/cloakroom-go/cloakroom/core/internal/seal"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
)

// A keyRing is what Config.Secrets are good for.
type keyRing struct {
	signer  *ticket.Signer
	tickets *hot.Table[knownTicket, *knownTicket] // cookies that it has verified

	cookies []*seal.Key                           // seal the cookies of Config.Sealed
	opened  *hot.Table[knownCookie, *knownCookie] // cookies of Config.Sealed that it has opened or sealed

	// successors seal where a session went when its id was given up: AES-256-GCM
	// under keys derived from the secrets. A record that says so lives for a minute,
	// and no more than one is written for each renewal, so random nonces of 96 bits do.
	successors []cipher.AEAD
	scratch    sync.Pool // of *[]byte, for sealing

	binder
}

// newKeyRing returns the ring of those secrets.
func newKeyRing(secrets []string) (*keyRing, error) {
	cookies, err := seal.NewCookieKeys(secrets)
	if err != nil {
		return nil, err
	}
	k := &keyRing{signer: ticket.NewSigner(secrets), tickets: hot.NewTable[knownTicket](maxTickets), cookies: cookies, opened: hot.NewTable[knownCookie](maxOpened)}
	if k.binder, err = newBinder(secrets); err != nil {
		return nil, err
	}
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, []byte(secret), nil, "cloakroom successor", 32)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		k.successors = append(k.successors, aead)
	}
	return k, nil
}

// withSuccessor calls use with the member of a retired record that says where the
// session went: a JSON string, which opens only together with the key of that record,
// and which is valid until use returns.
func (k *keyRing) withSuccessor(key, next string, use func(member []byte)) {
	buf, _ := k.scratch.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	defer k.scratch.Put(buf)
	var (
		aead   = k.successors[0]
		sealed = len(next) + aead.Overhead()
		size   = len(next) + len(key) + sealed + base64.RawURLEncoding.EncodedLen(sealed) + 2
	)
	*buf = slices.Grow((*buf)[:0], size)
	text := append(*buf, next...)
	bound := append(text[len(text):], key...)
	out := aead.Seal(bound[len(bound):], nil, text, bound) //nolint:gosec // the nonce is random, and part of what Seal returns
	member := base64.RawURLEncoding.AppendEncode(append(out[len(out):], '"'), out)
	use(append(member, '"'))
}

// openSuccessor returns where the session went. It reports false where none of the
// secrets opens that.
func (k *keyRing) openSuccessor(key string, member []byte) (next string, ok bool) {
	if len(member) < 2 {
		return "", false
	}
	sealed, err := base64.RawURLEncoding.AppendDecode(nil, member[1:len(member)-1])
	if err != nil {
		return "", false
	}
	for _, aead := range k.successors {
		if text, err := aead.Open(nil, nil, sealed, []byte(key)); err == nil && len(text) > 0 {
			return string(text), true
		}
	}
	return "", false
}

// generateID returns an id from Config.GenerateID, or a random one without it. No
// lock is held.
func (m *Manager) generateID(r *http.Request) (string, error) {
	if m.cfg.GenerateID == nil {
		return ticket.NewID(), nil
	}
	id, err := m.cfg.GenerateID(r)
	if err != nil || !ticket.ValidID(id) {
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
