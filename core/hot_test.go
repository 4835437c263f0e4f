package core_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
)

// These tests are about sessions that come again and again, of which a Manager over a
// store in memory remembers the cookie and what is in the record. Nothing may follow
// from that.

// warm has a session come so often that it is remembered.
func warm(t testing.TB, m *core.Manager, cookie string) {
	t.Helper()
	for range 4 {
		if s := load(t, m, cookie); s.Status() != core.StatusLoaded {
			t.Fatalf("the session is %v", s.Status())
		}
	}
}

// Standards: ASVS-7.2.1
func TestACookieThatComesOftenGoesWithTheSecretThatSignedIt(t *testing.T) {
	const other = "fedcba9876543210fedcba9876543210"
	m := process(t, new(mapstore.Store))
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
	warm(t, m, cookie)

	if err := m.SetSecrets([]string{other}); err != nil {
		t.Fatal(err)
	}
	if s := load(t, m, cookie); s.Status() != core.StatusInvalid || s.Has("counter") {
		t.Errorf("under other secrets the session is %v", s.Status())
	}

	if err := m.SetSecrets([]string{other, testSecret}); err != nil {
		t.Fatal(err)
	}
	warm(t, m, cookie)
	s := load(t, m, cookie)
	if signed := commit(t, m, s, cookie); signed == cookie {
		t.Error("the cookie is not signed anew under the first secret")
	} else if warm(t, m, signed); load(t, m, signed).ID() != s.ID() {
		t.Error("the cookie that was signed anew leads to another session")
	}
	if err := m.SetSecrets([]string{other}); err != nil {
		t.Fatal(err)
	}
	if s := load(t, m, cookie); s.Status() != core.StatusInvalid {
		t.Errorf("without its secret the session is %v", s.Status())
	}
}

// Standards: ASVS-7.4.1
func TestASessionThatComesOftenEnds(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		name string
		end  func(s *core.Session) error
	}{
		{"by Destroy", func(s *core.Session) error { return s.Destroy(ctx) }},
		{"by SignOut", func(s *core.Session) error { return s.SignOut(ctx) }},
		{"by Renew", func(s *core.Session) error { return s.Renew() }},
		{"by Regenerate", func(s *core.Session) error { return s.Regenerate() }},
	} {
		for _, where := range []string{"here", "in another process"} {
			t.Run(tt.name+" "+where, func(t *testing.T) {
				st := new(mapstore.Store)
				m := process(t, st)
				cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
				warm(t, m, cookie)
				ending := m
				if where != "here" {
					ending = process(t, st)
				}
				s := load(t, ending, cookie)
				if err := tt.end(s); err != nil {
					t.Fatal(err)
				}
				commit(t, ending, s, cookie)
				for range 3 {
					if s := load(t, m, cookie); s.Status() != core.StatusUnknown || s.Has("counter") {
						t.Fatalf("after its end the session is %v", s.Status())
					}
				}
			})
		}
	}
}

func TestWhatAnotherProcessStoresIsSeenAtOnce(t *testing.T) {
	st := new(mapstore.Store)
	m1, m2 := process(t, st), process(t, st)
	cookie := visitor(t, m1, func(s *core.Session) { counter.Set(s, 0) })
	for want := range 50 {
		for _, m := range []*core.Manager{m1, m2} {
			warm(t, m, cookie)
			if got := counter.Get(load(t, m, cookie)); got != want {
				t.Fatalf("the counter is %d, want %d", got, want)
			}
		}
		writer := []*core.Manager{m1, m2}[want%2]
		s := load(t, writer, cookie)
		counter.Update(s, func(n int) int { return n + 1 })
		commit(t, writer, s, cookie)
	}
}

func TestManagersOfOneStoreDoNotShareWhatTheyRemember(t *testing.T) {
	st := new(mapstore.Store)
	m := process(t, st)
	other := process(t, st, func(c *core.Config) {
		c.Secrets = []string{"fedcba9876543210fedcba9876543210"}
		c.Cookie.Name = "other"
	})
	week := process(t, st, func(c *core.Config) { c.Cookie.MaxAge = 7 * 24 * time.Hour })
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
	warm(t, m, cookie)
	for range 3 {
		if s := load(t, other, cookie); s.Status() != core.StatusInvalid {
			t.Fatalf("with other secrets the session is %v", s.Status())
		}
	}
	warm(t, week, cookie)
	s := load(t, week, cookie)
	counter.Set(s, 2)
	header, err := week.Commit(context.Background(), s, false)
	if err != nil || !strings.Contains(header, "Max-Age=604800") {
		t.Errorf("the cookie is %q (%v), want one for a week", header, err)
	}
}

