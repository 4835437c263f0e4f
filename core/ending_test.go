package core_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A fiveVerbs hides the optional abilities of a store.
type fiveVerbs struct{ store.Store }

// removals are the two ways in which a store removes what somebody else may change.
var removals = []struct {
	name string
	wrap func(store.Store) store.Store
}{
	{"removes in one step", func(s store.Store) store.Store { return s }},
	{"removes in two steps", func(s store.Store) store.Store { return fiveVerbs{s} }},
}

// endings are the verbs that end a session.
var endings = []struct {
	name string
	end  func(s *core.Session) error
}{
	{"Destroy", func(s *core.Session) error { return s.Destroy(context.Background()) }},
	{"SignOut", func(s *core.Session) error { return s.SignOut(context.Background()) }},
}

// moves are the verbs that give a session another id.
var moves = []struct {
	name string
	move func(s *core.Session) error
}{
	{"Renew", (*core.Session).Renew},
	{"SignIn", signIn},
	{"Regenerate", (*core.Session).Regenerate},
}

// destroyed returns how often the Observer was told that a session was destroyed.
func (d *diary) destroyed() int {
	return len(slices.DeleteFunc(d.took(), func(line string) bool { return !strings.HasPrefix(line, string(core.EventDestroyed)) }))
}

// moved gives the session of a cookie another id, by m, and returns the new cookie.
func moved(t *testing.T, m *core.Manager, cookie string, move func(s *core.Session) error) string {
	t.Helper()
	s := load(t, m, cookie)
	if err := move(s); err != nil {
		t.Fatal(err)
	}
	next := commit(t, m, s, cookie)
	if next == cookie {
		t.Fatal("the session has its id still")
	}
	return next
}

// A verb that ends a session follows it to where another request took it.
//
// Standards: ASVS-7.4.1, WSTG-SESS-06
func TestALogoutEndsTheSessionThatWasRenewedMeanwhile(t *testing.T) {
	for _, removal := range removals {
		for _, ending := range endings {
			for _, move := range moves {
				for _, processes := range []int{1, 2} {
					for _, secret := range []bool{false, true} {
						t.Run(fmt.Sprintf("%s/%s/%s/%d processes/hashed and sealed: %v", removal.name, ending.name, move.name, processes, secret), func(t *testing.T) {
							t.Parallel()
							records, log := new(mapstore.Store), &diary{}
							settings := func(c *core.Config) {
								if c.HashIDs = secret; secret {
									c.SealKeys = []string{strings.Repeat("k", 32)}
								}
							}
							m := process(t, removal.wrap(records), settings, func(c *core.Config) { c.Observer = log })
							other := m
							if processes == 2 {
								other = process(t, removal.wrap(records), settings)
							}
							cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
							s := load(t, m, cookie)
							renewed := moved(t, other, cookie, move.move)
							log.took()
							if err := ending.end(s); err != nil {
								t.Fatalf("it returned %v", err)
							}
							header, err := m.Commit(context.Background(), s, false)
							if err != nil || !strings.Contains(header, "Max-Age=0") {
								t.Errorf("Set-Cookie %q, error %v; want one that deletes", header, err)
							}
							if s := load(t, other, renewed); s.Status() != core.StatusUnknown {
								t.Errorf("the session lives under its new id: %v", s.Status())
							}
							if n := log.destroyed(); n != 1 {
								t.Errorf("%d events that it was destroyed", n)
							}
						})
					}
				}
			}
		}
	}
}

