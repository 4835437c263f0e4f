package core_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/internal/suite"
)

// What a client, or somebody who can write to the store, may send.

// An asked is a store that writes down which ids it was asked for, and counts
// the writes. The extension of a session is none.
type asked struct {
	mapstore.Store
	ids    []string
	writes int
}

func (s *asked) Load(ctx context.Context, id string) (store.Record, error) {
	s.ids = append(s.ids, id)
	return s.Store.Load(ctx, id)
}

func (s *asked) Create(ctx context.Context, rec store.Record) error {
	s.writes++
	return s.Store.Create(ctx, rec)
}

func (s *asked) Update(ctx context.Context, old, next store.Record) error {
	s.writes++
	return s.Store.Update(ctx, old, next)
}

func (s *asked) Delete(ctx context.Context, id string) error {
	s.writes++
	return s.Store.Delete(ctx, id)
}

func (s *asked) Remove(ctx context.Context, old store.Record) error {
	s.writes++
	return s.Store.Remove(ctx, old)
}

// hostile returns a Manager for input of an attacker's.
func hostile(t testing.TB, st store.Store, change ...func(*core.Config)) *core.Manager {
	t.Helper()
	cfg := core.Config{Store: st, Secrets: []string{stageSecret}}
	for _, f := range change {
		f(&cfg)
	}
	m, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The law: whatever the Cookie headers are, the store is asked for ids alone
// whose signature was in them, at most three times, and nothing is written; the
// session is that of a cookie that is genuine; and it costs bounded memory.
//
// Standards: ASVS-7.2.1, ASVS-9.1.1
func FuzzCookieHeader(f *testing.F) {
	st := new(asked)
	const id, gone = "the-id-of-a-session-that-lives", "the-id-of-a-session-that-has-gone"
	if err := st.Store.Create(f.Context(), store.Record{ID: id, Data: []byte(`{"cookie":{},"user":"ada"}`), TTL: time.Hour}); err != nil {
		f.Fatal(err)
	}
	live, dead, forged := core.Sign(stageSecret, id), core.Sign(stageSecret, gone), core.Sign("another secret", id)
	for _, seed := range []string{
		"", "sid=" + live, "sid=" + dead, "sid=" + forged, "sid=" + live[:len(live)-1], "sid=x; sid=" + live, "sid=" + dead + "; sid=" + live,
		"__Host-sid=" + live, "%73id=" + live, "SID=" + live, "=sid=" + live, "sid =" + live, `sid="` + live + `"`, "sid=" + live + " ", "sid=" + live + ",sid=" + live,
		strings.Repeat("sid=x;", 8) + "sid=" + live, strings.Repeat(";", 100), "sid=" + strings.ReplaceAll(live, "%3A", ":"), "sid=" + strings.Repeat("%", 500),
		"sid=" + live + "; x=%\u0130", // a letter of two bytes whose lower case is one
	} {
		f.Add(seed, "a=b")
		f.Add("a=b", seed)
	}
	m := hostile(f, st)
	f.Fuzz(func(t *testing.T, first, second string) {
		st.ids, st.writes = nil, 0
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header["Cookie"] = []string{first, second}
		w := httptest.NewRecorder()
		var s *core.Session
		cost := suite.Allocated(func() {
			m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { s = core.FromContext(r.Context()) })).ServeHTTP(w, r)
		})
		if most := suite.Roughly + 4*(len(first)+len(second)); cost > most {
			t.Errorf("%d bytes of cookies cost %d bytes, want at most %d", len(first)+len(second), cost, most)
		}
		for _, got := range st.ids {
			signature := core.Sign(stageSecret, got)
			signature = signature[len(signature)-20:]
			if got != id && got != gone || !strings.Contains(unescaped(first+second), unescaped(signature)) {
				t.Errorf("%q: the store was asked for %q", first+"\n"+second, got)
			}
		}
		if len(st.ids) > 3 || st.writes > 0 {
			t.Errorf("%q: %d lookups and %d writes", first+"\n"+second, len(st.ids), st.writes)
		}
		if (s.Status() == core.StatusLoaded) != slices.Contains(st.ids, id) || s.Has("user") != (s.Status() == core.StatusLoaded) {
			t.Errorf("%q: the session is %v", first+"\n"+second, s.Status())
		}
		if w.Code != http.StatusOK || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%q: status %d, Set-Cookie %q", first+"\n"+second, w.Code, w.Header().Get("Set-Cookie"))
		}
	})
}

