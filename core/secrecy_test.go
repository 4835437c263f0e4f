package core_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// Standards: ASVS-6.5.2
func TestHashIDsKeepsTheIDsOutOfTheStore(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{HashIDs: true, TouchInterval: core.EveryRequest})
	cookie := st.signIn()
	id := st.idOf(cookie)
	sum := sha256.Sum256([]byte(id))
	key := base64.RawURLEncoding.EncodeToString(sum[:])

	st.visit(cookie, func(s *core.Session) {
		if s.Status() != core.StatusLoaded || s.ID() != id {
			t.Errorf("session is %v with another id", s.Status())
		}
		s.Set("n", 1)
		_ = s.Reload(t.Context())
		_ = s.Check(t.Context())
	})
	if err := st.Edit(t.Context(), id, func(s *core.Session) error { s.Set("n", 2); return nil }); err != nil {
		t.Errorf("Edit by the id: %v", err)
	}
	if err := st.Edit(t.Context(), key, func(*core.Session) error { return nil }); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Edit by what the store has: %v", err)
	}
	next := st.visit(cookie, func(s *core.Session) { _ = s.Renew() }).cookie
	nextID := st.idOf(next)
	st.visit(next, func(s *core.Session) { _ = s.Destroy(t.Context()) })

	keys := slices.Collect(st.store.seen())
	if !slices.Contains(keys, key) {
		t.Errorf("the store never saw the hash %q: %q", key, keys)
	}
	for _, seen := range keys {
		if seen == id || seen == nextID || len(seen) != 43 {
			t.Errorf("the store saw %q", seen)
		}
	}

	// Who read the store cannot even have its keys signed.
	other := st.signIn()
	sum = sha256.Sum256([]byte(st.idOf(other)))
	stolen := base64.RawURLEncoding.EncodeToString(sum[:])
	st.visit("sid="+core.Sign(stageSecret, stolen), func(s *core.Session) {
		if s.Status() != core.StatusUnknown || s.Has("user") {
			t.Errorf("a stored key leads to a session that is %v", s.Status())
		}
	})
}

// Standards: ASVS-11.1.1, ASVS-11.2.2, ASVS-11.2.5
func TestSealedSessionsLookLikeAnyOther(t *testing.T) {
	t.Parallel()
	keyA, keyB := strings.Repeat("a", 32), strings.Repeat("b", 40)
	st := newStage(t, core.Config{SealKeys: []string{keyA}})
	cookie := st.signIn()
	id := st.idOf(cookie)
	if stored := st.stored(id); strings.Contains(stored, "ada") || !strings.HasPrefix(stored, `{"__sealed":"`) {
		t.Errorf("stored: %s", stored)
	}
	st.visit(cookie, func(s *core.Session) { s.Set("n", 1) })

	// The second key comes first: the old one still opens, the next write seals anew.
	rotated := st.restarted(core.Config{SealKeys: []string{keyB, keyA}})
	before := st.stored(id)
	rotated.visit(cookie, func(s *core.Session) {
		if s.Get("user") != "ada" || s.Get("n") != 1 {
			t.Errorf("after the rotation: %v, user %v, n %v", s.Status(), s.Get("user"), s.Get("n"))
		}
		s.Set("n", 2)
	})
	if keyName := func(s string) string { return s[:len(`{"__sealed":"`)+16] }; keyName(st.stored(id)) == keyName(before) {
		t.Error("the write after the rotation is sealed under the old key")
	}

	// Without the key it was sealed under, a session is not gone: the set-up is wrong.
	a := st.request(cookie, func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })
	if a.status != http.StatusServiceUnavailable || a.setCookie != "" {
		t.Errorf("under an unknown key: status %d, Set-Cookie %q", a.status, a.setCookie)
	}
	_, value, _ := strings.Cut(cookie, "=")
	if _, err := st.Load(t.Context(), value); !errors.Is(err, core.ErrUnknownSealKey) {
		t.Errorf("under an unknown key: %v", err)
	}
	open := st.restarted(core.Config{})
	if a := open.request(cookie, func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }); a.status != http.StatusServiceUnavailable {
		t.Errorf("without any key: status %d", a.status)
	}

	// A record that is not sealed, or was moved, or was changed, counts as gone.
	moved := rotated.put("elsewhere", st.stored(id))
	plain := rotated.put("plain", `{"cookie":{},"user":"eve"}`)
	changed := rotated.put("changed", strings.Replace(st.stored(id), `"}`, `A"}`, 1))
	for name, cookie := range map[string]string{"moved": moved, "plain": plain, "changed": changed} {
		a := rotated.visit(cookie, func(s *core.Session) {
			if s.Status() != core.StatusUnknown || s.Has("user") {
				t.Errorf("%s: session is %v", name, s.Status())
			}
		})
		if a.status != http.StatusOK {
			t.Errorf("%s: status %d", name, a.status)
		}
	}
	for _, secret := range []string{keyA, keyB, "ada", id} {
		if strings.Contains(st.log.String()+rotated.log.String()+open.log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}

	// A retired record is sealed as well.
	next := rotated.visit(cookie, func(s *core.Session) { _ = s.Renew() }).cookie
	if stored := st.stored(id); !strings.HasPrefix(stored, `{"__sealed":"`) {
		t.Errorf("retired: %s", stored)
	}
	if got := rotated.idOf(next); got == id {
		t.Error("the id did not change")
	}
}

