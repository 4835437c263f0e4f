package core_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// process is a Manager with a store for the actor of that name. Its requests are no
// activity, which would be one call more.
func (p *play) process(name string, change ...func(*core.Config)) *core.Manager {
	passive := func(c *core.Config) {
		c.GenerateID = ids(name)
		c.Passive = func(*http.Request) bool { return true }
	}
	return process(p.t, p.g.by(name), append(change, passive)...)
}

// outside is a Manager in front of which there is no gate.
func (p *play) outside(change ...func(*core.Config)) *core.Manager {
	return process(p.t, p.g.store, append(change, func(c *core.Config) { c.GenerateID = ids("outside") })...)
}

// ids counts, so that a call has the same name each time the play is played.
func ids(name string) func(*http.Request) (string, error) {
	var n atomic.Int64
	return func(*http.Request) (string, error) { return fmt.Sprintf("session-%d-of-%s", n.Add(1), name), nil }
}

// enters adds an actor whose browser has a cookie and does something that gets it
// another. Its session is loaded before the play.
func (p *play) enters(name, cookie string, m *core.Manager, do func(s *core.Session) error) {
	var s *core.Session
	p.g.whileOpen(func() { s = load(p.t, m, cookie) })
	p.actors = append(p.actors, actor{name, func() {
		err := do(s)
		if err == nil {
			var header string
			header, err = m.Commit(context.Background(), s, false)
			if err == nil {
				cookie = browser(p.t, header, cookie)
			}
		}
		p.ended(name, cookie, err)
	}})
}

// acts adds an actor without a browser.
func (p *play) acts(name string, do func() error) {
	p.actors = append(p.actors, actor{name, func() { p.ended(name, "", do()) }})
}

// looks adds an actor who looks at the list of ada's sessions.
func (p *play) looks(name string) {
	p.acts(name, func() error {
		_, err := walk(p.process(name).Sessions(context.Background(), "ada"))
		return err
	})
}

// signedIn is a browser with a session of ada.
func (p *play) signedIn(m *core.Manager) string {
	s := load(p.t, m, "")
	if err := signIn(s); err != nil {
		p.t.Fatal(err)
	}
	return commit(p.t, m, s, "")
}

// lives reports whether a cookie leads to a session of ada.
func (p *play) lives(m *core.Manager, cookie string) bool {
	s := load(p.t, m, cookie)
	return s.User() == "ada"
}

func signIn(s *core.Session) error { return s.SignIn(context.Background(), "ada") }
func renew(s *core.Session) error  { return s.Renew() }

// Standards: ASVS-7.4.2
func TestRevokeUserEndsWhatIsUnderWay(t *testing.T) {
	for _, tt := range []struct {
		name string
		had  func(p *play, m *core.Manager) string // the browser's cookie before
		do   func(s *core.Session) error
	}{
		{"a first sign-in", func(*play, *core.Manager) string { return "" }, signIn},
		{"a sign-in of a visitor with a session", func(p *play, m *core.Manager) string {
			return visitor(p.t, m, func(s *core.Session) { counter.Set(s, 1) })
		}, signIn},
		{"a sign-in of the same user", (*play).signedIn, signIn},
		{"a renewal", (*play).signedIn, renew},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			everyOrder(t, func(p *play) {
				m := p.outside()
				other := p.signedIn(m)
				had := tt.had(p, m)
				time.Sleep(time.Second)
				p.enters("browser", had, p.process("browser"), tt.do)
				p.acts("operator", func() error { return p.process("operator").RevokeUser(context.Background(), "ada") })
				p.check = func() {
					if err := p.errs["operator"]; err != nil {
						p.t.Errorf("RevokeUser: %v", err)
					}
					if err := p.errs["browser"]; err != nil && !errors.Is(err, core.ErrSessionGone) {
						p.t.Errorf("the request failed with %v, want ErrSessionGone", err)
					}
					for what, cookie := range map[string]string{
						"a session that was there before": other, "the session that the browser had": had, "the session that it got": p.cookies["browser"],
					} {
						if p.lives(m, cookie) {
							p.t.Errorf("%s lives on", what)
						}
					}
					p.nothingLives()
				}
			})
		})
	}
}

