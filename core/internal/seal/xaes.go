package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

// xaes is the AEAD of https://c2sp.org/XAES-256-GCM, whose names of variables it
// uses. It is made of parts of the standard library, which has no such AEAD.
type xaes struct {
	// block is AES-256 under the key itself, which encrypts nothing but what keys
	// of messages are derived from.
	block cipher.Block

	// k1 is what the specification calls K1. It depends on the key alone.
	k1 [aes.BlockSize]byte
}

// newXAES returns the AEAD under a key of 32 bytes.
func newXAES(key []byte) (xaes, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return xaes{}, err
	}
	x := xaes{block: block}
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

// gcm returns AES-256-GCM under the key for messages whose nonce begins with these
// 12 bytes: CMAC in the counter mode of NIST SP 800-108r1, of two blocks with the
// label X. The rest of the nonce is the nonce of GCM.
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
		panic(err) // 32 bytes is a key length of AES.
	}
	aead, err := cipher.NewGCM(derived)
	if err != nil {
		panic(err) // AES has the block size of GCM.
	}
	return aead
}

// seal appends the ciphertext and the tag of text to dst.
func (x xaes) seal(dst, nonce, text, additional []byte) []byte {
	return x.gcm(nonce).Seal(dst, nonce[12:], text, additional)
}

// open returns the text of what seal appended, if nothing was changed.
func (x xaes) open(nonce, sealed, additional []byte) ([]byte, error) {
	return x.gcm(nonce).Open(nil, nonce[12:], sealed, additional)
}
