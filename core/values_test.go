package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
)

type cart struct {
	Items []string       `json:"items"`
	Count map[string]int `json:"count"`
	Note  *string        `json:"note,omitempty"`
}

// roundTrip stores a value under a typed key and reads it in the next request.
func roundTrip[T any](t *testing.T, value T) {
	t.Helper()
	t.Run(fmt.Sprintf("%T", value), func(t *testing.T) {
		t.Parallel()
		const key core.Key[T] = "value"
		st := newStage(t, core.Config{})
		same := func(where string, got T) {
			t.Helper()
			if !reflect.DeepEqual(got, value) {
				t.Errorf("%s: got %#v, want %#v", where, got, value)
			}
		}
		cookie := st.visit("", func(s *core.Session) {
			var zero T
			if got, err := key.Lookup(s); !errors.Is(err, core.ErrAbsent) || !reflect.DeepEqual(got, zero) {
				t.Errorf("before it is set: %#v, %v", got, err)
			}
			key.Set(s, value)
			same("in the request that set it", key.Get(s))
		}).cookie
		cookie = st.visit(cookie, func(s *core.Session) {
			got, err := key.Lookup(s)
			if err != nil {
				t.Error(err)
			}
			same("in the next request", got)
			same("what Update returns", key.Update(s, func(v T) T { return v }))
		}).cookie
		st.visit(cookie, func(s *core.Session) {
			same("what Pop returns", key.Pop(s))
			if s.Has("value") {
				t.Error("Pop left it")
			}
		})
		st.visit(cookie, func(s *core.Session) {
			if s.Has("value") {
				t.Error("it came back")
			}
			key.Delete(s)
		})
	})
}

func TestValuesOfManyTypesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	note := "a note"
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	roundTrip(t, 42)
	roundTrip(t, -7)
	roundTrip(t, int64(math.MaxInt64))
	roundTrip(t, uint64(math.MaxUint64))
	roundTrip(t, 1.5)
	roundTrip(t, true)
	roundTrip(t, "plain")
	roundTrip(t, "<a href=\"x\">&amp;</a>\u2028\n\x00 schlüssel 🔑")
	roundTrip(t, []byte("bytes"))
	roundTrip(t, []int{1, 2, 3})
	roundTrip(t, map[string][]string{"a": {"b"}})
	roundTrip(t, cart{Items: []string{"x"}, Count: map[string]int{"x": 1}, Note: &note})
	roundTrip(t, &cart{Items: []string{"x"}})
	roundTrip(t, time.Date(2026, 11, 21, 8, 30, 14, 123456789, time.UTC))
	roundTrip(t, json.RawMessage(`{"a":[1,"two",null]}`))
	roundTrip(t, huge)
	roundTrip(t, time.Minute)
	roundTrip(t, [2]string{"a", "b"})
	roundTrip[any](t, map[string]any{"a": 1.0})
}

func TestAValueThatIsSetIsACopy(t *testing.T) {
	t.Parallel()
	const key core.Key[*cart] = "cart"
	st := newStage(t, core.Config{})
	mine := &cart{Items: []string{"shoe"}}
	cookie := st.visit("", func(s *core.Session) {
		key.Set(s, mine)
		mine.Items[0] = "hat"
		key.Get(s).Items[0] = "sock"
	}).cookie
	st.visit(cookie, func(s *core.Session) {
		if got := key.Get(s).Items[0]; got != "shoe" {
			t.Errorf("the session has %q", got)
		}
	})
}

