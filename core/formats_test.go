package core_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

func fromTestdata(t testing.TB, name string, v any) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

// Standards: ASVS-11.4.1, NIST-5.1.1-personal
func TestCookiesAreExpressSessionsByteForByte(t *testing.T) {
	t.Parallel()
	var file struct {
		Vectors []struct{ SID, Secret, SecretHex, Header string }
	}
	fromTestdata(t, "cookies.json", &file)
	if len(file.Vectors) < 10 {
		t.Fatalf("only %d vectors", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		if v.SecretHex != "" {
			raw, err := hex.DecodeString(v.SecretHex)
			if err != nil {
				t.Fatal(err)
			}
			v.Secret = string(raw)
		}
		if got := "sid=" + core.Sign(v.Secret, v.SID); got != v.Header {
			t.Errorf("id %q under %q: got %s, want %s", v.SID, v.Secret, got, v.Header)
		}
		value := strings.TrimPrefix(v.Header, "sid=")
		if id, outdated, ok := core.Verify([]string{v.Secret}, value); id != v.SID || outdated || !ok {
			t.Errorf("%s: id %q, outdated %v, ok %v", v.Header, id, outdated, ok)
		}
		if id, outdated, ok := core.Verify([]string{"another", v.Secret}, value); id != v.SID || !outdated || !ok {
			t.Errorf("%s under the second secret: id %q, outdated %v, ok %v", v.Header, id, outdated, ok)
		}
		if id, _, ok := core.Verify([]string{"another"}, value); id != "" || ok {
			t.Errorf("%s under another secret: id %q, ok %v", v.Header, id, ok)
		}

		// And through a Manager: an id that Express made finds its session.
		st := newStage(t, core.Config{Secrets: []string{v.Secret}})
		rec := store.Record{ID: v.SID, Data: []byte(`{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"user":"bob"}`), TTL: time.Hour}
		if err := st.store.Store.Create(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		st.visit(v.Header, func(s *core.Session) {
			if s.Status() != core.StatusLoaded || s.ID() != v.SID || s.Get("user") != "bob" {
				t.Errorf("%s: %v, id %q, user %v", v.Header, s.Status(), s.ID(), s.Get("user"))
			}
		})
	}
}

func TestCookieWithGeneratedIDIsAcceptedAsMade(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"it's (a) test!*~ 0123456789", "a/b+c=d&e%f?g#h;i,j\"k\\l", "schlüssel-🔑-0123456789", strings.Repeat("i", 3000)} {
		st := newStage(t, core.Config{GenerateID: func(*http.Request) (string, error) { return id, nil }})
		cookie := st.signIn()
		if got := st.idOf(cookie); got != id {
			t.Errorf("id %q came back as %q", id, got)
		}
	}
}

// meta is the member that a write adds or replaces.
var metaPattern = regexp.MustCompile(`"__cloakroom":\{[^{}]*\}`)

// withoutMeta cuts the last member, __cloakroom, off a record.
func withoutMeta(t testing.TB, record string) string {
	t.Helper()
	where := metaPattern.FindStringIndex(record)
	if where == nil || where[1] != len(record)-1 {
		t.Fatalf("record does not end with __cloakroom: %s", record)
	}
	return strings.TrimSuffix(record[:where[0]], ",") + "}"
}

func TestRecordsOfExpressSessionKeepWhatTheHandlerLeavesAlone(t *testing.T) {
	t.Parallel()
	var file struct{ Records map[string]string }
	fromTestdata(t, "records.json", &file)
	if len(file.Records) < 7 {
		t.Fatalf("only %d records", len(file.Records))
	}
	expires := regexp.MustCompile(`"expires":"([^"]+)"`)
	type way struct {
		name string
		do   func(*testing.T, *stage, string, string)
	}
	ways := []way{
		{"over HTTP", func(t *testing.T, st *stage, _, cookie string) {
			if a := st.visit(cookie, func(s *core.Session) { s.Set("n", 2) }); a.status != http.StatusOK {
				t.Errorf("status %d", a.status)
			}
		}},
		{"by Edit", func(t *testing.T, st *stage, id, _ string) {
			if err := st.Edit(t.Context(), id, func(s *core.Session) error { s.Set("n", 2); return nil }); err != nil {
				t.Error(err)
			}
		}},
	}
	for name, record := range file.Records {
		for _, how := range ways {
			t.Run(name+"/"+how.name, func(t *testing.T) {
				t.Parallel()
				st := newStage(t, core.Config{})
				if m := expires.FindStringSubmatch(record); m != nil { // the moment of writing plus 60 s
					at, err := time.Parse(time.RFC3339Nano, m[1])
					if err != nil {
						t.Fatal(err)
					}
					st.clock.set(at.Add(-time.Minute))
				}
				cookie := st.put("express", record)
				how.do(t, st, "express", cookie)
				want := strings.Replace(record, `"n":1,`, `"n":2,`, 1)
				if got := withoutMeta(t, st.stored("express")); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}

				// A second change, in the next request, keeps __cloakroom in its place.
				how.do(t, st, "express", cookie)
				if err := st.Edit(t.Context(), "express", func(s *core.Session) error { s.Set("added", true); return nil }); err != nil {
					t.Fatal(err)
				}
				got := metaPattern.ReplaceAllString(st.stored("express"), `"__cloakroom":{}`)
				if want := strings.TrimSuffix(want, "}") + `,"__cloakroom":{},"added":true}`; got != want {
					t.Errorf("after the second change\ngot  %s\nwant %s", got, want)
				}
				node(t, st.stored("express"))
			})
		}
	}
}

