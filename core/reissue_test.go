package core_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A staleStore reads from a cache, which knows nothing of what other processes
// wrote, unless it is asked to go past it.
type staleStore struct {
	store.Store
	mu    sync.Mutex
	cache map[string]store.Record
}

func (s *staleStore) Load(ctx context.Context, id string) (store.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec, ok := s.cache[id]; ok && !store.BypassesCache(ctx) {
		return rec, nil
	}
	rec, err := s.Store.Load(ctx, id)
	if err == nil {
		s.cache[id] = rec
	}
	return rec, err
}

// reissues are the reasons to send a cookie again although its session stays what it
// is. Each has settings, and what the handler does.
var reissues = []struct {
	name   string
	change func(*core.Config)
	do     func(s *core.Session)
}{
	{"Rolling", func(c *core.Config) { c.Rolling = true }, func(*core.Session) {}},
	{"Rolling with a max age", func(c *core.Config) { c.Rolling, c.Cookie.MaxAge = true, 24*time.Hour }, func(*core.Session) {}},
	{"Rolling after Touch", func(c *core.Config) { c.Rolling = true }, func(s *core.Session) { s.Touch() }},
	{"a rotation", func(c *core.Config) { c.Secrets = []string{strings.Repeat("n", 32), testSecret} }, func(*core.Session) {}},
	{"a rotation with a max age", func(c *core.Config) {
		c.Secrets, c.Cookie.MaxAge = []string{strings.Repeat("n", 32), testSecret}, 24*time.Hour
	}, func(*core.Session) {}},
	{"a change that is saved before", func(c *core.Config) { c.Cookie.MaxAge = 24 * time.Hour }, func(s *core.Session) {
		counter.Set(s, 2)
		_ = s.Save(context.Background())
	}},
	{"a cookie that is due", func(c *core.Config) { c.Cookie.MaxAge = 2 * time.Minute }, func(*core.Session) {}},
}

// No cookie is sent again where the browser may have a newer one by now, whichever
// process sent that.
func TestALateAnswerDoesNotPutAnOldCookieBack(t *testing.T) {
	for _, reissue := range reissues {
		for name, meanwhile := range map[string]func(s *core.Session) error{
			"a sign-in": signIn,
			"a renewal": renew,
			"a logout":  func(s *core.Session) error { return s.SignOut(context.Background()) },
			"nothing":   func(*core.Session) error { return nil },
		} {
			for _, processes := range []int{1, 2} {
				for _, cached := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%s by one of %d processes/cached: %v", reissue.name, name, processes, cached), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							var st store.Store = new(mapstore.Store)
							maker := process(t, st, func(c *core.Config) { c.Cookie.MaxAge = 0; reissue.change(c); c.Secrets = []string{testSecret} })
							cookie := visitor(t, maker, func(s *core.Session) { counter.Set(s, 1) })
							other := process(t, st, reissue.change)
							if cached {
								st = &staleStore{Store: st, cache: map[string]store.Record{}}
							}
							m := process(t, st, reissue.change)
							if processes == 1 {
								other = m
							}
							time.Sleep(30 * time.Second) // a fourth of the life of a cookie that is due
							w := serve(m, requestWith(t.Context(), cookie), func(w http.ResponseWriter, r *http.Request) {
								reissue.do(core.FromContext(r.Context()))
								s := load(t, other, cookie)
								if err := meanwhile(s); err != nil {
									t.Fatal(err)
								}
								if name != "nothing" {
									commit(t, other, s, cookie)
								}
								w.WriteHeader(http.StatusOK)
							})
							if w.Code != http.StatusOK {
								t.Errorf("status %d", w.Code)
							}
							sent := w.Header().Get("Set-Cookie")
							if name == "nothing" && (sent == "" || strings.Contains(sent, "Max-Age=0")) {
								t.Errorf("while nothing happened it sets %q", sent)
							}
							if name != "nothing" && sent != "" {
								t.Errorf("it sets %q", sent)
							}
						})
					})
				}
			}
		}
	}
}