func TestUntypedAccess(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	keysOf := func(s *core.Session) string { return strings.Join(slices.Collect(s.Keys()), " ") }
	cookie := st.visit("", func(s *core.Session) {
		s.Set("b", 1)
		s.Set("a", []any{"x", nil})
		s.Set("null", nil)
		if got := keysOf(s); got != "b a null" {
			t.Errorf("keys: %s", got)
		}
		if s.Get("none") != nil || s.Has("none") || !s.Has("null") || s.Get("null") != nil {
			t.Error("Get and Has disagree")
		}
	}).cookie
	st.visit(cookie, func(s *core.Session) {
		if got := s.Get("b"); got != 1 {
			t.Errorf("b is %v (%T)", got, got)
		}
		s.Delete("a")
		s.Set("c", 3)
		s.Set("b", 2)
		s.Delete("none")
		if got := keysOf(s); got != "b null c" {
			t.Errorf("keys: %s", got)
		}
		if s.Get("cookie") != nil || s.Has("__cloakroom") {
			t.Error("members that are not the app's can be read")
		}
		s.Delete("cookie")
		s.Delete("__cloakroom")
	})
	st.visit(cookie, func(s *core.Session) {
		if got := keysOf(s); got != "b null c" {
			t.Errorf("keys in the next request: %s", got)
		}
		s.Clear()
		if got := keysOf(s); got != "" || s.Has("b") || s.Get("c") != nil {
			t.Errorf("keys after Clear: %s", got)
		}
		s.Set("only", 1)
	})
	st.visit(cookie, func(s *core.Session) {
		if got := keysOf(s); got != "only" || s.Status() != core.StatusLoaded {
			t.Errorf("keys after Clear in the next request: %s", got)
		}
		s.Set("only", 2)
		s.Discard()
		if got := s.Get("only"); got != 1 {
			t.Errorf("after Discard: %v", got)
		}
	})
	st.visit(cookie, func(s *core.Session) {
		if got := s.Get("only"); got != 1 {
			t.Errorf("after Discard in the next request: %v", got)
		}
		s.Clear()
	})
	st.visit(cookie, func(s *core.Session) {
		if got := keysOf(s); got != "" || s.Status() != core.StatusLoaded {
			t.Errorf("an emptied session: %v with %q", s.Status(), got)
		}
	})
}

func TestManyKeysKeepTheirOrderAndValues(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	const n = 200
	name := func(i int) string { return fmt.Sprintf("key %d", i*7919%n) }
	cookie := st.visit("", func(s *core.Session) {
		for i := range n {
			s.Set(name(i), i)
		}
		for i := range n {
			if i%2 == 0 {
				core.Key[int](name(i)).Update(s, func(v int) int { return v + 1000 })
			}
		}
	}).cookie
	st.visit(cookie, func(s *core.Session) {
		i := 0
		for key := range s.Keys() {
			want := i
			if i%2 == 0 {
				want += 1000
			}
			if key != name(i) || core.Key[int](key).Get(s) != want {
				t.Fatalf("key %d is %q with %v", i, key, s.Get(key))
			}
			i++
		}
		if i != n {
			t.Errorf("%d keys", i)
		}
	})
}

// Standards: ASVS-1.5.2, WSTG-SESS-08
func TestAValueOfAnotherShape(t *testing.T) {
	t.Parallel()
	const secret = "value-that-must-not-leak"
	st := newStage(t, core.Config{})
	for name, stored := range map[string]string{
		"a string": `"` + secret + `"`, "an object": `{"` + secret + `":1}`, "too large": `99999999999999999999`, "damaged": `{"x" ` + secret + `}`, "garbage": secret,
	} {
		cookie := st.put(name, `{"cookie":{},"n":`+stored+`,"other":1}`)
		const n core.Key[int] = "n"
		var saveErr error
		a := st.visit(cookie, func(s *core.Session) {
			got, err := n.Lookup(s)
			var keyErr *core.KeyError
			if !errors.As(err, &keyErr) || keyErr.Key != "n" || keyErr.Op != "get" || got != 0 || strings.Contains(err.Error(), secret) {
				t.Errorf("%s: Lookup: %d, %v", name, got, err)
			}
			if n.Get(s) != 0 || !s.Has("n") {
				t.Errorf("%s: Get: %d", name, n.Get(s))
			}
			if core.Key[int]("other").Get(s) != 1 {
				t.Errorf("%s: the other key is hurt", name)
			}
			called := false
			if got := n.Update(s, func(int) int { called = true; return 5 }); got != 0 || called {
				t.Errorf("%s: Update made %d of it", name, got)
			}
			if !s.Has("n") {
				t.Errorf("%s: Update that failed removed it", name)
			}
			saveErr = s.Save(t.Context())
		})
		var keyErr *core.KeyError
		if !errors.As(saveErr, &keyErr) || keyErr.Key != "n" || keyErr.Op != "update" || strings.Contains(saveErr.Error(), secret) {
			t.Errorf("%s: Save: %v", name, saveErr)
		}
		if a.status != http.StatusInternalServerError || !strings.Contains(st.stored(name), stored) {
			t.Errorf("%s: status %d, stored %s", name, a.status, st.stored(name))
		}

		// Setting it, or deleting it, mends it.
		if a := st.visit(cookie, func(s *core.Session) { n.Update(s, func(v int) int { return v }); n.Set(s, 7) }); a.status != http.StatusOK {
			t.Errorf("%s: status %d after Set", name, a.status)
		}
		st.visit(cookie, func(s *core.Session) {
			if got := n.Get(s); got != 7 {
				t.Errorf("%s: after Set: %d", name, got)
			}
		})
	}
	if strings.Contains(st.log.String(), secret) {
		t.Errorf("the log has the value:\n%s", st.log)
	}
}