// node has the JavaScript engine parse what we wrote, where there is one.
func node(t *testing.T, record string) {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		return
	}
	cmd := exec.CommandContext(t.Context(), path, "-e", `
		let text = "";
		process.stdin.on("data", d => text += d).on("end", () => {
			const s = JSON.parse(text);
			if (typeof s.cookie !== "object" || s.cookie === null) throw new Error("no cookie");
			const age = s.cookie.originalMaxAge;
			if (typeof age === "string") throw new Error("originalMaxAge is a string");
			if (typeof s.cookie.expires === "string" && isNaN(new Date(s.cookie.expires))) throw new Error("expires is no date");
			if (typeof s.__cloakroom.token !== "string") throw new Error("no token");
			process.stdout.write(JSON.stringify(s));
		});`)
	cmd.Stdin = strings.NewReader(record)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("node: %v: %s\n%s", err, out, record)
		return
	}
	if !json.Valid(out) {
		t.Errorf("node wrote %s", out)
	}
}

func TestOddValuesSurviveUnlessTheHandlerSetsThem(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`[{"a":`, 4000) + "0" + strings.Repeat(`}]`, 4000)
	const cookie = `"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}`
	tests := []struct{ name, members string }{
		{"integers beyond 2^53", `"big":9007199254740993,"bigger":123456789012345678901234567890,"neg":-9223372036854775808`},
		{"floats as they were written", `"a":1.0,"b":1E400,"c":0.10,"d":-0,"e":1e-7`},
		{"HTML", `"html":"<a href=\"x\">&amp;</a>","escaped":"\u003cb\u003e"`},
		{"line separators", "\"raw\":\"\u2028\u2029\",\"escaped\":\"\\u2028\""},
		{"lone surrogates", `"lone":"\ud800","pair":"\ud83d\udd11","turned":"\udd11\ud83d"`},
		{"deep nesting", `"deep":` + deep},
		{"duplicates", `"twice":1,"other":true,"twice":2`},
		{"escaped names", `"\u0061":1,"\"":2,"\u005f_x":3`},
		{"white space", "\"a\" : 1 ,\n\t\"b\":\r\n[ 1 , 2 ]"},
		{"names that Express drops", `"id":1,"toString":2,"__proto__":{"x":1}`},
		{"integer-like keys", `"1":1,"0":0`},
		{"the empty key", `"":"empty"`},
		{"ecosystem keys", `"passport":{"user":7},"flash":{"info":["hi"]},"csrfSecret":"s","lastModified":"2026-01-01T00:00:00.000Z"`},
		{"empty things", `"o":{},"a":[],"s":"","n":null,"f":false`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, core.Config{})
			record := "{" + cookie + "," + tt.members + "}"
			sid := st.put("express", record)
			if a := st.visit(sid, func(s *core.Session) { s.Set("new", "value") }); a.status != http.StatusOK {
				t.Fatalf("status %d", a.status)
			}
			// White space between members is not part of them.
			squeeze := func(s string) string {
				return strings.NewReplacer(" ,\n\t", ",", " ,", ",").Replace(s)
			}
			stored := st.stored("express")
			if !strings.HasPrefix(squeeze(stored), strings.TrimSuffix(squeeze(record), "}")+",") {
				t.Errorf("got  %.300s\nwant %.300s at the front", stored, record)
			}
			if !strings.Contains(stored, `"new":"value"`) {
				t.Errorf("the change is missing: %.300s", stored)
			}
			if !json.Valid([]byte(stored)) {
				t.Errorf("not valid: %.300s", stored)
			}
		})
	}
}