// What a record under an id that was given up says of where the session went is for
// this deployment alone.
func TestARecordUnderAnIDThatWasGivenUpTellsNothing(t *testing.T) {
	t.Parallel()
	records := new(mapstore.Store)
	m := process(t, records)
	cookie := visitor(t, m, func(s *core.Session) { colour.Set(s, "white") })
	s := load(t, m, cookie)
	if err := s.SignIn(t.Context(), "ada-of-the-users"); err != nil {
		t.Fatal(err)
	}
	old, next := load(t, m, cookie).ID(), load(t, m, commit(t, m, s, cookie))
	rec, err := records.Load(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{next.ID(), next.Handle(), "ada-of-the-users", "white", "colour"} {
		if secret == "" || bytes.Contains(rec.Data, []byte(secret)) {
			t.Errorf("the record under the old id has %q: %s", secret, rec.Data)
		}
	}
}

func TestHowFarALogoutFollowsASession(t *testing.T) {
	const most = 8
	for _, hops := range []int{most, most + 1} {
		t.Run(fmt.Sprint(hops), func(t *testing.T) {
			t.Parallel()
			records, log := new(mapstore.Store), &diary{}
			m, other := process(t, records, func(c *core.Config) { c.Observer = log }), process(t, records)
			cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
			s := load(t, m, cookie)
			for range hops {
				cookie = moved(t, other, cookie, renew)
			}
			log.took()
			err := s.Destroy(t.Context())
			lives := load(t, other, cookie).Status() == core.StatusLoaded
			if hops == most && (err != nil || lives || log.destroyed() != 1) {
				t.Errorf("Destroy returned %v and the session lives: %v", err, lives)
			}
			if hops > most && (!errors.Is(err, core.ErrSessionGone) || !lives || log.destroyed() != 0) {
				t.Errorf("Destroy returned %v and the session lives: %v; want ErrSessionGone", err, lives)
			}
		})
	}
}

// notEnded checks that a verb which could not end the session says so, to its
// handler, to the browser and to the Observer.
func notEnded(t *testing.T, m *core.Manager, s *core.Session, log *diary, end func(*core.Session) error) {
	t.Helper()
	log.took()
	for range 2 {
		if err := end(s); !errors.Is(err, core.ErrSessionGone) || core.HTTPStatus(err) != http.StatusConflict {
			t.Errorf("it returned %v, want ErrSessionGone", err)
		}
	}
	if header, err := m.Commit(context.Background(), s, false); header != "" || err != nil {
		t.Errorf("Set-Cookie %q, error %v; want neither", header, err)
	}
	if n := log.destroyed(); n != 0 {
		t.Errorf("%d events that it was destroyed", n)
	}
}

// Who comes with an id that was given up before is not led to the session.
func TestALogoutWithAnIDThatWasGivenUpIsNone(t *testing.T) {
	for _, removal := range removals {
		for _, ending := range endings {
			t.Run(removal.name+"/"+ending.name, func(t *testing.T) {
				t.Parallel()
				records, log := new(mapstore.Store), &diary{}
				m := process(t, removal.wrap(records), func(c *core.Config) { c.Observer = log })
				cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
				renewed := moved(t, m, cookie, renew)
				notEnded(t, m, load(t, m, cookie), log, ending.end)
				if s := load(t, m, renewed); s.Status() != core.StatusLoaded {
					t.Errorf("the session is %v, want it alive", s.Status())
				}
			})
		}
	}
}

// During a rotation of the secrets, a process may not know the one that another
// process has used already.
func TestALogoutFollowsNobodyWithOtherSecrets(t *testing.T) {
	oldSecret, newSecret := strings.Repeat("o", 32), strings.Repeat("n", 32)
	for _, ending := range endings {
		t.Run(ending.name, func(t *testing.T) {
			t.Parallel()
			records, log := new(mapstore.Store), &diary{}
			behind := process(t, records, func(c *core.Config) { c.Secrets, c.Observer = []string{oldSecret}, log })
			ahead := process(t, records, func(c *core.Config) { c.Secrets = []string{newSecret, oldSecret} })
			cookie := visitor(t, behind, func(s *core.Session) { counter.Set(s, 1) })

			s := load(t, behind, cookie)
			renewed := moved(t, ahead, cookie, renew)
			notEnded(t, behind, s, log, ending.end)

			cookie = visitor(t, behind, func(s *core.Session) { counter.Set(s, 1) })
			s = load(t, ahead, cookie) // it knows both
			lost := moved(t, behind, cookie, renew)
			if err := ending.end(s); err != nil {
				t.Errorf("with both secrets it returned %v", err)
			}
			if load(t, ahead, renewed).Status() != core.StatusLoaded || load(t, ahead, lost).Status() != core.StatusUnknown {
				t.Error("want the session of which nobody could be told alive, and the other one ended")
			}
		})
	}
}

// After SignOut the visitor has an empty session, also where somebody else has ended
// the one that was there: a second click on the button shows the same page.
func TestALogoutOfASessionThatHasEndedGoesOnWithAnEmptyOne(t *testing.T) {
	for _, removal := range removals {
		for _, before := range endings {
			for _, again := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/after %s/again: %v", removal.name, before.name, again), func(t *testing.T) {
					t.Parallel()
					records := new(mapstore.Store)
					m, other := process(t, removal.wrap(records)), process(t, removal.wrap(records))
					cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
					s := load(t, m, cookie)
					if err := before.end(load(t, other, cookie)); err != nil {
						t.Fatal(err)
					}
					for range map[bool]int{false: 1, true: 2}[again] {
						if err := s.SignOut(context.Background()); err != nil {
							t.Fatal(err)
						}
					}
					if n := counter.Get(s); n != 0 {
						t.Errorf("the empty session has %d", n)
					}
					s.Flash("info", "you are logged out")
					next := commit(t, m, s, cookie)
					if next == cookie || next == "" {
						t.Fatalf("the cookie of the empty session is %q", next)
					}
					if s := load(t, m, next); counter.Get(s) != 0 || len(s.Flashes("info")) != 1 {
						t.Error("the next page does not see what was put into it")
					}
					if load(t, m, cookie).Status() == core.StatusLoaded {
						t.Error("the session lives")
					}
				})
			}
		}
	}
}