// unescaped returns s without percent-escapes.
func unescaped(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if octet, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(octet))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// The law: an id that Config.GenerateID returns is refused with ErrInvalidID or
// ErrCookieTooLarge and nothing is stored, or it comes back from the browser as
// it was, in a cookie that a browser takes. It costs bounded memory.
//
// Standards: ASVS-3.3.5
func FuzzGeneratedID(f *testing.F) {
	for _, seed := range []string{
		"", "short", "sixteen-letters-", strings.Repeat("a", 4000), strings.Repeat("%", 1400), "an id with spaces; and=signs, \"too\"",
		"ünïcödé-ünïcödé-ünïcödé", "bad utf-8 \xff\xfe bytes", "line\r\nbreaks\x00and-more", "dots.dots.dots.dots", "../../../etc/passwd-------", "*?[a-z]-is-no-pattern",
	} {
		f.Add(seed)
	}
	st := new(mapstore.Store)
	var id string
	m := hostile(f, st, func(c *core.Config) {
		c.GenerateID = func(*http.Request) (string, error) { return id, nil }
	})
	f.Fuzz(func(t *testing.T, generated string) {
		id = generated
		s, err := m.Load(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		s.Set("user", "ada")
		var line string
		if cost, most := suite.Allocated(func() { line, err = m.Commit(t.Context(), s, true) }), suite.Roughly+40*len(id); cost > most {
			t.Errorf("an id of %d bytes costs %d bytes, want at most %d", len(id), cost, most)
		}
		if err != nil {
			usable := len(id) >= 16 && utf8.ValidString(id)
			if errors.Is(err, core.ErrInvalidID) == usable || usable && !errors.Is(err, core.ErrCookieTooLarge) {
				t.Errorf("%q: %v", id, err)
			}
			if n := len(st.Records()); n > 0 {
				t.Errorf("%q: %v, but %d records are stored", id, err, n)
			}
			return
		}
		cookie, err := http.ParseSetCookie(line)
		if err != nil || len(cookie.Name)+len(cookie.Value) > 4096 || cookie.Valid() != nil || strings.ContainsAny(line, "\r\n\x00") {
			t.Fatalf("%q: Set-Cookie %q, %v", id, line, err)
		}
		back, err := m.Load(t.Context(), cookie.Value)
		if err != nil || back.ID() != id || back.Get("user") != "ada" {
			t.Errorf("%q: the cookie leads to a session that is %v, %v", id, back, err)
		}
		if err := back.Destroy(t.Context()); err != nil || len(st.Records()) > 0 {
			t.Errorf("%q: Destroy: %v, %d records are left", id, err, len(st.Records()))
		}
	})
}

// The law: whatever a record holds, reading it costs bounded memory, and a
// request that reads everything and changes one key succeeds; what it did not
// touch is as it was. What is no record at all counts as gone and is left alone.
//
// Standards: ASVS-1.5.2
func FuzzRecord(f *testing.F) {
	for _, seed := range []string{
		`{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"user":"ada","n":1,"flash":{"info":["a","b"]},"__cloakroom":{"created":1763715600000,"token":"3q2-796tvu8"}}`,
		`{}`, `{"user":"ada"}`, `{"cookie":{"originalMaxAge":3600000,"expires":"2026-11-21T09:29:14.000Z"},"user":"ada"}`, `[]`, ``, `null`, `{"a":`, `{"cookie":7,"n":{}}`,
		`{"cookie":{},"cookie":{},"\u0063ookie":{},"__cloakroom":{"retired":1},"n":1}`, `{"__cloakroom":{"created":99999999999999,"ownMaxAge":true,"maxAge":1}}`,
		`{"n":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}`, `{"__sealed":"0123456789abcdef.AAAA"}`, `{"cookie":{},"flash":7,"n":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	const id = "the-id-of-a-session-that-lives"
	cookie := core.Sign(stageSecret, id)
	f.Fuzz(func(t *testing.T, data []byte) {
		now := time.Now() // it stands: a max age may be of a millisecond
		clock := func() time.Time { return now }
		st := &mapstore.Store{Now: clock}
		if err := st.Create(t.Context(), store.Record{ID: id, Data: data, TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		m := hostile(t, st, func(c *core.Config) { c.Now = clock })
		var (
			s   *core.Session
			err error
		)
		if cost, most := suite.Allocated(func() { s, err = m.Load(t.Context(), cookie) }), suite.Roughly+32*len(data); cost > most {
			t.Errorf("%d bytes of record cost %d bytes to load, want at most %d", len(data), cost, most)
		}
		if err != nil {
			if !errors.Is(err, core.ErrUnknownSealKey) {
				t.Errorf("%q: %v", data, err)
			}
			return
		}
		before := map[string]any{}
		if cost, most := suite.Allocated(func() {
			for key := range s.Keys() {
				before[key] = s.Get(key)
			}
		}), suite.Roughly+400*len(data); cost > most {
			t.Errorf("%d bytes of record cost %d bytes to read, want at most %d", len(data), cost, most)
		}
		_, _ = s.Flashes("info"), s.CreatedAt()
		_, _ = core.Key[int]("n").Lookup(s)
		loaded := s.Status() == core.StatusLoaded
		if !loaded && len(before) > 0 {
			t.Errorf("%q: the session is %v and has keys", data, s.Status())
		}

		s.Discard()
		s.Set("fuzz", true)
		line, err := m.Commit(t.Context(), s, true)
		if errors.Is(err, core.ErrTooManyKeys) || errors.Is(err, core.ErrSessionGone) {
			return
		}
		if err != nil {
			t.Fatalf("%q: the commit fails: %v", data, err)
		}
		value := cookie
		if !loaded && line == "" {
			return // the id was given up: such a visitor gets no session
		}
		if line != "" {
			parsed, err := http.ParseSetCookie(line)
			if err != nil {
				t.Fatalf("%q: %v", data, err)
			}
			value = parsed.Value
		}
		if !loaded {
			if rec, err := st.Load(t.Context(), id); err != nil || !bytes.Equal(rec.Data, data) {
				t.Errorf("%q: what was no session became %q, %v", data, rec.Data, err)
			}
		}
		again, err := m.Load(t.Context(), value)
		if err != nil || again.Status() != core.StatusLoaded || again.Get("fuzz") != true {
			t.Fatalf("%q: after the write the session is %v, %v", data, again, err)
		}
		for key, want := range before {
			got, _ := json.Marshal(again.Get(key))
			if wanted, _ := json.Marshal(want); key != "fuzz" && !bytes.Equal(got, wanted) {
				t.Errorf("%q: %q was %s and is %s", data, key, wanted, got)
			}
		}
	})
}

// The law: whatever the list of a user holds, a look at it costs bounded memory and
// shows sessions of that user alone; a sign-in succeeds, or says that there are too
// many sessions or that they were revoked; and afterwards all that can be listed can
// be ended.
func FuzzUserList(f *testing.F) {
	const adas, bobs = "the-id-of-the-session-of-ada", "the-id-of-the-session-of-bob"
	const meta = `"__cloakroom":{"created":1763715600000,"token":"3q2-796tvu8"}}`
	for _, seed := range []string{
		`{"sessions":[{"key":"` + adas + `","handle":"h","until":4102444800000}],` + meta,
		`{"sessions":[{"key":"` + bobs + `","handle":"h","until":4102444800000},{"key":"` + adas + `","handle":"h","until":1}],` + meta,
		`{"mark":"m","revoked":1763715600000000000,"kept":9223372036854775807,"sessions":[{"key":"` + adas + `","handle":"h","until":9223372036854775807,"state":1}],` + meta,
		`{"revoked":-9223372036854775808,"kept":-1,"sessions":[{"key":"","handle":"","until":-1,"state":2},{"until":4102444800000,"state":255}],` + meta,
		`{"sessions":[{},{},{}],` + meta, `{"sessions":null,` + meta, `{"sessions":[],"sessions":7,` + meta, `{"sessions":[{"state":256}],` + meta,
		`{"sessions":[` + strings.Repeat(`{"key":"`+adas+`","handle":"h","until":4102444800000},`, 40) + `{}],` + meta,
		`{"sessions":[]}`, `{}`, `[]`, ``, `null`, `{"sessions":`, `{"__cloakroom":{}}`, `{"__sealed":"0123456789abcdef.AAAA"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var (
			st  = newUserStore()
			ids = []string{adas, bobs, "the-id-of-another-session"}
		)
		m := hostile(t, st, func(c *core.Config) {
			c.GenerateID = func(*http.Request) (string, error) {
				id := ids[0]
				ids = ids[1:]
				return id, nil
			}
		})
		enter := func(user string) (line string, err error) {
			s := load(t, m, "")
			if err := s.SignIn(t.Context(), user, "as "+user); err != nil {
				t.Fatal(err)
			}
			return m.Commit(t.Context(), s, true)
		}
		if _, err := enter("ada"); err != nil {
			t.Fatal(err)
		}
		list := st.index.(*mapstore.Store).Records()[0]
		if err := st.index.Update(t.Context(), list, store.Record{ID: list.ID, Data: data, TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if _, err := enter("bob"); err != nil {
			t.Fatal(err)
		}

		look := func() error {
			for info, err := range m.Sessions(t.Context(), "ada") {
				if err != nil {
					return err
				}
				if !slices.Equal(info.Methods, []string{"as ada"}) {
					t.Errorf("%q: a session is listed that is not of the user: %+v", data, info)
				}
			}
			return nil
		}
		var err error
		if cost, most := suite.Allocated(func() { err = look() }), suite.Roughly+1000*len(data); cost > most {
			t.Errorf("%d bytes of a list cost %d bytes, want at most %d", len(data), cost, most)
		}
		readable := err == nil
		if err != nil && !errors.Is(err, core.ErrUndecodable) && !errors.Is(err, core.ErrUnknownSealKey) {
			t.Errorf("%q: %v", data, err)
		}
		line, err := enter("ada")
		switch {
		case err == nil && load(t, m, valueOf(t, line)).User() != "ada":
			t.Errorf("%q: the sign-in did not make a session", data)
		case err != nil && (!readable || !errors.Is(err, core.ErrTooManySessions) && !errors.Is(err, core.ErrRevoked)):
			if !errors.Is(err, core.ErrUnknownSealKey) {
				t.Errorf("%q: the sign-in fails: %v", data, err)
			}
			return
		}
		if err := m.RevokeUser(t.Context(), "ada"); err != nil {
			t.Errorf("%q: RevokeUser: %v", data, err)
		}
		if all, err := walk(m.Sessions(t.Context(), "ada")); err != nil || len(all) > 0 || line != "" && load(t, m, valueOf(t, line)).User() != "" {
			t.Errorf("%q: %d sessions live on, %v", data, len(all), err)
		}
	})
}

// valueOf returns the value of a cookie that is set.
func valueOf(t *testing.T, line string) string {
	t.Helper()
	cookie, err := http.ParseSetCookie(line)
	if err != nil {
		t.Fatal(err)
	}
	return cookie.Value
}

// The law: flashes that another program stored are read as encoding/json reads
// them, each is shown once, those that are no strings are shown never, and what has
// another shape than flashes fails the commit that would add to it, and nothing else. It
// costs bounded memory.
func FuzzFlash(f *testing.F) {
	for _, seed := range []string{
		`{"info":["saved"]}`, `{"info":["a","a","b"],"error":["c"]}`, `{}`, `null`, `{"info":null}`, `{"info":[]}`, `{"info":"text"}`, `[]`, `7`, `{"info":[1]}`, `{"info":["\u0000\ud800"]}`, `{"":[""]}`,
	} {
		f.Add([]byte(seed), "info", "saved")
	}
	const id = "the-id-of-a-session-that-lives"
	cookie := core.Sign(stageSecret, id)
	f.Fuzz(func(t *testing.T, stored []byte, kind, message string) {
		if !json.Valid(stored) || !utf8.ValidString(kind) || !utf8.ValidString(message) {
			return
		}
		st := new(mapstore.Store)
		if err := st.Create(t.Context(), store.Record{ID: id, Data: slices.Concat([]byte(`{"cookie":{},"flash":`), stored, []byte(`}`)), TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		m := hostile(t, st)
		visit := func(fn func(s *core.Session)) error {
			s, err := m.Load(t.Context(), cookie)
			if err != nil || s.Status() != core.StatusLoaded {
				t.Fatalf("%q: the session is %v, %v", stored, s, err)
			}
			if cost, most := suite.Allocated(func() {
				fn(s)
				_, err = m.Commit(t.Context(), s, true)
			}), suite.Roughly+400*(len(stored)+len(kind)+len(message)); cost > most {
				t.Errorf("%d bytes of flashes cost %d bytes, want at most %d", len(stored), cost, most)
			}
			return err
		}
		var found map[string][]json.RawMessage
		readable := json.Unmarshal(stored, &found) == nil
		want := make(map[string][]string, len(found))
		for kind, messages := range found {
			want[kind] = nil
			for _, raw := range messages {
				var text string
				if json.Unmarshal(raw, &text) == nil {
					want[kind] = append(want[kind], text)
				}
			}
		}

		err := visit(func(s *core.Session) { s.Flash(kind, message) })
		var keyErr *core.KeyError
		if readable != (err == nil) || err != nil && (!errors.As(err, &keyErr) || keyErr.Key != "flash") {
			t.Fatalf("%q: a flash is added: %v", stored, err)
		}
		var shown []string
		if err := visit(func(s *core.Session) { shown = s.Flashes(kind) }); err != nil {
			t.Fatalf("%q: flashes are shown: %v", stored, err)
		}
		wanted := append(slices.Clone(want[kind]), message)
		if !readable {
			wanted = nil
		}
		all := len(found)
		for _, messages := range found {
			all += len(messages)
		}
		if all >= 100 || len(stored)+len(kind)+len(message) > 1<<18 {
			return // some of them had to go: TestFlashesAreBounded
		}
		if !slices.Equal(shown, wanted) {
			t.Errorf("%q: the flashes are %q, want %q", stored, shown, wanted)
		}
		if err := visit(func(s *core.Session) {
			if left := s.Flashes(kind); len(left) > 0 {
				t.Errorf("%q: shown again: %q", stored, left)
			}
			for other, messages := range want {
				if got := s.Flashes(other); readable && other != kind && !slices.Equal(got, messages) {
					t.Errorf("%q: the flashes of %q are %q, want %q", stored, other, got, messages)
				}
			}
		}); err != nil {
			t.Errorf("%q: %v", stored, err)
		}
	})
}

// Standards: ASVS-15.2.2
func TestALargeAnythingIsRefusedOrCostsLittle(t *testing.T) {
	const huge = 16 << 20 // not in parallel: what others allocate would count
	st := new(asked)
	m := hostile(t, st)
	genuine := core.Sign(stageSecret, "the-id-of-a-session-that-has-gone")
	for name, header := range map[string][]string{
		"a value":                     {"sid=" + strings.Repeat("a", huge)},
		"a value of escapes":          {"sid=" + strings.Repeat("%41", huge/3)},
		"a name":                      {strings.Repeat("a", huge) + "=" + genuine},
		"semicolons":                  {strings.Repeat(";", huge)},
		"space":                       {strings.Repeat(" ", huge) + "sid=x" + strings.Repeat("\t", huge)},
		"a header without an equals":  {strings.Repeat("sid", huge/3)},
		"cookies with our name":       {strings.Repeat("sid=x; ", huge/7)},
		"cookies that are genuine":    {strings.Repeat("sid="+genuine+"; ", huge/(len(genuine)+6))},
		"cookies with another's name": {strings.Repeat("a=b; ", huge/5)},
		"header lines":                slices.Repeat([]string{"sid=x"}, 1<<18),
	} {
		st.ids, st.writes = nil, 0
		var s *core.Session
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header["Cookie"] = header
		w := httptest.NewRecorder()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { s = core.FromContext(r.Context()) })).ServeHTTP(w, r)
		runtime.ReadMemStats(&after)
		if cost := after.TotalAlloc - before.TotalAlloc; cost > 256<<10 || s.Status() == core.StatusLoaded || len(st.ids) > 1 || st.writes > 0 || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%s: %d bytes, session %v, %d lookups, %d writes", name, cost, s.Status(), len(st.ids), st.writes)
		}
	}
}

// Scanners, crawlers and guessers leave nothing behind, whatever they bring.
//
// Standards: ASVS-7.6.2
func TestAnonymousRequestsLeaveNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while")
	}
	t.Parallel()
	st := new(asked)
	m := hostile(t, st)
	var handled atomic.Int64
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handled.Add(1)
		s := core.FromContext(r.Context())
		_, _, _ = s.Get("user"), s.Flashes("info"), s.Has("cart")
		for range s.Keys() {
			t.Error("an anonymous session has a key")
		}
		s.Delete("user")
		s.Clear()
		s.Touch()
		if r.URL.Path == "/logout" {
			if err := s.Destroy(r.Context()); err != nil {
				t.Error(err)
			}
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	const requests = 20_000
	var lookups int
	for i := range requests {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		switch i % 5 {
		case 1:
			r.Header.Set("Cookie", "sid=nonsense")
		case 2:
			r.Header.Set("Cookie", "sid="+core.Sign("a guess at the secret", "an-id-that-was-never-issued"))
		case 3: // an old cookie, say
			r.Header.Set("Cookie", "sid="+core.Sign(stageSecret, "an-id-that-has-expired-long-ago-"+string(rune('a'+i/5%26))))
			lookups++
		case 4:
			r.URL.Path = "/logout"
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusNoContent || w.Header().Get("Set-Cookie") != "" {
			t.Fatalf("request %d: status %d, Set-Cookie %q", i, w.Code, w.Header().Get("Set-Cookie"))
		}
	}
	if handled.Load() != requests || st.writes != 0 || len(st.Records()) != 0 || len(st.ids) != lookups {
		t.Errorf("%d requests handled, %d writes, %d records, %d lookups; want %d, 0, 0 and %d",
			handled.Load(), st.writes, len(st.Records()), len(st.ids), requests, lookups)
	}
}
