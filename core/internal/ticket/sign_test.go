package ticket

import (
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/cloakroom-go/cloakroom/internal/suite"
)

// The law: Verify accepts the signature of exactly this id, in any escaping,
// and nothing else; and whatever it is given costs bounded memory.
//
// Standards: ASVS-9.1.1, ASVS-9.1.2
func FuzzVerify(f *testing.F) {
	s := NewSigner([]string{"the first secret", "the second secret"})
	signed := s.Sign("an-id-of-some-length")
	old := NewSigner([]string{"the second secret"}).Sign("another.id")
	for _, seed := range []string{
		signed, old, signed[:len(signed)-1], signed + "A", strings.ToUpper(signed), "s:", "s:.", "s%3A" + strings.Repeat("A", 43), "",
		"s%3A." + strings.Repeat("A", 43), "%", "s%3A%00.x", strings.Repeat("a", 5000), "s%3Aid." + strings.Repeat("=", 43), "s%3Aid.%ff", "j%3A{}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var (
			id      string
			verdict Verdict
		)
		if cost := suite.Allocated(func() { id, verdict = s.Verify(value) }); cost > suite.Roughly {
			t.Errorf("a value of %d bytes costs %d bytes, want at most %d", len(value), cost, suite.Roughly)
		}
		plain := string(decodeURIComponent(nil, value))
		if verdict < Outdated {
			if id != "" {
				t.Errorf("%q is refused with id %q", value, id)
			}
			if looks := strings.HasPrefix(plain, "s:") && len(plain) > 46 && plain[len(plain)-44] == '.' && len(value) <= MaxCookie; looks != (verdict == Forged) {
				t.Errorf("%q is refused as %v", value, verdict)
			}
			return
		}
		by := s
		if verdict == Outdated {
			by = NewSigner([]string{"the second secret"})
		}
		if want := string(decodeURIComponent(nil, by.Sign(id))); plain != want || id == "" {
			t.Errorf("%q is accepted for id %q, whose signature is %q", value, id, want)
		}
		if i := strings.Index(value, id); i >= 0 && unsafe.StringData(id) == unsafe.StringData(value[i:]) {
			t.Errorf("the id of %q is no copy: whoever keeps it keeps the header, or what overwrites it", value)
		}
	})
}

func TestVerifyingGarbageAllocatesAlmostNothing(t *testing.T) {
	s := NewSigner([]string{"a", "b"})
	for _, value := range []string{
		"", "x", strings.Repeat("x", 1<<20), strings.Repeat("%41", 1<<18), "s%3A" + strings.Repeat("a", 200), "s%3Aid." + strings.Repeat("A", 43),
		"s%3A" + strings.Repeat("a", 4000) + "." + strings.Repeat("A", 43),
	} {
		s.Verify(value)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 100 {
			if _, verdict := s.Verify(value); verdict >= Outdated {
				t.Fatalf("%.50q is accepted", value)
			}
		}
		runtime.ReadMemStats(&after)
		if perCall := (after.TotalAlloc - before.TotalAlloc) / 100; perCall > 8*MaxCookie {
			t.Errorf("%.50q (%d bytes) costs %d bytes", value, len(value), perCall)
		}
	}
}