// A session that somebody else has ended is no success of this request, and the
// browser may have the cookie of a newer one.
func TestALogoutOfASessionThatHasEndedSetsNoCookie(t *testing.T) {
	for _, removal := range removals {
		for _, ending := range endings {
			for _, before := range endings {
				t.Run(removal.name+"/"+ending.name+" after "+before.name, func(t *testing.T) {
					t.Parallel()
					records, log := new(mapstore.Store), &diary{}
					m, other := process(t, removal.wrap(records), func(c *core.Config) { c.Observer = log }), process(t, removal.wrap(records))
					cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
					s, first := load(t, m, cookie), load(t, other, cookie)
					if err := before.end(first); err != nil {
						t.Fatal(err)
					}
					log.took()
					for range 2 {
						if err := ending.end(s); err != nil {
							t.Errorf("it returned %v", err)
						}
					}
					if header, err := m.Commit(context.Background(), s, false); header != "" || err != nil {
						t.Errorf("Set-Cookie %q, error %v; want neither", header, err)
					}
					if n := log.destroyed(); n != 0 {
						t.Errorf("%d events that it was destroyed", n)
					}
				})
			}
		}
	}
}

// A record under an id that was given up stays for its minute, whatever ends the
// session that it was.
func TestALogoutLeavesTheRecordOfTheOldID(t *testing.T) {
	for _, removal := range removals {
		for _, ending := range endings {
			for _, came := range []string{"before", "after"} {
				t.Run(removal.name+"/"+ending.name+" of who came "+came, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						records := new(mapstore.Store)
						m, other := process(t, removal.wrap(records)), process(t, removal.wrap(records))
						cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
						s := load(t, m, cookie)
						id := s.ID()
						renewed := moved(t, other, cookie, renew)
						if came == "after" {
							s = load(t, m, renewed)
						}
						if err := ending.end(s); err != nil {
							t.Fatal(err)
						}
						commit(t, m, s, cookie)
						time.Sleep(time.Minute - time.Nanosecond)
						if _, err := records.Load(t.Context(), id); err != nil {
							t.Errorf("before its minute is over, the record of the old id: %v", err)
						}
						time.Sleep(time.Nanosecond)
						if n := len(records.Records()); n != 0 {
							t.Errorf("%d records after the minute", n)
						}
					})
				})
			}
		}
	}
}

// A renewal that began before the logout and reaches the store after it does not
// bring the session back, in whatever order their calls come.
func TestNoOrderOfALogoutAndARenewalLetsTheSessionLive(t *testing.T) {
	for _, ending := range endings {
		for _, move := range moves[:2] {
			t.Run(ending.name+"/"+move.name, func(t *testing.T) {
				t.Parallel()
				everyOrder(t, func(p *play) {
					m := p.outside()
					cookie := p.signedIn(m)
					p.enters("renews", cookie, p.process("renews"), move.move)
					p.enters("leaves", cookie, p.process("leaves"), ending.end)
					p.check = func() {
						if err := p.errs["leaves"]; err != nil {
							p.t.Errorf("the logout returned %v", err)
						}
						if p.lives(m, cookie) {
							p.t.Error("the session lives under its old id")
						}
						own := move.name == "SignIn" && p.errs["renews"] == nil // or it began one of its own
						if renewed := p.cookies["renews"]; renewed != cookie && p.lives(m, renewed) && !own {
							p.t.Error("the session lives under its new id")
						}
					}
				})
			})
		}
	}
}

