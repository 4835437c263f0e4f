package core_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// account is where the tests keep ada's password: beside the sessions, so that every
// order of reading and changing it is tried.
const account = "account-of-ada"

func hasPassword(p *play, password string) {
	p.t.Helper()
	p.g.whileOpen(func() {
		if err := p.g.store.Create(context.Background(), store.Record{ID: account, Data: []byte(password), TTL: time.Hour}); err != nil {
			p.t.Fatal(err)
		}
	})
}

func readPassword(st store.Store) (string, error) {
	rec, err := st.Load(context.Background(), account)
	return string(rec.Data), err
}

// changesPassword adds an actor who changes ada's password and then ends her sessions.
func (p *play) changesPassword(name string, change ...func(*core.Config)) {
	p.acts(name, func() error {
		st := p.g.by(name)
		old, err := st.Load(context.Background(), account)
		if err != nil {
			return err
		}
		if err := st.Update(context.Background(), old, store.Record{ID: account, Data: []byte("new"), TTL: store.KeepTTL}); err != nil {
			return err
		}
		return p.process(name, change...).RevokeUser(context.Background(), "ada")
	})
}

var errWrongPassword = errors.New("that is not the password")

// logsIn returns a login by the former password, which ends with errWrongPassword where
// it reads the new one.
func (p *play) logsIn(name string) func(s *core.Session) error {
	return func(s *core.Session) error {
		attempt, err := s.BeginSignIn(context.Background(), "ada")
		if err != nil {
			return err
		}
		password, err := readPassword(p.g.by(name))
		if err != nil {
			return err
		}
		if password != "old" {
			return errWrongPassword
		}
		return attempt.SignIn(context.Background(), "password")
	}
}

// Standards: ASVS-7.4.3
func TestNoLoginByAFormerPasswordSurvivesItsChange(t *testing.T) {
	for _, off := range []time.Duration{0, -time.Hour, time.Hour} {
		for name, had := range map[string]func(p *play, m *core.Manager) string{
			"a first login": func(*play, *core.Manager) string { return "" },
			"a login of a visitor with a session": func(p *play, m *core.Manager) string {
				return visitor(p.t, m, func(s *core.Session) { counter.Set(s, 1) })
			},
			"a login again": (*play).signedIn,
		} {
			t.Run(fmt.Sprintf("%s, a clock that is %v off", name, off), func(t *testing.T) {
				t.Parallel()
				wrong := func(c *core.Config) { c.Now = func() time.Time { return time.Now().Add(off) } }
				everyOrder(t, func(p *play) {
					m := p.outside()
					hasPassword(p, "old")
					cookie := had(p, m)
					p.enters("login", cookie, p.process("login"), p.logsIn("login"))
					p.changesPassword("owner", wrong)
					p.check = func() {
						if err := p.errs["owner"]; err != nil {
							p.t.Errorf("the change of the password: %v", err)
						}
						if err := p.errs["login"]; err != nil && !errors.Is(err, core.ErrSessionGone) && !errors.Is(err, errWrongPassword) {
							p.t.Errorf("the login failed with %v, want ErrRevoked or a wrong password", err)
						}
						if p.lives(m, p.cookies["login"]) {
							p.t.Error("a login by the former password survives")
						}
					}
				})
			})
		}
	}
}

func TestAnAttemptThatWasBegunAfterTheRevocationEndsWell(t *testing.T) {
	for _, ahead := range []time.Duration{0, time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			st := newUserStore()
			m := process(t, st)
			fast := process(t, st, func(c *core.Config) { c.Now = func() time.Time { return time.Now().Add(ahead) } })
			if err := fast.RevokeUser(t.Context(), "ada"); err != nil {
				t.Fatal(err)
			}
			s := load(t, m, "")
			attempt, err := s.BeginSignIn(t.Context(), "ada")
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if err := attempt.SignIn(t.Context(), "password", "totp"); err != nil {
				t.Fatal(err)
			}
			if err := s.Save(t.Context()); err != nil {
				t.Errorf("Save, after a revocation by a clock that is %v ahead: %v", ahead, err)
			}
			if got := s.AuthenticatedBy(); s.User() != "ada" || !slices.Equal(got, []string{"password", "totp"}) {
				t.Errorf("signed in is %q, by %q", s.User(), got)
			}
			if at := s.AuthenticatedAt(); !at.Equal(time.Now()) {
				t.Errorf("the sign-in counts from %v, want the moment of SignIn, %v", at, time.Now())
			}
		})
	}
}

