package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// Standards: ASVS-7.5.2, ASVS-16.4.1, WSTG-SESS-11
func TestSessionsDescribesTheDevicesOfAUser(t *testing.T) {
	t.Parallel()
	st, _ := newUserStage(t, core.Config{IdleTimeout: 2 * time.Hour, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	agent := strings.Repeat("ü", 99) + "\u200b\u202e\xff" + strings.Repeat("ü", 99)
	from := func(hop, agent string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("User-Agent", agent)
			r.Header.Set("X-Forwarded-For", hop)
		}
	}
	logIn := func(edit func(*http.Request), methods ...string) string {
		return st.request("", func(_ http.ResponseWriter, r *http.Request) {
			_ = core.FromContext(r.Context()).SignIn(r.Context(), "ada", methods...)
		}, edit).cookie
	}
	start := st.clock.Now()
	phone := logIn(from("203.0.113.77", "Phone"), "passkey")
	st.clock.advance(time.Minute)
	laptop := logIn(from("6.6.6.6, 2001:db8:1234:5678::1", agent), "password", "totp")
	st.clock.advance(time.Hour)
	st.visit(phone, nil)
	st.clock.advance(10 * time.Second)
	now := st.clock.Now()

	var all []core.Info
	st.request(laptop, func(_ http.ResponseWriter, r *http.Request) {
		var err error
		if all, err = walk(st.Sessions(r.Context(), "ada")); err != nil {
			t.Error(err)
		}
	})
	if len(all) != 2 {
		t.Fatalf("%d sessions, want 2", len(all))
	}
	handle := func(cookie string) (h string) {
		st.visit(cookie, func(s *core.Session) { h = s.Handle() })
		return h
	}
	for i, want := range []core.Info{
		{
			Handle: handle(laptop), Current: true, CreatedAt: start.Add(time.Minute), LastSeen: now, ExpiresAt: now.Add(2 * time.Hour),
			Methods: []string{"password", "totp"}, Device: strings.Repeat("ü", 100), Network: netip.MustParsePrefix("2001:db8:1234::/48"),
		},
		{
			Handle: handle(phone), CreatedAt: start, LastSeen: now.Add(-10 * time.Second), ExpiresAt: now.Add(2*time.Hour - 10*time.Second),
			Methods: []string{"passkey"}, Device: "Phone", Network: netip.MustParsePrefix("203.0.113.0/24"),
		},
	} {
		got := all[i]
		if !got.CreatedAt.Equal(want.CreatedAt) || !got.LastSeen.Equal(want.LastSeen) || !got.ExpiresAt.Equal(want.ExpiresAt) {
			t.Errorf("session %d: times %v, want %v", i, got, want)
		}
		got.CreatedAt, got.LastSeen, got.ExpiresAt = want.CreatedAt, want.LastSeen, want.ExpiresAt
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("session %d is\n%#v, want\n%#v", i, got, want)
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range []string{phone, laptop} {
		if strings.Contains(string(text), st.idOf(cookie)) {
			t.Error("the description has an id in it")
		}
	}
}

func TestTheNetworkIsThatOfTheClient(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, tt := range []struct{ peer, forwarded, want string }{
		{"10.1.2.3:1234", "198.51.100.9:4711", "198.51.100.0/24"}, // with the client's port
		{"10.1.2.3:1234", "1.1.1.1:80, 198.51.100.9:4711, 10.9.9.9:80", "198.51.100.0/24"},
		{"10.1.2.3:1234", `"198.51.100.9:4711"`, "198.51.100.0/24"},
		{"10.1.2.3:1234", "2001:db8:1:2::3", "2001:db8:1::/48"},
		{"10.1.2.3:1234", "[2001:db8:1:2::3]", "2001:db8:1::/48"},
		{"10.1.2.3:1234", "[2001:db8:1:2::3]:443", "2001:db8:1::/48"},
		{"10.1.2.3:1234", `"[2001:db8:1:2::3]:443"`, "2001:db8:1::/48"},
		{"10.1.2.3:1234", "[::ffff:198.51.100.9]:443", "198.51.100.0/24"},
		{"10.1.2.3:1234", "fe80::1%eth0", "fe80::/48"},
		{"10.1.2.3:1234", `"1.1.1.1, 198.51.100.9`, "198.51.100.0/24"}, // a quote that a client left open
		{"10.1.2.3:1234", `1.1.1.1", 198.51.100.9`, "198.51.100.0/24"},
		{"10.1.2.3:1234", "198.51.100.9, ", "invalid Prefix"},
		{"10.1.2.3:1234", "198.51.100.9, unknown", "invalid Prefix"}, // what the proxy does not tell, it does not tell
		{"10.1.2.3:1234", "[198.51.100.9]", "invalid Prefix"},
		{"10.1.2.3:1234", "[2001:db8::1", "invalid Prefix"},
		{"10.1.2.3:1234", "198.51.100.9:80:80", "invalid Prefix"},
		{"10.1.2.3:1234", "_secret", "invalid Prefix"},
		{"10.1.2.3:1234", strings.Repeat("1", 100), "invalid Prefix"},
		{"10.1.2.3:1234", strings.Repeat("10.0.0.1, ", 1000) + "10.0.0.1", "10.0.0.0/24"},

		{"10.1.2.3:1234", "Forwarded: for=198.51.100.9", "198.51.100.0/24"},
		{"10.1.2.3:1234", "Forwarded: for=1.1.1.1, For=198.51.100.9;proto=https;by=10.1.2.3", "198.51.100.0/24"},
		{"10.1.2.3:1234", `Forwarded: proto=https; for="198.51.100.9:4711", for=10.9.9.9`, "198.51.100.0/24"},
		{"10.1.2.3:1234", `Forwarded: for="[2001:db8:1:2::3]:4711";by="10.1.2.3, 10.1.2.4;for=x"`, "2001:db8:1::/48"},
		{"10.1.2.3:1234", `Forwarded: for="[2001:db8:1:2::3]:_port"`, "2001:db8:1::/48"},
		{"10.1.2.3:1234", `Forwarded: for="1.1.1.1, for=198.51.100.9`, "198.51.100.0/24"},
		{"10.1.2.3:1234", "Forwarded: for=unknown", "invalid Prefix"},
		{"10.1.2.3:1234", "Forwarded: for=_hidden, proto=https", "invalid Prefix"},
		{"198.51.100.9:1234", "Forwarded: for=1.1.1.1", "198.51.100.0/24"}, // a client says so

		{"198.51.100.9:1234", "", "198.51.100.0/24"},
		{"198.51.100.9:1234", "1.1.1.1", "198.51.100.0/24"}, // a client says so
		{"10.1.2.3:1234", "1.1.1.1, 198.51.100.9", "198.51.100.0/24"},
		{"10.1.2.3:1234", "1.1.1.1, 198.51.100.9, 10.9.9.9", "198.51.100.0/24"},
		{"10.1.2.3:1234", "10.9.9.9", "10.9.9.0/24"},
		{"10.1.2.3:1234", "unknown", "invalid Prefix"},
		{"10.1.2.3:1234", "", "10.1.2.0/24"},
		{"[::ffff:198.51.100.9]:1234", "", "198.51.100.0/24"},
		{"[fe80::1%eth0]:1234", "", "fe80::/48"},
		{"@", "198.51.100.9", "invalid Prefix"},
		{"", "", "invalid Prefix"},
	} {
		st := newUserStore()
		m := process(t, st, func(c *core.Config) { c.TrustedProxies = proxies })
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.RemoteAddr = tt.peer
		if value, ok := strings.CutPrefix(tt.forwarded, "Forwarded: "); ok {
			r.Header.Set("Forwarded", value)
		} else if tt.forwarded != "" {
			r.Header.Set("X-Forwarded-For", tt.forwarded)
			r.Header.Set("Forwarded", "for=203.0.113.7") // the client's, beside what our proxies write
		}
		x, err := m.Begin(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := core.FromContext(x.Request(r).Context()).SignIn(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		if err := x.Finish(http.Header{}); err != nil {
			t.Fatal(err)
		}
		all, err := walk(m.Sessions(t.Context(), "ada"))
		if err != nil || len(all) != 1 || all[0].Network.String() != tt.want {
			t.Errorf("%q, %q: %+v, %v; want %s", tt.peer, tt.forwarded, all, err, tt.want)
		}
	}
}

// Standards: ASVS-7.5.2, ASVS-7.4.5
func TestRevokeChecksTheOwner(t *testing.T) {
	t.Parallel()
	st, _ := newUserStage(t, core.Config{})
	ada, bob := st.logIn("", "ada"), st.logIn("", "bob")
	handle := st.listOf("ada")[0].Handle
	for user, handle := range map[string]string{"bob": handle, "nobody": handle, "ada": "", "bob ": handle} {
		if err := st.Revoke(t.Context(), user, handle); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Revoke of ada's session by %q: %v, want ErrNotFound", user, err)
		}
	}
	if st.userOf(ada) != "ada" || st.userOf(bob) != "bob" {
		t.Error("a session ended")
	}
	if err := st.Revoke(t.Context(), "ada", handle); err != nil {
		t.Fatal(err)
	}
	if st.userOf(ada) != "" || st.userOf(bob) != "bob" {
		t.Error("Revoke did not end ada's session, or ended bob's")
	}
	if err := st.Revoke(t.Context(), "", "x"); !errors.Is(err, core.ErrInvalidUser) {
		t.Errorf("Revoke for no user: %v", err)
	}
}

func TestRevokeOthersNeedsALivingSessionOfAUser(t *testing.T) {
	t.Parallel()
	st, _ := newUserStage(t, core.Config{})
	other := st.logIn("", "ada")
	st.visit(st.signIn(), func(s *core.Session) {
		if err := st.RevokeOthers(t.Context(), s); !errors.Is(err, core.ErrSignInTooOld) {
			t.Errorf("for a visitor: %v", err)
		}
	})
	mine := st.logIn("", "ada")
	st.visit(mine, func(s *core.Session) {
		if err := st.Revoke(t.Context(), "ada", s.Handle()); err != nil {
			t.Fatal(err)
		}
		if err := st.RevokeOthers(t.Context(), s); !errors.Is(err, core.ErrSessionGone) {
			t.Errorf("for a session that ended: %v", err)
		}
	})
	if st.userOf(other) != "ada" {
		t.Error("it ended another session all the same")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := st.RevokeUser(ended, "ada"); !errors.Is(err, context.Canceled) || st.userOf(other) != "ada" {
		t.Errorf("RevokeUser with a context that is done: %v", err)
	}
}

// RevokeOthers believes no cache, and sees a revocation that comes between its own
// look at the session and the list.
func TestRevokeOthersOfASessionThatIsEndedMeanwhile(t *testing.T) {
	t.Parallel()
	st := newUserStore()
	outside := process(t, st)
	var (
		fresh     []bool
		meanwhile func()
	)
	sessions := loadFunc{st.sessions, func(ctx context.Context) { fresh = append(fresh, store.BypassesCache(ctx)) }}
	index := loadFunc{st.index, func(context.Context) {
		if do := meanwhile; do != nil {
			meanwhile = nil
			do()
		}
	}}
	m := process(t, &userStore{sessions, index, st.sessions})
	other, mine := ada(t, outside), ada(t, outside)
	s := load(t, m, mine)
	fresh = nil
	if err := m.RevokeOthers(t.Context(), s); err != nil || !slices.Equal(fresh, []bool{true}) {
		t.Errorf("%v; reads past the cache: %v", err, fresh)
	}
	if load(t, outside, other).User() != "" {
		t.Error("the other session lives on")
	}

	other = ada(t, outside)
	handle := s.Handle()
	meanwhile = func() {
		if err := outside.Revoke(t.Context(), "ada", handle); err != nil {
			t.Error(err)
		}
	}
	if err := m.RevokeOthers(t.Context(), s); !errors.Is(err, core.ErrSessionGone) {
		t.Errorf("for a session that ended meanwhile: %v, want ErrSessionGone", err)
	}
	if load(t, outside, other).User() == "" {
		t.Error("it ended another session all the same")
	}
}

func TestWithoutListsTheCallsSaySo(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	st.visit(st.logIn("", "ada"), func(s *core.Session) {
		_, err := walk(st.Sessions(t.Context(), "ada"))
		for what, err := range map[string]error{
			"Sessions": err, "Revoke": st.Revoke(t.Context(), "ada", s.Handle()),
			"RevokeUser": st.RevokeUser(t.Context(), "ada"), "RevokeOthers": st.RevokeOthers(t.Context(), s),
		} {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: %v, want ErrUnsupported", what, err)
			}
		}
	})
}

var atUserLimits = []core.AtUserLimit{core.DropLeastRecentlyUsed, core.DropOldest, core.RefuseNew}

// Standards: ASVS-7.1.2, WSTG-SESS-11
func TestMaxSessionsPerUser(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 3, 10} {
		for _, at := range atUserLimits {
			t.Run(fmt.Sprintf("%d, %v", most, at), func(t *testing.T) {
				t.Parallel()
				st, _ := newUserStage(t, core.Config{MaxSessionsPerUser: most, AtUserLimit: at})
				var cookies []string
				for range most {
					cookies = append(cookies, st.logIn("", "ada"))
					st.clock.advance(5 * time.Minute)
				}
				bob := st.logIn("", "bob")
				st.visit(cookies[0], nil) // the oldest is the one used last
				st.clock.advance(5 * time.Minute)

				before := st.signIn()
				a := st.visit(before, func(s *core.Session) { _ = s.SignIn(t.Context(), "ada") })
				victim := -1
				switch {
				case at == core.RefuseNew:
					if a.status != http.StatusForbidden || a.setCookie != "" || st.userOf(before) != "" {
						t.Errorf("one too many: status %d, Set-Cookie %q", a.status, a.setCookie)
					}
					st.visit(before, func(s *core.Session) {
						if s.Get("user") != "ada" {
							t.Error("the visitor lost a session to a sign-in that was refused")
						}
					})
				case at == core.DropOldest || most == 1:
					victim = 0
				default:
					victim = 1
				}
				for i, cookie := range cookies {
					if lives := st.userOf(cookie) == "ada"; lives != (i != victim) {
						t.Errorf("session %d of %d lives: %v", i, most, lives)
					}
				}
				if n := len(st.listOf("ada")); n != most {
					t.Errorf("%d sessions, want %d", n, most)
				}
				if st.userOf(bob) != "bob" {
					t.Error("a session of another user ended")
				}

				// Whoever has a session already may sign in again, and who logs out makes room.
				last := cookies[most-1]
				if most == 1 && at != core.RefuseNew {
					last = a.cookie
				}
				again := st.logIn(last, "ada")
				st.visit(again, func(s *core.Session) { _ = s.SignOut(t.Context()) })
				st.logIn("", "ada")
				if n := len(st.listOf("ada")); n != most {
					t.Errorf("%d sessions, want %d", n, most)
				}
			})
		}
	}
}

// Who signs in again has signed in last, and is not the one to go.
func TestSessionsAreInTheOrderOfTheirLastSignIn(t *testing.T) {
	t.Parallel()
	for _, most := range []int{0, 3} {
		st, _ := newUserStage(t, core.Config{MaxSessionsPerUser: most, AtUserLimit: core.DropOldest})
		var cookies []string
		for range 3 {
			cookies = append(cookies, st.logIn("", "ada"))
			st.clock.advance(time.Minute)
		}
		for range 2 { // the second time as the session that it is
			cookies[0] = st.logIn(cookies[0], "ada")
			st.clock.advance(time.Minute)
			cookies[1] = st.visit(cookies[1], func(s *core.Session) { _ = s.Renew() }).cookie // which is no sign-in
			cookies[0] = st.visit(cookies[0], func(s *core.Session) { _ = s.Renew() }).cookie
		}
		all := st.listOf("ada")
		if len(all) != 3 || !slices.IsSortedFunc(all, func(a, b core.Info) int { return b.CreatedAt.Compare(a.CreatedAt) }) {
			t.Errorf("at most %d: the sessions are listed as %+v", most, all)
		}
		st.logIn("", "ada")
		for i, want := range []string{"ada", "", "ada"} {
			if got := st.userOf(cookies[i]); most > 0 && got != want {
				t.Errorf("after one too many the user of session %d is %q, want %q", i, got, want)
			}
		}
	}
}

func TestAHandlerCanAnswerARefusalItself(t *testing.T) {
	t.Parallel()
	st, _ := newUserStage(t, core.Config{MaxSessionsPerUser: 1, AtUserLimit: core.RefuseNew})
	st.logIn("", "ada")
	for _, before := range []string{"", st.signIn()} {
		a := st.request(before, func(w http.ResponseWriter, r *http.Request) {
			s := core.FromContext(r.Context())
			counter.Set(s, 1)
			if err := s.SignIn(r.Context(), "ada"); err != nil {
				t.Error(err)
			}
			if err := s.Save(r.Context()); !errors.Is(err, core.ErrTooManySessions) {
				t.Errorf("Save: %v, want ErrTooManySessions", err)
			}
			if s.User() != "" {
				t.Errorf("the user is %q", s.User())
			}
			fmt.Fprint(w, "You have a session already.")
		})
		if a.status != http.StatusOK || a.setCookie != "" {
			t.Errorf("status %d, Set-Cookie %q", a.status, a.setCookie)
		}
	}
}

// Standards: ASVS-7.1.2
func TestTheLimitIsNeverExceededByAHundredSignIns(t *testing.T) {
	t.Parallel()
	for _, at := range atUserLimits {
		for _, most := range []int{1, 3, 10} {
			t.Run(fmt.Sprintf("%d, %v", most, at), func(t *testing.T) {
				t.Parallel()
				st := newUserStore()
				limit := func(c *core.Config) { c.MaxSessionsPerUser, c.AtUserLimit = most, at }
				managers := []*core.Manager{process(t, st, limit), process(t, st, limit), process(t, st, limit)}
				var (
					wg      sync.WaitGroup
					mu      sync.Mutex
					cookies []string
					refused atomic.Int64
				)
				for i := range 100 {
					wg.Go(func() {
						m := managers[i%len(managers)]
						s := load(t, m, "")
						if err := signIn(s); err != nil {
							t.Error(err)
						}
						header, err := m.Commit(context.Background(), s, false)
						switch {
						case errors.Is(err, core.ErrTooManySessions) && at == core.RefuseNew:
							refused.Add(1)
						case err != nil:
							t.Error(err)
						default:
							mu.Lock()
							defer mu.Unlock()
							cookies = append(cookies, browser(t, header, ""))
						}
					})
				}
				wg.Wait()
				n := 0
				for _, cookie := range cookies {
					if load(t, managers[0], cookie).User() != "" {
						n++
					}
				}
				if n != most {
					t.Errorf("%d sessions live, want %d", n, most)
				}
				if at == core.RefuseNew && refused.Load() != int64(100-most) {
					t.Errorf("%d were refused", refused.Load())
				}
			})
		}
	}
}

// A session that is used for months stays in the list of its user, also when only
// requests that read use it.
func TestASessionIsListedForAsLongAsItLives(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		idle  time.Duration
		every time.Duration
		do    func(s *core.Session, visit int)
	}{
		{"by reads", time.Hour, 50 * time.Minute, func(*core.Session, int) {}},
		{"by writes", time.Hour, 50 * time.Minute, func(s *core.Session, _ int) { counter.Update(s, func(n int) int { return n + 1 }) }},
		{"by reads, days apart", 72 * time.Hour, 71 * time.Hour, func(*core.Session, int) {}},
		{"with a life that a handler makes longer", time.Hour, 50 * time.Minute, func(s *core.Session, visit int) {
			if visit == 10 {
				_ = s.SetMaxAge(30 * 24 * time.Hour)
			}
		}},
		{"with a life that a handler makes longer, and a long pause", time.Hour, 29 * 24 * time.Hour, func(s *core.Session, visit int) {
			_ = s.SetMaxAge(30 * 24 * time.Hour)
		}},
	} {
		for _, processes := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, %d processes", tt.name, processes), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					st := newUserStore()
					idle := func(c *core.Config) { c.IdleTimeout = tt.idle }
					ms := []*core.Manager{process(t, st, idle), process(t, st, idle)}[:processes]
					s := load(t, ms[0], "")
					_ = signIn(s)
					tt.do(s, 0)
					cookie := commit(t, ms[0], s, "")
					for i := range 150 {
						time.Sleep(tt.every)
						m := ms[i%processes]
						s := load(t, m, cookie)
						if s.User() != "ada" {
							t.Fatalf("the session ended at visit %d", i)
						}
						tt.do(s, i)
						commit(t, m, s, cookie)
						if all, err := walk(m.Sessions(t.Context(), "ada")); len(all) != 1 || err != nil {
							t.Fatalf("visit %d: %d sessions are listed, %v", i, len(all), err)
						}
					}
					time.Sleep(tt.every)
					if err := ms[0].RevokeUser(t.Context(), "ada"); err != nil {
						t.Fatal(err)
					}
					if load(t, ms[0], cookie).User() != "" {
						t.Error("the session lives on")
					}
					time.Sleep(100 * 24 * time.Hour)
					if n := len(st.index.(*mapstore.Store).Records()); n != 0 {
						t.Errorf("%d lists are left long after", n)
					}
				})
			})
		}
	}
}