type leaky struct{ Secret string }

func (l leaky) MarshalJSON() ([]byte, error) { return nil, fmt.Errorf("cannot encode %q", l.Secret) }

type leakyReader struct{}

func (*leakyReader) UnmarshalJSON(b []byte) error { return fmt.Errorf("cannot decode %q", b) }

func TestAValueThatCannotBeEncodedFailsTheResponseAndNamesTheKey(t *testing.T) {
	t.Parallel()
	const secret = "value-that-must-not-leak"
	type node struct {
		Secret string
		Next   *node
	}
	cycle := &node{Secret: secret}
	cycle.Next = cycle
	for name, value := range map[string]any{
		"a channel": make(chan int), "a func": func() {}, "NaN": math.NaN(), "infinity": math.Inf(1), "a cycle": cycle, "a complex number": 1i,
		"a failing MarshalJSON": leaky{secret}, "inside of something": map[string]any{"x": []any{leaky{secret}}}, "invalid raw JSON": json.RawMessage(secret),
	} {
		for way, set := range map[string]func(*core.Session){
			"Set":    func(s *core.Session) { s.Set("bad", value) },
			"Update": func(s *core.Session) { core.Key[any]("bad").Update(s, func(any) any { return value }) },
		} {
			st := newStage(t, core.Config{})
			var saveErr error
			a := st.request("", func(w http.ResponseWriter, r *http.Request) {
				s := core.FromContext(r.Context())
				s.Set("good", 1)
				set(s)
				saveErr = s.Save(r.Context())
				_, err := io.WriteString(w, "success")
				if !errors.Is(err, saveErr) {
					t.Errorf("%s, %s: the handler's write returned %v", name, way, err)
				}
			})
			var keyErr *core.KeyError
			if !errors.As(saveErr, &keyErr) || keyErr.Key != "bad" || keyErr.Op != strings.ToLower(way) {
				t.Errorf("%s, %s: %v", name, way, saveErr)
			}
			if a.status != http.StatusInternalServerError || strings.Contains(a.body, "success") || a.setCookie != "" || st.store.verbs() != "" {
				t.Errorf("%s, %s: status %d, body %q, Set-Cookie %q", name, way, a.status, a.body, a.setCookie)
			}
			if text := fmt.Sprint(saveErr, a.body, st.log); strings.Contains(text, secret) || !strings.Contains(text, `"bad"`) {
				t.Errorf("%s, %s: leaks the value, or does not name the key: %s", name, way, text)
			}
		}
	}
	st := newStage(t, core.Config{})
	for name, mend := range map[string]func(*core.Session){
		"Set": func(s *core.Session) { s.Set("bad", 1) }, "Delete": func(s *core.Session) { s.Delete("bad") },
		"Clear": func(s *core.Session) { s.Clear() }, "Discard": func(s *core.Session) { s.Discard() },
	} {
		if a := st.visit("", func(s *core.Session) { s.Set("bad", func() {}); mend(s) }); a.status != http.StatusOK {
			t.Errorf("%s does not mend it: status %d", name, a.status)
		}
	}
	st.visit(st.signIn(), func(s *core.Session) {
		if _, err := core.Key[leakyReader]("user").Lookup(s); err == nil || strings.Contains(err.Error(), "ada") {
			t.Errorf("a failing UnmarshalJSON: %v", err)
		}
	})
}

