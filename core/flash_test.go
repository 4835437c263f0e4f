package core_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
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
