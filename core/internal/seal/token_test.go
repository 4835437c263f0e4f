package seal_test

import (
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/internal/seal"
	"github.com/cloakroom-go/cloakroom/internal/suite"
)

const (
	newSecret   = "the secret that takes the place of the other"
	oldSecret   = "the secret whose place the other one takes"
	otherSecret = "a secret that somebody else has for himself"
)

func tokenKeys(t testing.TB, secrets ...string) []*seal.Key {
	t.Helper()
	keys, err := seal.NewTokenKeys(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestATokenOpensUnderEachSecretAndForItsPurposeAlone(t *testing.T) {
	token := tokenKeys(t, oldSecret)[0].SealToken("purpose", []byte("what it says"))
	if strings.Contains(token, "says") || token == tokenKeys(t, oldSecret)[0].SealToken("purpose", []byte("what it says")) {
		t.Error("a token shows what it says, or is the same twice")
	}
	if text, ok := seal.OpenToken(tokenKeys(t, newSecret, oldSecret), "purpose", token); !ok || string(text) != "what it says" {
		t.Errorf("after a rotation: %q, %v", text, ok)
	}
	cookies, err := seal.NewCookieKeys([]string{oldSecret})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		keys           []*seal.Key
		purpose, token string
	}{
		"another secret":    {tokenKeys(t, otherSecret), "purpose", token},
		"another purpose":   {tokenKeys(t, oldSecret), "another", token},
		"a key for cookies": {cookies, "purpose", token},
		"a bit more":        {tokenKeys(t, oldSecret), "purpose", token + "A"},
		"a line break":      {tokenKeys(t, oldSecret), "purpose", token[:9] + "\n" + token[9:]},
		"too short":         {tokenKeys(t, oldSecret), "purpose", token[:40]},
		"nothing":           {tokenKeys(t, oldSecret), "purpose", ""},
	} {
		if _, ok := seal.OpenToken(tt.keys, tt.purpose, tt.token); ok {
			t.Errorf("%s opens the token", name)
		}
	}
}

func marker(t testing.TB, purpose string, secrets ...string) *seal.Marker {
	t.Helper()
	m, err := seal.NewMarker(secrets, purpose)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAMarkIsThatOfItsTextsPurposeAndSecret(t *testing.T) {
	mark := marker(t, "purpose", oldSecret).Mark("1", "two", "three.four")
	if m := marker(t, "purpose", newSecret, oldSecret); !m.Verify(mark, "1", "two", "three.four") || m.Mark("1", "two", "three.four") == mark {
		t.Error("after a rotation the old secret does not verify, or still marks")
	}
	for name, ok := range map[string]bool{
		"another secret":  marker(t, "purpose", otherSecret).Verify(mark, "1", "two", "three.four"),
		"another purpose": marker(t, "another", oldSecret).Verify(mark, "1", "two", "three.four"),
		"another text":    marker(t, "purpose", oldSecret).Verify(mark, "1", "two", "three.five"),
		"another order":   marker(t, "purpose", oldSecret).Verify(mark, "two", "1", "three.four"),
		"half a mark":     marker(t, "purpose", oldSecret).Verify(mark[:20], "1", "two", "three.four"),
		"no mark":         marker(t, "purpose", oldSecret).Verify("", "1", "two", "three.four"),
	} {
		if ok {
			t.Errorf("%s verifies", name)
		}
	}
}

// What Node's crypto makes of the same (hkdfSync and createHmac), for an Express app that
// checks it: see docs/binding.md.
func TestAMarkIsWhatNodeComputes(t *testing.T) {
	m := marker(t, "cloakroom bound cookie", "a secret of more than thirty-two bytes")
	const want = "r59CrhuoC7LHIAJhw01HutSsOnu4HXAWPw_alyi9Erg"
	if got := m.Mark("1763715600", "a-thumbprint", "an.id"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// The law: nothing opens or verifies but what was sealed or marked here, for exactly that.
func FuzzToken(f *testing.F) {
	keys, m := tokenKeys(f, newSecret, oldSecret), marker(f, "purpose", newSecret, oldSecret)
	f.Add("", "")
	f.Add(keys[1].SealToken("purpose", []byte("x")), "x")
	f.Add(m.Mark("x"), "x")
	f.Fuzz(func(t *testing.T, value, text string) {
		if cost := suite.Allocated(func() { seal.OpenToken(keys, "fuzzed", value) }); cost > suite.Roughly {
			t.Errorf("%d bytes cost %d bytes", len(value), cost)
		}
		if _, ok := seal.OpenToken(keys, "fuzzed", value); ok {
			t.Errorf("%q opens", value)
		}
		if m.Verify(value, text, "fuzzed") {
			t.Errorf("%q is a mark", value)
		}
		for _, k := range keys {
			if got, ok := seal.OpenToken(keys, text, k.SealToken(text, []byte(value))); !ok || string(got) != value {
				t.Errorf("%q comes back as %q", value, got)
			}
		}
		if mark := m.Mark(value, text); !m.Verify(mark, value, text) || m.Verify(mark, value, text+"x") {
			t.Errorf("the mark of %q and %q", value, text)
		}
	})
}
