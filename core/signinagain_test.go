package core_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// userStores are a store that keeps lists of users' sessions and one that does not.
var userStores = []struct {
	name string
	open func() (st store.Store, records *mapstore.Store)
}{
	{"with lists", func() (store.Store, *mapstore.Store) { st := newUserStore(); return st, st.sessions }},
	{"without lists", func() (store.Store, *mapstore.Store) { st := new(mapstore.Store); return st, st }},
}

// A login with an id that was given up, because the answer of the login before got
// lost or because the visitor clicked twice, begins a session of its own.
//
// Standards: ASVS-7.2.4
func TestASignInWithAnIDThatWasGivenUpBeginsASessionOfItsOwn(t *testing.T) {
	for _, stores := range userStores {
		for _, move := range moves {
			for _, when := range []string{"before the request", "meanwhile", "meanwhile by another process"} {
				t.Run(stores.name+"/"+move.name+" "+when, func(t *testing.T) {
					t.Parallel()
					st, _ := stores.open()
					m := process(t, st)
					mover := m
					if when == "meanwhile by another process" {
						mover = process(t, st)
					}
					old := visitor(t, m, func(s *core.Session) { counter.Set(s, 1); colour.Set(s, "white") })
					var s *core.Session
					if when != "before the request" {
						s = load(t, m, old)
					}
					first := moved(t, mover, old, func(s *core.Session) error {
						colour.Set(s, "red")
						return move.move(s)
					})
					if s == nil {
						s = load(t, m, old)
					}
					shape.Set(s, "round")
					if err := signIn(s); err != nil {
						t.Fatal(err)
					}
					told := s.ID()
					header, err := m.Commit(context.Background(), s, false)
					if err != nil || header == "" {
						t.Fatalf("Set-Cookie %v, error %v; want a cookie", header != "", err)
					}
					// With lists, a record under that id may have been stored and withdrawn.
					if s.ID() != told && stores.name == "without lists" || !strings.Contains(header, s.ID()) {
						t.Error("its id is another one than the handler was told")
					}
					second := browser(t, header, old)
					own, other := load(t, m, second), load(t, m, first)
					if second == first || second == old || own.User() != "ada" || shape.Get(own) != "round" {
						t.Errorf("its session is of %q and has shape %q, and an id of its own: %v", own.User(), shape.Get(own), second != first && second != old)
					}
					if own.Has("colour") || own.Has("counter") {
						t.Error("it has data of the session whose id was given up")
					}
					if own.Handle() == other.Handle() {
						t.Error("it has the handle of the other session")
					}
					if other.Status() != core.StatusLoaded || other.Has("colour") != (move.name != "Regenerate") || other.Has("shape") {
						t.Errorf("the other session is %v with colour %q and shape %v", other.Status(), colour.Get(other), other.Has("shape"))
					}
					if s := load(t, m, old); s.Status() != core.StatusUnknown {
						t.Errorf("the old cookie leads to a session that is %v", s.Status())
					}
					if stores.name == "with lists" {
						want := 1
						if move.name == "SignIn" {
							want = 2
						}
						if all, err := walk(m.Sessions(t.Context(), "ada")); len(all) != want || err != nil {
							t.Errorf("%d sessions of the user are listed, %v; want %d", len(all), err, want)
						}
					}
				})
			}
		}
	}
}

// A minute long, a browser that kept its old cookie can sign in, again and again.
func TestEveryLoginAfterALostAnswerSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := process(t, newUserStore())
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		for i := range 60 {
			w := serve(m, requestWith(t.Context(), cookie), func(_ http.ResponseWriter, r *http.Request) {
				if err := core.FromContext(r.Context()).SignIn(r.Context(), "ada"); err != nil {
					t.Error(err)
				}
			})
			if w.Code != http.StatusOK || w.Header().Get("Set-Cookie") == "" {
				t.Errorf("login %d: status %d", i, w.Code)
			}
			time.Sleep(time.Second)
		}
	})
}

// What ended stays ended: a login that had loaded it live is told so.
func TestASignInWithASessionThatHasEndedIsRefused(t *testing.T) {
	for _, stores := range userStores {
		for _, ending := range endings {
			t.Run(stores.name+"/"+ending.name, func(t *testing.T) {
				t.Parallel()
				st, records := stores.open()
				m, other := process(t, st), process(t, st)
				cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
				s := load(t, m, cookie)
				if err := ending.end(load(t, other, cookie)); err != nil {
					t.Fatal(err)
				}
				if err := signIn(s); err != nil {
					t.Fatal(err)
				}
				if header, err := m.Commit(context.Background(), s, false); header != "" || !errors.Is(err, core.ErrSessionGone) {
					t.Errorf("Set-Cookie %v, error %v; want none and ErrSessionGone", header != "", err)
				}
				if n := len(records.Records()); n != 0 {
					t.Errorf("%d records are left", n)
				}
			})
		}
	}
}

