package core

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strings"
	"sync"
	"unicode/utf8"
)

// The value of the cookie is the one of express-session, so that an Express
// app with the same secret accepts it and the other way round:
//
//	encodeURIComponent("s:" + id + "." + base64(HMAC-SHA256(secret, id)))
//
// in the standard base64 alphabet and without padding.

const (
	signedPrefix = "s:"
	sigLength    = 43 // base64 of 32 bytes without padding
)

// A signer signs ids with its first secret and verifies with all of them.
type signer struct {
	macs []*macPool
}

func newSigner(secrets []string) *signer {
	s := &signer{}
	for _, secret := range secrets {
		s.macs = append(s.macs, newMACPool(secret))
	}
	return s
}

// sign returns the value of the cookie for id, ready for the header.
func (s *signer) sign(id string) string {
	mac := s.macs[0].get()
	var buf [256]byte                   // enough for the ids of ours
	value := append(buf[:0], "s%3A"...) // signedPrefix
	value = append(appendURIComponent(value, id), '.')
	value = appendURIComponent(value, mac.signature([]byte(id)))
	s.macs[0].put(mac)
	return string(value)
}

// verify returns the id in the value of a cookie, and whether it was signed by
// a secret other than the first. Whatever is wrong with a value, it is just not
// ok: neither the client nor the caller learns more.
func (s *signer) verify(value string) (id string, outdated, ok bool) {
	if len(value) > maxCookie {
		return "", false, false
	}
	var buf [256]byte // enough for the ids of ours; longer values allocate
	signed := decodeURIComponent(buf[:0], value)
	if !bytes.HasPrefix(signed, []byte(signedPrefix)) {
		return "", false, false
	}
	signed = signed[len(signedPrefix):]
	dot := len(signed) - sigLength - 1
	if dot <= 0 || signed[dot] != '.' {
		return "", false, false
	}
	for i, pool := range s.macs {
		mac := pool.get()
		ok = subtle.ConstantTimeCompare(mac.signature(signed[:dot]), signed[dot+1:]) == 1
		pool.put(mac)
		if ok {
			return string(signed[:dot]), i > 0, true // a copy: a store may keep it for longer than the header lives
		}
	}
	return "", false, false
}

// A macPool keeps keyed hash states, because keying one costs more than the
// hash of an id.
type macPool struct {
	pool sync.Pool
}

type macState struct {
	hash hash.Hash
	in   []byte // the hash is an interface: what it is given escapes
	sum  [sha256.Size]byte
	sig  [sigLength]byte
}

func newMACPool(secret string) *macPool {
	key := []byte(secret)
	p := &macPool{}
	p.pool.New = func() any { return &macState{hash: hmac.New(sha256.New, key)} }
	return p
}

func (p *macPool) get() *macState  { return p.pool.Get().(*macState) }
func (p *macPool) put(m *macState) { p.pool.Put(m) }

// signature returns the signature of id. It is valid until the next call.
func (m *macState) signature(id []byte) []byte {
	m.in = append(m.in[:0], id...)
	m.hash.Reset()
	m.hash.Write(m.in)
	base64.RawStdEncoding.Encode(m.sig[:], m.hash.Sum(m.sum[:0]))
	return m.sig[:]
}

// appendURIComponent appends s, escaped as by JavaScript's encodeURIComponent.
func appendURIComponent[T string | []byte](dst []byte, s T) []byte {
	const hex = "0123456789ABCDEF"
	done := 0
	for i := range len(s) {
		if c := s[i]; !isUnreserved(c) {
			dst = append(append(dst, s[done:i]...), '%', hex[c>>4], hex[c&15])
			done = i + 1
		}
	}
	return append(dst, s[done:]...)
}

func isUnreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	switch c {
	case '-', '_', '.', '!', '~', '*', '\'', '(', ')':
		return true
	}
	return false
}

// decodeURIComponent appends the unescaped s to dst. As the cookie parsers of
// the Node world do, it leaves s as it is when it cannot be unescaped: bad
// escapes, or bytes that are not UTF-8.
func decodeURIComponent(dst []byte, s string) []byte {
	start := len(dst)
	for rest := s; ; {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			dst = append(dst, rest...)
			break
		}
		if i+2 >= len(rest) {
			return append(dst[:start], s...)
		}
		hi, ok1 := unhex(rest[i+1])
		lo, ok2 := unhex(rest[i+2])
		if !ok1 || !ok2 {
			return append(dst[:start], s...)
		}
		dst = append(append(dst, rest[:i]...), hi<<4|lo)
		rest = rest[i+3:]
	}
	if !utf8.Valid(dst[start:]) {
		return append(dst[:start], s...)
	}
	return dst
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
