package sessiontest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
)

// A deviceKey stands for the key that a device keeps.
type deviceKey struct {
	algorithm string
	signer    crypto.Signer
	jwk       string
}

// algorithm returns by which one the browser signs.
func (b *Browser) algorithm() string {
	if b.RSA {
		return "RS256"
	}
	return "ES256"
}

// newDeviceKey makes a key. To make one fails where the system has no random bytes, which
// ends the program.
func newDeviceKey(isRSA bool) *deviceKey {
	if isRSA {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		e := big.NewInt(int64(key.E)).Bytes()
		return &deviceKey{"RS256", key, fmt.Sprintf(`{"e":"%s","kty":"RSA","n":"%s"}`, encode(e), encode(key.N.Bytes()))}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return &deviceKey{"ES256", key, fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, encode(point[1:33]), encode(point[33:]))}
}

// proof returns the JWT that signs a challenge, with the public key at a registration.
func (k *deviceKey) proof(challenge string, registers bool) string {
	header := `{"alg":"` + k.algorithm + `",`
	if registers {
		header += `"jwk":` + k.jwk + `,`
	}
	text := encode([]byte(header+`"typ":"dbsc+jwt"}`)) + "." + encode([]byte(`{"jti":"`+challenge+`"}`))
	return text + "." + encode(k.sign(text))
}

// sign returns the signature of a text as JWS has it.
func (k *deviceKey) sign(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	if key, ok := k.signer.(*ecdsa.PrivateKey); ok {
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			panic(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	signature, err := k.signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return signature
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
