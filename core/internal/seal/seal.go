// Package seal encrypts records at rest with XAES-256-GCM
// (https://c2sp.org/XAES-256-GCM): AES-256-GCM under a key that is derived from half of a
// random nonce of 24 bytes, which a few of a process's messages have in common, so that no
// number of writes under one secret is too many. The id under which the store keeps the record is the
// associated data: a record that was moved to another id cannot be opened.
//
// A sealed record is a JSON object of one member, so that stores for which data is
// text or a document can keep it:
//
//	{"__sealed":"<key id>.<base64url of nonce and ciphertext>"}
package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
)

// MinSecret is the least number of bytes that a secret should have. A caller
// refuses shorter ones: to derive a key from a secret does not make it stronger.
const MinSecret = 32

const (
	nonceSize = 24 // The bytes of a nonce, which stand before the ciphertext.
	tagSize   = 16 // The bytes by which GCM makes a text longer.
	keyIDSize = 8  // The bytes of the public name of a key, which is written in hex.
	prefix    = `{"__sealed":"`
	suffix    = `"}`
)

var (
	// ErrUnknownKey says that a record is sealed under a key that Open was not
	// given. The record may be a good one, so this is a failure of the set-up.
	ErrUnknownKey = errors.New("cloakroom: session is sealed under a key that is neither in Config.SealKeys nor in Config.RetiredSealKeys")

	// ErrDamaged says that a record is not sealed at all, was changed, or was
	// sealed for another id. No key opens it.
	ErrDamaged = errors.New("cloakroom: record is not sealed, or was changed")
)

// A Key is one key of the ring. Both the key and its public name are derived from
// one secret, with different labels, so that neither tells anything of the other.
type Key struct {
	id   string         // The public name, in hex.
	name [nameSize]byte // The beginning of that, which a cookie has.
	aead *xaes
}

// NewKeys returns the keys for records that are derived from secrets, in their order.
func NewKeys(secrets []string) ([]*Key, error) { return newKeys(secrets, "cloakroom seal key") }

// newKeys returns the keys that are derived from secrets for a purpose, in their order.
func newKeys(secrets []string, purpose string) ([]*Key, error) {
	var keys []*Key
	for _, secret := range secrets {
		// HKDF without a salt (RFC 5869): the secret is random, and every process has
		// to come to the same key without being told anything else.
		key, err := hkdf.Key(sha256.New, []byte(secret), nil, purpose, 32)
		if err != nil {
			return nil, err
		}
		id, err := hkdf.Key(sha256.New, []byte(secret), nil, purpose+" id", keyIDSize)
		if err != nil {
			return nil, err
		}
		aead, err := newXAES(key)
		if err != nil {
			return nil, err
		}
		keys = append(keys, &Key{hex.EncodeToString(id), [nameSize]byte(id), aead})
	}
	return keys, nil
}

// Seal returns text encrypted, to be stored under id. No two calls return the same,
// because each takes a nonce of its own.
func (k *Key) Seal(id string, text []byte) []byte {
	sealed := k.aead.seal(text, []byte(id))
	out := make([]byte, 0, len(prefix)+2*keyIDSize+1+base64.RawURLEncoding.EncodedLen(len(sealed))+len(suffix))
	out = append(out, prefix...)
	out = append(out, k.id...)
	out = append(out, '.')
	out = base64.RawURLEncoding.AppendEncode(out, sealed)
	return append(out, suffix...)
}

// Open returns the text of the record that the store has under id. It tries the key
// that the record names, if that is among keys, and no other. The error is
// [ErrUnknownKey] or [ErrDamaged].
//
// There is no way around the seal: data that is not sealed is damaged, whoever
// wrote it. Otherwise somebody who can write to the store would not need a key.
func Open(keys []*Key, id string, data []byte) ([]byte, error) {
	body, ok := sealedBody(data)
	if !ok {
		return nil, ErrDamaged
	}
	for _, k := range keys {
		// The name of a key is public. To compare it in constant time costs nothing.
		if subtle.ConstantTimeCompare([]byte(k.id), body[:2*keyIDSize]) != 1 {
			continue
		}
		// Package base64 skips line breaks, but there is one way to write a record.
		sealed, err := strict.AppendDecode(nil, body[2*keyIDSize+1:])
		if err != nil || len(sealed) < nonceSize || bytes.ContainsAny(body, "\r\n") {
			return nil, ErrDamaged
		}
		text, err := k.aead.open(sealed[:nonceSize], sealed[nonceSize:], []byte(id))
		if err != nil {
			return nil, ErrDamaged
		}
		return text, nil
	}
	return nil, ErrUnknownKey
}

// IsUnder reports whether a record says that it is sealed under one of these keys.
func IsUnder(keys []*Key, data []byte) bool {
	body, ok := sealedBody(data)
	return ok && slices.ContainsFunc(keys, func(k *Key) bool { return k.id == string(body[:2*keyIDSize]) })
}

// IsSealed reports whether data has the form of a sealed record, which says nothing
// of whether it can be opened.
func IsSealed(data []byte) bool {
	_, ok := sealedBody(data)
	return ok
}

// sealedBody returns what stands between the quotes of a sealed record, and reports
// whether data has the form of one. The body is as long as a key id and a dot at
// least, so that callers may cut it there.
func sealedBody(data []byte) ([]byte, bool) {
	n := len(data)
	if n < len(prefix)+2*keyIDSize+1+len(suffix) ||
		string(data[:len(prefix)]) != prefix || string(data[n-len(suffix):]) != suffix {
		return nil, false
	}
	body := data[len(prefix) : n-len(suffix)]
	return body, body[2*keyIDSize] == '.'
}