// What Take writes says until when the list has the session. So the list has to
// have it until then, or no later request would put it there.
func TestTakeDoesNotSayThatASessionIsListedWhereItIsNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newUserStore()
		lists := &faultyStore{Store: st.index}
		st.index = lists
		m := process(t, st, func(c *core.Config) {
			c.IdleTimeout = 72 * time.Hour
		})
		s := load(t, m, "")
		_ = signIn(s)
		ticket.Set(s, "A1")
		cookie := commit(t, m, s, "")
		for visit := range 4 {
			time.Sleep(71 * time.Hour)
			s := load(t, m, cookie)
			if visit == 2 { // the session has to be listed again
				lists.down(refused)
				if v, err := ticket.Take(t.Context(), s); v != "" || err == nil || errors.Is(err, core.ErrAbsent) {
					t.Errorf("Take returned %q, %v although the session could not be listed", v, err)
				}
			}
			commit(t, m, s, cookie)
			lists.heal()
		}
		time.Sleep(50 * time.Hour)
		if err := m.RevokeUser(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		if s := load(t, m, cookie); s.User() != "" {
			t.Error("the session lives on")
		}
	})
}

// Nothing is written to the list by requests of a session that is as old as most.
func TestTheListIsWrittenAtTheSignInAlone(t *testing.T) {
	t.Parallel()
	st, backing := newUserStage(t, core.Config{IdleTimeout: 24 * time.Hour})
	index := observed(backing.index)
	backing.index = index
	m := process(t, backing, func(c *core.Config) { c.IdleTimeout, c.Now = 24*time.Hour, st.clock.Now })
	s := load(t, m, "")
	_ = signIn(s)
	cookie := commit(t, m, s, "")
	if got := index.verbs(); got != "load create" {
		t.Errorf("the sign-in: %s", got)
	}
	for i := range 40 {
		st.clock.advance(time.Hour)
		s := load(t, m, cookie)
		if i%2 == 0 {
			counter.Set(s, i)
		}
		commit(t, m, s, cookie)
	}
	if got := index.verbs(); got != "" {
		t.Errorf("requests in the next 40 hours: %s", got)
	}
	s = load(t, m, cookie)
	if err := s.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	commit(t, m, s, cookie)
	if got := index.verbs(); got != "" {
		t.Errorf("the logout: %s", got)
	}
}

