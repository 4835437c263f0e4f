package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// A sealed cookie is a whole session in the value of a cookie:
//
//	1.<base64url of key name, nonce, ciphertext and tag>
//
// The text that is sealed is binary, and the record stands in it as it is:
//
//	8 bytes   when it ends, in Unix milliseconds, big-endian
//	1 byte    the length of the host
//	2 bytes   the length of the id, big-endian
//	          the host, the id, the record
//
// What is bound to it, as associated data, is up to the caller, and has to be the
// same when it is opened.

const (
	// cookieVersion begins the value. Another format will begin in another way.
	cookieVersion = "1."

	// nameSize is how many bytes of the public name of a key a cookie has. They are to
	// choose among the keys of one ring, and prove nothing.
	nameSize = 4

	// MaxHost is how many bytes of a host a cookie holds.
	MaxHost = math.MaxUint8

	// cookieHead is how many bytes stand before the host.
	cookieHead = 8 + 1 + 2

	// cookieOverhead is what is added to the text before base64.
	cookieOverhead = nameSize + nonceSize + tagSize
)

// strict refuses bits that are left over at the end.
var strict = base64.RawURLEncoding.Strict()

// NewCookieKeys returns the keys for cookies that are derived from secrets, in their
// order. They have nothing to do with those of records that have the same secrets.
func NewCookieKeys(secrets []string) ([]*Key, error) {
	return newKeys(secrets, "cloakroom cookie key")
}

// A Cookie is a session as its cookie holds it.
type Cookie struct {
	// Expires is when the session ends, to the millisecond.
	Expires time.Time

	// Host is the host that the cookie was made for, of which the first MaxHost bytes count.
	// It is empty where that was not known.
	Host string

	// ID is the id of the session, of up to 64 KiB.
	ID string

	// Record is the JSON of the session.
	Record []byte
}

// CookieLength returns how many bytes the value has of a cookie that holds a record of
// so many bytes.
func CookieLength(host, id string, record int) int {
	return len(cookieVersion) + base64.RawURLEncoding.EncodedLen(cookieOverhead+cookieHead+min(len(host), MaxHost)+len(id)+record)
}

// SealCookie returns the value of the cookie that holds c, bound to a text. No two calls
// return the same.
func (k *Key) SealCookie(c Cookie, bound string) string {
	const before = nameSize + nonceSize
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	host := c.Host[:min(len(c.Host), MaxHost)]
	s.raw = slices.Grow(s.raw[:0], cookieOverhead+cookieHead+len(host)+len(c.ID)+len(c.Record))
	key, raw := k.aead.next(append(s.raw, k.name[:]...))
	raw = binary.BigEndian.AppendUint64(raw, uint64(c.Expires.UnixMilli())) //nolint:gosec // it comes back as it was
	raw = append(raw, byte(len(host)))                                      //nolint:gosec // it was cut
	raw = binary.BigEndian.AppendUint16(raw, uint16(len(c.ID)))             //nolint:gosec // an id is one that fits a cookie
	raw = append(append(append(raw, host...), c.ID...), c.Record...)
	s.bound = append(s.bound[:0], bound...)
	raw = key.Seal(raw[:before], raw[nameSize+halfSize:before], raw[before:], s.bound) // in its place, so that no text stays there
	s.value = base64.RawURLEncoding.AppendEncode(append(s.value[:0], cookieVersion...), raw)
	return string(s.value)
}

// A scratch is memory for sealing and opening that is used again. What is left in it is
// what everybody may see who has the cookie.
type scratch struct{ raw, bound, value []byte }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// IsCookie reports whether a value has the form of a sealed cookie, which says nothing
// of whether it can be opened.
func IsCookie(value string) bool {
	return strings.HasPrefix(value, cookieVersion) && len(value) >= CookieLength("", "", 0)
}

// OpenCookie returns what the value of a cookie holds, if one of the keys sealed it and
// it was bound to the same text, and the index of that key. The record is a part of
// memory that nobody else has. The error is [ErrUnknownKey] or [ErrDamaged].
func OpenCookie(keys []*Key, bound, value string) (c Cookie, key int, err error) {
	if !IsCookie(value) || strings.IndexByte(value, '\r') >= 0 || strings.IndexByte(value, '\n') >= 0 { // which package base64 skips
		return Cookie{}, 0, ErrDamaged
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	raw, err := strict.AppendDecode(s.raw[:0], []byte(value[len(cookieVersion):]))
	if err != nil {
		return Cookie{}, 0, ErrDamaged
	}
	s.raw, s.bound = raw, append(s.bound[:0], bound...)
	nonce, sealed := raw[nameSize:nameSize+nonceSize], raw[nameSize+nonceSize:]
	err = ErrUnknownKey
	for i, k := range keys {
		if !bytes.Equal(raw[:nameSize], k.name[:]) { // it is public
			continue
		}
		// Not in its place: a text that does not open is cleared, and another key may.
		text, openErr := k.aead.open(nonce, sealed, s.bound)
		if openErr != nil {
			err = ErrDamaged
			continue
		}
		if c, ok := parseCookie(text); ok {
			return c, i, nil
		}
		return Cookie{}, 0, ErrDamaged
	}
	return Cookie{}, 0, err
}

// parseCookie takes a text apart that SealCookie made.
func parseCookie(text []byte) (c Cookie, ok bool) {
	if len(text) < cookieHead {
		return Cookie{}, false
	}
	rest := text[cookieHead:]
	host, id := int(text[8]), int(binary.BigEndian.Uint16(text[9:]))
	if len(rest) < host+id {
		return Cookie{}, false
	}
	both := string(rest[:host+id])
	return Cookie{
		Expires: time.UnixMilli(int64(binary.BigEndian.Uint64(text))), //nolint:gosec // see SealCookie
		Host:    both[:host], ID: both[host:], Record: rest[host+id:],
	}, true
}
