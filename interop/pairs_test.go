package interop

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A pair is two sides with one database: what a visitor does here must be so
// there.
type pair struct {
	*testing.T
	db          database
	here, there side
}

const (
	hour = time.Hour
	day  = 24 * time.Hour // the life of a session where nothing is set, on all sides
)

// TestEveryPair has every side do something and every side look at it: itself
// too, which for Express shows that the test expects what express-session does.
func TestEveryPair(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		sides := startAll(t, db, settings{Cookie: &cookieOptions{SameSite: "lax"}, Store: storeSettings{TTL: int(day.Seconds())}})
		for _, here := range sides {
			for _, there := range sides {
				figures.pairs.Add(1)
				for _, s := range statements {
					t.Run(here.name+" and "+there.name+"/"+s.name, func(t *testing.T) {
						t.Parallel()
						s.holds(pair{t, db, here, there}, newVisitor(t))
					})
				}
			}
		}
	})
}

var statements = []struct {
	name  string
	holds func(p pair, v *visitor)
}{
	{"what is created here is read there", func(p pair, v *visitor) {
		v.set(p.here, "user", `"bob"`)
		cookie := v.cookie()
		v.expect(p.there, "user", `"bob"`)
		if v.cookie() != cookie {
			p.Errorf("the cookie changed")
		}
		if here, there := v.id(p.here), v.id(p.there); here != there || !strings.Contains(cookie, here) {
			p.Errorf("the id is %q here and %q there, in the cookie %q", here, there, cookie)
		}
	}},
	{"what is changed there is read here", func(p pair, v *visitor) {
		v.set(p.here, "a", `1`)
		v.set(p.here, "b", `2`)
		v.set(p.there, "a", `"one"`)
		v.set(p.there, "c", `3`)
		v.must(p.there, "DELETE", "/delete/b", "")
		for key, want := range map[string]string{"a": `"one"`, "b": "", "c": "3"} {
			v.expect(p.here, key, want)
		}
	}},
	{"both count with one counter", func(p pair, v *visitor) {
		for i := range 6 {
			s := p.here
			if i%2 == 1 {
				s = p.there
			}
			if got := v.must(s, "POST", "/count/n", ""); got != string(rune('1'+i)) {
				p.Errorf("the counter is %s after %d", got, i+1)
			}
		}
	}},
	{"values of all kinds come over", func(p pair, v *visitor) {
		for key, value := range map[string]string{
			"nested":      `{"a":{"b":[{"c":[]},[[{}]]]},"d":"e"}`,
			"date":        `"2026-01-02T03:04:05.678Z"`,
			"unicode":     `"Grüße, 世界 🔑 \u2028 \u0001 \\ \" <b>&amp;</b>"`,
			"floats":      `[0.1,-1.5e-7,1e+21,1.7976931348623157e+308,5e-324]`,
			"integers":    `[0,-1,2147483647,2147483648,-2147483649,9007199254740991,9007199254740992,-9007199254740992]`,
			"empties":     `{"a":[],"o":{},"s":"","n":null,"f":false}`,
			"null":        `null`,
			"list":        `[1,"two",null,true,{"k":"v"}]`,
			"Schlüssel 🔑": `"a key in unicode"`,
		} {
			v.set(p.here, url.PathEscape(key), value)
			if got := v.get(p.there, key); !sameJSON(p, got, value) {
				p.Errorf("%s: set here %s, read there %s", key, value, got)
			}
		}
	}},
	{"a date is the same date there", func(p pair, v *visitor) {
		v.steps(p.here, `[["setDate","when",1767323045678]]`)
		for _, s := range []side{p.there, p.here} { // it is one still after the other side has written
			if got := v.steps(s, `[["getDate","when"],["set","user","bob"],["set","n",1]]`).body; got != `[1767323045678,null,null]` {
				p.Errorf("%s: it is %s", s.name, got)
			}
			v.expect(s, "when", `"2026-01-02T03:04:05.678Z"`)
			if db, ok := p.db.(*mongoDB); ok && db.kind == "mongo object" {
				want := bson.TypeString
				if p.here.express {
					want = bson.TypeDateTime
				}
				if got := db.document(p, v.id(s)).Lookup("session", "when").Type; got != want {
					p.Errorf("%s: it is stored as %v, want %v", s.name, got, want)
				}
			}
			v.must(s, "DELETE", "/delete/n", "")
		}
	}},
	{"a touch here moves the expiry there", func(p pair, v *visitor) {
		v.set(p.here, "user", `"bob"`)
		id := v.id(p.here)
		before, _ := p.db.record(p, id)
		p.db.expireIn(p, id, time.Minute)
		v.must(p.here, "POST", "/touch", "")
		p.lives(id, day)
		v.expect(p.there, "user", `"bob"`)
		if after, _ := p.db.record(p, id); after != before {
			p.Errorf("the record was %s and is %s", before, after)
		}
	}},
	{"regenerate here kills the old id there", func(p pair, v *visitor) {
		v.set(p.there, "user", `"nobody"`)
		v.set(p.there, "cart", `[1]`)
		old := v.again()
		oldID := v.id(p.there)
		v.must(p.here, "POST", "/login/bob", "")
		for _, s := range []side{p.here, p.there} {
			v.expect(s, "user", `"bob"`)
			v.expect(s, "cart", "")
			old.expect(s, "user", "")
			old.expect(s, "cart", "")
		}
		if id := v.id(p.there); id == oldID {
			p.Errorf("the id is the old one")
		}
	}},
	{"destroy here, a new visitor there", func(p pair, v *visitor) {
		v.set(p.there, "user", `"bob"`)
		other := v.again()
		id := other.id(p.there)
		v.must(p.here, "POST", "/logout", "")
		if record, found := p.db.record(p, id); found {
			p.Errorf("the record is still there: %s", record)
		}
		for _, s := range []side{p.there, p.here} {
			v.expect(s, "user", "")
			other.expect(s, "user", "")
		}
		other.set(p.there, "user", `"eve"`)
		if other.id(p.there) == id {
			p.Errorf("the old id is used again")
		}
	}},
	{"a max age set here counts there", func(p pair, v *visitor) {
		v.set(p.there, "user", `"bob"`)
		id := v.id(p.there)
		v.must(p.here, "POST", "/max-age/3600000", "")
		p.lives(id, hour)
		p.db.expireIn(p, id, time.Minute)
		v.must(p.there, "POST", "/touch", "")
		p.lives(id, hour)
		v.set(p.there, "other", `1`)
		p.lives(id, hour)
		if !keepsMaxAge(p, p.db, id, time.Hour) {
			p.Errorf("originalMaxAge is %s", originalMaxAge(p, p.db, id))
		}
		v.must(p.here, "POST", "/max-age/0", "")
		p.lives(id, day)
		v.must(p.there, "POST", "/touch", "")
		p.lives(id, day)
		if got := originalMaxAge(p, p.db, id); got != "null" {
			p.Errorf("originalMaxAge is %s", got)
		}
	}},
	{"a session that expires here has expired there", func(p pair, v *visitor) {
		v.set(p.here, "user", `"bob"`)
		id := v.id(p.here)
		p.db.expireIn(p, id, time.Millisecond)
		for deadline := time.Now().Add(patience); p.db.life(p, id) >= 0; { // the server's clock
			if time.Now().After(deadline) {
				p.Fatal("the record does not expire")
			}
		}
		v.expect(p.there, "user", "")
		v.set(p.there, "user", `"eve"`)
		if v.id(p.there) == id {
			p.Errorf("the id is used again")
		}
	}},
	{"messages of connect-flash", func(p pair, v *visitor) {
		v.must(p.here, "POST", "/flash/info/one", "")
		v.must(p.there, "POST", "/flash/info/two", "")
		v.must(p.here, "POST", "/flash/error/three", "")
		if got := v.get(p.there, "flash"); !strings.Contains(got, `"info":["one","two"]`) || !strings.Contains(got, `"error":["three"]`) {
			p.Errorf("%s: flash is %s", p.there.name, got)
		}
		for _, want := range []string{`["one","two"]`, `[]`} {
			if got := v.must(p.there, "GET", "/flashes/info", ""); got != want {
				p.Errorf("%s: flashes are %s, want %s", p.there.name, got, want)
			}
		}
		if got := v.must(p.here, "GET", "/flashes/error", ""); got != `["three"]` {
			p.Errorf("%s: flashes are %s", p.here.name, got)
		}
	}},
	{"a login by passport", func(p pair, v *visitor) {
		v.must(p.here, "POST", "/passport/login/7", "")
		old := v.again()
		if got := v.must(p.there, "GET", "/passport/user", ""); got != `{"id":"7"}` {
			p.Errorf("%s: user is %s", p.there.name, got)
		}
		v.set(p.there, "cart", `[1]`)
		v.expect(p.here, "passport", `{"user":"7"}`)
		v.must(p.there, "POST", "/passport/logout", "")
		for _, visitor := range []*visitor{v, old} {
			if got := visitor.must(p.here, "GET", "/passport/user", ""); got != `null` {
				p.Errorf("%s: user is %s after the logout", p.here.name, got)
			}
		}
	}},
	{"a forged cookie is a new visitor", func(p pair, v *visitor) {
		v.set(p.here, "user", `"bob"`)
		c := []byte(v.cookie())
		c[len("s%3A")] ^= 1
		v.jar.SetCookies(site, []*http.Cookie{{Name: "connect.sid", Value: string(c), Path: "/"}})
		v.expect(p.there, "user", "")
	}},
}