// What a store that was down left of a logout is done by the next attempt, also
// where the session was renewed meanwhile.
func TestALogoutThatFailedFollowsTheSession(t *testing.T) {
	for _, ending := range endings {
		t.Run(ending.name, func(t *testing.T) {
			t.Parallel()
			records := new(mapstore.Store)
			down := &faultyStore{Store: records}
			m, other := process(t, down), process(t, records)
			cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
			s := load(t, m, cookie)
			down.down(errors.New("down"))
			if err := ending.end(s); err == nil || errors.Is(err, core.ErrSessionGone) {
				t.Fatalf("while the store is down it returned %v", err)
			}
			down.heal()
			renewed := moved(t, other, cookie, renew)
			header, err := m.Commit(context.Background(), s, false)
			if err != nil || !strings.Contains(header, "Max-Age=0") {
				t.Errorf("Set-Cookie %q, error %v", header, err)
			}
			if s := load(t, other, renewed); s.Status() != core.StatusUnknown {
				t.Errorf("the session is %v", s.Status())
			}
		})
	}
}

// What a logout leaves for a moment, where the store removes in two steps, is no
// session that moved on: nobody goes on from there.
func TestASessionThatIsBeingRemovedHasEnded(t *testing.T) {
	t.Parallel()
	down := &faultyStore{Store: fiveVerbs{new(mapstore.Store)}}
	m, other := process(t, down), process(t, down)
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
	signsIn, renews := load(t, other, cookie), load(t, other, cookie)
	down.failOnce("delete", outage{err: errors.New("down")})
	if err := load(t, m, cookie).Destroy(t.Context()); err != nil {
		t.Fatalf("%v: what is left is no session", err)
	}
	if err := errors.Join(signIn(signsIn), renew(renews)); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*core.Session{"SignIn": signsIn, "Renew": renews} {
		if header, err := other.Commit(context.Background(), s, false); header != "" || !errors.Is(err, core.ErrSessionGone) {
			t.Errorf("%s: Set-Cookie %v, error %v; want none and ErrSessionGone", name, header != "", err)
		}
	}
	if s := load(t, other, cookie); s.Status() != core.StatusUnknown || other.Ping(t.Context()) != nil {
		t.Errorf("who comes now has a session that is %v", s.Status())
	} else if _, err := other.Commit(context.Background(), s, false); err != nil {
		t.Error(err)
	}
}

// A logout of which the store could not tell is done again by the commit, and is a
// success wherever the first attempt got to. In two steps the first one decides.
func TestALogoutThatWasDoneHalfwayIsFinished(t *testing.T) {
	for _, removal := range removals {
		for _, ending := range endings {
			for _, applied := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/applied: %v", removal.name, ending.name, applied), func(t *testing.T) {
					t.Parallel()
					records, log := new(mapstore.Store), &diary{}
					down := &faultyStore{Store: removal.wrap(records)}
					m, other := process(t, down, func(c *core.Config) { c.Observer = log }), process(t, down)
					cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
					s, another := load(t, m, cookie), load(t, other, cookie)
					down.failOnce("delete", outage{applied: applied, err: errors.New("down")})
					atOnce := removal.name != "removes in two steps"
					if err := ending.end(s); (err == nil) == atOnce {
						t.Fatalf("it returned %v", err)
					}
					if atOnce {
						log.took()
					}
					header, err := m.Commit(context.Background(), s, false)
					if err != nil || !strings.Contains(header, "Max-Age=0") || log.destroyed() != 1 {
						t.Errorf("Set-Cookie %q, error %v; want one that deletes, and an event", header, err)
					}
					if err := ending.end(another); err != nil {
						t.Errorf("of another request it returned %v", err)
					}
					if n := live(records); n != 0 {
						t.Errorf("%d sessions live", n)
					}
				})
			}
		}
	}
}

// together is a request that brings several cookies, as a browser with a host-only
// cookie and one for the domain does.
func together(t *testing.T, cookies []string) *http.Request {
	r := requestWith(t.Context(), "")
	r.Header.Set("Cookie", "sid="+strings.Join(cookies, "; sid="))
	return r
}