func TestNamesAreComparedUnescapedAndTheLastDuplicateWins(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	sid := st.put("express", `{"cookie":{},"\u0061":1,"b":2,"a":3,"\u0063ookie":{"path":"/"},"\u005f_cloakroom":{"created":1600000000000,"later":[1]}}`)
	st.visit(sid, func(s *core.Session) {
		var keys []string
		for key := range s.Keys() {
			keys = append(keys, key)
		}
		if got := fmt.Sprint(keys); got != "[a b]" {
			t.Errorf("keys are %s", got)
		}
		if got := s.Get("a"); got != 3 {
			t.Errorf("a is %v, want the last, 3", got)
		}
		if got := s.CreatedAt().UnixMilli(); got != 1600000000000 {
			t.Errorf("created at %d", got)
		}
		s.Set("a", 4)
	})
	stored := st.stored("express")
	var decoded map[string]json.RawMessage
	if err := json.Unmarshal([]byte(stored), &decoded); err != nil {
		t.Fatal(err)
	}
	if string(decoded["a"]) != "4" || strings.Count(stored, `"a":`)+strings.Count(stored, `"\u0061":`) != 1 {
		t.Errorf("a is not 4, once: %s", stored)
	}
	if !strings.Contains(string(decoded["__cloakroom"]), `"later":[1]`) || strings.Contains(stored, `"__cloakroom"`) {
		t.Errorf("what a later version wrote is lost, or there are two: %s", stored)
	}
	st.visit(sid, func(s *core.Session) { s.Delete("a") })
	if stored := st.stored("express"); strings.Contains(stored, `"a"`) || strings.Contains(stored, `\u0061`) {
		t.Errorf("a is not deleted: %s", stored)
	}
}