// TestAMaxAgeOfAWeekIsTheLifeOnAllSides: where the option cookie has a max age,
// express-session's stores go by it and by nothing else.
func TestAMaxAgeOfAWeekIsTheLifeOnAllSides(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		const week = 7 * day
		sides := startAll(t, db, settings{Cookie: &cookieOptions{MaxAge: week.Milliseconds()}})
		for _, here := range sides {
			for _, there := range sides {
				p, v := pair{t, db, here, there}, newVisitor(t)
				v.set(here, "user", `"bob"`)
				id := v.id(here)
				p.lives(id, week)
				db.expireIn(t, id, time.Minute)
				v.must(there, "POST", "/touch", "")
				p.lives(id, week)
				v.set(there, "a", "1")
				p.lives(id, week)
			}
		}
	})
}

// lives checks how long a record is still to live.
func (p pair) lives(id string, want time.Duration) {
	p.Helper()
	if got := p.db.life(p, id); got > want+time.Second || got < want-30*time.Second {
		p.Errorf("the record is to live for %v, want %v", got, want)
	}
}

func originalMaxAge(t testing.TB, db database, id string) string {
	t.Helper()
	return cookieMember(t, db, id, "originalMaxAge")
}

// keepsMaxAge reports whether the original max age in a record is that one. express-session
// loses a millisecond now and then, on a busy machine some more.
func keepsMaxAge(t testing.TB, db database, id string, want time.Duration) bool {
	t.Helper()
	got, err := strconv.Atoi(originalMaxAge(t, db, id))
	lost := want - time.Duration(got)*time.Millisecond
	return err == nil && lost >= 0 && lost < time.Second
}

// cookieMember returns the JSON of a member of the cookie in a record.
func cookieMember(t testing.TB, db database, id, name string) string {
	t.Helper()
	text, _ := db.record(t, id)
	var record struct{ Cookie map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(text), &record); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return string(record.Cookie[name])
}

// sameJSON reports whether two texts are the same to JSON.parse.
func sameJSON(t testing.TB, a, b string) bool {
	t.Helper()
	return rewrite(t, a) == rewrite(t, b)
}
