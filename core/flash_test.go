package core_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
)

// numbered returns a message for each number.
func numbered(from, to int) (messages []string) {
	for i := from; i <= to; i++ {
		messages = append(messages, fmt.Sprint("message ", i))
	}
	return messages
}

func TestFlashesAreBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		add  func(s *core.Session)
		want map[string][]string
	}{
		{"of one kind the oldest go", func(s *core.Session) {
			for _, m := range numbered(1, 250) {
				s.Flash("info", m)
			}
		}, map[string][]string{"info": numbered(151, 250)}},
		{"of several kinds the oldest of the one that has most", func(s *core.Session) {
			s.Flash("error", "lost")
			for _, m := range numbered(1, 200) {
				s.Flash("info", m)
			}
			s.Flash("error", "lost too")
		}, map[string][]string{"info": numbered(103, 200), "error": {"lost", "lost too"}}},
		{"the last one stays, however many kinds there are", func(s *core.Session) {
			for i := range 300 {
				s.Flash(fmt.Sprintf("kind %03d", i), "x")
			}
			s.Flash("a kind that sorts first", "y")
		}, map[string][]string{"a kind that sorts first": {"y"}, "kind 299": {"x"}, "kind 201": {"x"}, "kind 200": nil, "kind 000": nil}},
		{"large ones take a quarter of the session", func(s *core.Session) {
			for i := range 10 {
				s.Flash("info", strings.Repeat(fmt.Sprint(i), 4000))
			}
		}, map[string][]string{"info": {strings.Repeat("8", 4000), strings.Repeat("9", 4000)}}},
		{"a larger one takes the place of all", func(s *core.Session) {
			s.Flash("error", "lost")
			s.Flash("info", "saved")
			s.Flash("info", strings.Repeat("x", 20_000))
		}, map[string][]string{"info": {strings.Repeat("x", 20_000)}, "error": nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st := newStage(t, core.Config{MaxBytes: 40_000})
			a := st.visit("", tt.add)
			if a.status != http.StatusOK {
				t.Fatalf("status %d", a.status)
			}
			st.visit(a.cookie, func(s *core.Session) {
				for kind, want := range tt.want {
					if got := s.Flashes(kind); !slices.Equal(got, want) {
						t.Errorf("%s: %d messages, %.60q; want %d, %.60q", kind, len(got), got, len(want), want)
					}
				}
			})
		})
	}
}

// A page that leaves a message at each visit, and whose messages nobody is shown, goes
// on working.
func TestFlashesThatNobodyIsShownDoNotFillTheSession(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{MaxBytes: 8 << 10})
	cookie := st.signIn()
	for i := range 500 {
		if a := st.visit(cookie, func(s *core.Session) { s.Flash("info", fmt.Sprint("a message of some length, number ", i)) }); a.status != http.StatusOK {
			t.Fatalf("visit %d: %d", i, a.status)
		}
	}
	st.visit(cookie, func(s *core.Session) {
		got := s.Flashes("info")
		if len(got) < 40 || got[len(got)-1] != "a message of some length, number 499" {
			t.Errorf("%d messages are left, the last of them %q", len(got), got[len(got)-1])
		}
	})
}

// However many another program has stored, to add one costs little, and bounds them.
func TestFlashesOfAnotherProgramAreBoundedToo(t *testing.T) {
	t.Parallel()
	kinds := make([]string, 50_000)
	for i := range kinds {
		kinds[i] = fmt.Sprintf(`"k%d":["a"]`, i)
	}
	for name, flash := range map[string]string{
		"many kinds":    "{" + strings.Join(kinds, ",") + "}",
		"many messages": `{"info":["a"` + strings.Repeat(`,"a"`, 100_000) + `]}`,
		"empty kinds":   "{" + strings.ReplaceAll(strings.Join(kinds, ","), `["a"]`, "[]") + "}",
	} {
		st := newStage(t, core.Config{})
		cookie := st.put("odd", `{"cookie":{},"flash":`+flash+`}`)
		if a := st.visit(cookie, func(s *core.Session) { s.Flash("info", "saved") }); a.status != http.StatusOK {
			t.Errorf("%s: status %d", name, a.status)
		}
		st.visit(cookie, func(s *core.Session) {
			if got := s.Flashes("info"); len(got) == 0 || len(got) > 100 || got[len(got)-1] != "saved" {
				t.Errorf("%s: %d messages are left", name, len(got))
			}
		})
		if n := len(st.stored("odd")); n > 4<<10 {
			t.Errorf("%s: %d bytes are stored", name, n)
		}
	}
}

// Messages of one request are put behind each other without decoding those before, and
// read back as they were left.
func TestEachMessageIsReadAsItWasLeft(t *testing.T) {
	t.Parallel()
	kinds := []string{"info", "error", "a \"kind\"", "", "ünïcode\u2028"}
	texts := []string{"plain", "", `with "quotes" and \\`, "<b>&</b>", "zeilen\n\t", "😀\u2029"}
	st := newStage(t, core.Config{})
	cookie := st.visit("", func(s *core.Session) { s.Flash("info", "of an earlier page") }).cookie
	want := map[string][]string{"info": {"of an earlier page"}}
	a := st.visit(cookie, func(s *core.Session) {
		for i := range 60 {
			kind, text := kinds[i%len(kinds)], texts[i%len(texts)]
			s.Flash(kind, text)
			want[kind] = append(want[kind], text)
		}
		if got := s.Flashes("error"); !slices.Equal(got, want["error"]) {
			t.Errorf("in the same request: %q, want %q", got, want["error"])
		}
		s.Flash("error", "after they were shown")
		want["error"] = []string{"after they were shown"}
	})
	st.visit(cmp.Or(a.cookie, cookie), func(s *core.Session) {
		for kind, want := range want {
			if got := s.Flashes(kind); !slices.Equal(got, want) {
				t.Errorf("%q: %q, want %q", kind, got, want)
			}
		}
		if s.Has("flash") {
			t.Error("messages are left")
		}
	})
}

// What another request left meanwhile stays, in front of the messages of this one.
func TestMessagesOfTwoRequestsBothStay(t *testing.T) {
	t.Parallel()
	st := new(mapstore.Store)
	m := process(t, st)
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
	s1, s2 := load(t, m, cookie), load(t, process(t, st), cookie)
	for _, message := range numbered(1, 5) {
		s1.Flash("info", message)
	}
	for _, message := range numbered(6, 10) {
		s2.Flash("info", message)
	}
	s2.Flash("error", "lost")
	commit(t, m, s1, cookie)
	commit(t, m, s2, cookie)
	s := load(t, m, cookie)
	if got := s.Flashes("info"); !slices.Equal(got, numbered(1, 10)) {
		t.Errorf("the next page gets %q", got)
	}
	if got := s.Flashes("error"); !slices.Equal(got, []string{"lost"}) {
		t.Errorf("the next page gets %q", got)
	}
}