func TestAFunctionGivenToUpdateThatUsesTheSessionIsAnErrorAndNoDeadlock(t *testing.T) {
	t.Parallel()
	const n core.Key[int] = "n"
	ctx := context.Background()
	uses := map[string]func(*core.Session){
		"Get":           func(s *core.Session) { s.Get("n") },
		"Key.Get":       func(s *core.Session) { n.Get(s) },
		"Set":           func(s *core.Session) { s.Set("n", 1) },
		"Delete":        func(s *core.Session) { s.Delete("n") },
		"Clear":         func(s *core.Session) { s.Clear() },
		"Has":           func(s *core.Session) { s.Has("n") },
		"Keys":          func(s *core.Session) { _ = slices.Collect(s.Keys()) },
		"ID":            func(s *core.Session) { s.ID() },
		"CreatedAt":     func(s *core.Session) { s.CreatedAt() },
		"Update":        func(s *core.Session) { n.Update(s, func(n int) int { return n }) },
		"Flash":         func(s *core.Session) { s.Flash("a", "b") },
		"Flashes":       func(s *core.Session) { s.Flashes("a") },
		"Touch":         func(s *core.Session) { s.Touch() },
		"Discard":       func(s *core.Session) { s.Discard() },
		"Renew":         func(s *core.Session) { mustBeReentered(t, s.Renew()) },
		"Regenerate":    func(s *core.Session) { mustBeReentered(t, s.Regenerate()) },
		"SetMaxAge":     func(s *core.Session) { mustBeReentered(t, s.SetMaxAge(time.Hour)) },
		"Destroy":       func(s *core.Session) { mustBeReentered(t, s.Destroy(ctx)) },
		"Save":          func(s *core.Session) { mustBeReentered(t, s.Save(ctx)) },
		"Reload":        func(s *core.Session) { mustBeReentered(t, s.Reload(ctx)) },
		"Check":         func(s *core.Session) { mustBeReentered(t, s.Check(ctx)) },
		"Take":          func(s *core.Session) { _, err := n.Take(ctx, s); mustBeReentered(t, err) },
		"UpgradeHeader": func(s *core.Session) { _, err := s.UpgradeHeader(ctx); mustBeReentered(t, err) },
	}
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, core.Config{})
			cookie := st.signIn()
			var saveErr error
			a := st.visit(cookie, func(s *core.Session) {
				var others sync.WaitGroup
				done := make(chan struct{})
				for range 4 { // other goroutines want the session at the same time
					others.Go(func() {
						for {
							select {
							case <-done:
								return
							default:
								s.Get("user")
							}
						}
					})
				}
				n.Update(s, func(v int) int { use(s); return v + 1 })
				close(done)
				others.Wait()
				saveErr = s.Save(ctx)
			})
			mustBeReentered(t, saveErr)
			if a.status != http.StatusInternalServerError {
				t.Errorf("status %d", a.status)
			}
			if stored := st.stored(st.idOf(cookie)); strings.Contains(stored, `"n"`) {
				t.Errorf("stored: %s", stored)
			}
		})
	}
}

func mustBeReentered(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, core.ErrReentered) {
		t.Errorf("error is %v, want ErrReentered", err)
	}
}

func TestAFunctionGivenToUpdateThatUsesTheSessionWhenItIsCalledAgainIsAnError(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store))
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1); colour.Set(s, "red") })
	s, rival := load(t, m, cookie), load(t, m, cookie)
	counter.Update(s, func(n int) int {
		if n == 5 {
			return len(colour.Get(s))
		}
		return n + 1
	})
	counter.Set(rival, 5)
	commit(t, m, rival, cookie)
	_, err := m.Commit(t.Context(), s, false)
	mustBeReentered(t, err)
	if got := counter.Get(load(t, m, cookie)); got != 5 {
		t.Errorf("stored: %d, want what the other request stored: 5", got)
	}
}

func TestAFunctionGivenToUpdateThatAnswersIsAnErrorAndNoDeadlock(t *testing.T) {
	t.Parallel()
	const n core.Key[int] = "n"
	for _, tt := range []struct {
		name   string
		before bool // a byte has left before Update
		use    func(st *stage, w http.ResponseWriter, r *http.Request)
		want   int
	}{
		{"the first byte", false, func(_ *stage, w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) }, http.StatusInternalServerError},
		{"a further byte", true, func(_ *stage, w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) }, http.StatusOK},
		{"the request dispatched again", false, dispatchAgain, http.StatusInternalServerError},
		{"the request dispatched again, after a byte", true, dispatchAgain, http.StatusOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, core.Config{})
			a := st.request(st.signIn(), func(w http.ResponseWriter, r *http.Request) {
				s := core.FromContext(r.Context())
				if tt.before {
					_, _ = w.Write([]byte("x"))
				}
				n.Update(s, func(v int) int { tt.use(st, w, r); return v })
			})
			if a.status != tt.want {
				t.Errorf("status %d, want %d", a.status, tt.want)
			}
		})
	}
}

