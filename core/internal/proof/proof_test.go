package proof_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/internal/proof"
	"github.com/cloakroom-go/cloakroom/internal/suite"
)

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// A signer is the device's half of a key.
type signer struct {
	alg, jwk string
	sign     func(text string) []byte
}

var elliptical = sync.OnceValue(func() signer { return newEC(elliptic.P256()) })

func newEC(curve elliptic.Curve) signer {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	half := (len(point) - 1) / 2
	return signer{
		alg: "ES256",
		jwk: fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, b64(point[1:1+half]), b64(point[1+half:])),
		sign: func(text string) []byte {
			sum := sha256.Sum256([]byte(text))
			r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
			if err != nil {
				panic(err)
			}
			return append(r.FillBytes(make([]byte, half)), s.FillBytes(make([]byte, half))...)
		},
	}
}

var rivest = sync.OnceValue(func() signer { return newRSA(2048) })

func newRSA(bits int) signer {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return signer{
		alg: "RS256",
		jwk: fmt.Sprintf(`{"kty":"RSA","n":"%s","e":"AQAB"}`, b64(key.N.Bytes())),
		sign: func(text string) []byte {
			sum := sha256.Sum256([]byte(text))
			signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
			if err != nil {
				panic(err)
			}
			return signature
		},
	}
}

// jwt returns a token of these parts.
func (s signer) jwt(header, payload string) string {
	text := b64([]byte(header)) + "." + b64([]byte(payload))
	return text + "." + b64(s.sign(text))
}

// registration is a proof as a browser makes it first.
func (s signer) registration() string {
	return s.jwt(fmt.Sprintf(`{"alg":"%s","jwk":%s,"typ":"dbsc+jwt"}`, s.alg, s.jwk), `{"jti":"abc"}`)
}

// refresh is a proof as a browser makes it later.
func (s signer) refresh(challenge string) string {
	return s.jwt(fmt.Sprintf(`{"alg":"%s","typ":"dbsc+jwt"}`, s.alg), fmt.Sprintf(`{"jti":"%s"}`, challenge))
}

func TestARegistrationBringsItsKeyAndARefreshIsCheckedByIt(t *testing.T) {
	for _, s := range []signer{elliptical(), rivest()} {
		t.Run(s.alg, func(t *testing.T) {
			for _, value := range []string{s.registration(), `"` + s.registration() + `"`, " " + s.registration() + "\t"} {
				p, err := proof.Parse(value)
				if err != nil || p.Challenge != "abc" {
					t.Fatalf("registration: %v", err)
				}
				key, err := p.Registered()
				if err != nil {
					t.Fatalf("registration: %v", err)
				}
				again, err := proof.ParseKey(key.JWK())
				if err != nil || !bytes.Equal(again.JWK(), key.JWK()) || again.Thumbprint() != key.Thumbprint() {
					t.Fatalf("the key does not come back as it was: %v", err)
				}
				if err := p.Verify(key); !errors.Is(err, proof.ErrKey) {
					t.Errorf("a proof with a key passes as a refresh: %v", err)
				}
				p, err = proof.Parse(s.refresh("xyz"))
				if err != nil || p.Challenge != "xyz" || p.Verify(again) != nil {
					t.Errorf("refresh: %v, %v", err, p.Verify(again))
				}
				if _, err := p.Registered(); !errors.Is(err, proof.ErrKey) {
					t.Errorf("a proof without a key registers one: %v", err)
				}
			}
		})
	}
}