// Standards: ASVS-9.1.3, ASVS-11.1.1, ASVS-13.3.4
func TestSecretsRotateWithoutARestart(t *testing.T) {
	t.Parallel()
	oldSecret, newSecret := strings.Repeat("o", 32), strings.Repeat("n", 32)
	st := newStage(t, core.Config{Secrets: []string{oldSecret}, Cookie: core.Cookie{MaxAge: time.Hour}})
	cookie := st.signIn()
	id := st.idOf(cookie)
	if a := st.visit(cookie, nil); a.setCookie != "" {
		t.Errorf("before the rotation a reader gets %q", a.setCookie)
	}

	var cfgErr *core.ConfigError
	for _, bad := range [][]string{nil, {""}, {newSecret, " "}} {
		if err := st.SetSecrets(bad); !errors.As(err, &cfgErr) || cfgErr.Field != "Secrets" {
			t.Errorf("SetSecrets(%q) = %v", bad, err)
		}
	}
	if err := st.SetSecrets([]string{newSecret, oldSecret}); err != nil {
		t.Fatal(err)
	}
	if got := len(st.Config().Secrets); got != 2 {
		t.Errorf("%d secrets in force", got)
	}

	// The cookie is sent again under the new secret. Less than a tenth of its life has
	// passed, so it ends when it would have.
	st.clock.advance(5 * time.Minute)
	a := st.visit(cookie, nil)
	if want := "sid=" + core.Sign(newSecret, id); a.cookie != want {
		t.Errorf("cookie %q, want it under the new secret", a.cookie)
	}
	if !strings.Contains(a.setCookie, "; Expires=Sat, 21 Nov 2026 09:29:14 GMT; Max-Age=3300;") {
		t.Errorf("the expiry moved: %q", a.setCookie)
	}
	if b := st.visit(a.cookie, nil); b.setCookie != "" {
		t.Errorf("the new cookie is sent again: %q", b.setCookie)
	}

	if err := st.SetSecrets([]string{newSecret}); err != nil {
		t.Fatal(err)
	}
	st.visit(cookie, func(s *core.Session) {
		if s.Status() != core.StatusInvalid {
			t.Errorf("under the secret that was dropped the session is %v", s.Status())
		}
	})
	st.visit(a.cookie, func(s *core.Session) {
		if s.Status() != core.StatusLoaded {
			t.Errorf("under the new secret the session is %v", s.Status())
		}
	})
}

func TestARotatedCookieForTheBrowsersSessionStaysOne(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	if err := st.SetSecrets([]string{strings.Repeat("n", 32), stageSecret}); err != nil {
		t.Fatal(err)
	}
	a := st.visit(cookie, nil)
	if a.setCookie == "" || strings.Contains(a.setCookie, "Expires") || a.cookie == cookie {
		t.Errorf("Set-Cookie %q", a.setCookie)
	}
}

