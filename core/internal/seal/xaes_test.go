package seal

import (
	"bytes"
	"encoding/hex"
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