// The vector of RFC 7638, section 3.1.
func TestTheThumbprintIsThatOfTheRFC(t *testing.T) {
	const jwk = `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`
	key, err := proof.ParseKey([]byte(jwk))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := key.Thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// The vector of RFC 7515, appendix A.3, has another typ and no jti; its key and its
// signature are what they are.
func TestTheKeyOfTheRFCIsOne(t *testing.T) {
	const jwk = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`
	key, err := proof.ParseKey([]byte(jwk))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(key.JWK()), `"d"`) {
		t.Error("the private half of a key is kept")
	}
}

func TestWhatIsNoKey(t *testing.T) {
	ec := map[string]string{}
	if err := json.Unmarshal([]byte(elliptical().jwk), &ec); err != nil {
		t.Fatal(err)
	}
	edit := func(jwk string, changes ...string) string {
		members := map[string]any{}
		if err := json.Unmarshal([]byte(jwk), &members); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(changes); i += 2 {
			members[changes[i]] = changes[i+1]
		}
		out, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	even := func() string { // a modulus that is even
		n := new(big.Int).Lsh(big.NewInt(1), 2047)
		return b64(n.Bytes())
	}()
	var point []byte
	for _, name := range []string{"x", "y"} {
		raw, err := base64.RawURLEncoding.DecodeString(ec[name])
		if err != nil {
			t.Fatal(err)
		}
		point = append(point, raw...)
	}
	offCurve := edit(elliptical().jwk, "y", ec["x"], "x", ec["y"])
	for name, jwk := range map[string]string{
		"nothing":                      ``,
		"no object":                    `"EC"`,
		"no type":                      `{"crv":"P-256"}`,
		"a type of another kind":       edit(elliptical().jwk, "kty", "OKP"),
		"symmetric":                    `{"kty":"oct","k":"AAAA"}`,
		"another curve":                edit(elliptical().jwk, "crv", "P-384"),
		"a point of another curve":     newEC(elliptic.P384()).jwk,
		"a point that is on no curve":  offCurve,
		"the point at infinity":        edit(elliptical().jwk, "x", b64(make([]byte, 32)), "y", b64(make([]byte, 32))),
		"a coordinate that is short":   edit(elliptical().jwk, "x", ec["x"][:42]),
		"coordinates cut elsewhere":    edit(elliptical().jwk, "x", b64(point[:31]), "y", b64(point[31:])),
		"a coordinate with a zero":     edit(elliptical().jwk, "x", "AA"+ec["x"]),
		"a coordinate beyond":          edit(elliptical().jwk, "x", b64(bytes.Repeat([]byte{0xff}, 32))),
		"base64 with padding":          edit(elliptical().jwk, "x", ec["x"]+"="),
		"two of one name":              strings.Replace(elliptical().jwk, `{`, `{"x":"`+ec["x"]+`",`, 1),
		"a name with an escape":        strings.Replace(elliptical().jwk, `"x"`, `"\u0078"`, 1),
		"a weak modulus":               newRSA(1024).jwk,
		"a modulus of 2047 bits":       edit(rivest().jwk, "n", b64(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 2047), big.NewInt(1)).Bytes())),
		"a modulus that is too large":  edit(rivest().jwk, "n", b64(append(bytes.Repeat([]byte{0xff}, 513), 1))),
		"a modulus of 4104 bits":       edit(rivest().jwk, "n", b64(bytes.Repeat([]byte{0xff}, 513))),
		"a modulus with padding":       edit(rivest().jwk, "n", b64(bytes.Repeat([]byte{0xff}, 384))+"="),
		"a name twice, once escaped":   strings.Replace(elliptical().jwk, `{`, `{"\u0078":"`+ec["y"]+`",`, 1),
		"something behind it":          elliptical().jwk + "x",
		"an even modulus":              edit(rivest().jwk, "n", even),
		"no modulus":                   edit(rivest().jwk, "n", ""),
		"a modulus with a zero before": edit(rivest().jwk, "n", b64(append([]byte{0}, bytes.Repeat([]byte{0xff}, 256)...))),
		"the exponent 3":               edit(rivest().jwk, "e", "Aw"),
		"the exponent 1":               edit(rivest().jwk, "e", "AQ"),
		"an exponent with a zero":      edit(rivest().jwk, "e", "AAEAAQ"),
	} {
		if _, err := proof.ParseKey([]byte(jwk)); !errors.Is(err, proof.ErrKey) {
			t.Errorf("%s: %v, want ErrKey", name, err)
		}
	}
}

// What a key and a proof may just have.
func TestTheLargestKeyAndTheLargestProof(t *testing.T) {
	for _, n := range []int{256, 384, 512} {
		if _, err := proof.ParseKey(fmt.Appendf(nil, `{"kty":"RSA","e":"AQAB","n":"%s"}`, b64(bytes.Repeat([]byte{0xff}, n)))); err != nil {
			t.Errorf("a modulus of %d bytes: %v", n, err)
		}
	}
	good := elliptical().refresh("abc")
	for n, want := range map[int]error{4096: nil, 4097: proof.ErrMalformed} {
		if _, err := proof.Parse(good + strings.Repeat(" ", n-len(good))); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", n, err, want)
		}
	}
	for n, want := range map[int]error{16: nil, 17: proof.ErrMalformed} {
		var more strings.Builder
		for i := range n - 1 {
			fmt.Fprintf(&more, `,"a%d":1`, i)
		}
		if _, err := proof.Parse(elliptical().jwt(`{"alg":"ES256","typ":"dbsc+jwt"}`, `{"jti":"abc"`+more.String()+`}`)); !errors.Is(err, want) {
			t.Errorf("%d members: %v, want %v", n, err, want)
		}
	}
}

func TestUnquote(t *testing.T) {
	for value, want := range map[string]string{
		``: ``, `a`: `a`, `"a"`: `a`, ` "a" `: `a`, "\t\"a\"\t": `a`, `""`: ``, `"`: `"`, `"a`: `"a`, `a"`: `a"`, `""a""`: `"a"`, `"a" "`: `a" `,
	} {
		if got := proof.Unquote(value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func TestWhatIsNoProof(t *testing.T) {
	ec := elliptical()
	good := ec.refresh("abc")
	parts := strings.Split(good, ".")
	for name, value := range map[string]string{
		"nothing":          "",
		"two parts":        parts[0] + "." + parts[1],
		"four parts":       good + ".AAAA",
		"JSON":             `{"alg":"ES256"}`,
		"padding":          good + "=",
		"a line break":     parts[0] + "\n." + parts[1] + "." + parts[2],
		"a CR":             parts[0] + "." + parts[1] + "\r." + parts[2],
		"a break later":    good[:len(good)-1] + "\n" + good[len(good)-1:],
		"no object":        ec.jwt(`{"alg":"ES256","typ":"dbsc+jwt"}`, `"abc"`),
		"one and a half":   ec.jwt(`{"alg":"ES256","typ":"dbsc+jwt"}`, `{"jti":"abc"}x`),
		"half a header":    ec.jwt(`{"alg":"ES256","typ":"dbsc+jwt",`, `{"jti":"abc"}`),
		"standard base64":  strings.Replace(good, ".", "+.", 1),
		"a list as header": ec.jwt(`["dbsc+jwt"]`, `{"jti":"abc"}`),
		"another typ":      ec.jwt(`{"alg":"ES256","typ":"JWT"}`, `{"jti":"abc"}`),
		"no typ":           ec.jwt(`{"alg":"ES256"}`, `{"jti":"abc"}`),
		"alg none":         ec.jwt(`{"alg":"none","typ":"dbsc+jwt"}`, `{"jti":"abc"}`),
		"no alg":           ec.jwt(`{"typ":"dbsc+jwt"}`, `{"jti":"abc"}`),
		"alg HS256":        ec.jwt(`{"alg":"HS256","typ":"dbsc+jwt"}`, `{"jti":"abc"}`),
		"alg in capitals":  ec.jwt(`{"ALG":"ES256","typ":"dbsc+jwt"}`, `{"jti":"abc"}`),
		"two algs":         ec.jwt(`{"alg":"ES256","alg":"RS256","typ":"dbsc+jwt"}`, `{"jti":"abc"}`),
		"an extension":     ec.jwt(`{"alg":"ES256","typ":"dbsc+jwt","crit":["exp"]}`, `{"jti":"abc"}`),
		"no jti":           ec.jwt(`{"alg":"ES256","typ":"dbsc+jwt"}`, `{}`),
		"a jti of numbers": ec.jwt(`{"alg":"ES256","typ":"dbsc+jwt"}`, `{"jti":1}`),
		"two jtis":         ec.jwt(`{"alg":"ES256","typ":"dbsc+jwt"}`, `{"jti":"abc","jti":"abd"}`),
		"many members":     ec.jwt(`{"alg":"ES256","typ":"dbsc+jwt"`+strings.Repeat(`,"a":1`, 20)+`}`, `{"jti":"abc"}`),
		"too long":         ec.refresh(strings.Repeat("a", 4096)),
	} {
		if p, err := proof.Parse(value); !errors.Is(err, proof.ErrMalformed) || p != nil {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	if _, err := proof.Parse(ec.jwt(`{"alg":"ES256","typ":"dbsc+jwt","jwk":{"kty":"EC"}}`, `{"jti":"abc"}`)); !errors.Is(err, proof.ErrKey) {
		t.Errorf("half a key: %v, want ErrKey", err)
	}
}

// keyOf returns what the server keeps of a signer.
func keyOf(t testing.TB, s signer) *proof.Key {
	t.Helper()
	key, err := proof.ParseKey([]byte(s.jwk))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestWhatTheKeyDidNotSign(t *testing.T) {
	ec, rs, other := elliptical(), rivest(), newEC(elliptic.P256())
	good, signed := strings.Split(ec.refresh("abc"), "."), strings.Split(rs.refresh("abc"), ".")
	header := func(alg string) string { return `{"alg":"` + alg + `","typ":"dbsc+jwt"}` }
	hmacByKey := func() string { // signed by the public key, as if it were a secret
		text := b64([]byte(header("ES256"))) + "." + b64([]byte(`{"jti":"abc"}`))
		mac := hmac.New(sha256.New, keyOf(t, ec).JWK())
		mac.Write([]byte(text))
		return text + "." + b64(append(mac.Sum(nil), mac.Sum(nil)...))
	}()
	for name, tt := range map[string]struct {
		key   *proof.Key
		value string
	}{
		"another key's":                     {keyOf(t, ec), other.refresh("abc")},
		"another challenge":                 {keyOf(t, ec), good[0] + "." + b64([]byte(`{"jti":"abd"}`)) + "." + good[2]},
		"no signature":                      {keyOf(t, ec), good[0] + "." + good[1] + "."},
		"half a signature":                  {keyOf(t, ec), good[0] + "." + good[1] + "." + good[2][:40]},
		"a signature of zeros":              {keyOf(t, ec), good[0] + "." + good[1] + "." + b64(make([]byte, 64))},
		"the algorithm of RSA, signed by P": {keyOf(t, ec), ec.jwt(header("RS256"), `{"jti":"abc"}`)},
		"the algorithm of P, for RSA":       {keyOf(t, rs), ec.refresh("abc")},
		"the algorithm of P, signed by RSA": {keyOf(t, rs), rs.jwt(header("ES256"), `{"jti":"abc"}`)},
		"a MAC by the public key":           {keyOf(t, ec), hmacByKey},
		"another RSA key's":                 {keyOf(t, rs), newRSA(2048).refresh("abc")},
		"an RSA key's, of another text":     {keyOf(t, rs), signed[0] + "." + b64([]byte(`{"jti":"abd"}`)) + "." + signed[2]},
		"half of an RSA key's":              {keyOf(t, rs), signed[0] + "." + signed[1] + "." + signed[2][:168]},
		"none of an RSA key's":              {keyOf(t, rs), signed[0] + "." + signed[1] + "."},
	} {
		p, err := proof.Parse(tt.value)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := p.Verify(tt.key); !errors.Is(err, proof.ErrSignature) {
			t.Errorf("%s: %v, want ErrSignature", name, err)
		}
	}
	// A registration that names the key of somebody else.
	stolen := other.jwt(fmt.Sprintf(`{"alg":"ES256","jwk":%s,"typ":"dbsc+jwt"}`, ec.jwk), `{"jti":"abc"}`)
	p, err := proof.Parse(stolen)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Registered(); !errors.Is(err, proof.ErrSignature) {
		t.Errorf("the key of somebody else is registered: %v", err)
	}
}

// The law: what is accepted was signed by the key over exactly what was read, whatever
// else is fed in; nothing comes back with an error; and any value costs bounded memory.
func FuzzProof(f *testing.F) {
	ec, rs := elliptical(), rivest()
	for _, seed := range []string{
		ec.registration(), ec.refresh("abc"), rs.registration(), rs.refresh("abc"), `"` + ec.refresh("abc") + `"`, "", "..", ".", "a.b.c",
		ec.jwt(`{"alg":"none","typ":"dbsc+jwt"}`, `{"jti":"abc"}`), ec.jwt(`{"typ":"dbsc+jwt","alg":"ES256","jwk":null}`, `{"jti":""}`),
	} {
		f.Add(seed)
	}
	keys := []*proof.Key{keyOf(f, ec), keyOf(f, rs)}
	f.Fuzz(func(t *testing.T, value string) {
		var (
			p   *proof.Proof
			err error
		)
		if cost := suite.Allocated(func() { p, err = proof.Parse(value) }); cost > suite.Roughly {
			t.Errorf("a value of %d bytes costs %d bytes", len(value), cost)
		}
		if (p == nil) != (err != nil) {
			t.Fatalf("%q: %v and %v", value, p, err)
		}
		if p == nil {
			return
		}
		if p.Challenge == "" || len(value) > 4096 {
			t.Errorf("%q is read", value)
		}
		for _, key := range keys {
			if p.Verify(key) == nil && !signedHere(value) {
				t.Errorf("%q is accepted, which nobody has signed", value)
			}
		}
		key, err := p.Registered()
		if err != nil {
			return
		}
		again, err := proof.ParseKey(key.JWK())
		if err != nil || again.Thumbprint() != key.Thumbprint() {
			t.Errorf("the key of %q does not come back", value)
		}
	})
}

// signedHere reports whether a proof has the text of one that this process has signed: a
// fuzzer can put spaces or quotes around one.
func signedHere(value string) bool {
	parts := strings.Split(proof.Unquote(value), ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	return err == nil && string(payload) == `{"jti":"abc"}`
}