// observed is a store that writes down what it is asked.
func observed(st store.Store) *stageStore {
	return &stageStore{Store: st, ids: map[string]bool{}, data: map[string]bool{}, touching: make(chan struct{}, 100)}
}

func TestWithAnAbsoluteTimeoutTheListIsNeverWrittenAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newUserStore()
		index := observed(st.index)
		st.index = index
		m := process(t, st, func(c *core.Config) { c.IdleTimeout, c.AbsoluteTimeout = time.Hour, 1000*time.Hour })
		s := load(t, m, "")
		_ = signIn(s)
		_ = s.SetMaxAge(200 * 24 * time.Hour) // cut to the absolute timeout
		cookie := commit(t, m, s, "")
		index.took()
		for range 19 {
			time.Sleep(50 * time.Hour)
			commit(t, m, load(t, m, cookie), cookie)
		}
		if got := index.verbs(); got != "" {
			t.Errorf("the list was asked to %s", got)
		}
		time.Sleep(50*time.Hour - 1)
		if all, err := walk(m.Sessions(t.Context(), "ada")); len(all) != 1 || err != nil {
			t.Errorf("%d sessions are listed at the end, %v", len(all), err)
		}
	})
}

func TestALostListHeals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newUserStore()
		m := process(t, st, func(c *core.Config) { c.IdleTimeout = time.Hour })
		s := load(t, m, "")
		_ = signIn(s)
		cookie := commit(t, m, s, "")
		handle := load(t, m, cookie).Handle()
		for _, rec := range st.index.(*mapstore.Store).Records() {
			_ = st.index.Delete(t.Context(), rec.ID)
		}
		for range 3 {
			time.Sleep(50 * time.Minute)
			commit(t, m, load(t, m, cookie), cookie)
		}
		all, err := walk(m.Sessions(t.Context(), "ada"))
		if err != nil || len(all) != 1 || all[0].Handle != handle {
			t.Fatalf("listed: %+v, %v", all, err)
		}
		if err := m.Revoke(t.Context(), "ada", handle); err != nil {
			t.Fatal(err)
		}
		if load(t, m, cookie).User() != "" {
			t.Error("the session lives on")
		}
	})
}

