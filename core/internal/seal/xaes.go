package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"sync/atomic"
)

// xaes is the AEAD of https://c2sp.org/XAES-256-GCM, whose names of variables it
// uses. It is made of parts of the standard library, which has no such AEAD.
//
// The first half of a nonce is what the key of a message is derived from, and the second
// half is the nonce of that key. To derive one costs more than to encrypt a session by it,
// so messages of one process share a first half, sharedBy at most, and what was derived is
// kept: to seal the next one, and to open those that come back.
type xaes struct {
	// block is AES-256 under the key itself, which encrypts nothing but what keys
	// of messages are derived from.
	block cipher.Block

	// k1 is what the specification calls K1. It depends on the key alone.
	k1 [aes.BlockSize]byte

	sealing atomic.Pointer[messageKey]
	opened  [keptKeys]atomic.Pointer[messageKey] // by what their halves begin with
}

const (
	halfSize = nonceSize / 2

	// sharedBy is how many messages share the first half of their nonces, and so a key.
	// The second half is random for each: that two of 2^16 have the same one has a
	// probability of 2^-65, and 2^49 messages under one secret, of any number of
	// processes, have one of 2^-32 that it happened to any of them.
	sharedBy = 1 << 16

	// keptKeys is how many keys of messages are kept to open by, of 1.3 KB each.
	keptKeys = 64
)

// A messageKey is AES-256-GCM under the key that is derived from the first half of a nonce.
type messageKey struct {
	cipher.AEAD
	half [halfSize]byte
	left atomic.Int64 // how many messages it may still seal
}

// newXAES returns the AEAD under a key of 32 bytes.
func newXAES(key []byte) (*xaes, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	x := &xaes{block: block}
	// K1 is a subkey of CMAC (NIST SP 800-38B): the encryption of zero, doubled in
	// GF(2^128). The carry is multiplied instead of tested, so that the time that
	// this takes does not depend on it.
	block.Encrypt(x.k1[:], x.k1[:])
	carry := x.k1[0] >> 7
	for i := range aes.BlockSize - 1 {
		x.k1[i] = x.k1[i]<<1 | x.k1[i+1]>>7
	}
	x.k1[aes.BlockSize-1] = x.k1[aes.BlockSize-1]<<1 ^ carry*0x87
	return x, nil
}

// derive returns AES-256-GCM under the key for messages whose nonce begins with these
// 12 bytes: CMAC in the counter mode of NIST SP 800-108r1, of two blocks with the
// label X. The rest of the nonce is the nonce of GCM.
func (x *xaes) derive(half [halfSize]byte) *messageKey {
	var key [32]byte
	for i := range 2 {
		block := key[i*aes.BlockSize : (i+1)*aes.BlockSize]
		copy(block, []byte{0, byte(i + 1), 'X', 0})
		copy(block[4:], half[:])
		subtle.XORBytes(block, block, x.k1[:])
		x.block.Encrypt(block, block)
	}
	derived, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // 32 bytes is a key length of AES.
	}
	aead, err := cipher.NewGCM(derived)
	if err != nil {
		panic(err) // AES has the block size of GCM.
	}
	return &messageKey{AEAD: aead, half: half}
}

// next returns the key for one message to be sealed, and appends its nonce to dst. The
// message is to be sealed under the second half of that.
func (x *xaes) next(dst []byte) (k *messageKey, nonce []byte) {
	for {
		k = x.sealing.Load()
		if k != nil && k.left.Add(-1) >= 0 {
			break
		}
		var half [halfSize]byte
		rand.Read(half[:]) // This never fails: crypto/rand ends the program rather than return bad bytes.
		fresh := x.derive(half)
		fresh.left.Store(sharedBy)
		if x.sealing.CompareAndSwap(k, fresh) {
			x.keep(fresh)
		}
	}
	// Random, and no counter: a machine that is copied while it runs would count on twice.
	nonce = append(append(dst, k.half[:]...), make([]byte, halfSize)...)
	rand.Read(nonce[len(nonce)-halfSize:])
	return k, nonce
}

// seal returns a nonce, and the ciphertext and the tag of text behind it.
func (x *xaes) seal(text, additional []byte) []byte {
	k, nonce := x.next(make([]byte, 0, nonceSize+len(text)+tagSize))
	return k.Seal(nonce, nonce[halfSize:], text, additional)
}

// open returns the text of what was sealed with a nonce, if nothing was changed.
func (x *xaes) open(nonce, sealed, additional []byte) ([]byte, error) {
	half := [halfSize]byte(nonce)
	k := x.place(half).Load()
	known := k != nil && k.half == half // it is public, and so is how long that takes
	if !known {
		k = x.derive(half)
	}
	text, err := k.Open(nil, nonce[halfSize:], sealed, additional)
	if err == nil && !known { // else a stranger could drive the others out
		x.keep(k)
	}
	return text, err
}

// keep keeps a key to open by, in place of another one.
func (x *xaes) keep(k *messageKey) { x.place(k.half).Store(k) }

// place returns where the key is kept that is derived from a half, which is random.
func (x *xaes) place(half [halfSize]byte) *atomic.Pointer[messageKey] {
	return &x.opened[binary.BigEndian.Uint16(half[:])%keptKeys]
}