// Where the store cannot tell, no cookie is sent again, and the response fails as
// with any other read that fails.
func TestACookieIsNotSentAgainUnproven(t *testing.T) {
	t.Parallel()
	down := &faultyStore{Store: new(mapstore.Store)}
	m := process(t, down, func(c *core.Config) { c.Rolling = true })
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
	w := serve(m, requestWith(t.Context(), cookie), func(http.ResponseWriter, *http.Request) { down.down(errors.New("down")) })
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("status %d, Set-Cookie %q", w.Code, w.Header().Get("Set-Cookie"))
	}
}

// After a panic nobody asks the store, so that no cookie is sent again either.
func TestAPanicSendsNoCookieAgain(t *testing.T) {
	t.Parallel()
	st := new(mapstore.Store)
	settings := func(c *core.Config) { c.Cookie.MaxAge = time.Hour }
	m, other := process(t, st, settings), process(t, st, settings)
	cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
	w := httptest.NewRecorder()
	recovering(m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		counter.Set(s, 2)
		if err := s.Save(r.Context()); err != nil {
			t.Error(err)
		}
		moved(t, other, cookie, renew)
		panic("a bug")
	}))).ServeHTTP(w, requestWith(t.Context(), cookie))
	if w.Code != http.StatusInternalServerError || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("status %d, Set-Cookie %q", w.Code, w.Header().Get("Set-Cookie"))
	}
}

// With a max age, the cookie of an active session is sent again when a tenth of its
// life has passed, and the record says so.
func TestTheCookieOfAnActiveSessionIsSentAgainAfterATenthOfItsLife(t *testing.T) {
	const maxAge = time.Hour
	reads := func(http.ResponseWriter, *http.Request) {}
	for _, tt := range []struct {
		name   string
		change func(*core.Config)
		made   func(s *core.Session)
		do     http.HandlerFunc
		after  time.Duration
		sent   bool
	}{
		{name: "a tenth", after: maxAge / 10},
		{name: "more than a tenth", after: maxAge/10 + time.Millisecond, sent: true},
		{name: "nearly all", after: maxAge - time.Second, sent: true},
		{name: "a session without a max age", after: maxAge, change: func(c *core.Config) { c.Cookie.MaxAge = 0 }},
		{
			name: "a max age of its own", after: 2*time.Minute + time.Millisecond, sent: true,
			made: func(s *core.Session) { _ = s.SetMaxAge(20 * time.Minute) },
		},
		{name: "a passive request", after: maxAge / 2, change: func(c *core.Config) { c.Passive = func(*http.Request) bool { return true } }},
		{name: "after Discard", after: maxAge / 2, do: func(_ http.ResponseWriter, r *http.Request) { core.FromContext(r.Context()).Discard() }},
		{name: "without asking for the session", after: maxAge / 2, sent: true, do: reads},
		{name: "where the absolute timeout ends both", after: maxAge / 2, change: func(c *core.Config) { c.AbsoluteTimeout = maxAge }},
		{name: "a Touch", after: maxAge / 2, sent: true, do: func(_ http.ResponseWriter, r *http.Request) { core.FromContext(r.Context()).Touch() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				records := new(mapstore.Store)
				st := observed(records)
				m := process(t, st, func(c *core.Config) {
					c.Cookie.MaxAge = maxAge
					if tt.change != nil {
						tt.change(c)
					}
				})
				cookie := visitor(t, m, func(s *core.Session) {
					counter.Set(s, 1)
					if tt.made != nil {
						tt.made(s)
					}
				})
				before := cookieOf(t, records)
				time.Sleep(tt.after)
				st.took()
				do := tt.do
				if do == nil {
					do = func(_ http.ResponseWriter, r *http.Request) { _ = core.FromContext(r.Context()).Get("n") }
				}
				w := serve(m, requestWith(t.Context(), cookie), do)
				sent, after := w.Header().Get("Set-Cookie"), cookieOf(t, records)
				if w.Code != http.StatusOK || (sent != "") != tt.sent {
					t.Fatalf("status %d, Set-Cookie %q; want one: %v", w.Code, sent, tt.sent)
				}
				writes := strings.Count(st.verbs(), "update")
				if !tt.sent {
					if after != before || writes != 0 {
						t.Errorf("%d writes, and the record says %v in place of %v", writes, after, before)
					}
					return
				}
				if writes != 1 {
					t.Errorf("%d writes, want 1", writes)
				}
				c, err := http.ParseSetCookie(sent)
				if err != nil || time.Duration(c.MaxAge)*time.Second != time.Duration(before.MaxAge)*time.Millisecond {
					t.Errorf("it sets %q, %v; want the whole max age of %v ms", sent, err, before.MaxAge)
				}
				if want := time.Now().Add(time.Duration(before.MaxAge) * time.Millisecond).UTC().Format("2006-01-02T15:04:05.000Z"); after.Expires != want || after.MaxAge != before.MaxAge {
					t.Errorf("the record says %v, want that it expires at %s", after, want)
				}
				if w := serve(m, requestWith(t.Context(), cookie), do); w.Header().Get("Set-Cookie") != "" {
					t.Error("the next response sends it once more")
				}
			})
		})
	}
}