func TestTheListStaysSmall(t *testing.T) {
	t.Parallel()
	size := func(st *userStore) int {
		n := 0
		for _, rec := range st.index.(*mapstore.Store).Records() {
			n += len(rec.Data)
		}
		return n
	}
	for name, again := range map[string]func(t *testing.T, m *core.Manager, cookie string) string{
		"renewed again and again": func(t *testing.T, m *core.Manager, cookie string) string {
			s := load(t, m, cookie)
			_ = s.Renew()
			return commit(t, m, s, cookie)
		},
		"signed in again and again": func(t *testing.T, m *core.Manager, cookie string) string {
			s := load(t, m, cookie)
			_ = signIn(s)
			return commit(t, m, s, cookie)
		},
		"logged out and in again and again": func(t *testing.T, m *core.Manager, cookie string) string {
			s := load(t, m, cookie)
			_ = s.SignOut(t.Context())
			_ = signIn(s)
			return commit(t, m, s, cookie)
		},
		"revoked again and again": func(t *testing.T, m *core.Manager, _ string) string {
			if err := m.RevokeUser(t.Context(), "ada"); err != nil {
				t.Error(err)
			}
			s := load(t, m, "")
			_ = signIn(s)
			return commit(t, m, s, "")
		},
	} {
		st := newUserStore()
		m := process(t, st)
		cookie := ada(t, m)
		for range 300 {
			cookie = again(t, m, cookie)
		}
		if n := size(st); n > 16_000 {
			t.Errorf("%s: the list has %d bytes", name, n)
		}
		if all, err := walk(m.Sessions(t.Context(), "ada")); len(all) != 1 || err != nil {
			t.Errorf("%s: %d sessions are listed, %v", name, len(all), err)
		}
	}
}