func TestSharingWithExpressRefusesKeysThatItDrops(t *testing.T) {
	t.Parallel()
	dropped := []string{
		"id", "req", "touch", "resetMaxAge", "save", "reload", "destroy", "regenerate", "constructor", "toString",
		"toLocaleString", "valueOf", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable",
	}
	always := []string{"cookie", "__cloakroom", "__proto__"}
	for _, sharing := range []bool{true, false} {
		st := newStage(t, core.Config{ShareWithExpress: sharing, Cookie: core.Cookie{Name: "sid"}})
		for _, key := range append(slices.Clone(dropped), always...) {
			refused := sharing || slices.Contains(always, key)
			for name, change := range map[string]func(*core.Session){
				"Set":    func(s *core.Session) { s.Set(key, 1) },
				"Update": func(s *core.Session) { core.Key[int](key).Update(s, func(n int) int { return n + 1 }) },
			} {
				var saveErr error
				a := st.visit("", func(s *core.Session) { change(s); saveErr = s.Save(t.Context()) })
				var keyErr *core.KeyError
				if refused != errors.Is(saveErr, core.ErrReservedKey) || refused != errors.As(saveErr, &keyErr) || refused && keyErr.Key != key {
					t.Errorf("sharing %v: %s of %q: %v", sharing, name, key, saveErr)
				}
				if want := map[bool]int{true: http.StatusInternalServerError, false: http.StatusOK}[refused]; a.status != want {
					t.Errorf("sharing %v: %s of %q: status %d", sharing, name, key, a.status)
				}
			}
		}
	}
}

func TestSharingWithExpressSaysWhatCannotWorkAndWhy(t *testing.T) {
	t.Parallel()
	for why, change := range map[string]func(*core.Config){
		"express-session looks for a session under its id": func(c *core.Config) { c.HashIDs = true },
		"express-session cannot read what is sealed":       func(c *core.Config) { c.SealKeys = []string{strings.Repeat("k", 32)} },
	} {
		cfg := good()
		cfg.ShareWithExpress = true
		change(&cfg)
		if _, err := core.New(cfg); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("error is %v, want one that says that %s", err, why)
		}
	}
	st := newStage(t, core.Config{ShareWithExpress: true, AbsoluteTimeout: time.Hour, Cookie: core.Cookie{Name: "sid"}})
	if got := st.log.count("AbsoluteTimeout is not enforced by the Express side of Config.ShareWithExpress, which knows no such limit"); got != 1 {
		t.Errorf("warned %d times about the absolute timeout:\n%s", got, st.log)
	}
}

// Package fmt cannot call methods on what an unexported field holds, so nothing
// but a pointer may stand there.
func TestAStructThatKeepsASessionDoesNotPrintIt(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store))
	s := load(t, m, visitor(t, m, func(s *core.Session) { colour.Set(s, "white-as-snow") }))
	ticket.Set(s, "ticket-to-ride")
	keeper := struct{ session *core.Session }{s}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		text := fmt.Sprintf(verb, keeper) + fmt.Sprintf(verb, &keeper)
		for _, secret := range []string{s.ID(), "snow", "ride"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s prints a secret: %s", verb, text)
			}
		}
	}
}

func TestSaveUninitializedStoresNothingThatNobodyCouldUse(t *testing.T) {
	t.Parallel()
	st := new(mapstore.Store)
	m := process(t, st, func(c *core.Config) {
		c.SaveUninitialized = true
		c.Cookie.Secure = core.SecureAlways
	})
	if cookie := commit(t, m, load(t, m, ""), ""); cookie != "" || live(st) != 0 {
		t.Errorf("an untouched session over plain HTTP: cookie %v, %d records; want none", cookie != "", live(st))
	}
}

// A browser that sends an id which was given up a moment ago may have the next one by
// the time that the answer comes, and a cookie of ours would take its place.
func TestSaveUninitializedMakesNoSessionInPlaceOfOneThatMovedOn(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{SaveUninitialized: true})
	old := st.visit("", func(s *core.Session) { s.Set("n", 1) }).cookie
	st.visit(old, func(s *core.Session) { s.Regenerate() })
	st.store.took()
	a := st.visit(old, func(*core.Session) {})
	if verbs := st.store.verbs(); a.status != http.StatusOK || a.setCookie != "" || verbs != "load" {
		t.Errorf("status %d, %q, and the store was asked for %q; want 200, no cookie, a load", a.status, a.setCookie, verbs)
	}
	if a := st.visit("", func(*core.Session) {}); a.setCookie == "" {
		t.Error("a visitor without a cookie gets none")
	}
}

// A tattler is a value whose methods for JSON fail with what it holds.
type tattler struct{ Secret string }

func (v tattler) MarshalJSON() ([]byte, error) { return nil, errors.New("cannot encode " + v.Secret) }

func (v *tattler) UnmarshalJSON(raw []byte) error { return errors.New("cannot decode " + string(raw)) }

