package takeover

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"math"
	"strconv"
	"time"
)

// The format of gorilla/securecookie 1.1:
//
//	base64url(time "|" base64url(value) "|" HMAC-SHA256(name "|" time "|" base64url(value)))
//
// where value may be an initial vector and what AES-CTR made of the value.

// securecookieAge is how long such a text is accepted by default.
const securecookieAge = 30 * 24 * time.Hour

// A codec verifies and opens the texts of one pair of keys.
type codec struct{ hash, block []byte }

// codecs returns those of pairs that work: hash, block, hash, block and so on, where
// the last block key may be missing. gorilla, too, goes on to the next pair where a
// key has a length that it cannot have.
func codecs(pairs [][]byte) (all []codec) {
	for i := 0; i < len(pairs); i += 2 {
		c := codec{hash: pairs[i]}
		if i+1 < len(pairs) {
			c.block = pairs[i+1]
		}
		if len(c.hash) == 0 {
			continue
		}
		if c.block != nil {
			if _, err := aes.NewCipher(c.block); err != nil {
				continue
			}
		}
		all = append(all, c)
	}
	return all
}

// An opened text is one that a codec has verified.
type opened struct {
	value []byte
	mac   []byte
	at    time.Time // when it was made
}

// open verifies and opens a text, which must not be older than maxAge unless that is
// negative. The keys sign nothing.
func (c codec) open(name, text string, maxAge time.Duration, now time.Time) (o opened, ok bool) {
	raw, err := base64.URLEncoding.DecodeString(text)
	if err != nil {
		return o, false
	}
	parts := bytes.SplitN(raw, []byte("|"), 3) // the MAC may hold a |
	if len(parts) < 3 {
		return o, false
	}
	o.mac = parts[2]
	h := hmac.New(sha256.New, c.hash)
	h.Write([]byte(name + "|"))
	h.Write(raw[:len(raw)-len(o.mac)-1])
	if !hmac.Equal(h.Sum(nil), o.mac) {
		return o, false
	}
	seconds, err := strconv.ParseInt(string(parts[0]), 10, 64)
	if err != nil || seconds < 0 || seconds > math.MaxUint32 {
		return o, false
	}
	if maxAge >= 0 && seconds < now.Unix()-int64(maxAge/time.Second) {
		return o, false
	}
	o.at = time.Unix(seconds, 0)
	if o.value, err = base64.URLEncoding.DecodeString(string(parts[1])); err != nil {
		return o, false
	}
	return o, c.decrypt(&o.value)
}

// decrypt takes the encryption off a value, where there is any.
func (c codec) decrypt(value *[]byte) bool {
	if c.block == nil {
		return true
	}
	block, err := aes.NewCipher(c.block)
	if err != nil || len(*value) < block.BlockSize() {
		return false
	}
	iv, sealed := (*value)[:block.BlockSize()], (*value)[block.BlockSize():]
	plain := make([]byte, len(sealed))
	cipher.NewCTR(block, iv).XORKeyStream(plain, sealed)
	*value = plain
	return true
}