// Without a limit of its own an app has the bound of the list, which a script that
// keeps no cookie reaches in minutes: it does not lock its user out.
func TestNoUserHasMoreThanAThousandSessions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		at      core.AtUserLimit
		refused bool
		goes    string
	}{
		{at: core.DropLeastRecentlyUsed, goes: "copy number 5"},
		{at: core.DropOldest, goes: "the first"},
		{at: core.RefuseNew, refused: true},
	} {
		t.Run(tt.at.String(), func(t *testing.T) {
			t.Parallel()
			var log stageLog
			st := newUserStore()
			m := process(t, st, func(c *core.Config) {
				c.AtUserLimit, c.Logger = tt.at, slog.New(slog.NewTextHandler(&log, nil))
			})
			first := thousandSessions(t, st, m)
			for range 2 {
				s := load(t, m, "")
				_ = signIn(s)
				if err := s.Save(t.Context()); errors.Is(err, core.ErrTooManySessions) != tt.refused || !tt.refused && err != nil {
					t.Fatalf("the next one: %v", err)
				}
				if all, err := walk(m.Sessions(t.Context(), "ada")); len(all) != 1000 || err != nil {
					t.Errorf("%d sessions are listed, %v", len(all), err)
				}
				if _, err := st.Load(t.Context(), "copy number 5"); (err != nil) != (tt.goes == "copy number 5") {
					t.Errorf("what was used least recently: %v", err)
				}
				if load(t, m, first).User() == "" != (tt.goes == "the first") {
					t.Error("the oldest is not what it should be")
				}
			}
			if n := log.count("a user has 1000 sessions"); n != 1 {
				t.Errorf("the log says it %d times", n)
			}
			if err := m.RevokeUser(t.Context(), "ada"); err != nil {
				t.Fatal(err)
			}
			if n := len(st.sessions.Records()); n != 0 {
				t.Errorf("%d sessions are left", n)
			}
		})
	}
}

