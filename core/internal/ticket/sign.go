package ticket

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"sync"
)

// The value of the cookie is the one of express-session, which has it from the npm
// module cookie-signature, so that an Express app with the same secret accepts it
// and the other way round:
//
//	encodeURIComponent("s:" + id + "." + base64(HMAC-SHA256(secret, id)))
//
// in the standard base64 alphabet and without padding.

const (
	// signedPrefix is how Express knows a signed cookie from another one.
	signedPrefix = "s:"

	// signatureLength is how many characters 32 bytes are in base64 without padding.
	signatureLength = 43
)

// A Signer signs ids with its first secret and verifies with all of them. Many
// goroutines may use it at once.
type Signer struct {
	// macs has one pool for each secret, in their order.
	macs []*macPool
}

// NewSigner returns a Signer with secrets, of which there is one at least.
func NewSigner(secrets []string) *Signer {
	s := &Signer{}
	for _, secret := range secrets {
		s.macs = append(s.macs, newMACPool(secret))
	}
	return s
}

// Len returns the number of secrets.
func (s *Signer) Len() int { return len(s.macs) }

// Sign returns the value of the cookie for id, ready for the header.
func (s *Signer) Sign(id string) string {
	mac := s.macs[0].get()
	var buf [256]byte // Enough for the ids that NewID makes.
	value := append(buf[:0], escapedPrefix...)
	value = append(appendURIComponent(value, id), '.')
	value = appendURIComponent(value, mac.signature([]byte(id)))
	s.macs[0].put(mac)
	return string(value)
}

// Fits reports whether a cookie with that name and the signed id is one that
// browsers keep: see [MaxCookie]. Only an id that may not fit is signed for that.
func (s *Signer) Fits(name, id string) bool {
	// With every character escaped the value is three times as long.
	escaped := 3 * (len(signedPrefix) + len(id) + 1 + signatureLength)
	return len(name)+escaped <= MaxCookie || len(name)+len(s.Sign(id)) <= MaxCookie
}

// A Verdict is what a value of the cookie is.
type Verdict uint8

const (
	// Malformed is a value that does not look like a signed one. To see that costs no
	// more than to read it.
	Malformed Verdict = iota
	// Forged is a value that looks like a signed one, and that no secret verifies.
	Forged
	// Outdated is one that was signed by a secret other than the first.
	Outdated
	// Genuine is one that was signed by the first secret.
	Genuine
)

// Verify returns the id in the value of a cookie, and what the value is. The id is
// empty for one that is neither genuine nor outdated; the client does not learn what is
// wrong with it. The time that this takes does not depend on how much of a signature is
// right.
func (s *Signer) Verify(value string) (id string, verdict Verdict) {
	if len(value) > MaxCookie {
		return "", Malformed
	}
	var buf [256]byte // Enough for the ids that NewID makes; longer values allocate.
	signed := decodeURIComponent(buf[:0], value)
	if !bytes.HasPrefix(signed, []byte(signedPrefix)) {
		return "", Malformed
	}
	signed = signed[len(signedPrefix):]
	// An id may have dots, so the length of the signature tells where it begins.
	dot := len(signed) - signatureLength - 1
	if dot <= 0 || signed[dot] != '.' {
		return "", Malformed
	}
	verdict = Genuine
	for _, pool := range s.macs {
		mac := pool.get()
		ok := subtle.ConstantTimeCompare(mac.signature(signed[:dot]), signed[dot+1:]) == 1
		pool.put(mac)
		if ok {
			return string(signed[:dot]), verdict // A copy: a store may keep it for longer than the header lives.
		}
		verdict = Outdated
	}
	return "", Forged
}

// A macPool keeps keyed hash states, because keying one costs more than the
// hash of an id.
type macPool struct {
	pool sync.Pool
}

// A macState is a keyed hash with room for what goes in and comes out. The hash is
// an interface, so that whatever it is given escapes to the heap.
type macState struct {
	hash hash.Hash
	in   []byte
	sum  [sha256.Size]byte
	sig  [signatureLength]byte
}

// newMACPool returns a pool of hash states that are keyed with secret.
func newMACPool(secret string) *macPool {
	key := []byte(secret)
	p := &macPool{}
	p.pool.New = func() any { return &macState{hash: hmac.New(sha256.New, key)} }
	return p
}

// get takes a state out of the pool, and put gives it back.
func (p *macPool) get() *macState  { return p.pool.Get().(*macState) }
func (p *macPool) put(m *macState) { p.pool.Put(m) }

// signature returns the signature of id, in base64. It is valid until the next call.
func (m *macState) signature(id []byte) []byte {
	m.in = append(m.in[:0], id...)
	m.hash.Reset()
	m.hash.Write(m.in)
	base64.RawStdEncoding.Encode(m.sig[:], m.hash.Sum(m.sum[:0]))
	return m.sig[:]
}