// With ten thousand forgeries, several share the place of the genuine cookie.
func TestNoForgeryPassesForACookieThatComesOften(t *testing.T) {
	m := process(t, new(mapstore.Store))
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
	warm(t, m, cookie)
	id, signature, _ := strings.Cut(cookie, ".")
	for i := range 10_000 {
		forged := []byte(signature)
		forged[i%43] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[i/43%32]
		if string(forged) == signature || strings.Contains(signature[max(0, i%43-2):i%43+1], "%") { // the same, or an escape
			continue
		}
		for range 2 {
			if s := load(t, m, id+"."+string(forged)); s.Status() == core.StatusLoaded || s.Has("counter") {
				t.Fatalf("a forged cookie leads to a session that is %v", s.Status())
			}
		}
	}
	warm(t, m, cookie)
}

// A self is a type whose own decoder uses the text that it is given as it likes.
type self struct{ text []byte }

func (s *self) UnmarshalJSON(text []byte) error {
	s.text = bytes.Clone(text)
	return nil
}

func TestWhatAHandlerDoesToAValueStaysInItsRequest(t *testing.T) {
	const (
		raw   core.Key[json.RawMessage] = "raw"
		data  core.Key[[]byte]          = "data"
		list  core.Key[[]string]        = "list"
		table core.Key[map[string]any]  = "table"
		own   core.Key[self]            = "raw"
	)
	m := process(t, new(mapstore.Store))
	cookie := visitor(t, m, func(s *core.Session) {
		raw.Set(s, json.RawMessage(`{"a":1}`))
		data.Set(s, []byte("data"))
		list.Set(s, []string{"a", "b"})
		table.Set(s, map[string]any{"a": "b"})
	})
	for range 5 {
		s := load(t, m, cookie)
		got := fmt.Sprintf("%s %s %v %v %v", raw.Get(s), data.Get(s), list.Get(s), table.Get(s), s.Get("raw"))
		if want := `{"a":1} data [a b] map[a:b] map[a:1]`; got != want {
			t.Fatalf("the session holds %s, want %s", got, want)
		}
		scrawl(raw.Get(s))
		scrawl(data.Get(s))
		scrawl(own.Get(s).text)
		clear(list.Get(s))
		clear(table.Get(s))
		clear(s.Get("raw").(map[string]any))
		for key := range s.Keys() {
			s.Get(key)
		}
	}
}

// scrawl overwrites data.
func scrawl(data []byte) {
	for i := range data {
		data[i] = '!'
	}
}

func TestManyRequestsUseASessionThatComesOften(t *testing.T) {
	m := process(t, new(mapstore.Store))
	cookie := visitor(t, m, func(s *core.Session) {
		for i := range 40 {
			core.Key[int](fmt.Sprint("key", i)).Set(s, i)
		}
	})
	warm(t, m, cookie)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for range 25 {
				s, err := m.Load(context.Background(), cookie)
				if err != nil {
					t.Error(err)
					return
				}
				for i := range 40 {
					if got := core.Key[int](fmt.Sprint("key", i)).Get(s); got != i {
						t.Errorf("key %d is %d", i, got)
					}
				}
				if g%2 == 0 {
					counter.Update(s, func(n int) int { return n + 1 })
				}
				if _, err := m.Commit(context.Background(), s, false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := counter.Get(load(t, m, cookie)); got != 100 {
		t.Errorf("the counter is %d, want 100", got)
	}
}

// Standards: ASVS-7.3.1, ASVS-7.3.2
func TestATimeoutEndsASessionThatComesOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := process(t, new(mapstore.Store), func(c *core.Config) { c.IdleTimeout, c.AbsoluteTimeout = time.Hour, 90*time.Minute })
		idle := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		active := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		warm(t, m, idle)
		for range 89 {
			time.Sleep(time.Minute)
			s := load(t, m, active)
			if s.Status() != core.StatusLoaded {
				t.Fatalf("the active session is %v", s.Status())
			}
			commit(t, m, s, active)
		}
		if s := load(t, m, idle); s.Status() != core.StatusUnknown {
			t.Errorf("after 89 minutes without activity the session is %v", s.Status())
		}
		time.Sleep(time.Minute)
		if s := load(t, m, active); s.Status() != core.StatusUnknown {
			t.Errorf("after its absolute timeout the session is %v", s.Status())
		}
	})
}

func TestATakenValueIsTakenOnceFromASessionThatComesOften(t *testing.T) {
	m := process(t, new(mapstore.Store))
	cookie := visitor(t, m, func(s *core.Session) { ticket.Set(s, "once") })
	warm(t, m, cookie)
	s1, s2 := load(t, m, cookie), load(t, m, cookie)
	if got, err := ticket.Take(context.Background(), s1); got != "once" || err != nil {
		t.Errorf("the first got %q, %v", got, err)
	}
	if got, err := ticket.Take(context.Background(), s2); got != "" || !errors.Is(err, core.ErrAbsent) {
		t.Errorf("the second got %q, %v", got, err)
	}
	if load(t, m, cookie).Has("ticket") {
		t.Error("a later request has it")
	}
}
