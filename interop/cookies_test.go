package interop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestCookiesOfAllAttributes has every side set a cookie with every combination
// of attributes that browsers accept, and another side accept it and set it
// again: the line must be the same but for Max-Age, which Cloakroom adds. What
// Express sets again comes from the record that the Go side wrote.
func TestCookiesOfAllAttributes(t *testing.T) {
	t.Parallel()
	needNode(t)
	yes := true
	db := newValkey(t)
	sides := startAll(t, db, settings{CookieFromHeader: true, Proxy: &yes})
	combinations := attributeCombinations()
	if len(combinations) < 480 {
		t.Fatalf("only %d combinations", len(combinations))
	}
	for i, other := range sides[1:] {
		for _, pair := range [][2]side{{sides[0], other}, {other, sides[0]}} {
			t.Run(pair[0].name+" and "+pair[1].name, func(t *testing.T) {
				t.Parallel()
				for n, o := range combinations {
					if n%len(goSides) == i { // the Go sides share them: what makes the line is the same code
						setsTheSameCookie(t, pair[0], pair[1], o)
					}
				}
			})
		}
	}
}

func setsTheSameCookie(t *testing.T, here, there side, o cookieOptions) {
	t.Helper()
	option, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	v := newVisitor(t)
	v.header.Set("X-Cookie", string(option))
	v.header.Set("X-Forwarded-Proto", "https")

	lines := make(map[bool]string) // by whether it is Express
	for i, s := range []side{here, there} {
		r := v.do(s, "POST", "/count/n", "")
		if want := fmt.Sprint(i + 1); r.body != want {
			t.Errorf("%s: %s answers %d %q, want %s", option, s.name, r.status, r.body, want)
			return
		}
		set := r.header.Values("Set-Cookie")
		if i == 1 && o.MaxAge == 0 { // set once
			if len(set) != 0 {
				t.Errorf("%s: %s sets %q, and it was set already", option, s.name, set)
			}
			return
		}
		if len(set) != 1 {
			t.Errorf("%s: %s sets %q", option, s.name, set)
			return
		}
		c, err := http.ParseSetCookie(set[0])
		if err != nil {
			t.Errorf("%s: %v", option, err)
			return
		}
		lines[s.express] = set[0]
		v.header.Set("Cookie", c.Name+"="+c.Value)
	}
	if a, b := withoutTime(t, lines[true], o), withoutTime(t, lines[false], o); a != b {
		t.Errorf("%s:\nExpress sets   %s\nCloakroom sets %s", option, a, b)
	}
}

var (
	expires = regexp.MustCompile(`; Expires=([^;]+)`)
	maxAge  = regexp.MustCompile(`; Max-Age=(\d+)`)
)

// withoutTime checks the expiry of a Set-Cookie line and takes out of it what may
// differ: the moment, Max-Age, and the dot before a domain, which browsers drop.
func withoutTime(t *testing.T, line string, o cookieOptions) string {
	t.Helper()
	if m := expires.FindStringSubmatch(line); m != nil {
		at, err := http.ParseTime(m[1])
		if err != nil {
			t.Errorf("%v in %s", err, line)
		}
		if left := time.Until(at).Milliseconds(); left > o.MaxAge || left < o.MaxAge-30_000 {
			t.Errorf("expires in %d ms, want %d: %s", left, o.MaxAge, line)
		}
	}
	if m := maxAge.FindStringSubmatch(line); m != nil && m[1] != fmt.Sprint(o.MaxAge/1000) {
		t.Errorf("Max-Age is %s: %s", m[1], line)
	}
	line = expires.ReplaceAllString(line, "; Expires=*")
	line = maxAge.ReplaceAllString(line, "")
	return strings.Replace(line, "Domain=.", "Domain=", 1)
}

func attributeCombinations() (all []cookieOptions) {
	yes, no := true, false
	for _, maxAge := range []int64{0, hour.Milliseconds()} {
		for _, path := range []string{"", "/count"} {
			for _, domain := range []string{"", ".example.com"} {
				for _, httpOnly := range []*bool{&yes, &no} {
					for _, secure := range []bool{false, true} {
						for _, sameSite := range []any{nil, true, "lax", "strict", "none"} {
							for _, partitioned := range []bool{false, true} {
								for _, priority := range []string{"", "low", "high"} {
									if !secure && (sameSite == "none" || partitioned) || partitioned && sameSite != "none" {
										continue // browsers drop it, and Cloakroom refuses it
									}
									all = append(all, cookieOptions{maxAge, path, domain, httpOnly, secure, sameSite, partitioned, priority})
								}
							}
						}
					}
				}
			}
		}
	}
	for _, maxAge := range []int64{0, hour.Milliseconds()} { // what would make many more, and tell no more
		all = append(all, cookieOptions{MaxAge: maxAge, Priority: "medium"}, cookieOptions{MaxAge: maxAge, SameSite: false})
	}
	return all
}

