// Package proof reads and checks what a browser sends to show that it has a key: the JWT
// of Device Bound Session Credentials, in the header Secure-Session-Response.
//
// Everything here is pure. A proof says nothing but that somebody with the key has signed
// a challenge. Whether the challenge is one of ours, of whom, and how old, is up to the
// caller, as is which key it has to be.
//
//	header   {"alg":"ES256","typ":"dbsc+jwt","jwk":{...}}    the key at the registration only
//	payload  {"jti":"<the challenge>"}
package proof

import (
	"errors"
	"strings"
)

const (
	// maxProof is how many bytes a proof has at most. One with an RSA key of 4096 bits
	// has less than half of them.
	maxProof = 4096

	// maxMembers is how many members an object in a proof has at most.
	maxMembers = 16

	// jwtType is the member typ of a proof.
	jwtType = "dbsc+jwt"
)

var (
	// ErrMalformed says that a value is no proof.
	ErrMalformed = errors.New("cloakroom: not a proof of a device-bound session")

	// ErrKey says that a key is missing, is where none may be, is too weak, or is no key.
	ErrKey = errors.New("cloakroom: the key of a device-bound session cannot be used")

	// ErrSignature says that a proof was not signed by the key.
	ErrSignature = errors.New("cloakroom: the proof of a device-bound session is not signed by its key")
)

// A Proof is a JWT that was read and not checked yet.
type Proof struct {
	// Challenge is what the browser says that it has signed, the claim jti: up to
	// 4096 bytes of anything.
	Challenge string

	alg       string
	key       *Key // that it came with; nil: none
	signed    string
	signature []byte
}

// Parse reads the value of the header: a JWT, bare as browsers send it or in quotes as the
// draft has it. The error is [ErrMalformed] or [ErrKey].
func Parse(value string) (*Proof, error) {
	if len(value) > maxProof {
		return nil, ErrMalformed
	}
	value = Unquote(value)
	header, rest, _ := strings.Cut(value, ".")
	payload, signature, found := strings.Cut(rest, ".")
	if !found {
		return nil, ErrMalformed
	}
	sig, err := decode(signature)
	if err != nil {
		return nil, ErrMalformed
	}
	head, claims := parsePart(header), parsePart(payload)
	p := &Proof{Challenge: claims.text("jti"), alg: head.text("alg"), signed: value[:len(header)+1+len(payload)], signature: sig}
	switch {
	case head.text("typ") != jwtType, p.Challenge == "", head["crit"] != nil: // no extension is known (RFC 7515, section 4.1.11)
		return nil, ErrMalformed
	case p.alg != ES256 && p.alg != RS256:
		return nil, ErrMalformed
	case head["jwk"] != nil:
		if p.key, err = ParseKey(head["jwk"]); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// parsePart reads a part of a JWT. What is no object has no members.
func parsePart(part string) object {
	raw, err := decode(part)
	if err != nil {
		return nil
	}
	return parseObject(raw)
}

// Registered returns the key that a proof came with, once it is seen to be signed by it:
// that of a registration. The error is [ErrKey] or [ErrSignature].
func (p *Proof) Registered() (*Key, error) {
	if p.key == nil {
		return nil, ErrKey
	}
	if err := p.check(p.key); err != nil {
		return nil, err
	}
	return p.key, nil
}

// Verify checks that a proof is signed by a key which is known already: that of a refresh,
// which brings none. The error is [ErrKey] or [ErrSignature].
func (p *Proof) Verify(key *Key) error {
	if p.key != nil {
		return ErrKey
	}
	return p.check(key)
}

// check also refuses an algorithm that is not that of the key.
func (p *Proof) check(key *Key) error {
	if p.alg != key.alg || !key.verifies(p.signed, p.signature) {
		return ErrSignature
	}
	return nil
}

// Unquote returns what stands in a header as a string of a structured field (RFC 9651,
// section 3.3.3), or as it is where that has no quotes. Nothing that is sent here has
// escapes.
func Unquote(value string) string {
	value = strings.Trim(value, " \t")
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		return value[1 : n-1]
	}
	return value
}
