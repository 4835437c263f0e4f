package ticket

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// The law: unescaping undoes escaping, for whatever is UTF-8, and agrees with
// net/url. What cannot be unescaped stays as it is.
func FuzzURIComponent(f *testing.F) {
	for _, seed := range []string{"", "apple", "%", "%2", "%zz", "a+b", "s:id.sig", "schlüssel 🔑", "%C3%BC", "%ff", "\xff", "it's (a) test!*~", "%00", "100%25"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		escaped := string(appendURIComponent(nil, s))
		for _, c := range []byte(escaped) {
			if c <= ' ' || c >= 0x7f || strings.IndexByte(`";,\`, c) >= 0 {
				t.Fatalf("%q is escaped as %q, which no cookie can hold", s, escaped)
			}
		}
		if utf8.ValidString(s) {
			if got := string(decodeURIComponent(nil, escaped)); got != s {
				t.Errorf("%q came back as %q", s, got)
			}
		}
		got := string(decodeURIComponent([]byte("dst"), s))
		want, err := url.PathUnescape(s)
		if err != nil || !utf8.ValidString(want) {
			want = s
		}
		if got != "dst"+want {
			t.Errorf("%q is unescaped as %q, want %q", s, got, want)
		}
	})
}