// Where the clock of the operator's process is wrong, a sign-in that read the list
// before the sessions were revoked still loses, and one after it is not kept out.
func TestRevokeUserDoesNotNeedTheRightTime(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			t.Parallel()
			everyOrder(t, func(p *play) {
				m := p.outside()
				other := p.signedIn(m)
				p.enters("browser", "", p.process("browser"), signIn)
				p.acts("operator", func() error {
					wrong := func(c *core.Config) { c.Now = func() time.Time { return time.Now().Add(off) } }
					return p.process("operator", wrong).RevokeUser(context.Background(), "ada")
				})
				p.check = func() {
					lives := p.lives(m, p.cookies["browser"])
					if lives != (p.errs["browser"] == nil) && p.errs["browser"] != nil {
						p.t.Errorf("the sign-in ended with %v, its session lives: %v", p.errs["browser"], lives)
					}
					read, revoked := slices.Index(p.script, "browser: list load"), slices.Index(p.script, "operator: list update")
					if lives == (read < revoked) {
						p.t.Errorf("the session lives: %v", lives)
					}
					if p.lives(m, other) {
						p.t.Error("a session that was there before lives on")
					}
					if err := m.RevokeUser(context.Background(), "ada"); err != nil {
						p.t.Error(err)
					}
					p.nothingLives()
				}
			})
		})
	}
}

// nothingLives checks that the store has no session of ada.
func (p *play) nothingLives() {
	m := p.outside()
	for s, err := range sessionsOf(m, p.g.store) {
		if err != nil {
			p.t.Error(err)
		} else if s.User() != "" {
			p.t.Errorf("a session of %s is left in the store", s.User())
		}
	}
}

// sessionsOf walks all sessions in a store that cannot list.
func sessionsOf(m *core.Manager, st *userStore) func(func(*core.Session, error) bool) {
	return func(yield func(*core.Session, error) bool) {
		for _, rec := range st.sessions.Records() {
			s, err := m.Load(context.Background(), core.Sign(testSecret, rec.ID))
			if !yield(s, err) {
				return
			}
		}
	}
}

func TestRevokeEndsARenewalThatIsUnderWay(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(s *core.Session) error
	}{{"a renewal", renew}, {"a sign-in again", signIn}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			everyOrder(t, func(p *play) {
				m := p.outside()
				had := p.signedIn(m)
				handle := load(p.t, m, had).Handle()
				other := p.signedIn(m)
				p.enters("browser", had, p.process("browser"), tt.do)
				p.acts("operator", func() error {
					return p.process("operator").Revoke(context.Background(), "ada", handle)
				})
				p.check = func() {
					if err := p.errs["operator"]; err != nil {
						p.t.Errorf("Revoke: %v", err)
					}
					if p.lives(m, had) || p.lives(m, p.cookies["browser"]) {
						p.t.Errorf("the session lives on; its renewal ended with %v", p.errs["browser"])
					}
					if !p.lives(m, other) {
						p.t.Error("another session of the user ended too")
					}
				}
			})
		})
	}
}