// Only a revocation or a limit refuses a login.
func TestASignInOfItsOwnIsRefusedByALimitAndByARevocation(t *testing.T) {
	begin := func(t *testing.T, m *core.Manager) (s *core.Session) {
		old := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		moved(t, m, old, signIn)
		s = load(t, m, old)
		if err := signIn(s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("limit", func(t *testing.T) {
		t.Parallel()
		m := process(t, newUserStore(), func(c *core.Config) { c.MaxSessionsPerUser, c.AtUserLimit = 1, core.RefuseNew })
		s := begin(t, m)
		if header, err := m.Commit(context.Background(), s, false); header != "" || !errors.Is(err, core.ErrTooManySessions) {
			t.Errorf("Set-Cookie %v, error %v; want ErrTooManySessions", header != "", err)
		}
	})
	t.Run("revocation", func(t *testing.T) {
		t.Parallel()
		m := process(t, newUserStore())
		s := begin(t, m)
		if err := m.RevokeUser(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		if header, err := m.Commit(context.Background(), s, false); header != "" || !errors.Is(err, core.ErrRevoked) {
			t.Errorf("Set-Cookie %v, error %v; want ErrRevoked", header != "", err)
		}
		if all, err := walk(m.Sessions(t.Context(), "ada")); len(all) != 0 || err != nil {
			t.Errorf("%d sessions of the user live, %v", len(all), err)
		}
	})
}

// A login by an id that somebody else may know is worth nothing to whoever knows it,
// also where that id was given up: it is not the session that the other one has.
func TestASignInOfAnotherUserByAnIDThatWasGivenUp(t *testing.T) {
	t.Parallel()
	for _, stores := range userStores {
		st, _ := stores.open()
		m := process(t, st)
		old := visitor(t, m, func(s *core.Session) { _ = signIn(s); colour.Set(s, "white") })
		s := load(t, m, old)
		adas := moved(t, m, old, renew)
		if err := s.SignIn(t.Context(), "bob"); err != nil {
			t.Fatal(err)
		}
		bobs := commit(t, m, s, old)
		if bob, ada := load(t, m, bobs), load(t, m, adas); bob.User() != "bob" || bob.Has("colour") || ada.User() != "ada" || colour.Get(ada) != "white" {
			t.Errorf("%s: bob's session is of %q with colour %v; the other one of %q with colour %q", stores.name, bob.User(), bob.Has("colour"), ada.User(), colour.Get(ada))
		}
	}
}

// Two logins of one browser at once end signed in, whichever answer it keeps, in
// whatever order their calls reach the store.
func TestADoubleClickOnALoginEndsSignedInTwice(t *testing.T) {
	t.Parallel()
	everyOrder(t, func(p *play) {
		m := p.outside()
		cookie := visitor(p.t, m, func(s *core.Session) { counter.Set(s, 1) })
		p.enters("first", cookie, p.process("first"), signIn)
		p.enters("second", cookie, p.process("second"), signIn)
		p.check = func() {
			for _, name := range []string{"first", "second"} {
				if err := p.errs[name]; err != nil || p.cookies[name] == cookie || !p.lives(m, p.cookies[name]) {
					p.t.Errorf("the %s login ended with %v, and its cookie leads to a session of the user: %v", name, err, p.lives(m, p.cookies[name]))
				}
			}
		}
	})
}

// What existed survives a sign-in or a renewal that the store refuses, at whatever
// call that is.
//
// Standards: ASVS-7.2.4
func TestASignInThatTheStoreRefusesCostsNothing(t *testing.T) {
	full := &store.Error{Store: "map", Outcome: store.OutcomeNotApplied, Err: store.ErrFull}
	for _, of := range []string{"anonymous", "a user's"} {
		for _, move := range moves[:2] {
			for _, where := range []string{"sessions", "lists"} {
				for _, verb := range []string{"load", "create", "update"} {
					if where == "sessions" && verb == "load" {
						continue // it is the one that comes first, and no part of it
					}
					t.Run(fmt.Sprintf("%s/%s/%s of the %s", of, move.name, verb, where), func(t *testing.T) {
						t.Parallel()
						st := newUserStore()
						sessions, lists := &faultyStore{Store: st.sessions}, &faultyStore{Store: st.index}
						m := process(t, &userStore{sessions, lists, st.sessions})
						cookie := visitor(t, m, func(s *core.Session) {
							colour.Set(s, "white")
							if of != "anonymous" {
								_ = signIn(s)
							}
						})
						s := load(t, m, cookie)
						refusing := map[string]*faultyStore{"sessions": sessions, "lists": lists}[where]
						refusing.failOnce(verb, outage{err: full})
						if err := move.move(s); err != nil {
							t.Fatal(err)
						}
						header, err := m.Commit(context.Background(), s, false)
						after := browser(t, header, cookie)
						if (err != nil) != (header == "") {
							t.Errorf("Set-Cookie %v, error %v", header != "", err)
						}
						if got := load(t, m, after); got.Status() != core.StatusLoaded || colour.Get(got) != "white" {
							t.Errorf("after %v the session is %v with colour %q", err, got.Status(), colour.Get(got))
						}
						if n := live(st.sessions); n != 1 {
							t.Errorf("%d sessions live, want 1", n)
						}
					})
				}
			}
		}
	}
}

// What existed survives a process that dies during a sign-in or a renewal, whatever
// was its last call.
func TestASignInThatDiesCostsNothing(t *testing.T) {
	for _, of := range []string{"anonymous", "a user's"} {
		for _, move := range moves[:2] {
			t.Run(of+"/"+move.name, func(t *testing.T) {
				t.Parallel()
				for after := range 8 {
					synctest.Test(t, func(t *testing.T) {
						p := &play{t: t, g: &gate{store: newUserStore()}, cookies: map[string]string{}, errs: map[string]error{}, dies: "browser", after: after}
						m := p.outside()
						cookie := p.signedIn(m)
						if of == "anonymous" {
							cookie = visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
						}
						p.enters("browser", cookie, p.process("browser"), move.move)
						p.run(func(int, int) int { return 0 })
						if s := load(t, m, p.cookies["browser"]); s.Status() != core.StatusLoaded {
							t.Errorf("after %v, and an end with %v, the session is %v", strings.Join(p.script, "; "), p.errs["browser"], s.Status())
						}
					})
				}
			})
		}
	}
}

// An Express app that does not renew its ids may make the session another user's
// while SignIn is under way. Nothing that this user put there becomes that of the one
// who signs in, however the commit comes to see it.
func TestASignInKeepsNothingOfWhomExpressPutThereMeanwhile(t *testing.T) {
	for _, stores := range userStores {
		for _, sees := range []string{"the commit", "Reload", "Take", "another request of the process"} {
			for _, was := range []string{"", "ada"} {
				t.Run(fmt.Sprintf("%s/%s sees it/it was of %q", stores.name, sees, was), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						st, records := stores.open()
						slow := &faultyStore{Store: records}
						if lists, ok := st.(*userStore); ok {
							st = &userStore{slow, lists.index, records}
						} else {
							st = slow
						}
						m := process(t, st, func(c *core.Config) { c.UserKey = "userId" })
						cookie := visitor(t, m, func(s *core.Session) {
							ticket.Set(s, "A1")
							s.Set("userId", nil)
							if was != "" {
								_ = s.SignIn(t.Context(), was)
							}
						})
						s, other := load(t, m, cookie), load(t, m, cookie)
						if err := signIn(s); err != nil {
							t.Fatal(err)
						}
						express(t, records, `"userId":"bob","diary":"bob's"`)
						var finish func()
						switch sees {
						case "Reload":
							if err := s.Reload(t.Context()); err != nil {
								t.Fatal(err)
							}
						case "Take":
							if _, err := ticket.Take(t.Context(), s); err != nil {
								t.Fatal(err)
							}
						case "another request of the process":
							counter.Set(other, 1)
							if err := other.Reload(t.Context()); err != nil {
								t.Fatal(err)
							}
							counter.Set(other, 1)
							finish = commitSlowly(t, m, slow, other, cookie)
						}
						done := make(chan struct{})
						go func() {
							defer close(done)
							header, err := m.Commit(context.Background(), s, false)
							if header != "" || !errors.Is(err, store.ErrConflict) {
								t.Errorf("Set-Cookie %v, error %v; want none and ErrConflict", header != "", err)
							}
						}()
						synctest.Wait()
						if finish != nil {
							finish()
						}
						<-done
						for _, rec := range records.Records() {
							if text := string(rec.Data); strings.Contains(text, `"userId":"ada"`) && strings.Contains(text, "bob's") {
								t.Error("what is bob's is in a session of ada")
							}
						}
						if s := load(t, m, cookie); s.User() != "bob" || s.Get("diary") != "bob's" {
							t.Errorf("the session is of %q, want it as Express left it", s.User())
						}
					})
				})
			}
		}
	}
}

// express changes the one session that lives, as an Express app does.
func express(t *testing.T, records *mapstore.Store, members string) {
	t.Helper()
	for _, old := range records.Records() {
		if strings.Contains(string(old.Data), `"retired":`) {
			continue
		}
		text := regexp.MustCompile(`"userId":("\w+"|null),?`).ReplaceAllString(string(old.Data), "")
		next := old
		next.Data = []byte("{" + members + "," + strings.TrimPrefix(text, "{"))
		if err := records.Update(t.Context(), old, next); err != nil {
			t.Fatal(err)
		}
	}
}