// Every method that returns an error is made to return one about something that
// is marked.
//
// Standards: ASVS-16.2.5
func TestNoErrorTellsWhatItIsAbout(t *testing.T) {
	t.Parallel()
	const mark = "HUSH-HUSH"
	told := make(map[string]error)
	check := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: no error", what)
		}
		told[what] = err
	}
	var (
		st     = new(mapstore.Store)
		number core.Key[int]
		tat    core.Key[tattler]
		never  core.Key[chan string]
		id     = "the-" + mark + "-id-of-a-session"
		cookie = core.Sign(testSecret, id)
	)
	number, tat, never = "text", "text", "text"
	plant := func(data string) {
		_ = st.Delete(t.Context(), id)
		if err := st.Create(t.Context(), store.Record{ID: id, Data: []byte(data), TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	const record = `{"cookie":{},"text":"` + mark + `","flash":"` + mark + `"}`
	plant(record)
	m := process(t, st)
	saved := func(change func(s *core.Session)) error {
		s := load(t, m, cookie)
		change(s)
		return s.Save(t.Context())
	}

	_, err := number.Lookup(load(t, m, cookie))
	check("Lookup as a number", err)
	_, err = tat.Lookup(load(t, m, cookie))
	check("Lookup as a type whose method fails", err)
	check("Set of a type whose method fails", saved(func(s *core.Session) { tat.Set(s, tattler{mark}) }))
	check("Set of a type that JSON has not", saved(func(s *core.Session) { never.Set(s, nil) }))
	check("Update of another type", saved(func(s *core.Session) { number.Update(s, func(n int) int { return n }) }))
	check("Update to what cannot be encoded", saved(func(s *core.Session) { s.Delete("text"); tat.Update(s, func(tattler) tattler { return tattler{mark} }) }))
	check("Flash on what are no flashes", saved(func(s *core.Session) { s.Flash("info", mark) }))
	check("a reserved key", saved(func(s *core.Session) { s.Set("cookie", mark) }))
	_, err = number.Take(t.Context(), load(t, m, cookie))
	check("Take of another type", err)

	plant(record)
	s := load(t, m, cookie)
	_ = st.Delete(t.Context(), id)
	s.Set("text", "another "+mark)
	check("Save of a session that has ended", s.Save(t.Context()))
	check("Reload", s.Reload(t.Context()))
	check("Check", s.Check(t.Context()))
	check("Edit", m.Edit(t.Context(), id, func(*core.Session) error { return nil }))
	_, err = m.Commit(t.Context(), s, false)
	check("Commit", err)

	for what, change := range map[string]func(c *core.Config){
		"GenerateID that fails": func(c *core.Config) {
			c.GenerateID = func(*http.Request) (string, error) { return "", errors.New(mark) }
		},
		"GenerateID that is too short": func(c *core.Config) { c.GenerateID = func(*http.Request) (string, error) { return mark, nil } },
		"a session that is too large":  func(c *core.Config) { c.MaxBytes = 10 },
		"too many keys":                func(c *core.Config) { c.MaxKeys = 1 },
		"an id that is in use":         func(c *core.Config) { c.GenerateID = func(*http.Request) (string, error) { return id, nil } },
		"a cookie that is too large": func(c *core.Config) {
			c.GenerateID = func(*http.Request) (string, error) { return strings.Repeat(mark, 500), nil }
		},
		"a store that fails": func(c *core.Config) {
			down := &faultyStore{Store: st}
			down.down(&store.Error{Store: "test", Verb: "create", Class: "down", Outcome: store.OutcomeNotApplied})
			c.Store = down
		},
	} {
		plant(record)
		s := load(t, process(t, st, change), "")
		s.Set("text", mark)
		s.Set("more", mark)
		check(what, s.Save(t.Context()))
	}
	sealed := process(t, st, func(c *core.Config) { c.SealKeys = []string{strings.Repeat(mark, 4)} })
	sealedCookie := visitor(t, sealed, func(s *core.Session) { s.Set("text", mark) })
	_, err = m.Load(t.Context(), sealedCookie)
	check("a sealed record without its key", err)

	check("SetSecrets", m.SetSecrets([]string{mark, " "}))
	for what, cfg := range map[string]core.Config{
		"New with a blank secret":   {Store: st, Secrets: []string{mark, ""}},
		"New with a short seal key": {Store: st, Secrets: []string{mark}, SealKeys: []string{mark}},
	} {
		_, err := core.New(cfg)
		check(what, err)
	}
	for what, err := range told {
		for _, text := range []string{fmt.Sprint(err), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err), fmt.Sprintf("%q", err)} {
			if strings.Contains(text, mark) || strings.Contains(text, testSecret) {
				t.Errorf("%s: %s", what, text)
			}
		}
	}
}