// Standards: ASVS-7.4.3
func TestRevokeOthersSparesTheSessionThatAsks(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(s *core.Session) error // in the same request
	}{
		{"as it is", func(*core.Session) error { return nil }},
		{"in a request that renews it", renew},
		{"in a request that signs in again", signIn},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			everyOrder(t, func(p *play) {
				m := p.outside()
				mine, other := p.signedIn(m), p.signedIn(m)
				time.Sleep(time.Second)
				p.enters("login", "", p.process("login"), signIn)
				asking := p.process("asking")
				p.enters("asking", mine, asking, func(s *core.Session) error {
					if err := tt.before(s); err != nil {
						return err
					}
					time.Sleep(time.Nanosecond)
					return asking.RevokeOthers(context.Background(), s)
				})
				p.check = func() {
					if err := p.errs["asking"]; err != nil {
						p.t.Errorf("the request that asks failed: %v", err)
					}
					if !p.lives(m, p.cookies["asking"]) {
						p.t.Error("the session that asked ended too")
					}
					if p.lives(m, other) {
						p.t.Error("another session lives on")
					}
					if p.lives(m, p.cookies["login"]) && p.errs["login"] != nil {
						p.t.Error("a login that failed got a session")
					}
				}
			})
		})
	}
}

func TestARevocationThatDiedHalfwayIsFinished(t *testing.T) {
	finish := map[string]func(p *play, m *core.Manager, cookie string) error{
		"by calling it again": func(_ *play, m *core.Manager, _ string) error {
			return m.RevokeUser(context.Background(), "ada")
		},
		"by the next sign-in": func(p *play, m *core.Manager, _ string) error {
			p.signedIn(m)
			return nil
		},
		"by looking at the sessions": func(_ *play, m *core.Manager, _ string) error {
			_, err := walk(m.Sessions(context.Background(), "ada"))
			return err
		},
	}
	for name, finish := range finish {
		for after := range 5 {
			t.Run(fmt.Sprintf("%s, after %d calls", name, after), func(t *testing.T) {
				t.Parallel()
				everyOrder(t, func(p *play) {
					m := p.outside()
					first, second := p.signedIn(m), p.signedIn(m)
					p.dies, p.after = "operator", after
					p.acts("operator", func() error { return p.process("operator").RevokeUser(context.Background(), "ada") })
					p.check = func() {
						if p.errs["operator"] == nil && after < 4 {
							p.t.Error("RevokeUser returned no error")
						}
						if err := finish(p, m, first); err != nil {
							p.t.Fatal(err)
						}
						began := after > 1 || name == "by calling it again" // else nothing was written
						for _, cookie := range []string{first, second} {
							if p.lives(m, cookie) == began {
								p.t.Errorf("a session lives: %v, want %v", !began, !began)
							}
						}
					}
				})
			})
		}
	}
}

// A process that dies in the middle of a sign-in or a renewal leaves nothing that
// a later revocation would miss.
//
// Standards: ASVS-7.4.5
func TestRevokeUserFindsWhatADeadProcessLeft(t *testing.T) {
	for name, do := range map[string]func(s *core.Session) error{"signing in": signIn, "renewing": renew} {
		for after := range 7 {
			t.Run(fmt.Sprintf("%s, after %d calls", name, after), func(t *testing.T) {
				t.Parallel()
				everyOrder(t, func(p *play) {
					m := p.outside()
					had := p.signedIn(m)
					p.dies, p.after = "browser", after
					p.enters("browser", had, p.process("browser"), do)
					p.check = func() {
						time.Sleep(time.Second)
						if err := m.RevokeUser(context.Background(), "ada"); err != nil {
							p.t.Fatal(err)
						}
						if p.lives(m, had) || p.lives(m, p.cookies["browser"]) {
							p.t.Error("the session lives on")
						}
					}
				})
			})
		}
	}
}

// Who looks at the list while a session is renewed, and drops what is dead from it,
// does not make the renewal fail.
func TestARenewalIsNotDisturbedByALookAtTheList(t *testing.T) {
	everyOrder(t, func(p *play) {
		m := p.outside()
		had := p.signedIn(m)
		p.enters("browser", had, p.process("browser"), renew)
		p.looks("page")
		p.check = func() {
			for name, err := range p.errs {
				if err != nil {
					p.t.Errorf("%s: %v", name, err)
				}
			}
			if !p.lives(m, p.cookies["browser"]) {
				p.t.Error("the renewed session does not live")
			}
			all, err := walk(m.Sessions(context.Background(), "ada"))
			if len(all) != 1 || err != nil {
				p.t.Errorf("%d sessions are listed, %v; want 1", len(all), err)
			}
		}
	})
}