func TestAnAttemptIsGoodForAnHour(t *testing.T) {
	for wait, want := range map[time.Duration]error{time.Hour - 1: nil, time.Hour: core.ErrRevoked} {
		synctest.Test(t, func(t *testing.T) {
			s := load(t, process(t, newUserStore()), "")
			attempt, err := s.BeginSignIn(t.Context(), "ada")
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(wait)
			if err := attempt.SignIn(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.Save(t.Context()); !errors.Is(err, want) {
				t.Errorf("Save %v after BeginSignIn: %v, want %v", wait, err, want)
			}
		})
	}
}

func TestAnAttemptThatIsGivenUpLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newUserStore()
		m := process(t, st)
		s := load(t, m, "")
		if _, err := s.BeginSignIn(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		if header, err := m.Commit(t.Context(), s, false); err != nil || header != "" {
			t.Errorf("the commit set the cookie %q, %v", header, err)
		}
		if n := len(st.sessions.Records()); n != 0 || s.User() != "" {
			t.Errorf("%d sessions are stored, the user is %q", n, s.User())
		}
	})
}

func TestAnAttemptIsRefusedBeforeItsCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newUserStore()
		s := load(t, process(t, st), "")
		for _, user := range []string{"", strings.Repeat("x", 256), "\xff"} {
			if _, err := s.BeginSignIn(t.Context(), user); !errors.Is(err, core.ErrInvalidUser) {
				t.Errorf("user %q: %v", user, err)
			}
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.BeginSignIn(gone, "ada"); !errors.Is(err, context.Canceled) {
			t.Errorf("of a visitor who hung up: %v", err)
		}
		without := load(t, process(t, st.Store), "")
		if _, err := without.BeginSignIn(t.Context(), "ada"); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("without lists: %v", err)
		}
		faulty := &faultyStore{Store: st.index}
		faulty.failOnce("load", outage{err: errors.New("connection refused")})
		down := load(t, process(t, &userStore{st.Store, faulty, st.sessions}), "")
		if _, err := down.BeginSignIn(t.Context(), "ada"); core.HTTPStatus(err) != 503 {
			t.Errorf("while the list cannot be loaded: %v", err)
		}
	})
}

// A handler that signs in and logs the user out everywhere else does not forget that
// somebody else has ended the user's sessions in between.
func TestRevokeOthersOfASignInDoesNotUndoARevocation(t *testing.T) {
	for name, do := range map[string]func(p *play) func(*core.Session) error{
		"SignIn":      func(*play) func(*core.Session) error { return signIn },
		"BeginSignIn": func(p *play) func(*core.Session) error { return p.logsIn("browser") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everyOrder(t, func(p *play) {
				m := p.outside()
				hasPassword(p, "old")
				browser := p.process("browser")
				p.enters("browser", "", browser, func(s *core.Session) error {
					if err := do(p)(s); err != nil {
						return err
					}
					return browser.RevokeOthers(context.Background(), s)
				})
				p.changesPassword("operator")
				p.check = func() {
					if err := p.errs["browser"]; err != nil && !errors.Is(err, core.ErrSessionGone) && !errors.Is(err, errWrongPassword) {
						p.t.Errorf("the request failed with %v, want ErrRevoked", err)
					}
					if p.lives(m, p.cookies["browser"]) {
						p.t.Error("its session lives on")
					}
				}
			})
		})
	}
}
