package seal

import (
	"bytes"
	"encoding/hex"
	"sync"
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
		sealed := sealWith(x, nonce, []byte("XAES-256-GCM"), []byte(v.additional))
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

// sealWith returns the ciphertext and the tag of a text with that nonce.
func sealWith(x *xaes, nonce, text, additional []byte) []byte {
	return x.derive([halfSize]byte(nonce)).Seal(nil, nonce[halfSize:], text, additional)
}

// aXAES makes an AEAD.
func aXAES(t *testing.T) *xaes {
	t.Helper()
	x, err := newXAES(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// What makes it safe that messages share a key: no more of them do than was reckoned with,
// however many goroutines seal, and no two have one nonce.
//
// Standards: ASVS-11.3.4
func TestMessagesThatShareAKeyAreFewAndHaveNoncesOfTheirOwn(t *testing.T) {
	t.Parallel()
	const goroutines, each = 8, sharedBy * 5 / 2 / 8
	var (
		x      = aXAES(t)
		nonces [goroutines][each][nonceSize]byte
		wg     sync.WaitGroup
	)
	for g := range nonces {
		wg.Go(func() {
			for i := range nonces[g] {
				nonces[g][i] = [nonceSize]byte(x.seal(nil, nil))
			}
		})
	}
	wg.Wait()
	shared := map[[halfSize]byte]int{}
	seconds := map[[halfSize]byte]bool{}
	for _, some := range nonces {
		for _, nonce := range some {
			shared[[halfSize]byte(nonce[:])]++
			seconds[[halfSize]byte(nonce[halfSize:])] = true
		}
	}
	if len(seconds) != goroutines*each {
		t.Errorf("%d messages have %d nonces", goroutines*each, len(seconds))
	}
	full := 0
	for _, n := range shared {
		if n > sharedBy {
			t.Errorf("%d messages share a key, want at most %d", n, sharedBy)
		}
		if n == sharedBy {
			full++
		}
	}
	if len(shared) != 3 || full != 2 {
		t.Errorf("%d keys for %d messages, %d of them used up: want 3, and 2", len(shared), goroutines*each, full)
	}
	if again := [halfSize]byte(aXAES(t).seal(nil, nil)); shared[again] > 0 {
		t.Error("another process begins with a key that this one has used")
	}
}

// However many keys there are, messages open by theirs.
func TestWhatIsKeptToOpenByIsLimited(t *testing.T) {
	t.Parallel()
	writer, reader := aXAES(t), aXAES(t)
	var messages [][]byte
	for i := range 4 * keptKeys {
		writer.sealing.Store(nil) // another process
		messages = append(messages, writer.seal([]byte{byte(i)}, []byte("bound")))
	}
	for range 2 {
		for i, m := range messages {
			text, err := reader.open(m[:nonceSize], m[nonceSize:], []byte("bound"))
			if err != nil || !bytes.Equal(text, []byte{byte(i)}) {
				t.Fatalf("message %d opens as %v, %v", i, text, err)
			}
			if _, err := reader.open(m[:nonceSize], m[nonceSize:], []byte("other")); err == nil {
				t.Fatalf("message %d opens with other associated data, by a key that is kept", i)
			}
		}
	}
}

// A stranger who makes up nonces keeps nobody's key from being kept.
func TestOnlyTheKeyOfAMessageThatOpensIsKept(t *testing.T) {
	t.Parallel()
	x := aXAES(t)
	good := x.seal([]byte("text"), nil)
	before := [keptKeys]*messageKey{}
	for i := range x.opened {
		before[i] = x.opened[i].Load()
	}
	for i := range 10 * keptKeys {
		bad := bytes.Clone(good)
		bad[0], bad[1], bad[2] = byte(i>>8), byte(i), bad[2]^1
		if _, err := x.open(bad[:nonceSize], bad[nonceSize:], nil); err == nil {
			t.Fatal("a message with another nonce opens")
		}
	}
	for i := range x.opened {
		if x.opened[i].Load() != before[i] {
			t.Fatal("a key is kept that opened nothing, or another one is gone")
		}
	}
	reader := aXAES(t)
	if _, err := reader.open(good[:nonceSize], good[nonceSize:], nil); err != nil || reader.place([halfSize]byte(good)).Load() == nil {
		t.Errorf("the key is not kept of a message that opens: %v", err)
	}
}
