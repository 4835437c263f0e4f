package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/internal/suite"
)

// ring makes keys, each named by one letter.
func ring(t *testing.T, names string) []*Key {
	t.Helper()
	var secrets []string
	for _, name := range names {
		secrets = append(secrets, strings.Repeat(string(name), MinSecret))
	}
	keys, err := NewKeys(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// Standards: ASVS-9.2.2, ASVS-11.3.3, ASVS-11.3.5, ASVS-11.3.4
func TestASealedRecordOpensOnlyAsItWasSealed(t *testing.T) {
	t.Parallel()
	keys := ring(t, "ab")
	text := []byte(`{"cookie":{},"user":"ada"}`)
	sealed := keys[0].Seal("id", text)
	if bytes.Contains(sealed, []byte("ada")) || !bytes.HasPrefix(sealed, []byte(`{"__sealed":"`)) {
		t.Errorf("sealed: %s", sealed)
	}
	if again := keys[0].Seal("id", text); bytes.Equal(again, sealed) {
		t.Error("the same text is sealed twice alike")
	}
	if got, err := Open(keys, "id", sealed); err != nil || !bytes.Equal(got, text) {
		t.Errorf("opens as %q, %v", got, err)
	}
	if got, err := Open(ring(t, "ba"), "id", sealed); err != nil || !bytes.Equal(got, text) {
		t.Errorf("after a rotation it opens as %q, %v", got, err)
	}
	if _, err := Open(keys, "other", sealed); !errors.Is(err, ErrDamaged) {
		t.Errorf("moved to another id: %v", err)
	}
	if _, err := Open(ring(t, "b"), "id", sealed); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("without its key: %v", err)
	}
	if _, err := Open(keys, "id", text); !errors.Is(err, ErrDamaged) {
		t.Errorf("a record that is not sealed: %v", err)
	}

	// No bit may be changed, wherever it is: in the nonce, the text, the tag, or
	// what base64 has left over at the end, which depends on the length.
	for length := len(text) - 2; length <= len(text); length++ {
		sealed := keys[0].Seal("id", text[:length])
		for i := range sealed {
			for bit := range 8 {
				flipped := bytes.Clone(sealed)
				flipped[i] ^= 1 << bit
				if got, err := Open(keys, "id", flipped); err == nil {
					t.Fatalf("bit %d of byte %d (%q) can be changed: opens as %q", bit, i, sealed[i], got)
				} else if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrUnknownKey) {
					t.Fatalf("bit %d of byte %d: %v", bit, i, err)
				}
			}
		}
	}
	for n := range sealed {
		if _, err := Open(keys, "id", sealed[:n]); err == nil {
			t.Fatalf("the first %d bytes open", n)
		}
	}
}

func TestTheKeyAndItsPublicNameTellNothingOfEachOther(t *testing.T) {
	t.Parallel()
	keys := ring(t, "abc")
	seen := map[string]bool{}
	for _, k := range keys {
		if len(k.id) != 2*keyIDSize || seen[k.id] {
			t.Errorf("key id %q", k.id)
		}
		seen[k.id] = true
	}
	if again := ring(t, "a"); again[0].id != keys[0].id {
		t.Error("the key id differs from process to process")
	}
}

// The law: what is sealed opens under its id and its key; whatever else opens is
// the same text, sealed; and opening costs bounded memory.
//
// Standards: ASVS-11.2.5
func FuzzOpen(f *testing.F) {
	keys, err := NewKeys([]string{strings.Repeat("a", 32), strings.Repeat("b", 32)})
	if err != nil {
		f.Fatal(err)
	}
	nonce := []byte("the nonce of 24 bytes...") // fixed, so that the corpus means something
	sealed := []byte(prefix + keys[1].id + "." + base64.RawURLEncoding.EncodeToString(append(nonce, sealWith(keys[1].aead, nonce, []byte(`{"cookie":{}}`), []byte("id"))...)) + suffix)
	for _, seed := range [][]byte{
		sealed, sealed[:len(sealed)-3],
		{},
		[]byte(`{"__sealed":""}`), []byte(`{"__sealed":"0123456789abcdef."}`),
		[]byte(`{"__sealed":"` + keys[0].id + `."}`), []byte(`{"__sealed":"` + keys[0].id + `.AAAA"}`), []byte(`{"__sealed":"` + keys[0].id + `.!!!!"}`), []byte(`{"cookie":{}}`),
	} {
		f.Add(seed, "id")
	}
	f.Fuzz(func(t *testing.T, data []byte, id string) {
		var (
			text []byte
			err  error
		)
		if cost, most := suite.Allocated(func() { text, err = Open(keys, id, data) }), suite.Roughly+4*(len(id)+len(data)); cost > most {
			t.Errorf("%d bytes of a sealed record cost %d bytes, want at most %d", len(data), cost, most)
		}
		if err == nil {
			if id != "id" || string(text) != `{"cookie":{}}` || !bytes.Equal(data, sealed) {
				// Only who has the keys can make another one, and the fuzzer has not.
				t.Errorf("%q opens under %q as %q", data, id, text)
			}
		} else if text != nil {
			t.Errorf("%q: text %q together with %v", data, text, err)
		}
		back, err := Open(keys, id, keys[0].Seal(id, data))
		if err != nil || !bytes.Equal(back, data) {
			t.Errorf("sealed %q came back as %q, %v", data, back, err)
		}
		if back, err := Open(keys, id+"x", keys[0].Seal(id, data)); err == nil {
			t.Errorf("a record that was moved opens as %q", back)
		}
	})
}