// A logout ends every genuine session that came with the request, not only the one
// that was found.
//
// Standards: ASVS-7.4.1
func TestALogoutEndsEverySessionThatCame(t *testing.T) {
	for _, removal := range removals {
		for _, ending := range endings {
			for _, n := range []int{2, 8} {
				t.Run(fmt.Sprintf("%s/%s/%d", removal.name, ending.name, n), func(t *testing.T) {
					t.Parallel()
					records, log := new(mapstore.Store), &diary{}
					m := process(t, removal.wrap(records), func(c *core.Config) { c.Observer = log })
					unknown := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
					if err := load(t, m, unknown).Destroy(t.Context()); err != nil {
						t.Fatal(err)
					}
					cookies := []string{unknown}
					for range n - 1 {
						cookies = append(cookies, visitor(t, m, func(s *core.Session) { counter.Set(s, 1) }))
					}
					bystander := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
					cookies = append(cookies, cookies[1]) // twice
					if n < 8 {
						cookies = append(cookies, "s%3A"+strings.Repeat("x", 32)+".forged")
					}
					log.took()
					w := serve(m, together(t, cookies), func(_ http.ResponseWriter, r *http.Request) {
						if err := ending.end(core.FromContext(r.Context())); err != nil {
							t.Errorf("it returned %v", err)
						}
					})
					if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0") {
						t.Errorf("status %d, Set-Cookie %q", w.Code, w.Header().Get("Set-Cookie"))
					}
					for i, c := range cookies[:n] {
						if s := load(t, m, c); s.Status() != core.StatusUnknown {
							t.Errorf("cookie %d still leads to a session that is %v", i, s.Status())
						}
					}
					if s := load(t, m, bystander); s.Status() != core.StatusLoaded {
						t.Error("a session that did not come has ended")
					}
					if n := log.destroyed(); n != 1 {
						t.Errorf("%d events that it was destroyed", n)
					}
				})
			}
		}
	}
}

// A duplicate whose id was given up may be that of a session which lives on, so the
// logout is no success, though the rest of what came has ended.
func TestALogoutWithADuplicateThatWasGivenUpSaysSo(t *testing.T) {
	for _, ending := range endings {
		for _, first := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/it comes first: %v", ending.name, first), func(t *testing.T) {
				t.Parallel()
				m := process(t, new(mapstore.Store))
				retired := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
				renewed := moved(t, m, retired, renew)
				cookies := []string{
					visitor(t, m, func(s *core.Session) { counter.Set(s, 1) }), retired,
					visitor(t, m, func(s *core.Session) { counter.Set(s, 1) }),
				}
				if first {
					cookies[0], cookies[1] = cookies[1], cookies[0]
				}
				w := serve(m, together(t, cookies), func(w http.ResponseWriter, r *http.Request) {
					err := ending.end(core.FromContext(r.Context()))
					if !errors.Is(err, core.ErrSessionGone) {
						t.Errorf("it returned %v, want ErrSessionGone", err)
					}
					w.WriteHeader(core.HTTPStatus(err))
				})
				if w.Code != http.StatusConflict {
					t.Errorf("status %d", w.Code)
				}
				for i, c := range cookies {
					if s := load(t, m, c); s.Status() != core.StatusUnknown {
						t.Errorf("cookie %d still leads to a session that is %v", i, s.Status())
					}
				}
				if s := load(t, m, renewed); s.Status() != core.StatusLoaded {
					t.Error("somebody who was not told where the session went has ended it")
				}
			})
		}
	}
}

// Where the store fails for one of several sessions, the logout has failed, and the
// commit tries all that are left.
func TestALogoutOfSeveralSessionsThatFailsIsTriedAgain(t *testing.T) {
	for _, ending := range endings {
		t.Run(ending.name, func(t *testing.T) {
			t.Parallel()
			records := new(mapstore.Store)
			down := &faultyStore{Store: records}
			m := process(t, down)
			cookies := []string{
				visitor(t, m, func(s *core.Session) { counter.Set(s, 1) }),
				visitor(t, m, func(s *core.Session) { counter.Set(s, 1) }),
			}
			w := serve(m, together(t, cookies), func(_ http.ResponseWriter, r *http.Request) {
				down.failOnce("delete", outage{err: errors.New("down")}) // of one of the two
				if err := ending.end(core.FromContext(r.Context())); err == nil || errors.Is(err, core.ErrSessionGone) {
					t.Errorf("it returned %v", err)
				}
			})
			if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0") {
				t.Errorf("status %d, Set-Cookie %q", w.Code, w.Header().Get("Set-Cookie"))
			}
			if n := len(records.Records()); n != 0 {
				t.Errorf("%d records are left", n)
			}
		})
	}
}