// These are the records that another program may leave in the store, and what
// Express would make of them.
func TestNoOddRecordFailsARequestAndNoneIsWrittenThatHurtsExpress(t *testing.T) {
	t.Parallel()
	const meta = `,"user":"bob"}`
	tests := []struct {
		name, record string
		cookie       string // what becomes of the member cookie; empty: it stays as it was
		gone         bool   // the session counts as gone
	}{
		{
			name: "expires with milliseconds", record: `{"cookie":{"originalMaxAge":60000,"expires":"2026-11-21T08:00:00.000Z","httpOnly":true,"path":"/"}`,
			cookie: `{"originalMaxAge":60000,"expires":"2026-11-21T08:30:14.000Z","httpOnly":true,"path":"/"}`,
		},
		{
			name: "expires without a fraction", record: `{"cookie":{"originalMaxAge":60000,"expires":"2026-11-21T08:00:00Z"}`,
			cookie: `{"originalMaxAge":60000,"expires":"2026-11-21T08:30:14.000Z"}`,
		},
		{
			name: "expires with an offset", record: `{"cookie":{"originalMaxAge":60000,"expires":"2026-11-21T08:00:00.123456789+01:00"}`,
			cookie: `{"originalMaxAge":60000,"expires":"2026-11-21T08:30:14.000Z"}`,
		},
		{
			name: "expires is a number", record: `{"cookie":{"originalMaxAge":60000,"expires":1763715600000}`,
			cookie: `{"originalMaxAge":60000,"expires":"2026-11-21T08:30:14.000Z"}`,
		},
		{
			name: "expires cannot be parsed", record: `{"cookie":{"originalMaxAge":60000,"expires":"soon"}`,
			cookie: `{"originalMaxAge":60000,"expires":"2026-11-21T08:30:14.000Z"}`,
		},
		{
			name: "expires is missing", record: `{"cookie":{"originalMaxAge":60000}`,
			cookie: `{"originalMaxAge":60000,"expires":"2026-11-21T08:30:14.000Z"}`,
		},
		{
			name: "originalMaxAge is a string", record: `{"cookie":{"originalMaxAge":"60000","expires":"2026-11-21T08:00:00.000Z","path":"/"}`,
			cookie: `{"originalMaxAge":null,"expires":null,"path":"/"}`,
		},
		{
			name: "originalMaxAge is an object", record: `{"cookie":{"originalMaxAge":{},"expires":null}`,
			cookie: `{"originalMaxAge":null,"expires":null}`,
		},
		{
			name: "originalMaxAge is negative", record: `{"cookie":{"originalMaxAge":-5,"expires":"2026-11-21T08:00:00.000Z"}`,
			cookie: `{"originalMaxAge":null,"expires":null}`,
		},
		{
			name: "originalMaxAge is a float", record: `{"cookie":{"originalMaxAge":60000.5,"expires":null}`,
			cookie: `{"originalMaxAge":60000.5,"expires":"2026-11-21T08:30:14.000Z"}`,
		},
		{
			name: "originalMaxAge twice, a string first", record: `{"cookie":{"originalMaxAge":"1","originalMaxAge":60000}`,
			cookie: `{"originalMaxAge":60000,"originalMaxAge":60000,"expires":"2026-11-21T08:30:14.000Z"}`,
		},
		{
			name: "expires without originalMaxAge", record: `{"cookie":{"expires":"2026-11-21T08:00:00.000Z","path":"/"}`,
			cookie: `{"expires":null,"path":"/","originalMaxAge":null}`,
		},
		{
			name: "expires and originalMaxAge null", record: `{"cookie":{"originalMaxAge":null,"expires":"2026-11-21T09:00:00.000Z"}`,
			cookie: `{"originalMaxAge":null,"expires":null}`,
		},
		{
			name: "a cookie that is damaged inside", record: `{"cookie":{"originalMaxAge" 1}`,
			cookie: `{"originalMaxAge":null,"expires":null,"secure":false,"httpOnly":true,"path":"/","sameSite":"lax"}`,
		},
		{name: "an empty cookie", record: `{"cookie":{}`},
		{name: "no httpOnly and no path", record: `{"cookie":{"originalMaxAge":null,"expires":null}`},
		{name: "everything null", record: `{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":null,"path":null,"domain":null,"secure":null,"sameSite":null,"priority":null,"partitioned":null}`},
		{name: "everything false", record: `{"cookie":{"originalMaxAge":false,"expires":false}`},
		{name: "secure is auto and sameSite true", record: `{"cookie":{"originalMaxAge":null,"expires":null,"secure":"auto","sameSite":true}`},
		{name: "unknown members of the cookie", record: `{"cookie":{"originalMaxAge":null,"expires":null,"x":{"y":[1]},"maxAge":5}`},
		{name: "the cookie is null", record: `{"cookie":null`, cookie: `{"originalMaxAge":null,"expires":null,"secure":false,"httpOnly":true,"path":"/","sameSite":"lax"}`},
		{name: "the cookie is a string", record: `{"cookie":"c"`, cookie: `{"originalMaxAge":null,"expires":null,"secure":false,"httpOnly":true,"path":"/","sameSite":"lax"}`},
		{name: "the cookie is a list", record: `{"cookie":[1]`, cookie: `{"originalMaxAge":null,"expires":null,"secure":false,"httpOnly":true,"path":"/","sameSite":"lax"}`},
		{name: "two cookies, the last is null", record: `{"cookie":{},"cookie":null`, cookie: `{"originalMaxAge":null,"expires":null,"secure":false,"httpOnly":true,"path":"/","sameSite":"lax"}`},
		{name: "no cookie", record: `{"x":1`, cookie: `{"originalMaxAge":null,"expires":null,"secure":false,"httpOnly":true,"path":"/","sameSite":"lax"}`},
		{name: "names that Express drops", record: `{"cookie":{},"id":1,"req":2,"save":3,"touch":4,"reload":5,"destroy":6,"regenerate":7,"resetMaxAge":8,"constructor":9,"toString":10,"hasOwnProperty":11,"__proto__":12,"valueOf":13`},
		{name: "integer-like keys", record: `{"cookie":{},"1":1`},
		{name: "escapes that JavaScript does not write", record: `{"cookie":{},"html":"\u003cb\u003e"`},
		{name: "somebody else's __cloakroom", record: `{"cookie":{},"__cloakroom":"mine"`},
		{name: "an odd __cloakroom", record: `{"cookie":{},"__cloakroom":{"created":"x","token":5,"maxAge":"1","ownMaxAge":1,"retired":"true"}`},
		{name: "a top level array", record: `[{"cookie":{}}]`, gone: true},
		{name: "a top level string", record: `"session"`, gone: true},
		{name: "a top level null", record: `null`, gone: true},
		{name: "garbage", record: `not JSON`, gone: true},
		{name: "cut off", record: `{"cookie":{"originalMaxAge":null`, gone: true},
		{name: "something behind it", record: `{"cookie":{}} x`, gone: true},
		{name: "binary", record: "\x00\xff\xfe", gone: true},
		{name: "nothing", record: "", gone: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, core.Config{})
			record := tt.record
			if !tt.gone {
				record += meta
			}
			sid := st.put("express", record)
			if tt.gone {
				for range 3 {
					a := st.visit(sid, func(s *core.Session) {
						if s.Status() != core.StatusUnknown || s.ID() == "express" || s.Has("user") {
							t.Errorf("session is %v", s.Status())
						}
					})
					if a.status != http.StatusOK || a.setCookie != "" {
						t.Errorf("status %d, Set-Cookie %q", a.status, a.setCookie)
					}
				}
				if err := st.Edit(t.Context(), "express", func(*core.Session) error { return nil }); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("Edit returned %v", err)
				}
				if got := st.log.count("cannot be decoded"); got != 1 || st.events.count(core.EventUndecodable) != 1 {
					t.Errorf("reported %d times and %d events, want once:\n%s", got, st.events.count(core.EventUndecodable), st.log)
				}
				if got := st.stored("express"); got != record {
					t.Errorf("store has %q", got)
				}
				if strings.Contains(st.log.String(), "express") || record != "" && strings.Contains(st.log.String(), record) {
					t.Errorf("the log has the id or the data:\n%s", st.log)
				}
				return
			}
			st.visit(sid, func(s *core.Session) {
				if s.Status() != core.StatusLoaded || s.Get("user") != "bob" {
					t.Errorf("session is %v, user %v", s.Status(), s.Get("user"))
				}
				s.Set("n", 1)
			})
			stored := st.stored("express")
			var before, after struct {
				Cookie json.RawMessage `json:"cookie"`
			}
			if err := json.Unmarshal([]byte(stored), &after); err != nil {
				t.Fatalf("%v: %s", err, stored)
			}
			if tt.cookie == "" {
				if err := json.Unmarshal([]byte(record), &before); err != nil {
					t.Fatal(err)
				}
				tt.cookie = string(before.Cookie)
			}
			if string(after.Cookie) != tt.cookie {
				t.Errorf("cookie is %s, want %s", after.Cookie, tt.cookie)
			}
			if a := st.visit(sid, func(s *core.Session) {
				if s.Status() != core.StatusLoaded || s.Get("user") != "bob" || s.Get("n") != 1 {
					t.Errorf("after the write: %v, user %v, n %v", s.Status(), s.Get("user"), s.Get("n"))
				}
			}); a.status != http.StatusOK {
				t.Errorf("status %d", a.status)
			}
			node(t, stored)
		})
	}
}