// dispatchAgain sends a request through the middleware that it came from.
func dispatchAgain(st *stage, w http.ResponseWriter, r *http.Request) {
	st.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
}

func TestOtherGoroutinesMayUseTheSessionWhileUpdateRuns(t *testing.T) {
	t.Parallel()
	const n core.Key[int] = "n"
	st := newStage(t, core.Config{})
	cookie := st.visit("", func(s *core.Session) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for i := range 50 {
					n.Update(s, func(v int) int { return v + 1 })
					s.Set("last", i)
					s.Get("n")
					_ = slices.Collect(s.Keys())
				}
			})
		}
		wg.Wait()
	}).cookie
	st.visit(cookie, func(s *core.Session) {
		if got := n.Get(s); got != 400 {
			t.Errorf("n is %d", got)
		}
	})
}

func TestAnotherGoroutineThatWaitsForUpdateIsNoReentrance(t *testing.T) {
	t.Parallel()
	const n core.Key[int] = "n"
	st := newStage(t, core.Config{})
	for range 20 {
		a := st.visit("", func(s *core.Session) {
			var wg sync.WaitGroup
			n.Update(s, func(v int) int {
				started := make(chan struct{})
				wg.Go(func() {
					close(started)
					s.Set("other", true) // waits until the function has returned
				})
				<-started
				for range 1000 {
					runtime.Gosched()
				}
				return v + 1
			})
			wg.Wait()
			if n.Get(s) != 1 || s.Get("other") != true {
				t.Errorf("n %d, other %v", n.Get(s), s.Get("other"))
			}
		})
		if a.status != http.StatusOK {
			t.Fatalf("status %d", a.status)
		}
	}
}

func TestAPanicInUpdateLeavesTheSessionUsable(t *testing.T) {
	t.Parallel()
	const n core.Key[int] = "n"
	st := newStage(t, core.Config{})
	a := st.visit("", func(s *core.Session) {
		n.Set(s, 1)
		func() {
			defer func() { _ = recover() }()
			n.Update(s, func(int) int { panic("no") })
		}()
		if got := n.Update(s, func(v int) int { return v + 1 }); got != 2 {
			t.Errorf("Update returned %d", got)
		}
	})
	if a.status != http.StatusOK {
		t.Errorf("status %d", a.status)
	}
}

func TestFlashesAreThoseOfConnectFlash(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.visit("", func(s *core.Session) {
		if got := s.Flashes("info"); got != nil {
			t.Errorf("at first: %q", got)
		}
		s.Flash("info", "saved")
		s.Flash("error", "lost")
		s.Flash("info", "saved")
	}).cookie
	id := st.idOf(cookie)
	if got := st.stored(id); !strings.Contains(got, `"flash":{"error":["lost"],"info":["saved","saved"]}`) {
		t.Errorf("stored: %s", got)
	}
	st.visit(cookie, func(s *core.Session) {
		if got := s.Flashes("info"); !slices.Equal(got, []string{"saved", "saved"}) {
			t.Errorf("info: %q", got)
		}
		if got := s.Flashes("info"); got != nil {
			t.Errorf("info again: %q", got)
		}
	})
	st.visit(cookie, func(s *core.Session) {
		if got := s.Flashes("info"); got != nil {
			t.Errorf("info in the next request: %q", got)
		}
		if got := s.Flashes("error"); !slices.Equal(got, []string{"lost"}) {
			t.Errorf("error: %q", got)
		}
	})
	if got := st.stored(id); strings.Contains(got, "flash") {
		t.Errorf("nothing is left, but stored is %s", got)
	}

	// Two requests at once: both see it, and what one adds is not lost.
	st.visit(cookie, func(s *core.Session) { s.Flash("info", "a") })
	_, value, _ := strings.Cut(cookie, "=")
	first, _ := st.Load(t.Context(), value)
	second, _ := st.Load(t.Context(), value)
	if got := fmt.Sprint(first.Flashes("info"), second.Flashes("info")); got != "[a] [a]" {
		t.Errorf("both see %s", got)
	}
	second.Flash("info", "b")
	for _, s := range []*core.Session{second, first} {
		if _, err := st.Commit(t.Context(), s, false); err != nil {
			t.Error(err)
		}
	}
	st.visit(cookie, func(s *core.Session) {
		if got := s.Flashes("info"); !slices.Equal(got, []string{"b"}) {
			t.Errorf("left are %q", got)
		}
	})

	// Something else under that key is nobody's flash.
	odd := st.put("odd", `{"cookie":{},"flash":"text"}`)
	if a := st.visit(odd, func(s *core.Session) {
		if got := s.Flashes("info"); got != nil {
			t.Errorf("flashes: %q", got)
		}
	}); a.status != http.StatusOK {
		t.Errorf("status %d", a.status)
	}
	if a := st.visit(odd, func(s *core.Session) { s.Flash("info", "x") }); a.status != http.StatusInternalServerError {
		t.Errorf("status %d", a.status)
	}
}

