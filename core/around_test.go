package core_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

// What every app writes around its sessions: values that live for a while or are used
// once, messages, and what a page is told of the time that is left.

var tickets = core.OneTime[string]{Key: "tickets"}

func TestAOneTimeValueIsTakenOnceByItsNameAndLeavesTheOthers(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.visit("", func(s *core.Session) { tickets.Add(s, "a", "/one") }).cookie
	st.visit(cookie, func(s *core.Session) { tickets.Add(s, "b", "/two"); tickets.Add(s, "c", "/three") })
	take := func(name string) (value string, err error) {
		st.visit(cookie, func(s *core.Session) { value, err = tickets.Take(t.Context(), s, name) })
		return value, err
	}
	for name, want := range map[string]string{"b": "/two", "a": "/one"} {
		if got, err := take(name); got != want || err != nil {
			t.Errorf("%s is %q, %v", name, got, err)
		}
		if got, err := take(name); got != "" || !errors.Is(err, core.ErrAbsent) {
			t.Errorf("%s again is %q, %v", name, got, err)
		}
	}
	if _, err := take("d"); !errors.Is(err, core.ErrAbsent) {
		t.Errorf("what was never there is %v", err)
	}
	if got, err := take("c"); got != "/three" || err != nil {
		t.Errorf("c is %q, %v", got, err)
	}
	st.visit(cookie, func(s *core.Session) {
		if s.Has("tickets") {
			t.Error("an empty list is left")
		}
	})
}