func TestARecordWithoutACookieGetsOneBeforeEverythingElse(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Cookie: core.Cookie{MaxAge: time.Minute, Domain: "x.test", Priority: core.PriorityLow}})
	sid := st.put("express", `{"user":"bob"}`)
	st.visit(sid, func(s *core.Session) { s.Set("n", 1) })
	want := `{"cookie":{"originalMaxAge":60000,"priority":"low","expires":"2026-11-21T08:30:14.000Z","secure":false,"httpOnly":true,"domain":"x.test","path":"/","sameSite":"lax"},"user":"bob","n":1,"__cloakroom":`
	if got := st.stored("express"); !strings.HasPrefix(got, want) {
		t.Errorf("got  %s\nwant %s...", got, want)
	}
}

func TestAMendedCookieFollowsTheConfig(t *testing.T) {
	t.Parallel()
	for _, cookie := range []string{`null`, `"c"`, `{"originalMaxAge" 1}`, `{"originalMaxAge":"5"}`} {
		st := newStage(t, core.Config{Cookie: core.Cookie{MaxAge: time.Hour}})
		sid := st.put("express", `{"cookie":`+cookie+`,"user":"bob"}`)
		st.visit(sid, func(s *core.Session) { s.Set("n", 1) })
		hardened := st.restarted(core.Config{Cookie: core.Cookie{MaxAge: time.Minute}})
		a := hardened.visit(sid, func(s *core.Session) { s.Set("n", 2) })
		if !strings.Contains(a.setCookie, "; Max-Age=60;") {
			t.Errorf("cookie %s: %q, want the max age of the new Config", cookie, a.setCookie)
		}
	}
}