func TestChangesThatComeTooLateAreDroppedAndLogged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		before func(*core.Session) // in the handler
		why    string
		later  bool // after the handler returned
	}{
		{name: "after Destroy", before: func(s *core.Session) { _ = s.Destroy(context.Background()) }, why: "after Destroy"},
		{name: "after the handler returned", why: "after the handler returned", later: true},
	}
	changes := map[string]func(*core.Session){
		"Set":       func(s *core.Session) { s.Set("late", 1) },
		"Delete":    func(s *core.Session) { s.Delete("user") },
		"Clear":     func(s *core.Session) { s.Clear() },
		"Update":    func(s *core.Session) { core.Key[int]("late").Update(s, func(int) int { return 1 }) },
		"Flash":     func(s *core.Session) { s.Flash("a", "late") },
		"SetMaxAge": func(s *core.Session) { _ = s.SetMaxAge(time.Hour) },
		"Renew":     func(s *core.Session) { _ = s.Renew() },
		"Touch":     func(s *core.Session) { s.Touch() },
	}
	for _, tt := range tests {
		for name, change := range changes {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				st := newStage(t, core.Config{})
				cookie := st.signIn()
				var session *core.Session
				st.store.took()
				a := st.visit(cookie, func(s *core.Session) {
					session = s
					if tt.before != nil {
						tt.before(s)
					}
					if !tt.later {
						change(s)
						change(s)
					}
				})
				if tt.later {
					change(session)
					change(session)
					if err := session.Save(t.Context()); !errors.Is(err, core.ErrHeadersSent) {
						t.Errorf("Save of what was dropped returned %v, want ErrHeadersSent", err)
					}
				}
				if a.status != http.StatusOK {
					t.Errorf("status %d", a.status)
				}
				if got := st.log.count("changes to a session were dropped, made " + tt.why); got != 1 {
					t.Errorf("logged %d times:\n%s", got, st.log)
				}
				if got := st.events.count(core.EventDropped); got != 1 {
					t.Errorf("%d events", got)
				}
				for _, c := range st.store.took() {
					if c.verb == "create" || c.verb == "update" {
						t.Errorf("stored: %s", c.data)
					}
				}
			})
		}
	}
}

func TestAChangeOfANewSessionAfterTheFirstByteIsDroppedAndLogged(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	a := st.request("", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		_, _ = io.WriteString(w, "body")
		s.Set("late", 1)
		for name, err := range map[string]error{"Renew": s.Renew(), "Regenerate": s.Regenerate(), "SetMaxAge": s.SetMaxAge(time.Hour), "Save": s.Save(r.Context())} {
			if !errors.Is(err, core.ErrHeadersSent) {
				t.Errorf("%s: %v, want ErrHeadersSent", name, err)
			}
		}
	})
	if a.body != "body" || a.setCookie != "" || st.store.verbs() != "" {
		t.Errorf("body %q, Set-Cookie %q", a.body, a.setCookie)
	}
	if st.log.count("dropped, made after the first byte") != 1 || st.events.count(core.EventDropped) != 1 {
		t.Errorf("log:\n%s", st.log)
	}
}

func TestUpdateBesideACommitThatReplaysIt(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store))
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
	for range 50 {
		s, rival := load(t, m, cookie), load(t, m, cookie)
		counter.Update(rival, func(n int) int { return n + 1 })
		commit(t, m, rival, cookie)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 50 {
				counter.Update(s, func(n int) int { return n + 1 })
			}
		})
		if err := s.Save(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		commit(t, m, s, cookie)
	}
	if got := counter.Get(load(t, m, cookie)); got != 1+50*51 {
		t.Errorf("counter %d, want %d", got, 1+50*51)
	}
}