// A session whose list was full when it was to be put there is one of the others'.
func TestAFullListTakesInASessionThatIsInUse(t *testing.T) {
	t.Parallel()
	st := newUserStore()
	m := process(t, st)
	cookie := ada(t, m)
	index := st.index.(*mapstore.Store)
	if err := index.Delete(t.Context(), index.Records()[0].ID); err != nil {
		t.Fatal(err)
	}
	lost := st.sessions.Records()[0]
	thousandSessions(t, st, m)
	// What it says about its place in the list is over.
	if err := st.Delete(t.Context(), lost.ID); err != nil {
		t.Fatal(err)
	}
	lost.Data = regexp.MustCompile(`"until":\d+`).ReplaceAll(lost.Data, []byte(`"until":1`))
	if err := st.Create(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	commit(t, m, load(t, m, cookie), cookie)
	if all, err := walk(m.Sessions(t.Context(), "ada")); len(all) != 1000 || err != nil {
		t.Errorf("%d sessions are listed, %v", len(all), err)
	}
	if err := m.RevokeUser(t.Context(), "ada"); err != nil || load(t, m, cookie).User() != "" {
		t.Errorf("RevokeUser missed it: %v", err)
	}
}

// thousandSessions gives ada as many sessions as there can be: one that signed in,
// whose cookie it returns, and copies of its record, which is quicker. Number 5 of
// these was not used for the longest time, and number 6 is the next.
func thousandSessions(t *testing.T, st *userStore, m *core.Manager) (first string) {
	t.Helper()
	first = ada(t, m)
	index := st.index.(*mapstore.Store)
	session, err := st.sessions.Load(t.Context(), load(t, m, first).ID())
	if err != nil {
		t.Fatal(err)
	}
	session.ID, session.TTL = load(t, m, first).ID(), 24*time.Hour
	list := index.Records()[0]
	before, rest, _ := strings.Cut(string(list.Data), `{"key":"`+session.ID+`"`)
	entry, after, _ := strings.Cut(rest, "}")
	text := before + `{"key":"` + session.ID + `"` + entry + "}"
	for i := range 999 {
		id := fmt.Sprintf("copy number %d", i)
		life := session.TTL
		if i == 5 || i == 6 {
			life -= time.Duration(15-i) * time.Minute
		}
		if err := st.Create(t.Context(), store.Record{ID: id, Data: session.Data, TTL: life}); err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf(`,{"key":%q,"handle":%q,"until":%d}`, id, id, time.Now().Add(time.Hour).UnixMilli())
	}
	if err := index.Update(t.Context(), list, store.Record{ID: list.ID, Data: []byte(text + after), TTL: list.TTL}); err != nil {
		t.Fatal(err)
	}
	return first
}

func TestListsAreAsSecretAsSessions(t *testing.T) {
	t.Parallel()
	st := newUserStore()
	index := observed(st.index)
	st.index = index
	m := process(t, st, func(c *core.Config) { c.HashIDs, c.SealKeys = true, []string{strings.Repeat("k", 32)} })
	s := load(t, m, "")
	_ = s.SignIn(t.Context(), "ada-of-the-users")
	cookie := commit(t, m, s, "")
	if all, err := walk(m.Sessions(t.Context(), "ada-of-the-users")); len(all) != 1 || err != nil {
		t.Errorf("%d sessions are listed, %v", len(all), err)
	}
	for _, call := range index.took() {
		for _, secret := range []string{"ada-of-the-users", s.ID(), load(t, m, cookie).Handle(), `"sessions"`} {
			if strings.Contains(call.data+call.id, secret) {
				t.Errorf("%s: the store saw %q", call.verb, secret)
			}
		}
	}
}

func TestALoginIntoAnotherCookieNameIsAnotherUser(t *testing.T) {
	t.Parallel()
	st := newUserStore()
	site := process(t, st)
	admin := process(t, st, func(c *core.Config) { c.Cookie.Name = "admin" })
	s := load(t, site, "")
	_ = signIn(s)
	commit(t, site, s, "")
	if all, err := walk(admin.Sessions(t.Context(), "ada")); len(all) != 0 || err != nil {
		t.Errorf("%d sessions are listed under another cookie's name, %v", len(all), err)
	}
	if err := admin.RevokeUser(t.Context(), "ada"); err != nil {
		t.Error(err)
	}
	if all, err := walk(site.Sessions(t.Context(), "ada")); len(all) != 1 || err != nil {
		t.Errorf("%d sessions live after RevokeUser under another cookie's name, %v", len(all), err)
	}
}

// What a login waits for.
func TestHowManyTripsASignInWaitsFor(t *testing.T) {
	t.Parallel()
	refuse := func(c *core.Config) { c.MaxSessionsPerUser, c.AtUserLimit = 2, core.RefuseNew }
	drop := func(c *core.Config) { c.MaxSessionsPerUser = 1 }
	observed := func(c *core.Config) { c.Observer = &diary{} }
	for _, tt := range []struct {
		name   string
		change func(*core.Config)
		begin  func(t *testing.T, m *core.Manager) string
		do     func(m *core.Manager, s *core.Session) error
		trips  int
	}{
		{"a sign-in without a session", nil, nil, nil, 2},
		{"a sign-in with a session", nil, anonymous, nil, 4},
		{"a sign-in again", nil, ada, nil, 4},
		{"a sign-in, after work that takes a trip", nil, anonymous, func(_ *core.Manager, s *core.Session) error {
			err := signIn(s)
			time.Sleep(trip)
			return err
		}, 5},
		{"a sign-in by an attempt, which waits for the list before the check", nil, anonymous, signInByAttempt, 5},
		{"a sign-in by an attempt, with a check that takes a trip", nil, anonymous, func(m *core.Manager, s *core.Session) error {
			time.Sleep(trip)
			return signInByAttempt(m, s)
		}, 6},
		{"a sign-in that may be refused", refuse, anonymous, nil, 4},
		{"a sign-in that ends another session", drop, func(t *testing.T, m *core.Manager) string { ada(t, m); return anonymous(t, m) }, nil, 6},
		{"a renewal of a user's session", nil, ada, func(_ *core.Manager, s *core.Session) error { return s.Renew() }, 4},
		{"a read of a user's session", nil, ada, func(*core.Manager, *core.Session) error { return nil }, 1},
		{"a change of a user's session", nil, ada, func(_ *core.Manager, s *core.Session) error { counter.Set(s, 2); return nil }, 2},
		{"a logout", nil, ada, func(_ *core.Manager, s *core.Session) error { return s.SignOut(context.Background()) }, 2},
		{"RequireRecentSignIn", nil, ada, func(_ *core.Manager, s *core.Session) error {
			return s.RequireRecentSignIn(context.Background(), time.Hour)
		}, 2},
		{"Sessions", nil, ada, func(m *core.Manager, _ *core.Session) error {
			_, err := walk(m.Sessions(context.Background(), "ada"))
			return err
		}, 3},
		{"RevokeUser", nil, ada, func(m *core.Manager, _ *core.Session) error { return m.RevokeUser(context.Background(), "ada") }, 5},
		{"RevokeUser, with an Observer", observed, ada, func(m *core.Manager, _ *core.Session) error { return m.RevokeUser(context.Background(), "ada") }, 6},
		{"Revoke, with an Observer", observed, ada, func(m *core.Manager, s *core.Session) error { return m.Revoke(context.Background(), "ada", s.Handle()) }, 6},
		{"Revoke", nil, ada, func(m *core.Manager, s *core.Session) error { return m.Revoke(context.Background(), "ada", s.Handle()) }, 5},
		{"RevokeOthers", nil, ada, func(m *core.Manager, s *core.Session) error { return m.RevokeOthers(context.Background(), s) }, 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				near := newUserStore()
				far := &distantUserStore{distantStore{near}, near}
				change := tt.change
				if change == nil {
					change = func(*core.Config) {}
				}
				m := process(t, far, change)
				for range 1 + len(tt.name)%2 { // with other sessions of the user, or without
					other := process(t, near, change)
					if tt.name[0] == 'R' {
						ada(t, other)
					}
				}
				cookie := ""
				if tt.begin != nil {
					cookie = tt.begin(t, m)
				}
				do := tt.do
				if do == nil {
					do = func(_ *core.Manager, s *core.Session) error { return signIn(s) }
				}
				start := time.Now()
				s := load(t, m, cookie)
				if err := do(m, s); err != nil {
					t.Fatal(err)
				}
				commit(t, m, s, cookie)
				if took := time.Since(start); took != time.Duration(tt.trips)*trip {
					t.Errorf("it waited %v, want %d trips of %v", took, tt.trips, trip)
				}
			})
		})
	}
}