func TestANewRecordIsOneThatExpressWouldWrite(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		cookie core.Cookie
		https  bool
		want   string
	}{
		{
			"express-session's defaults",
			core.Cookie{Secure: core.SecureNever, SameSite: http.SameSiteDefaultMode},
			false,
			`{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}`,
		},
		{
			"auto over HTTP",
			core.Cookie{SameSite: core.SameSiteAuto},
			false,
			`{"originalMaxAge":null,"expires":null,"secure":false,"httpOnly":true,"path":"/","sameSite":"lax"}`,
		},
		{
			"auto over HTTPS",
			core.Cookie{SameSite: core.SameSiteAuto},
			true,
			`{"originalMaxAge":null,"expires":null,"secure":true,"httpOnly":true,"path":"/","sameSite":"none"}`,
		},
		{"all set", core.Cookie{
			MaxAge: time.Minute, Partitioned: true, Priority: core.PriorityHigh, Secure: core.SecureAlways,
			ScriptAccess: true, Domain: "example.com", SameSite: http.SameSiteNoneMode,
		}, true, `{"originalMaxAge":60000,"partitioned":true,"priority":"high","expires":"2026-11-21T08:30:14.000Z","secure":true,"httpOnly":false,"domain":"example.com","path":"/","sameSite":"none"}`},
	}
	for _, tt := range tests {
		st := newStage(t, core.Config{Cookie: tt.cookie})
		s, err := st.Load(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		s.Set("user", "bob")
		s.Set("html", "<a href=\"x\">&amp;</a>")
		s.Set("uni", "schlüssel 🔑")
		if _, err := st.Commit(t.Context(), s, tt.https); err != nil {
			t.Fatal(err)
		}
		got := withoutMeta(t, st.stored(s.ID()))
		want := `{"cookie":` + tt.want + `,"user":"bob","html":"<a href=\"x\">&amp;</a>","uni":"schlüssel 🔑"}`
		if got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, want)
		}
		node(t, st.stored(s.ID()))
	}
}