// TestIDsOfAllKinds has each side accept the ids that the other one makes, also
// those that an app makes by itself.
func TestIDsOfAllKinds(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		ids := func(of string) (all []string) {
			for _, id := range []string{
				"0f8fad5b-d9cd-469f-a165-70867728950e", "with.dots.and..more.", "/slashes/and+plus==", "it's (an) id!*~ ",
				"schlüssel-🔑-0123", "100%25 sure; or, not", `quote " and \ back`, "key=value&other#part?", "0123456789012345",
			} {
				all = append(all, of+"-"+id)
			}
			return all
		}
		var sides []side
		for _, name := range append([]string{express}, goSides...) {
			sides = append(sides, start(t, name, db, settings{IDs: ids(name)}))
		}
		for _, here := range sides {
			for _, id := range ids(here.name) {
				v := newVisitor(t)
				v.set(here, "user", `"bob"`)
				for _, there := range sides {
					v.expect(there, "user", `"bob"`)
					if got := v.id(there); got != id {
						t.Errorf("the id %q of %s is %q to %s", id, here.name, got, there.name)
					}
				}
			}
		}
	})
}

// TestCookieHeadersMeanTheSame sends one header to all sides.
func TestCookieHeadersMeanTheSame(t *testing.T) {
	t.Parallel()
	needNode(t)
	db := newValkey(t)
	sides := startAll(t, db, settings{})
	v := newVisitor(t)
	v.set(sides[0], "user", `"bob"`)
	encoded := v.cookie()
	plain, err := url.PathUnescape(encoded)
	if err != nil {
		t.Fatal(err)
	}
	unpadded := plain[strings.LastIndex(plain, ".")+1:]
	for _, tt := range []struct {
		name, header string
		found        bool
	}{
		{"as it was set", "connect.sid=" + encoded, true},
		{"not encoded", "connect.sid=" + plain, true},
		{"in quotes", `connect.sid="` + encoded + `"`, true},
		{"among others", "a=b; connect.sid=" + encoded + "; c=d", true},
		{"without spaces", "a=b;connect.sid=" + encoded + ";c", true},
		{"with white space", "a=b;\t connect.sid \t=\t " + encoded + " ", true},
		{"encoded all over", "connect.sid=" + percentAll(plain), true},
		{"the first of two", "connect.sid=" + encoded + "; connect.sid=x", true},
		{"without a prefix", "connect.sid=" + strings.TrimPrefix(encoded, "s%3A"), false},
		{"another prefix", "connect.sid=j%3A" + strings.TrimPrefix(encoded, "s%3A"), false},
		{"the signature padded", "connect.sid=" + encoded + "%3D", false},
		{"the signature cut", "connect.sid=" + encoded[:len(encoded)-1], false},
		{"no signature", "connect.sid=" + strings.TrimSuffix(plain, "."+unpadded), false},
		{"an empty signature", "connect.sid=" + strings.TrimSuffix(plain, unpadded), false},
		{"the name in capitals", "Connect.Sid=" + encoded, false},
		{"the name in quotes", `"connect.sid"=` + encoded, false},
		{"the name encoded", "connect%2Esid=" + encoded, false},
		{"half an escape", "connect.sid=" + encoded + "%", false},
		{"a plus in place of a space", "connect.sid=+" + encoded, false},
		{"empty", "connect.sid=", false},
		{"no value", "connect.sid", false},
		{"only a prefix", "connect.sid=s%3A", false},
	} {
		want := map[bool]string{true: `"bob"`, false: ""}[tt.found]
		for _, s := range sides {
			visitor := newVisitor(t)
			visitor.header.Set("Cookie", tt.header)
			if got := visitor.get(s, "user"); got != want {
				t.Errorf("%s: %s reads %q, want %q", tt.name, s.name, got, want)
			}
		}
	}
}

func percentAll(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}