// A double click on a login: whichever of the two is later begins a session of its
// own, which only the limit may refuse or put in the place of the other.
func TestTwoSignInsOfOneBrowserEndSignedIn(t *testing.T) {
	for _, at := range []core.AtUserLimit{core.DropLeastRecentlyUsed, core.DropOldest, core.RefuseNew} {
		t.Run(at.String(), func(t *testing.T) {
			t.Parallel()
			everyOrder(t, func(p *play) {
				limit := func(c *core.Config) { c.MaxSessionsPerUser, c.AtUserLimit = 1, at }
				m := p.outside(limit)
				had := visitor(p.t, m, func(s *core.Session) { counter.Set(s, 1) })
				p.enters("one tab", had, p.process("one tab", limit), signIn)
				p.enters("another tab", had, p.process("another tab", limit), signIn)
				p.check = func() {
					won, live := 0, 0
					for name, cookie := range p.cookies {
						if err := p.errs[name]; err == nil {
							won++
						} else if at != core.RefuseNew || !errors.Is(err, core.ErrTooManySessions) {
							p.t.Errorf("%s: %v", name, err)
						}
						if p.lives(m, cookie) && p.errs[name] == nil {
							live++
						}
					}
					if won == 0 || live != 1 {
						p.t.Errorf("%d sign-ins succeeded, and %d of their sessions live, want 1: %v", won, live, p.errs)
					}
				}
			})
		})
	}
}

func TestTheLimitHoldsForTwoSignInsAtOnce(t *testing.T) {
	for _, at := range []core.AtUserLimit{core.DropLeastRecentlyUsed, core.DropOldest, core.RefuseNew} {
		t.Run(at.String(), func(t *testing.T) {
			t.Parallel()
			everyOrder(t, func(p *play) {
				limit := func(c *core.Config) { c.MaxSessionsPerUser, c.AtUserLimit = 2, at }
				m := p.outside(limit)
				first := p.signedIn(m)
				time.Sleep(time.Hour)
				p.enters("one", "", p.process("one", limit), signIn)
				p.enters("two", "", p.process("two", limit), signIn)
				p.check = func() {
					n := 0
					for _, cookie := range []string{first, p.cookies["one"], p.cookies["two"]} {
						if p.lives(m, cookie) {
							n++
						}
					}
					if n != 2 {
						p.t.Errorf("%d sessions live, want 2: %v", n, p.errs)
					}
					if got := p.lives(m, first); got != (at == core.RefuseNew) {
						p.t.Errorf("the first session lives: %v", got)
					}
				}
			})
		})
	}
}

// A slowReply is a store whose answer to the next Create is late.
type slowReply struct {
	store.Store
	hold chan struct{} // until it is closed
}

func (s *slowReply) Create(ctx context.Context, rec store.Record) error {
	err := s.Store.Create(ctx, rec)
	<-s.hold
	return err
}

// Where the list could not be loaded at SignIn, a later commit of the request goes
// by a list that somebody may have been revoked in since.
func TestRevokeUserEndsASignInWhoseListHadToBeLoadedAgain(t *testing.T) {
	for _, revoked := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			st := newUserStore()
			faulty := &faultyStore{Store: st.index}
			m := process(t, &userStore{st.Store, faulty, st.sessions})
			s := load(t, m, "")
			faulty.failOnce("load", outage{err: errors.New("connection refused")})
			_ = signIn(s)
			if err := s.Save(t.Context()); core.HTTPStatus(err) != http.StatusServiceUnavailable {
				t.Fatalf("Save while the list cannot be loaded: %v", err)
			}
			time.Sleep(time.Minute)
			if revoked {
				if err := process(t, st).RevokeUser(t.Context(), "ada"); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Save(t.Context()); errors.Is(err, core.ErrRevoked) != revoked || !revoked && err != nil {
				t.Errorf("Save, revoked meanwhile %v: %v", revoked, err)
			}
		})
	}
}