// A browser that comes again in time is never without its session, however long it
// goes on, and not every response has a cookie for that.
func TestCookieMaxAgeDoesNotEndAnActiveSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := process(t, new(mapstore.Store), func(c *core.Config) { c.Cookie.MaxAge = time.Hour })
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		expires, sent := time.Now().Add(time.Hour), 0
		for range 1000 {
			time.Sleep(time.Minute)
			if time.Now().After(expires) {
				t.Fatal("the browser has dropped the cookie of an active session")
			}
			w := serve(m, requestWith(t.Context(), cookie), func(http.ResponseWriter, *http.Request) {})
			if header := w.Header().Get("Set-Cookie"); header != "" {
				c, err := http.ParseSetCookie(header)
				if err != nil {
					t.Fatal(err)
				}
				expires = time.Now().Add(time.Duration(c.MaxAge) * time.Second)
				sent++
			}
		}
		if sent != 1000/7 { // each minute that is the first after six
			t.Errorf("%d cookies with 1000 responses, want %d", sent, 1000/7)
		}
	})
}

// Of many requests at once that find the cookie due, one writes the record.
func TestOfManyRequestsOneSendsTheCookieThatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near := new(mapstore.Store)
		st := observed(distantStore{near})
		m := process(t, st, func(c *core.Config) { c.Cookie.MaxAge = time.Hour })
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		time.Sleep(10 * time.Minute)
		st.took()
		var (
			all  sync.WaitGroup
			mu   sync.Mutex
			sent int
		)
		for range 20 {
			all.Go(func() {
				w := serve(m, requestWith(t.Context(), cookie), func(http.ResponseWriter, *http.Request) {})
				mu.Lock()
				defer mu.Unlock()
				if w.Code != http.StatusOK {
					t.Errorf("status %d", w.Code)
				}
				if w.Header().Get("Set-Cookie") != "" {
					sent++
				}
			})
		}
		all.Wait()
		if writes := strings.Count(st.verbs(), "update"); writes != 1 || sent != 1 {
			t.Errorf("%d writes and %d cookies, want one of each", writes, sent)
		}
	})
}

// After the first byte the browser cannot be told anything, so that the record goes
// on saying what it was told last.
func TestACookieIsNotDueAfterTheFirstByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := new(mapstore.Store)
		st := observed(records)
		m := process(t, st, func(c *core.Config) { c.Cookie.MaxAge = time.Hour })
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		before := cookieOf(t, records)
		serve(m, requestWith(t.Context(), cookie), func(w http.ResponseWriter, r *http.Request) {
			s := core.FromContext(r.Context())
			w.WriteHeader(http.StatusOK)
			time.Sleep(20 * time.Minute)
			synctest.Wait() // for the request, which extends its session all the while
			st.took()
			counter.Set(s, 2)
			if err := s.Save(r.Context()); err != nil {
				t.Error(err)
			}
			counter.Set(s, 3)
		})
		if got := st.verbs(); got != "update update" {
			t.Errorf("after the first byte: %s, want two updates", got)
		}
		if after := cookieOf(t, records); after != before {
			t.Errorf("the record says %v, and the browser was told %v", after, before)
		}
	})
}

func TestATouchAfterTheFirstByteWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := observed(new(mapstore.Store))
		m := process(t, st, func(c *core.Config) { c.Cookie.MaxAge = time.Hour })
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		serve(m, requestWith(t.Context(), cookie), func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			time.Sleep(20 * time.Minute)
			synctest.Wait()
			st.took()
			core.FromContext(r.Context()).Touch()
		})
		if got := st.verbs(); got != "touch" {
			t.Errorf("it cost %q, want a touch", got)
		}
	})
}