func TestSaveOfANewSessionAfterTheHandlerReturnedStoresNothing(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	var s *core.Session
	st.visit("", func(session *core.Session) { s = session })
	if err := s.Save(t.Context()); !errors.Is(err, core.ErrHeadersSent) {
		t.Errorf("Save: %v, want ErrHeadersSent: there is no response for the cookie", err)
	}
	s, err := st.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Commit(t.Context(), s, true); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context()); !errors.Is(err, core.ErrHeadersSent) {
		t.Errorf("Save after Manager.Commit: %v, want ErrHeadersSent", err)
	}
	if verbs := st.store.verbs(); verbs != "" {
		t.Errorf("calls to the store: %s", verbs)
	}
}

// What a verb accepted is in the cookie, however close it was to the first byte:
// another goroutine may be waiting for the session when the headers are made.
func TestNoVerbIsAcceptedBetweenTheCommitAndTheFirstByte(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store))
	cookie := visitor(t, m, func(s *core.Session) { s.Set("user", "ada") })
	last := 0 // max age in seconds: another each time, because the same again is no change
	times := 200
	if testing.Short() {
		times = 50
	}
	for range times {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header.Set("Cookie", "sid="+cookie)
		m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := core.FromContext(r.Context())
			started := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for first := true; s.SetMaxAge(time.Duration(last+1)*time.Second) == nil; first = false {
					if last++; first {
						close(started)
					}
				}
			})
			<-started
			w.WriteHeader(http.StatusOK)
			wg.Wait()
		})).ServeHTTP(w, r)
		if _, got, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";"); !strings.Contains(got, fmt.Sprintf("; Max-Age=%d;", last)) {
			t.Fatalf("accepted a max age of %d s, Set-Cookie has %q", last, got)
		}
	}
}

// Standards: NIST-5.1-logout, NIST-5.1-erase
func TestDestroyDeletesTheSessionAndItsCookie(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	id := st.idOf(cookie)
	a := st.visit(cookie, func(s *core.Session) {
		s.Set("n", 1)
		if err := s.Destroy(t.Context()); err != nil {
			t.Error(err)
		}
		if s.Has("n") {
			t.Error("the change is still there")
		}
		if err := s.Destroy(t.Context()); err != nil {
			t.Errorf("twice: %v", err)
		}
		if err := s.Save(t.Context()); !errors.Is(err, core.ErrSessionGone) {
			t.Errorf("Save: %v", err)
		}
		if err := s.Check(t.Context()); !errors.Is(err, core.ErrSessionGone) {
			t.Errorf("Check: %v", err)
		}
		if err := s.Reload(t.Context()); !errors.Is(err, core.ErrSessionGone) {
			t.Errorf("Reload: %v", err)
		}
	})
	if a.status != http.StatusOK || a.cookie != "" || st.stored(id) != "" {
		t.Errorf("status %d, Set-Cookie %q, stored %q", a.status, a.setCookie, st.stored(id))
	}
	st.visit(cookie, func(s *core.Session) {
		if s.Status() != core.StatusUnknown || s.ID() == id {
			t.Errorf("the old cookie leads to a session that is %v", s.Status())
		}
	})
	// Whoever brings no cookie has none to delete; an invalid one goes.
	for cookie, want := range map[string]bool{"": false, "sid=forged": true} {
		a := st.visit(cookie, func(s *core.Session) { _ = s.Destroy(t.Context()) })
		if got := strings.Contains(a.setCookie, "Max-Age=0"); got != want {
			t.Errorf("cookie %q: Set-Cookie %q", cookie, a.setCookie)
		}
	}
}

func TestTheIDIsMadeWhenItIsNeeded(t *testing.T) {
	t.Parallel()
	made := 0
	st := newStage(t, core.Config{GenerateID: func(r *http.Request) (string, error) {
		made++
		if r == nil {
			t.Error("no request")
		}
		return fmt.Sprintf("generated-id-%06d", made), nil
	}})
	st.visit("", nil)
	if made != 0 {
		t.Errorf("%d ids for a visitor who needs none", made)
	}
	var id, next string
	cookie := st.visit("", func(s *core.Session) {
		id = s.ID()
		if s.ID() != id {
			t.Error("the id changes")
		}
		s.Set("n", 1)
	}).cookie
	if got := st.idOf(cookie); got != id || made != 1 {
		t.Errorf("cookie has %q, the handler saw %q; %d made", got, id, made)
	}
	cookie = st.visit(cookie, func(s *core.Session) {
		if s.ID() != id {
			t.Errorf("the id is %q", s.ID())
		}
		_ = s.Renew()
		if next = s.ID(); next == id {
			t.Error("Renew keeps the id")
		}
	}).cookie
	if got := st.idOf(cookie); got != next {
		t.Errorf("cookie has %q, the handler saw %q", got, next)
	}
}