// The list of a user without sessions ends some time after the revocation. Whoever
// has called SignIn before must not profit from that.
func TestASignInDoesNotOutlastTheMemoryOfARevocation(t *testing.T) {
	for _, wait := range []time.Duration{time.Minute, 59 * time.Minute, 61 * time.Minute, 100 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			st := newUserStore()
			m := process(t, st)
			s := load(t, m, "")
			_ = signIn(s)
			time.Sleep(time.Second)
			if err := process(t, st).RevokeUser(t.Context(), "ada"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(wait)
			if err := s.Save(t.Context()); !errors.Is(err, core.ErrRevoked) {
				t.Errorf("Save %v after the revocation: %v, want ErrRevoked", wait, err)
			}
			if n := len(st.sessions.Records()); n != 0 {
				t.Errorf("%v after the revocation: %d sessions", wait, n)
			}
		})
	}
}

// What one request wrote to the list a moment ago may be older than what another
// process did since: who signs in after a revocation is not refused for that.
func TestASignInAfterARevocationIsNotJudgedByAnOlderList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newUserStore()
		slow := &slowReply{st.index, make(chan struct{})}
		here := process(t, &userStore{st.Store, slow, st.sessions})
		first := make(chan error)
		go func() {
			s := load(t, here, "")
			_ = signIn(s)
			first <- s.Save(context.Background())
		}()
		synctest.Wait() // its list is stored
		if err := process(t, st).RevokeUser(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		second := make(chan error)
		go func() {
			s := load(t, here, "")
			_ = signIn(s)
			second <- s.Save(context.Background())
		}()
		synctest.Wait() // it waits for its turn at the list
		close(slow.hold)
		if err := <-first; err != nil {
			t.Errorf("the first: %v", err)
		}
		if err := <-second; err != nil {
			t.Errorf("the second: %v", err)
		}
		if all, err := walk(here.Sessions(t.Context(), "ada")); len(all) != 1 || err != nil {
			t.Errorf("%d sessions are listed, %v", len(all), err)
		}
	})
}

func TestRevokeUserEndsARenewalBesideALookAtTheList(t *testing.T) {
	everyOrder(t, func(p *play) {
		m := p.outside()
		had := p.signedIn(m)
		p.enters("browser", had, p.process("browser"), renew)
		p.looks("page")
		p.acts("operator", func() error { return p.process("operator").RevokeUser(context.Background(), "ada") })
		p.check = func() {
			if p.lives(m, had) || p.lives(m, p.cookies["browser"]) {
				p.t.Errorf("the session lives on; its renewal ended with %v", p.errs["browser"])
			}
		}
	})
}

// A lateUpdate is a store whose Update waits.
type lateUpdate struct {
	store.Store
	hold chan struct{} // until it is closed
}

func (s *lateUpdate) Update(ctx context.Context, old, next store.Record) error {
	<-s.hold
	return s.Store.Update(ctx, old, next)
}

// A renewal under way is not saved by many sessions being revoked beside it.
func TestARevocationOfManyEndsARenewalThatIsUnderWay(t *testing.T) {
	for name, revoke := range map[string]func(m *core.Manager, handle string) error{
		"Revoke":     func(m *core.Manager, handle string) error { return m.Revoke(context.Background(), "ada", handle) },
		"RevokeUser": func(m *core.Manager, _ string) error { return m.RevokeUser(context.Background(), "ada") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newUserStore()
				m := process(t, st)
				had := ada(t, m)
				handle := load(t, m, had).Handle()
				for range 65 {
					other := load(t, m, ada(t, m)).Handle()
					time.Sleep(time.Second)
					if name == "RevokeUser" {
						continue
					}
					if err := m.Revoke(t.Context(), "ada", other); err != nil {
						t.Fatal(err)
					}
				}
				late := &lateUpdate{st.index, make(chan struct{})}
				browser := process(t, &userStore{st.Store, late, st.sessions})
				s, saved := load(t, browser, had), make(chan error)
				_ = s.Renew()
				go func() { saved <- s.Save(context.Background()) }()
				synctest.Wait() // the old id is retired, the new one not listed yet
				if err := revoke(m, handle); err != nil {
					t.Fatal(err)
				}
				close(late.hold)
				wasRevoked(t, m, s, <-saved)
			})
		})
	}
}

