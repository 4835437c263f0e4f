package core

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
)

// Sealing encrypts a record with XAES-256-GCM (c2sp.org/XAES-256-GCM): AES-256-
// GCM under a key that is derived for each message from half of a 24-byte
// random nonce, so that no number of writes under one key is too many. The id
// under which the store keeps the record is the associated data: a record moved
// to another id cannot be opened.
//
// A sealed record is a JSON object of one member, so that stores for which data
// is text or a document can keep it:
//
//	{"__sealed":"<key id>.<base64url of nonce and ciphertext>"}

const (
	minSealKey   = 32 // bytes
	sealNonce    = 24
	sealKeyID    = 8 // bytes, in hex
	sealedPrefix = `{"__sealed":"`
	sealedSuffix = `"}`
)

// A sealKey is one key of the ring. Both the key and its public name are
// derived from the secret in Config.SealKeys.
type sealKey struct {
	id   string
	aead xaes
}

func newSealKeys(secrets []string) ([]*sealKey, error) {
	var keys []*sealKey
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, []byte(secret), nil, "cloakroom seal key", 32)
		if err != nil {
			return nil, err
		}
		id, err := hkdf.Key(sha256.New, []byte(secret), nil, "cloakroom seal key id", sealKeyID)
		if err != nil {
			return nil, err
		}
		aead, err := newXAES(key)
		if err != nil {
			return nil, err
		}
		keys = append(keys, &sealKey{hex.EncodeToString(id), aead})
	}
	return keys, nil
}

// seal encrypts text, to be stored under id.
func (k *sealKey) seal(id string, text []byte) []byte {
	nonce := make([]byte, sealNonce, sealNonce+len(text)+16)
	rand.Read(nonce)
	sealed := k.aead.seal(nonce, nonce, text, []byte(id))
	out := make([]byte, 0, len(sealedPrefix)+2*sealKeyID+1+base64.RawURLEncoding.EncodedLen(len(sealed))+len(sealedSuffix))
	out = append(out, sealedPrefix...)
	out = append(out, k.id...)
	out = append(out, '.')
	out = base64.RawURLEncoding.AppendEncode(out, sealed)
	return append(out, sealedSuffix...)
}

// open returns the text of a sealed record. There is no way around it: with
// keys configured, a record that is not sealed is undecodable, whoever wrote it.
func open(keys []*sealKey, id string, data []byte) ([]byte, error) {
	body, ok := sealedBody(data)
	if !ok {
		return nil, ErrUndecodable
	}
	for _, k := range keys {
		if subtle.ConstantTimeCompare([]byte(k.id), body[:2*sealKeyID]) != 1 {
			continue
		}
		sealed, err := base64.RawURLEncoding.Strict().AppendDecode(nil, body[2*sealKeyID+1:])
		// Package base64 skips line breaks, but there is one way to write a record.
		if err != nil || len(sealed) < sealNonce || bytes.ContainsAny(body, "\r\n") {
			return nil, ErrUndecodable
		}
		text, err := k.aead.open(sealed[:sealNonce], sealed[sealNonce:], []byte(id))
		if err != nil {
			return nil, ErrUndecodable
		}
		return text, nil
	}
	return nil, ErrUnknownSealKey
}

// sealedBody returns what stands between the quotes of a sealed record.
func sealedBody(data []byte) ([]byte, bool) {
	n := len(data)
	if n < len(sealedPrefix)+2*sealKeyID+1+len(sealedSuffix) ||
		string(data[:len(sealedPrefix)]) != sealedPrefix || string(data[n-len(sealedSuffix):]) != sealedSuffix {
		return nil, false
	}
	body := data[len(sealedPrefix) : n-len(sealedSuffix)]
	return body, body[2*sealKeyID] == '.'
}

// xaes is XAES-256-GCM.
type xaes struct {
	block cipher.Block
	k1    [aes.BlockSize]byte
}

func newXAES(key []byte) (xaes, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return xaes{}, err
	}
	x := xaes{block: block}
	// K1 of CMAC: the encryption of zero, doubled in GF(2^128).
	block.Encrypt(x.k1[:], x.k1[:])
	carry := x.k1[0] >> 7
	for i := range aes.BlockSize - 1 {
		x.k1[i] = x.k1[i]<<1 | x.k1[i+1]>>7
	}
	x.k1[aes.BlockSize-1] = x.k1[aes.BlockSize-1]<<1 ^ carry*0x87
	return x, nil
}

// gcm returns AES-256-GCM under the key for messages with this nonce: CMAC in
// the counter mode of NIST SP 800-108, of two blocks.
func (x xaes) gcm(nonce []byte) cipher.AEAD {
	var key [32]byte
	for i := range 2 {
		block := key[i*aes.BlockSize : (i+1)*aes.BlockSize]
		copy(block, []byte{0, byte(i + 1), 'X', 0})
		copy(block[4:], nonce[:12])
		subtle.XORBytes(block, block, x.k1[:])
		x.block.Encrypt(block, block)
	}
	derived, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // 32 bytes is a key length of AES
	}
	aead, err := cipher.NewGCM(derived)
	if err != nil {
		panic(err) // AES has the block size of GCM
	}
	return aead
}

func (x xaes) seal(dst, nonce, text, additional []byte) []byte {
	return x.gcm(nonce).Seal(dst, nonce[12:], text, additional)
}

func (x xaes) open(nonce, sealed, additional []byte) ([]byte, error) {
	return x.gcm(nonce).Open(nil, nonce[12:], sealed, additional)
}