// Standards: ASVS-7.2.3
func TestAnUnusableIDFailsTheCommit(t *testing.T) {
	t.Parallel()
	for name, generate := range map[string]func(*http.Request) (string, error){
		"an error":             func(*http.Request) (string, error) { return "", errors.New("secret-id-in-an-error") },
		"too short":            func(*http.Request) (string, error) { return "fifteen-letters", nil },
		"empty":                func(*http.Request) (string, error) { return "", nil },
		"not UTF-8":            func(*http.Request) (string, error) { return "sixteen-letters-\xff\xfe", nil },
		"id and error at once": func(*http.Request) (string, error) { return "sixteen-letters-and-more", errors.New("but") },
	} {
		st := newStage(t, core.Config{GenerateID: generate})
		var saveErr error
		a := st.visit("", func(s *core.Session) {
			if got := s.ID(); got != "" {
				t.Errorf("%s: id %q", name, got)
			}
			s.Set("n", 1)
			saveErr = s.Save(t.Context())
		})
		if !errors.Is(saveErr, core.ErrInvalidID) || strings.Contains(saveErr.Error(), "secret-id") || a.status != http.StatusInternalServerError || st.store.verbs() != "" {
			t.Errorf("%s: %v, status %d", name, saveErr, a.status)
		}
	}
}

// Standards: ASVS-7.2.3, ASVS-11.5.1, NIST-5.1-random, WSTG-SESS-01
func TestIDsAre192RandomBits(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	seen := map[string]bool{}
	for range 1000 {
		s, err := st.Load(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		id := s.ID()
		if len(id) != 32 || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}

// A verb that needs a cookie tells that the headers are out for as long as anybody
// can ask, also when the handler has returned.
func TestAVerbThatNeedsACookieTellsThatTheHeadersAreOut(t *testing.T) {
	t.Parallel()
	verbs := func(s *core.Session) map[string]error {
		return map[string]error{
			"Renew": s.Renew(), "Regenerate": s.Regenerate(), "SetMaxAge": s.SetMaxAge(time.Hour), "SignIn": s.SignIn(t.Context(), "ada"),
		}
	}
	for name, write := range map[string]bool{"the handler wrote": true, "it did not": false} {
		st := newStage(t, core.Config{})
		cookie := st.signIn()
		var s *core.Session
		st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
			if s = core.FromContext(r.Context()); write {
				w.WriteHeader(http.StatusOK)
			}
		})
		for verb, err := range verbs(s) {
			if !errors.Is(err, core.ErrHeadersSent) {
				t.Errorf("%s: %s: %v, want ErrHeadersSent", name, verb, err)
			}
		}
	}
}

// However many keys of a large record are read, each is what it is: also those that the
// request changes meanwhile, and after all are read anew.
func TestManyKeysOfALargeSessionAreReadAsTheyAre(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	const keys = 60
	name := func(i int) string { return fmt.Sprint("key ", i) }
	cookie := st.visit("", func(s *core.Session) {
		for i := range keys {
			s.Set(name(i), i)
		}
	}).cookie
	st.visit(cookie, func(s *core.Session) {
		want := make(map[string]any)
		for i := range keys {
			want[name(i)] = i
		}
		check := func(when string) {
			t.Helper()
			for i := range keys + 1 {
				if got := s.Get(name(i)); got != want[name(i)] {
					t.Errorf("%s: %s is %v, want %v", when, name(i), got, want[name(i)])
				}
			}
		}
		check("as it was loaded")
		s.Set(name(3), "changed")
		s.Delete(name(4))
		want[name(3)], want[name(4)] = "changed", nil
		check("changed")
		if err := s.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("saved")
		s.Clear()
		clear(want)
		check("cleared")
		if s.Has("cookie") || s.Has("__cloakroom") {
			t.Error("a reserved member is a key")
		}
	})
}