func signInByAttempt(_ *core.Manager, s *core.Session) error {
	attempt, err := s.BeginSignIn(context.Background(), "ada")
	if err != nil {
		return err
	}
	return attempt.SignIn(context.Background())
}

func anonymous(t *testing.T, m *core.Manager) string {
	return visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
}

func ada(t *testing.T, m *core.Manager) string {
	s := load(t, m, "")
	if err := signIn(s); err != nil {
		t.Fatal(err)
	}
	return commit(t, m, s, "")
}

type distantUserStore struct {
	distantStore
	near *userStore
}

func (s *distantUserStore) UserIndex() store.Store { return distantStore{s.near.index} }

func (s *distantUserStore) Inspect(ctx context.Context, ids []string) ([]store.Record, error) {
	time.Sleep(trip / 2)
	defer time.Sleep(trip / 2)
	return s.near.Inspect(ctx, ids)
}

// Where the store does not tell whether the list was changed, that is found out.
func TestAnUnknownOutcomeOfTheListIsSettled(t *testing.T) {
	for _, o := range outages {
		for _, verb := range []string{"create", "update"} {
			t.Run(fmt.Sprintf("%s, %+v", verb, o), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					st := newUserStore()
					faulty := &faultyStore{Store: st.index}
					st.index = faulty
					m := process(t, st)
					listed := 0
					if verb == "update" {
						ada(t, m)
						listed++
					}
					cookie := anonymous(t, m)
					s := load(t, m, cookie)
					_ = signIn(s)
					faulty.failOnce(verb, o)
					header, err := m.Commit(context.Background(), s, false)
					if isNotApplied(o.err) != (err != nil) {
						t.Fatalf("Commit: %v", err)
					}
					if err == nil {
						cookie = browser(t, header, cookie)
						if load(t, m, cookie).User() != "ada" {
							t.Error("nobody is signed in")
						}
						listed++
					}
					if all, err := walk(m.Sessions(t.Context(), "ada")); len(all) != listed || err != nil {
						t.Errorf("%d sessions are listed, want %d: %v", len(all), listed, err)
					}
				})
			})
		}
	}
}