// wasRevoked tells that a renewal was refused, with err, and left no session.
func wasRevoked(t *testing.T, m *core.Manager, s *core.Session, err error) {
	t.Helper()
	if !errors.Is(err, core.ErrRevoked) {
		t.Errorf("Renew: %v, want ErrRevoked", err)
	}
	if load(t, m, core.Sign(testSecret, s.ID())).User() != "" {
		t.Error("the session lives on")
	}
}

// A lateReload is a store whose second Load waits.
type lateReload struct {
	store.Store
	loads atomic.Int32
	hold  chan struct{} // until it is closed
}

func (s *lateReload) Load(ctx context.Context, id string) (store.Record, error) {
	if s.loads.Add(1) == 2 {
		<-s.hold
	}
	return s.Store.Load(ctx, id)
}

// Who saw in the list that the session is being ended is refused, also when the
// list has forgotten it by the time that it is looked at again.
func TestARenewalRemembersThatTheSessionWasBeingEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newUserStore()
		m := process(t, st)
		had := ada(t, m)
		handle := load(t, m, had).Handle()
		faulty := &faultyStore{Store: st.Store}
		faulty.down(errors.New("connection refused"))
		dying := process(t, &userStore{faulty, st.index, st.sessions})
		if err := dying.Revoke(t.Context(), "ada", handle); err == nil {
			t.Fatal("Revoke did what it could not")
		}

		late := &lateReload{Store: st.index, hold: make(chan struct{})}
		browser := process(t, &userStore{st.Store, late, st.sessions}, func(c *core.Config) { c.StoreTimeout = time.Hour })
		s, saved := load(t, browser, had), make(chan error)
		_ = s.Renew()
		go func() { saved <- s.Save(context.Background()) }()
		synctest.Wait() // the old id is retired, and the list is looked at again
		if late.loads.Load() != 2 {
			t.Fatalf("the list was loaded %d times, want 2", late.loads.Load())
		}
		_ = m.Revoke(t.Context(), "ada", handle)
		for range 65 {
			time.Sleep(time.Second)
			if err := m.Revoke(t.Context(), "ada", load(t, m, ada(t, m)).Handle()); err != nil {
				t.Fatal(err)
			}
		}
		close(late.hold)
		wasRevoked(t, m, s, <-saved)
	})
}

// A renewal is one more id of a session, and takes no place of another one.
func TestTheLimitHoldsForASignInBesideARenewal(t *testing.T) {
	for _, at := range []core.AtUserLimit{core.DropLeastRecentlyUsed, core.RefuseNew} {
		t.Run(at.String(), func(t *testing.T) {
			t.Parallel()
			everyOrder(t, func(p *play) {
				limit := func(c *core.Config) { c.MaxSessionsPerUser, c.AtUserLimit = 2, at }
				m := p.outside(limit)
				first, had := p.signedIn(m), p.signedIn(m)
				p.enters("renewing", had, p.process("renewing", limit), renew)
				p.enters("login", "", p.process("login", limit), signIn)
				p.check = func() {
					n := 0
					for _, cookie := range []string{first, p.cookies["renewing"], p.cookies["login"]} {
						if p.lives(m, cookie) {
							n++
						}
					}
					if n > 2 {
						p.t.Errorf("%d sessions live, want 2 at most: %v", n, p.errs)
					}
				}
			})
		})
	}
}
