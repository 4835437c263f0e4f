package core

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// The vectors are those of c2sp.org/XAES-256-GCM.
//
// Standards: ASVS-11.3.2, ASVS-11.3.5, ASVS-11.3.4
func TestXAESIsTheOneOfTheSpecification(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		key        byte
		additional string
		want       string
	}{
		{0x01, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{0x03, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		x, err := newXAES(bytes.Repeat([]byte{v.key}, 32))
		if err != nil {
			t.Fatal(err)
		}
		nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
		sealed := x.seal(nil, nonce, []byte("XAES-256-GCM"), []byte(v.additional))
		if got := hex.EncodeToString(sealed); got != v.want {
			t.Errorf("key %#x: got %s, want %s", v.key, got, v.want)
		}
		text, err := x.open(nonce, sealed, []byte(v.additional))
		if err != nil || string(text) != "XAES-256-GCM" {
			t.Errorf("key %#x: opens as %q, %v", v.key, text, err)
		}
		if _, err := x.open(nonce, sealed, []byte("other")); err == nil {
			t.Errorf("key %#x: opens with other associated data", v.key)
		}
	}
	if _, err := newXAES(make([]byte, 31)); err == nil {
		t.Error("a key of 31 bytes is accepted")
	}
}

// ring makes keys, each named by one letter.
func ring(t *testing.T, names string) []*sealKey {
	t.Helper()
	var secrets []string
	for _, name := range names {
		secrets = append(secrets, strings.Repeat(string(name), minSealKey))
	}
	keys, err := newSealKeys(secrets)
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
	sealed := keys[0].seal("id", text)
	if bytes.Contains(sealed, []byte("ada")) || !bytes.HasPrefix(sealed, []byte(`{"__sealed":"`)) {
		t.Errorf("sealed: %s", sealed)
	}
	if again := keys[0].seal("id", text); bytes.Equal(again, sealed) {
		t.Error("the same text is sealed twice alike")
	}
	if got, err := open(keys, "id", sealed); err != nil || !bytes.Equal(got, text) {
		t.Errorf("opens as %q, %v", got, err)
	}
	if got, err := open(ring(t, "ba"), "id", sealed); err != nil || !bytes.Equal(got, text) {
		t.Errorf("after a rotation it opens as %q, %v", got, err)
	}
	if _, err := open(keys, "other", sealed); !errors.Is(err, ErrUndecodable) {
		t.Errorf("moved to another id: %v", err)
	}
	if _, err := open(ring(t, "b"), "id", sealed); !errors.Is(err, ErrUnknownSealKey) {
		t.Errorf("without its key: %v", err)
	}
	if _, err := open(keys, "id", text); !errors.Is(err, ErrUndecodable) {
		t.Errorf("a record that is not sealed: %v", err)
	}

	// No bit may be changed, wherever it is: in the nonce, the text, the tag, or
	// what base64 has left over at the end, which depends on the length.
	for length := len(text) - 2; length <= len(text); length++ {
		sealed := keys[0].seal("id", text[:length])
		for i := range sealed {
			for bit := range 8 {
				flipped := bytes.Clone(sealed)
				flipped[i] ^= 1 << bit
				if got, err := open(keys, "id", flipped); err == nil {
					t.Fatalf("bit %d of byte %d (%q) can be changed: opens as %q", bit, i, sealed[i], got)
				} else if !errors.Is(err, ErrUndecodable) && !errors.Is(err, ErrUnknownSealKey) {
					t.Fatalf("bit %d of byte %d: %v", bit, i, err)
				}
			}
		}
	}
	for n := range sealed {
		if _, err := open(keys, "id", sealed[:n]); err == nil {
			t.Fatalf("the first %d bytes open", n)
		}
	}
}

// Without the keys a sealed record is reported and left alone. Taken for a session
// it would be written to, and never open again.
func TestASealedRecordIsOneAlsoWhereNobodyHasTheKeys(t *testing.T) {
	sealed := string(ring(t, "a")[0].seal("id", []byte(`{"cookie":{}}`)))
	for name, data := range map[string]string{
		"as it was sealed":  sealed,
		"with a line break": sealed[:len(sealed)/2] + "\n" + sealed[len(sealed)/2:],
		"cut":               sealed[:len(sealed)/2] + `"}`,
	} {
		if _, err := new(Manager).read(Record{ID: "id", Data: []byte(data)}, 0); !errors.Is(err, ErrUnknownSealKey) {
			t.Errorf("%s: %v, want ErrUnknownSealKey", name, err)
		}
	}
}

func TestTheKeyAndItsPublicNameTellNothingOfEachOther(t *testing.T) {
	t.Parallel()
	keys := ring(t, "abc")
	seen := map[string]bool{}
	for _, k := range keys {
		if len(k.id) != 2*sealKeyID || seen[k.id] {
			t.Errorf("key id %q", k.id)
		}
		seen[k.id] = true
	}
	if again := ring(t, "a"); again[0].id != keys[0].id {
		t.Error("the key id differs from process to process")
	}
}
