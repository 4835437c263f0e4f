package proof

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
)

// The algorithms of proofs, as JWS names them (RFC 7518, section 3.1).
const (
	ES256 = "ES256" // ECDSA on P-256 with SHA-256
	RS256 = "RS256" // RSASSA-PKCS1-v1_5 with SHA-256
)

const (
	coordinate = 32 // The bytes of a coordinate on P-256, and of each half of a signature.

	// A modulus of less is too weak (NIST SP 800-131A), and to verify with one of more
	// costs a server more than a device has reason to ask for.
	minModulus = 2048
	maxModulus = 4096

	// exponent is what all keys that devices make have, as JWK writes it: 65537.
	exponent = "AQAB"
)

// A Key is the public half of what a browser keeps on its device.
type Key struct {
	alg    string
	public crypto.PublicKey
	jwk    []byte
}

// ParseKey reads a JWK (RFC 7517). It takes a point on P-256, or an RSA modulus of 2048
// to 4096 bits with the exponent 65537; other members of the JWK are ignored. The error is
// [ErrKey].
func ParseKey(jwk []byte) (*Key, error) {
	o := parseObject(jwk)
	switch o.text("kty") {
	case "EC":
		return parseEC(o)
	case "RSA":
		return parseRSA(o)
	}
	return nil, ErrKey
}

func parseEC(o object) (*Key, error) {
	x, y := o.bytes("x"), o.bytes("y")
	if o.text("crv") != "P-256" || len(x) != coordinate || len(y) != coordinate {
		return nil, ErrKey
	}
	point := append(append([]byte{4}, x...), y...) // Uncompressed (SEC 1, section 2.3.3).
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil { // The point is not on the curve.
		return nil, ErrKey
	}
	return &Key{ES256, public, fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, encode(x), encode(y))}, nil
}

func parseRSA(o object) (*Key, error) {
	n := o.bytes("n")
	if o.text("e") != exponent || len(n) == 0 || n[0] == 0 || n[len(n)-1]&1 == 0 || len(n) > maxModulus/8 {
		return nil, ErrKey
	}
	modulus := new(big.Int).SetBytes(n)
	if modulus.BitLen() < minModulus {
		return nil, ErrKey
	}
	return &Key{RS256, &rsa.PublicKey{N: modulus, E: 65537}, fmt.Appendf(nil, `{"e":"%s","kty":"RSA","n":"%s"}`, exponent, encode(n))}, nil
}

// JWK returns the key as RFC 7638 writes it, section 3.3: the required members alone, in
// the order of their names, which ParseKey reads.
func (k *Key) JWK() []byte { return k.jwk }

// Thumbprint returns the SHA-256 thumbprint of the key (RFC 7638), in base64url.
func (k *Key) Thumbprint() string {
	sum := sha256.Sum256(k.jwk)
	return encode(sum[:])
}

// verifies reports whether signature is that of the key over a text.
func (k *Key) verifies(text string, signature []byte) bool {
	digest := sha256.Sum256([]byte(text))
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		if len(signature) != 2*coordinate {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:coordinate]), new(big.Int).SetBytes(signature[coordinate:])
		return ecdsa.Verify(public, digest[:], r, s)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
	}
	return false
}

// An object is a JSON object whose names are plain and stand once each.
type object map[string][]byte

// parseObject reads one. It returns nil for what is none, and for what two readers could
// take for two things.
func parseObject(raw []byte) object {
	var buf [8]jsontext.Member
	members, ok := jsontext.Scan(raw, buf[:0])
	if !ok || len(members) > maxMembers {
		return nil
	}
	o := make(object, len(members))
	for _, m := range members {
		name := raw[m.Name:m.NameEnd()]
		if _, twice := o[string(name)]; twice || !jsontext.IsPlain(name) {
			return nil
		}
		o[string(name)] = raw[m.Value:m.ValueEnd]
	}
	return o
}

// text returns the string that a member holds, or an empty one where it is missing, is no
// string or has escapes, which nothing here needs.
func (o object) text(name string) (s string) {
	if raw := o[name]; raw == nil || !jsontext.DecodePlain(raw, &s) {
		return ""
	}
	return s
}

// bytes returns what a member holds in base64url, or nil.
func (o object) bytes(name string) []byte {
	raw, err := decode(o.text(name))
	if err != nil {
		return nil
	}
	return raw
}

// strict refuses bits that are left over at the end.
var strict = base64.RawURLEncoding.Strict()

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// decode reads base64url without padding. Package base64 skips line breaks, but there is
// one way to write bytes.
func decode(s string) ([]byte, error) {
	for i := range len(s) {
		if s[i] == '\r' || s[i] == '\n' {
			return nil, ErrMalformed
		}
	}
	return strict.DecodeString(s)
}