func TestTheReservedMemberHoldsWhatHasToBeRemembered(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	id := st.idOf(cookie)
	metaOf := func() (m struct {
		Created   int64
		Token     string
		MaxAge    int64
		OwnMaxAge bool
		Retired   int64
	},
	) {
		t.Helper()
		var record struct {
			Meta json.RawMessage `json:"__cloakroom"`
		}
		if err := json.Unmarshal([]byte(st.stored(id)), &record); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(record.Meta, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := metaOf()
	if first.Created != st.clock.Now().UnixMilli() || len(first.Token) != 11 || first.OwnMaxAge || first.Retired != 0 {
		t.Errorf("new: %+v", first)
	}
	st.clock.advance(time.Minute)
	st.visit(cookie, func(s *core.Session) { s.Set("n", 1); _ = s.SetMaxAge(5 * time.Minute) })
	second := metaOf()
	if second.Created != first.Created || second.Token == first.Token || second.MaxAge != 300_000 || !second.OwnMaxAge {
		t.Errorf("changed: %+v, before %+v", second, first)
	}
	next := st.visit(cookie, func(s *core.Session) { _ = s.Renew() }).cookie
	if m := metaOf(); m.Retired != st.clock.Now().UnixMilli() || m.Created != first.Created || strings.Contains(st.stored(id), "ada") {
		t.Errorf("retired: %s", st.stored(id))
	}
	node(t, st.stored(id))
	id = st.idOf(next)
	if m := metaOf(); m.Retired != 0 || m.Created != first.Created || m.Token == second.Token || !m.OwnMaxAge {
		t.Errorf("renewed: %+v", m)
	}
}

// Standards: ASVS-11.5.1
func TestEveryWriteHasATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	written := map[string]bool{}
	for i := range 50 {
		st.store.took()
		st.visit(cookie, func(s *core.Session) { s.Set("n", i%2) })
		for _, c := range st.store.took() {
			if c.verb == "update" {
				if written[c.data] {
					t.Fatal("two writes are equal")
				}
				written[c.data] = true
			}
		}
	}
	if len(written) != 50 {
		t.Errorf("%d writes", len(written))
	}
}

// What Express stored beyond the limits can be changed while both use it, and what is
// new has limits all the same.
func TestWhatExpressStoredBeyondTheLimitsCanBeChanged(t *testing.T) {
	t.Parallel()
	many := `{"cookie":{},"a":1,"b":2,"c":3}`
	large := `{"cookie":{},"a":1,"text":"` + strings.Repeat("x", 5000) + `"}`
	for name, tt := range map[string]struct {
		stored string
		change func(s *core.Session)
		want   error
	}{
		"more keys, a value":           {many, func(s *core.Session) { s.Set("a", 1000) }, nil},
		"more keys, one goes":          {many, func(s *core.Session) { s.Delete("a") }, nil},
		"more keys, another in place":  {many, func(s *core.Session) { s.Delete("a"); s.Set("d", 1) }, nil},
		"more keys, one more":          {many, func(s *core.Session) { s.Set("d", 1) }, core.ErrTooManyKeys},
		"more keys, a new id":          {many, func(s *core.Session) { s.Renew() }, nil},
		"more bytes, a value":          {large, func(s *core.Session) { s.Set("a", 1000) }, nil},
		"more bytes, a little more":    {large, func(s *core.Session) { s.Set("a", strings.Repeat("x", 500)) }, nil},
		"more bytes, much more":        {large, func(s *core.Session) { s.Set("a", strings.Repeat("x", 1100)) }, core.ErrTooLarge},
		"more bytes, none of it stays": {large, func(s *core.Session) { s.Clear(); s.Set("b", 1) }, nil},
	} {
		st := newStage(t, core.Config{ShareWithExpress: true, Cookie: core.Cookie{Name: "sid"}, MaxKeys: 2, MaxBytes: 4096})
		var got error
		a := st.visit(st.put("express", tt.stored), func(s *core.Session) {
			tt.change(s)
			got = s.Save(context.Background())
		})
		if !errors.Is(got, tt.want) || (a.status == http.StatusOK) != (tt.want == nil) {
			t.Errorf("%s: %v, status %d, want %v", name, got, a.status, tt.want)
		}
	}
}

// Standards: ASVS-1.5.2, ASVS-15.1.3, ASVS-15.2.2
func TestLimitsOfSizeAndKeys(t *testing.T) {
	t.Parallel()
	size := func() int { // of a session with one key of one character
		st := newStage(t, core.Config{})
		return len(st.stored(st.idOf(st.visit("", func(s *core.Session) { s.Set("k", "x") }).cookie)))
	}()
	for over := -1; over <= 1; over++ {
		st := newStage(t, core.Config{MaxBytes: size + 10})
		var saveErr error
		a := st.visit("", func(s *core.Session) {
			s.Set("k", strings.Repeat("x", 11+over))
			saveErr = s.Save(context.Background())
		})
		wantErr, wantStatus := over > 0, http.StatusOK
		if wantErr {
			wantStatus = http.StatusInternalServerError
		}
		if errors.Is(saveErr, core.ErrTooLarge) != wantErr || a.status != wantStatus || (a.setCookie == "") != wantErr {
			t.Errorf("%+d bytes: %v, status %d", over, saveErr, a.status)
		}
	}
	for over := -1; over <= 1; over++ {
		st := newStage(t, core.Config{MaxKeys: 10})
		var saveErr error
		a := st.visit("", func(s *core.Session) {
			for i := range 10 + over {
				s.Set(fmt.Sprint("key", i), i)
			}
			saveErr = s.Save(context.Background())
		})
		wantErr := over > 0
		if errors.Is(saveErr, core.ErrTooManyKeys) != wantErr || (a.status != http.StatusOK) != wantErr {
			t.Errorf("%+d keys: %v, status %d", over, saveErr, a.status)
		}
		if wantErr && st.store.verbs() != "" {
			t.Error("something was stored")
		}
	}
	// The limits are Cloakroom's own: what Express left there can be made smaller.
	st := newStage(t, core.Config{MaxKeys: 2})
	sid := st.put("express", `{"cookie":{},"a":1,"b":2,"c":3}`)
	if a := st.visit(sid, func(s *core.Session) { s.Set("a", 2) }); a.status != http.StatusInternalServerError {
		t.Errorf("three keys: status %d", a.status)
	}
	if a := st.visit(sid, func(s *core.Session) { s.Delete("a") }); a.status != http.StatusOK {
		t.Errorf("down to two keys: status %d", a.status)
	}
}

func TestWhatTheStoreHandedOutIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	data := []byte(`{"cookie":{"originalMaxAge":60000,"expires":null},"a":1,"b":[1,2],"c":"x"}`)
	kept := bytes.Clone(data)
	shared := &sharingStore{Store: st.store, data: data}
	m, err := core.New(core.Config{Store: shared, Secrets: []string{stageSecret}, Now: st.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Load(t.Context(), core.Sign(stageSecret, "express"))
	if err != nil {
		t.Fatal(err)
	}
	raw := core.Key[json.RawMessage]("b").Get(s)
	for i := range raw {
		raw[i] = '9'
	}
	s.Set("a", 22222)
	s.Delete("c")
	if _, err := m.Commit(t.Context(), s, false); err != nil && !errors.Is(err, core.ErrSessionGone) {
		t.Fatal(err)
	}
	if !bytes.Equal(data, kept) {
		t.Errorf("the store's bytes are now %s", data)
	}
}

// A sharingStore hands out the same bytes each time.
type sharingStore struct {
	store.Store
	data []byte
}

func (s *sharingStore) Load(context.Context, string) (store.Record, error) {
	return store.Record{Data: s.data}, nil
}
func (s *sharingStore) Touch(context.Context, string, time.Duration) error { return nil }
