package seal

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/internal/suite"
)

// cookieRing makes keys for cookies, each named by one letter.
func cookieRing(tb testing.TB, names string) []*Key {
	tb.Helper()
	var secrets []string
	for _, name := range names {
		secrets = append(secrets, strings.Repeat(string(name), MinSecret))
	}
	keys, err := NewCookieKeys(secrets)
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

var aCookie = Cookie{Expires: time.UnixMilli(1764408000123), Host: "example.com", ID: "an-id-of-some-length", Record: []byte(`{"cookie":{},"user":"ada"}`)}

// Standards: ASVS-9.2.2, ASVS-11.3.3
func TestASealedCookieOpensOnlyAsItWasSealed(t *testing.T) {
	t.Parallel()
	keys := cookieRing(t, "ab")
	value := keys[0].SealCookie(aCookie, "bound")
	if strings.Contains(value, "ada") || len(value) != CookieLength(aCookie.Host, aCookie.ID, len(aCookie.Record)) {
		t.Errorf("it is %q", value)
	}
	if keys[0].SealCookie(aCookie, "bound") == value {
		t.Error("the same session is sealed twice alike")
	}
	opens := func(keys []*Key, bound, value string, key int) {
		t.Helper()
		c, i, err := OpenCookie(keys, bound, value)
		if err != nil || i != key || !c.Expires.Equal(aCookie.Expires) || c.Host != aCookie.Host || c.ID != aCookie.ID || string(c.Record) != string(aCookie.Record) {
			t.Errorf("opens by key %d as %+v, %v", i, c, err)
		}
	}
	opens(keys, "bound", value, 0)
	opens(cookieRing(t, "ba"), "bound", value, 1)
	if _, _, err := OpenCookie(keys, "other", value); !errors.Is(err, ErrDamaged) {
		t.Errorf("bound to something else: %v", err)
	}
	if _, _, err := OpenCookie(cookieRing(t, "b"), "bound", value); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("without its key: %v", err)
	}
	if _, _, err := OpenCookie(ring(t, "a"), "bound", value); err == nil {
		t.Error("the key for records of the same secret opens it")
	}
	for i := range value {
		for bit := range 8 {
			changed := value[:i] + string(value[i]^1<<bit) + value[i+1:]
			if _, _, err := OpenCookie(keys, "bound", changed); err == nil {
				t.Fatalf("bit %d of byte %d can be changed", bit, i)
			}
		}
		if _, _, err := OpenCookie(keys, "bound", value[:i]); err == nil {
			t.Fatalf("the first %d bytes open", i)
		}
	}
}

// Two keys may have the same name: then the one counts that opens it.
func TestOfKeysWithOneNameTheOneThatOpensCounts(t *testing.T) {
	keys := cookieRing(t, "ab")
	keys[0].name = keys[1].name
	if c, key, err := OpenCookie(keys, "", keys[1].SealCookie(aCookie, "")); err != nil || key != 1 || c.ID != aCookie.ID {
		t.Errorf("opens by key %d, %v", key, err)
	}
}

// withNonce seals what is in a cookie anew, with that nonce.
func withNonce(k *Key, value, bound, nonce string) string {
	raw, _ := strict.DecodeString(value[len(cookieVersion):])
	text, _ := k.aead.open(raw[nameSize:nameSize+nonceSize], raw[nameSize+nonceSize:], []byte(bound))
	sealed := append([]byte(nonce), sealWith(k.aead, []byte(nonce), text, []byte(bound))...)
	return cookieVersion + strict.EncodeToString(append(k.name[:], sealed...))
}

// The law: what is sealed opens as what it was, under its key and with what it is bound
// to, and has the length that was computed; whatever else opens is that; and opening
// costs bounded memory.
//
// Standards: ASVS-11.2.5
func FuzzOpenCookie(f *testing.F) {
	keys := cookieRing(f, "ab")
	// The nonce is fixed, so that the corpus means something.
	sealed := withNonce(keys[1], keys[1].SealCookie(aCookie, "bound"), "bound", "the nonce of 24 bytes...")
	for _, seed := range []string{sealed, sealed[:len(sealed)-3], "", "1.", "1." + strings.Repeat("A", 80), "1." + strings.Repeat("A", 5000), "2" + sealed[1:], sealed + "\n", "s%3Aid.sig"} {
		f.Add(seed, "bound", "host", "id", int64(0))
	}
	f.Fuzz(func(t *testing.T, value, bound, host, id string, expires int64) {
		var err error
		if cost, most := suite.Allocated(func() { _, _, err = OpenCookie(keys, bound, value) }), suite.Roughly+4*(len(bound)+len(value)); cost > most {
			t.Errorf("%d bytes cost %d bytes, want at most %d", len(value), cost, most)
		}
		if err == nil && (value != sealed || bound != "bound") {
			t.Errorf("%q opens", value) // only who has the keys can make another one
		}
		if len(id) > math.MaxUint16 {
			return
		}
		in := Cookie{Expires: time.UnixMilli(expires), Host: host, ID: id, Record: []byte(value)}
		again := keys[0].SealCookie(in, bound)
		if len(again) != CookieLength(host, id, len(value)) {
			t.Errorf("it has %d bytes, want %d", len(again), CookieLength(host, id, len(value)))
		}
		out, _, err := OpenCookie(keys, bound, again)
		if err != nil || out.Expires.UnixMilli() != expires || out.Host != host[:min(len(host), MaxHost)] || out.ID != id || string(out.Record) != value {
			t.Errorf("%+v came back as %+v, %v", in, out, err)
		}
	})
}