func TestAStoreOfListsThatIsDownIsAnOutage(t *testing.T) {
	t.Parallel()
	st, backing := newUserStage(t, core.Config{})
	faulty := &faultyStore{Store: backing.index}
	backing.index = faulty
	m := process(t, backing, func(c *core.Config) { c.Now = st.clock.Now })
	cookie := ada(t, m)
	faulty.down(errors.New("down"))
	s := load(t, m, cookie)
	if s.User() != "ada" {
		t.Error("a request that reads depends on the lists")
	}
	counter.Set(s, 1)
	commit(t, m, s, cookie)
	s = load(t, m, "")
	_ = signIn(s)
	header, err := m.Commit(t.Context(), s, false)
	if core.HTTPStatus(err) != http.StatusServiceUnavailable || header != "" {
		t.Errorf("a sign-in: %v, Set-Cookie %q", err, header)
	}
	if n := len(backing.sessions.Records()); n != 1 {
		t.Errorf("%d sessions are stored, want the one from before", n)
	}
	if err := m.RevokeUser(t.Context(), "ada"); core.HTTPStatus(err) != http.StatusServiceUnavailable {
		t.Errorf("RevokeUser: %v", err)
	}
	if _, err := walk(m.Sessions(t.Context(), "ada")); core.HTTPStatus(err) != http.StatusServiceUnavailable {
		t.Errorf("Sessions: %v", err)
	}
	faulty.heal()
	if err := m.RevokeUser(t.Context(), "ada"); err != nil || load(t, m, cookie).User() != "" {
		t.Errorf("RevokeUser, when the lists are back: %v", err)
	}
}

func TestAListThatCannotBeReadIsMadeAnew(t *testing.T) {
	t.Parallel()
	for _, damage := range []string{"", "[]", "{}", `{"sessions":1,"__cloakroom":{}}`, `{"__sealed":"x"}`} {
		st := newUserStore()
		m := process(t, st)
		ada(t, m)
		index := st.index.(*mapstore.Store)
		rec := index.Records()[0]
		if err := index.Update(t.Context(), rec, store.Record{ID: rec.ID, Data: []byte(damage), TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if err := m.RevokeUser(t.Context(), "ada"); err == nil {
			t.Errorf("%q: RevokeUser claims that it ended the sessions", damage)
		}
		cookie := ada(t, m)
		if err := m.RevokeUser(t.Context(), "ada"); err != nil || load(t, m, cookie).User() != "" {
			t.Errorf("%q: after the next sign-in: %v", damage, err)
		}
	}
}

// A walk that is given up halfway asks for no more than it has to.
func TestAWalkOfSessionsCanBeLeft(t *testing.T) {
	t.Parallel()
	st := newUserStore()
	m := process(t, st)
	for range 120 {
		ada(t, m)
	}
	seen := map[string]bool{}
	for info, err := range m.Sessions(t.Context(), "ada") {
		if err != nil {
			t.Fatal(err)
		}
		seen[info.Handle] = true
		if len(seen) == 60 {
			break
		}
	}
	all, err := walk(m.Sessions(t.Context(), "ada"))
	if err != nil || len(all) != 120 {
		t.Errorf("%d sessions, %v", len(all), err)
	}
	if !slices.IsSortedFunc(all, func(a, b core.Info) int { return b.CreatedAt.Compare(a.CreatedAt) }) {
		t.Error("they are not in the order of signing in")
	}
}

// After a new password, for one: the handler ends all sessions, its own too, and
// goes on with a new one.
func TestAHandlerThatRevokesItsOwnSessionCanSignInAgain(t *testing.T) {
	t.Parallel()
	for name, revoke := range map[string]func(ctx context.Context, st *stage, s *core.Session) error{
		"RevokeUser": func(ctx context.Context, st *stage, _ *core.Session) error { return st.RevokeUser(ctx, "ada") },
		"Revoke":     func(ctx context.Context, st *stage, s *core.Session) error { return st.Revoke(ctx, "ada", s.Handle()) },
	} {
		for _, again := range []bool{true, false} {
			st, _ := newUserStage(t, core.Config{})
			cookie := st.logIn("", "ada")
			st.visit(cookie, func(s *core.Session) { counter.Set(s, 7) })
			a := st.request(cookie, func(_ http.ResponseWriter, r *http.Request) {
				s := core.FromContext(r.Context())
				if err := revoke(r.Context(), st, s); err != nil {
					t.Error(err)
				}
				if s.User() != "" || s.Has("counter") {
					t.Errorf("%s: the user is %q", name, s.User())
				}
				if again {
					_ = s.SignIn(r.Context(), "ada")
				}
			})
			if a.status != http.StatusOK || (a.cookie != "") != again {
				t.Errorf("%s: status %d, Set-Cookie %q", name, a.status, a.setCookie)
			}
			if st.userOf(cookie) != "" || again != (st.userOf(a.cookie) == "ada") {
				t.Errorf("%s: the old session lives, or the new one does not: %v", name, again)
			}
		}
		// What is not stored yet is not dropped silently.
		st, _ := newUserStage(t, core.Config{})
		a := st.request(st.logIn("", "ada"), func(_ http.ResponseWriter, r *http.Request) {
			s := core.FromContext(r.Context())
			counter.Set(s, 1)
			if err := revoke(r.Context(), st, s); err != nil {
				t.Error(err)
			}
		})
		if a.status != http.StatusConflict {
			t.Errorf("%s: after a change, status %d, want 409", name, a.status)
		}
	}
}

// Where Take finds nothing it writes nothing, and depends on no list.
func TestTakeOfWhatIsNotThereWritesNoList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newUserStore()
		lists := &faultyStore{Store: st.index}
		st.index = lists
		m := process(t, st, func(c *core.Config) { c.IdleTimeout = 72 * time.Hour })
		s := load(t, m, "")
		_ = signIn(s)
		cookie := commit(t, m, s, "")
		for visit := range 3 {
			time.Sleep(71 * time.Hour)
			s = load(t, m, cookie)
			if visit == 2 { // the session has to be listed again
				lists.down(refused)
				if v, err := ticket.Take(t.Context(), s); !errors.Is(err, core.ErrAbsent) {
					t.Errorf("Take returned %q, %v", v, err)
				}
			}
			commit(t, m, s, cookie)
			lists.heal()
		}
	})
}