func TestOfManyWhoTakeAOneTimeValueOneGetsIt(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.visit("", func(s *core.Session) {
		for i := range 8 {
			tickets.Add(s, fmt.Sprint(i), "x")
		}
	}).cookie
	_, value, _ := strings.Cut(cookie, "=")
	var (
		wait sync.WaitGroup
		mu   sync.Mutex
		got  = map[string]int{}
	)
	for i := range 40 { // in as many requests, of which each knows all
		name := fmt.Sprint(i % 8)
		s, err := st.Load(t.Context(), value)
		if err != nil {
			t.Fatal(err)
		}
		wait.Go(func() {
			_, err := tickets.Take(t.Context(), s, name)
			if err != nil && !errors.Is(err, core.ErrAbsent) {
				t.Errorf("Take: %v", err)
			}
			if err == nil {
				mu.Lock()
				got[name]++
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	for i := range 8 {
		if n := got[fmt.Sprint(i)]; n != 1 {
			t.Errorf("%d was taken %d times", i, n)
		}
	}
}

func TestOneTimeValuesThatAreAddedAtTheSameTimeAllCount(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.visit("", func(s *core.Session) { tickets.Add(s, "first", "x") }).cookie
	st.visit(cookie, func(slow *core.Session) {
		tickets.Add(slow, "slow", "s")
		st.beside(cookie, func(fast *core.Session) error {
			tickets.Add(fast, "fast", "f")
			if err := fast.Save(t.Context()); err != nil {
				return err
			}
			_, err := tickets.Take(t.Context(), fast, "first")
			return err
		})
		if got, err := tickets.Take(t.Context(), slow, "first"); !errors.Is(err, core.ErrAbsent) {
			t.Errorf("what the other request took is %q, %v", got, err)
		}
	})
	st.visit(cookie, func(s *core.Session) {
		for name, want := range map[string]string{"slow": "s", "fast": "f"} {
			if got, err := tickets.Take(t.Context(), s, name); got != want || err != nil {
				t.Errorf("%s is %q, %v", name, got, err)
			}
		}
	})
}

func TestOneTimeValuesAreBoundedAndGoByThemselves(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	three := core.OneTime[int]{Key: "numbers", Most: 3, Life: time.Minute}
	var cookie string
	for i := range 50 {
		cookie = st.visit(cookie, func(s *core.Session) { three.Add(s, fmt.Sprint(i), i) }).cookie
	}
	has := func(name string) (err error) {
		st.visit(cookie, func(s *core.Session) { _, err = three.Take(t.Context(), s, name) })
		return err
	}
	for name, want := range map[string]error{"0": core.ErrAbsent, "46": core.ErrAbsent, "47": nil} {
		if err := has(name); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	st.clock.advance(time.Minute - time.Millisecond)
	if err := has("48"); err != nil {
		t.Errorf("just before its time is over: %v", err)
	}
	st.clock.advance(time.Millisecond)
	if err := has("49"); !errors.Is(err, core.ErrAbsent) {
		t.Errorf("when its time is over: %v", err)
	}
	cookie = st.visit(cookie, func(s *core.Session) { three.Add(s, "new", 1) }).cookie
	if stored := st.stored(st.idOf(cookie)); strings.Contains(stored, `"49"`) {
		t.Errorf("what nobody came for is stored still: %s", stored)
	}
	var one string
	for i := range 11 {
		cookie = st.visit(cookie, func(s *core.Session) { tickets.Add(s, fmt.Sprint(i), "x") }).cookie
	}
	st.visit(cookie, func(s *core.Session) { one, _ = tickets.Take(t.Context(), s, "1") })
	if err := func() (err error) {
		st.visit(cookie, func(s *core.Session) { _, err = tickets.Take(t.Context(), s, "0") })
		return err
	}(); one != "x" || !errors.Is(err, core.ErrAbsent) {
		t.Errorf("of eleven, ten are kept by default: the second is %q, the first %v", one, err)
	}
}

func TestAOneTimeValueOfThisRequestIsTakenWithoutTheStore(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	a := st.visit("", func(s *core.Session) {
		tickets.Add(s, "a", "1")
		tickets.Add(s, "a", "2")
		if got, err := tickets.Take(t.Context(), s, "a"); got != "2" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := tickets.Take(t.Context(), s, "a"); !errors.Is(err, core.ErrAbsent) {
			t.Errorf("again: %v", err)
		}
	})
	if a.setCookie != "" {
		t.Error("an empty session was stored for it")
	}
	cookie := st.signIn()
	st.visit(cookie, func(s *core.Session) {
		tickets.Add(s, "a", "1")
		tickets.Add(s, "b", "2")
		if got, err := tickets.Take(t.Context(), s, "a"); got != "1" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
	st.visit(cookie, func(s *core.Session) {
		if _, err := tickets.Take(t.Context(), s, "a"); !errors.Is(err, core.ErrAbsent) {
			t.Errorf("in the next request: %v", err)
		}
		if got, err := tickets.Take(t.Context(), s, "b"); got != "2" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestAOneTimeValueThatCannotBeAddedFailsTheCommit(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	for name, add := range map[string]func(s *core.Session){
		"a life of nanoseconds": func(s *core.Session) { core.OneTime[int]{Key: "k", Life: 600}.Add(s, "a", 1) },
		"no name":               func(s *core.Session) { tickets.Add(s, "", "x") },
		"a name of 256 bytes":   func(s *core.Session) { tickets.Add(s, strings.Repeat("n", 256), "x") },
		"no JSON":               func(s *core.Session) { core.OneTime[chan int]{Key: "k"}.Add(s, "a", nil) },
		"a reserved key":        func(s *core.Session) { core.OneTime[int]{Key: "cookie"}.Add(s, "a", 1) },
	} {
		if a := st.visit("", add); a.status != http.StatusInternalServerError {
			t.Errorf("%s: status %d", name, a.status)
		}
	}
}

func TestAOneTimeValueHasTenMinutesByDefaultAndAnyNameOf255Bytes(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("n", 255)
	for after, want := range map[time.Duration]error{10*time.Minute - time.Millisecond: nil, 10 * time.Minute: core.ErrAbsent} {
		st := newStage(t, core.Config{})
		cookie := st.visit("", func(s *core.Session) { tickets.Add(s, name, "x") }).cookie
		st.clock.advance(after)
		st.visit(cookie, func(s *core.Session) {
			if _, err := tickets.Take(t.Context(), s, name); !errors.Is(err, want) {
				t.Errorf("after %v: %v, want %v", after, err, want)
			}
		})
	}
}

func TestAValueWithALifeIsThereUntilThatIsOver(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{IdleTimeout: 24 * time.Hour})
	cookie := st.visit("", func(s *core.Session) {
		colour.SetFor(s, "red", time.Hour)
		counter.Set(s, 1)
		if colour.Get(s) != "red" || s.Get("colour") != "red" {
			t.Errorf("it is %q at once", colour.Get(s))
		}
	}).cookie
	check := func(when string, want string) {
		t.Helper()
		st.visit(cookie, func(s *core.Session) {
			got, err := colour.Lookup(s)
			keys := slices.Collect(s.Keys())
			if got != want || errors.Is(err, core.ErrAbsent) != (want == "") || s.Has("colour") != (want != "") || slices.Contains(keys, "colour") != (want != "") || !slices.Contains(keys, "counter") {
				t.Errorf("%s: %q, %v, has %v, keys %q", when, got, err, s.Has("colour"), keys)
			}
			if any := s.Get("colour"); want == "" && any != nil {
				t.Errorf("%s: Get returns %v", when, any)
			}
		})
	}
	check("at first", "red")
	if stored, want := st.stored(st.idOf(cookie)), fmt.Sprintf(`"colour":{"__cloakroom_until":%d,"value":"red"}`, st.clock.Now().Add(time.Hour).UnixMilli()); !strings.Contains(stored, want) {
		t.Errorf("stored as %s, want %s", stored, want)
	}
	st.clock.advance(30 * time.Minute)
	st.visit(cookie, func(s *core.Session) { colour.Update(s, func(c string) string { return c + "dish" }) })
	st.clock.advance(30*time.Minute - time.Millisecond)
	check("just before it is over", "reddish")
	st.clock.advance(time.Millisecond)
	check("when it is over", "")
	st.visit(cookie, func(s *core.Session) {
		colour.Update(s, func(c string) string { return c + "blue" })
	})
	st.clock.advance(2 * time.Hour)
	check("one that was made of nothing", "blue")
	st.visit(cookie, func(s *core.Session) { colour.SetFor(s, "green", time.Hour) })
	st.visit(cookie, func(s *core.Session) { colour.Set(s, "green") })
	st.clock.advance(2 * time.Hour)
	check("one that was set for good", "green")
}

func TestAValueWithALifeIsTakenAndPoppedAsOthersAre(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.visit("", func(s *core.Session) { colour.SetFor(s, "red", time.Minute); counter.SetFor(s, 7, time.Minute) }).cookie
	st.visit(cookie, func(s *core.Session) {
		if got, err := colour.Take(t.Context(), s); got != "red" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if got := counter.Pop(s); got != 7 {
			t.Errorf("%d", got)
		}
		colour.SetFor(s, "blue", time.Minute)
		if got, err := colour.Take(t.Context(), s); got != "blue" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		colour.SetFor(s, "green", time.Minute)
	})
	st.clock.advance(time.Minute)
	st.visit(cookie, func(s *core.Session) {
		if got, err := colour.Take(t.Context(), s); got != "" || !errors.Is(err, core.ErrAbsent) {
			t.Errorf("what is over is taken: %q, %v", got, err)
		}
	})
	if stored := st.stored(st.idOf(cookie)); strings.Contains(stored, "colour") {
		t.Errorf("what was taken is stored: %s", stored)
	}
}

func TestAnUpdateThatIsDoneAgainKeepsTheLifeOfTheNewerValue(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.visit("", func(s *core.Session) { counter.Set(s, 1) }).cookie
	st.visit(cookie, func(slow *core.Session) {
		counter.Update(slow, func(n int) int { return n + 1 })
		st.beside(cookie, func(fast *core.Session) error {
			counter.SetFor(fast, 10, time.Minute)
			return fast.Save(t.Context())
		})
	})
	st.visit(cookie, func(s *core.Session) {
		if got := counter.Get(s); got != 11 {
			t.Errorf("%d, want 11", got)
		}
	})
	st.clock.advance(time.Minute)
	st.visit(cookie, func(s *core.Session) {
		if s.Has("counter") {
			t.Errorf("%d lives on", counter.Get(s))
		}
	})
}

func TestALifeThatIsNoneFailsTheCommit(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	for name, set := range map[string]func(s *core.Session){
		"nanoseconds":                    func(s *core.Session) { colour.SetFor(s, "red", 3600) },
		"none":                           func(s *core.Session) { colour.SetFor(s, "red", 0) },
		"a reserved key":                 func(s *core.Session) { core.Key[int]("cookie").SetFor(s, 1, time.Hour) },
		"a value that looks like having": func(s *core.Session) { s.Set("x", map[string]any{"__cloakroom_until": 1}) },
	} {
		var err error
		st.visit("", func(s *core.Session) { set(s); err = s.Save(t.Context()); s.Discard() })
		var keyErr *core.KeyError
		if !errors.As(err, &keyErr) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What others store in that shape, and without a time, is theirs.
func TestAnObjectThatOnlyLooksLikeALifeIsAValue(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.put("an-id-of-express-0123456789", `{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"a":{"__cloakroom_until":"soon","value":1},"b":{"__cloakroom_until":5},"c":{"__cloakroom_until":9999999999999, "value" : [1, 2]}}`)
	st.visit(cookie, func(s *core.Session) {
		for key, want := range map[string]string{"a": "map[__cloakroom_until:soon value:1]", "b": "map[__cloakroom_until:5]", "c": "[1 2]"} {
			if got := fmt.Sprint(s.Get(key)); got != want {
				t.Errorf("%s is %s, want %s", key, got, want)
			}
		}
	})
}

type notice struct {
	Text string `json:"text"`
	Undo int    `json:"undo,omitempty"`
}

const notices core.Flashes[notice] = "notice"

func TestFlashesOfAnyTypeAreStoredAsExpressHasThem(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.visit("", func(s *core.Session) {
		notices.Add(s, notice{"Deleted.", 5})
		s.Flash("info", "Saved.")
		notices.Add(s, notice{Text: "Sent."})
	}).cookie
	if stored, want := st.stored(st.idOf(cookie)), `"flash":{"info":["Saved."],"notice":[{"text":"Deleted.","undo":5},{"text":"Sent."}]}`; !strings.Contains(stored, want) {
		t.Errorf("stored as %s", stored)
	}
	st.visit(cookie, func(s *core.Session) {
		if got := notices.Pop(s); !slices.Equal(got, []notice{{"Deleted.", 5}, {Text: "Sent."}}) {
			t.Errorf("%v", got)
		}
		if got := notices.Pop(s); got != nil {
			t.Errorf("again: %v", got)
		}
		if got := s.Flashes("info"); !slices.Equal(got, []string{"Saved."}) {
			t.Errorf("%v", got)
		}
	})
	st.visit(cookie, func(s *core.Session) {
		if s.Has("flash") {
			t.Error("something is left")
		}
	})
}

func TestAFlashOfAnotherShapeIsDroppedAndHidesNone(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.put("an-id-of-express-9876543210", `{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"flash":{"info":[{"of":"express"},"Saved."],"error":["lost"]}}`)
	st.visit(cookie, func(s *core.Session) {
		if got := s.Flashes("info"); !slices.Equal(got, []string{"Saved."}) {
			t.Errorf("%v", got)
		}
	})
	st.visit(cookie, func(s *core.Session) {
		if got := s.Get("flash"); fmt.Sprint(got) != "map[error:[lost]]" {
			t.Errorf("%v is left", got)
		}
	})
}

func TestAFlashForThisPageIsNeverStored(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.visit("", func(s *core.Session) { notices.Add(s, notice{Text: "left before"}) }).cookie
	st.visit(cookie, func(s *core.Session) {
		notices.Now(s, notice{Text: "for now"})
		if got := notices.Pop(s); !slices.Equal(got, []notice{{Text: "left before"}, {Text: "for now"}}) {
			t.Errorf("%v", got)
		}
		notices.Now(s, notice{Text: "nobody asks for it"})
	})
	st.visit(cookie, func(s *core.Session) {
		if got := notices.Pop(s); got != nil {
			t.Errorf("in the next request: %v", got)
		}
	})
	if a := st.visit("", func(s *core.Session) { notices.Now(s, notice{Text: "x"}) }); a.setCookie != "" {
		t.Error("a session was made for it")
	}
	if a := st.visit("", func(s *core.Session) { core.Flashes[chan int]("x").Now(s, nil); notices.Now(s, notice{Text: "x"}) }); a.status != http.StatusInternalServerError {
		t.Errorf("what is no JSON: status %d", a.status)
	}
}

func TestFlashesThatAreKeptComeBeforeThoseThatWereLeftSince(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.visit("", func(s *core.Session) { s.Flash("info", "one"); s.Flash("info", "two"); s.Flash("error", "no") }).cookie
	infos := core.Flashes[string]("info")
	st.visit(cookie, func(s *core.Session) {
		infos.Now(s, "now")
		infos.Pop(s)
		s.Flash("info", "three")
		s.Flashes("error")
		infos.Keep(s)
		infos.Keep(s) // they are kept already
	})
	st.visit(cookie, func(s *core.Session) {
		if got := infos.Pop(s); !slices.Equal(got, []string{"one", "two", "three"}) {
			t.Errorf("%q", got)
		}
		if got := s.Flashes("error"); got != nil {
			t.Errorf("what was not kept: %q", got)
		}
	})
	st.visit(cookie, func(s *core.Session) {
		infos.Keep(s) // nothing was popped
		if s.Has("flash") {
			t.Error("something is left")
		}
	})
}

func TestASessionTellsWhenItEnds(t *testing.T) {
	t.Parallel()
	st, _ := newUserStage(t, core.Config{
		IdleTimeout: time.Hour, AbsoluteTimeout: 90 * time.Minute,
		Passive: func(r *http.Request) bool { return r.Header.Get("X-Poll") != "" },
	})
	began := st.clock.Now()
	ask := func(cookie string, edit ...func(*http.Request)) (e core.Expiry, err error) {
		t.Helper()
		st.request(cookie, func(_ http.ResponseWriter, r *http.Request) {
			e, err = core.FromContext(r.Context()).ExpiresAt(r.Context())
		}, edit...)
		return e, err
	}
	poll := header("X-Poll", "yes")
	for name, cookie := range map[string]string{"anonymous": st.signIn(), "a user's": st.logIn("", "ada")} {
		st := began
		if e, err := ask(cookie, poll); err != nil || !e.Idle.Equal(st.Add(time.Hour)) || !e.Absolute.Equal(st.Add(90*time.Minute).Truncate(time.Millisecond)) {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
	cookie := st.logIn("", "bob")
	st.clock.advance(20 * time.Minute)
	for range 2 {
		if e, err := ask(cookie, poll); err != nil || !e.Idle.Equal(began.Add(time.Hour)) {
			t.Errorf("asking is no activity: %v, %v", e, err)
		}
	}
	if e, err := ask(cookie); err != nil || !e.Idle.Equal(began.Add(80*time.Minute)) {
		t.Errorf("a request that is activity counts: %v, %v", e, err)
	}
	if e, err := ask(cookie, poll); err != nil || !e.Idle.Equal(began.Add(80*time.Minute)) {
		t.Errorf("and counts afterwards: %v, %v", e, err)
	}
	st.clock.advance(20 * time.Minute)
	if e, err := ask(cookie); err != nil || e.Idle.After(e.Absolute) || e.Absolute.Sub(e.Idle) > time.Millisecond {
		t.Errorf("the absolute timeout ends it: %v, %v", e, err)
	}
	if _, err := ask(""); !errors.Is(err, core.ErrSessionGone) {
		t.Errorf("no session: %v", err)
	}
	plain := newStage(t, core.Config{})
	plain.visit(plain.signIn(), func(s *core.Session) {
		if _, err := s.ExpiresAt(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("a store that cannot tell: %v", err)
		}
	})
}

func TestASessionThatIsEndedElsewhereTellsSo(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *core.Session) error{
		"destroyed": func(s *core.Session) error { return s.Destroy(t.Context()) },
		"renewed":   func(s *core.Session) error { return errors.Join(s.Renew(), s.Save(t.Context())) },
	} {
		st, _ := newUserStage(t, core.Config{Passive: func(*http.Request) bool { return true }})
		cookie := st.logIn("", "ada")
		st.visit(cookie, func(s *core.Session) {
			st.beside(cookie, end)
			if _, err := s.ExpiresAt(t.Context()); !errors.Is(err, core.ErrSessionGone) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestAPageIsToldWhatItsSessionHasLeft(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		absolute time.Duration
		after    time.Duration
		want     string
	}{
		{"at first", 0, 0, `{"idle":3600}`},
		{"with an absolute timeout", 8 * time.Hour, 0, `{"idle":3600,"absolute":28800}`},
		{"later, and never more than is true", 8 * time.Hour, 10*time.Minute + time.Millisecond, `{"idle":2999,"absolute":28199}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st, _ := newUserStage(t, core.Config{
				IdleTimeout: time.Hour, AbsoluteTimeout: tt.absolute,
				Passive: func(r *http.Request) bool { return r.Header.Get("X-Poll") != "" },
			})
			cookie := st.logIn("", "ada")
			st.clock.advance(tt.after)
			for range 2 {
				a := st.request(cookie, core.TellExpiry, header("X-Poll", "yes"))
				if got := strings.TrimSpace(a.body); a.status != http.StatusOK || got != tt.want || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
					t.Errorf("%d %s %v", a.status, got, a.header)
				}
			}
			if a := st.request("", core.TellExpiry, header("X-Poll", "yes")); a.status != http.StatusUnauthorized {
				t.Errorf("a visitor without a session: %d %s", a.status, a.body)
			}
			if a := st.request(cookie, core.TellExpiry); a.status != http.StatusInternalServerError || !strings.Contains(st.log.String(), "Config.Passive") {
				t.Errorf("a path that Passive does not name: %d, log %s", a.status, st.log.String())
			}
		})
	}
}

// beside lets another request that came with the same cookie do something meanwhile.
func (st *stage) beside(cookie string, fn func(s *core.Session) error) {
	st.t.Helper()
	_, value, _ := strings.Cut(cookie, "=")
	s, err := st.Load(st.t.Context(), value)
	if err != nil {
		st.t.Fatal(err)
	}
	if err := fn(s); err != nil {
		st.t.Errorf("the other request: %v", err)
	}
}

// A session that another request rotates is led to by its former id for a moment, and ends
// when it does under the new one.
func TestASessionThatIsRotatedTellsWhenItEnds(t *testing.T) {
	t.Parallel()
	st, backing := newUserStage(t, core.Config{IdleTimeout: time.Hour, Passive: func(*http.Request) bool { return true }})
	other := newStage(t, core.Config{Store: backing, IdleTimeout: time.Hour})
	other.clock.follow(st.clock)
	cookie := st.logIn("", "ada")
	st.clock.advance(10 * time.Minute)
	st.visit(cookie, func(s *core.Session) {
		for range 2 { // and rotated once more
			rotated := other.visit(cookie, func(s *core.Session) {
				if err := s.Rotate(); err != nil {
					t.Error(err)
				}
			})
			if e, err := s.ExpiresAt(t.Context()); err != nil || !e.Idle.Equal(st.clock.Now().Add(time.Hour)) {
				t.Errorf("%v, %v", e.Idle, err)
			}
			cookie = rotated.cookie
		}
		other.visit(cookie, func(s *core.Session) { _ = s.SignOut(t.Context()) })
		if _, err := s.ExpiresAt(t.Context()); !errors.Is(err, core.ErrSessionGone) {
			t.Errorf("after a logout: %v", err)
		}
	})
}

// A store may have been told a longer life: before there was an absolute timeout, or by
// Express.
func TestTheIdleEndIsNeverAfterTheAbsoluteOne(t *testing.T) {
	t.Parallel()
	st, backing := newUserStage(t, core.Config{IdleTimeout: 30 * time.Minute})
	next := newStage(t, core.Config{
		Store: backing, IdleTimeout: 30 * time.Minute, AbsoluteTimeout: 40 * time.Minute,
		Passive: func(*http.Request) bool { return true },
	})
	next.clock.follow(st.clock)
	cookie := st.logIn("", "ada")
	st.clock.advance(20 * time.Minute)
	st.visit(cookie, nil)
	next.visit(cookie, func(s *core.Session) {
		if e, err := s.ExpiresAt(t.Context()); err != nil || !e.Idle.Equal(e.Absolute) {
			t.Errorf("idle %v, absolute %v, %v", e.Idle, e.Absolute, err)
		}
	})
}

// What the app stores must not be taken for a value with a life.
func TestAValueThatLooksLikeOneWithALifeIsRefusedOrKept(t *testing.T) {
	t.Parallel()
	const like = `{"__cloakroom_until":1,"value":"x"}`
	const given core.Key[json.RawMessage] = "given"
	once := core.OneTime[json.RawMessage]{Key: "once"}
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	for name, change := range map[string]func(s *core.Session){
		"Set": func(s *core.Session) { given.Set(s, json.RawMessage(like)) },
		"Update": func(s *core.Session) {
			given.Update(s, func(json.RawMessage) json.RawMessage { return json.RawMessage(like) })
		},
	} {
		st.visit(cookie, func(s *core.Session) {
			change(s)
			var refused *core.KeyError
			if err := s.Save(t.Context()); !errors.As(err, &refused) || !errors.Is(err, core.ErrReservedKey) {
				t.Errorf("%s: %v", name, err)
			}
			s.Discard()
		})
	}
	st.visit(cookie, func(s *core.Session) { once.Add(s, "a", json.RawMessage(like)) })
	st.visit(cookie, func(s *core.Session) {
		if got, err := once.Take(t.Context(), s, "a"); string(got) != like || err != nil {
			t.Errorf("Take: %s, %v", got, err)
		}
	})
}
