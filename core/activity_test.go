package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// serve lets m serve one request and returns the response.
func serve(m *core.Manager, r *http.Request, h http.HandlerFunc) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	m.Handler(h).ServeHTTP(w, r)
	return w
}

// requestWith returns a request with that cookie, as load takes it.
func requestWith(ctx context.Context, cookie string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", http.NoBody)
	if cookie != "" {
		r.Header.Set("Cookie", "sid="+cookie)
	}
	return r
}

// touches returns how many extensions a store was asked for since the last time.
func (s *stageStore) touches() (n int) {
	for _, c := range s.took() {
		if c.verb == "touch" {
			n++
		}
	}
	return n
}

// A request under way is activity, however long it takes.
func TestALongRequestKeepsItsSession(t *testing.T) {
	const idle = 15 * time.Minute
	for _, tt := range []struct {
		name   string
		change func(*core.Config)
		made   func(s *core.Session) // what was done when the session was made
		ago    time.Duration         // how long before the request that was
		begin  func(s *core.Session) // what the handler does first
		least  int                   // extensions in an hour
		most   int
	}{
		{name: "by the defaults", least: 79, most: 80}, // one in each 45 seconds
		{name: "extended rarely", change: func(c *core.Config) { c.TouchInterval = 14 * time.Minute }, ago: 10 * time.Minute, least: 15, most: 16},
		{name: "with a shorter life", made: func(s *core.Session) { _ = s.SetMaxAge(30 * time.Second) }, ago: 20 * time.Second, least: 2399, most: 2401},
		{name: "extended by every request", change: func(c *core.Config) { c.TouchInterval = core.EveryRequest }, least: 79, most: 81},
		{name: "with a shorter life of its own", begin: func(s *core.Session) { _ = s.SetMaxAge(time.Minute); _ = s.Save(context.Background()) }, least: 1199, most: 1200},
		{name: "after Renew", begin: func(s *core.Session) { _ = s.Renew(); _ = s.Save(context.Background()) }, least: 79, most: 80},
	} {
		for _, streams := range []bool{false, true} {
			t.Run(tt.name+map[bool]string{false: ", an upload", true: ", a stream"}[streams], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					st := observed(new(mapstore.Store))
					m := process(t, st, func(c *core.Config) {
						c.IdleTimeout = idle
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
					time.Sleep(tt.ago)
					st.took()
					w := serve(m, requestWith(t.Context(), cookie), func(w http.ResponseWriter, r *http.Request) {
						s := core.FromContext(r.Context())
						if tt.begin != nil {
							tt.begin(s)
						}
						if streams {
							w.WriteHeader(http.StatusOK)
						}
						time.Sleep(time.Hour)
						counter.Set(s, 2)
					})
					if w.Code != http.StatusOK {
						t.Fatalf("status %d after an hour", w.Code)
					}
					if n := st.touches(); n < tt.least || n > tt.most {
						t.Errorf("%d extensions, want %d to %d", n, tt.least, tt.most)
					}
					if header := w.Header().Get("Set-Cookie"); header != "" {
						cookie = browser(t, header, cookie)
					}
					if got := counter.Get(load(t, m, cookie)); got != 2 {
						t.Errorf("the session has %d, want what the request put there", got)
					}
					synctest.Wait()
					st.took()
					time.Sleep(2 * idle) // the request is over: nothing extends the session
					if n := st.touches(); n > 0 {
						t.Errorf("%d extensions after the request", n)
					}
					if s := load(t, m, cookie); s.Status() != core.StatusUnknown {
						t.Errorf("after the idle timeout the session is %v", s.Status())
					}
				})
			})
		}
	}
}

func TestARequestThatMakesTheSessionKeepsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := process(t, new(mapstore.Store), func(c *core.Config) { c.IdleTimeout = 15 * time.Minute })
		w := serve(m, requestWith(t.Context(), ""), func(w http.ResponseWriter, r *http.Request) {
			counter.Set(core.FromContext(r.Context()), 1)
			w.WriteHeader(http.StatusOK)
			time.Sleep(time.Hour)
		})
		if s := load(t, m, browser(t, w.Header().Get("Set-Cookie"), "")); s.Status() != core.StatusLoaded {
			t.Errorf("after an hour of its first request the session is %v", s.Status())
		}
	})
}

// What another request of this process made of the life of the session counts for
// the one that is under way.
func TestALongRequestKeepsASessionThatIsShortenedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := process(t, new(mapstore.Store), func(c *core.Config) { c.IdleTimeout = 24 * time.Hour })
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		serve(m, requestWith(t.Context(), cookie), func(_ http.ResponseWriter, _ *http.Request) {
			other := load(t, m, cookie)
			if err := other.SetMaxAge(10 * time.Second); err != nil {
				t.Fatal(err)
			}
			commit(t, m, other, cookie)
			time.Sleep(time.Hour)
		})
		if s := load(t, m, cookie); s.Status() != core.StatusLoaded {
			t.Errorf("after an hour the session is %v", s.Status())
		}
	})
}

// A life that another process gave to the session meanwhile is not stretched.
func TestALongRequestGivesTheLifeThatTheSessionHasNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := new(mapstore.Store)
		m, other := process(t, st), process(t, st)
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		serve(m, requestWith(t.Context(), cookie), func(http.ResponseWriter, *http.Request) {
			s := load(t, other, cookie)
			if err := s.SetMaxAge(10 * time.Minute); err != nil {
				t.Fatal(err)
			}
			commit(t, other, s, cookie)
			time.Sleep(time.Hour)
		})
		time.Sleep(10 * time.Minute)
		if n := live(st); n != 0 {
			t.Error("the session lives longer than it was given by the other process")
		}
	})
}

func TestWhichLongRequestsAreNoActivity(t *testing.T) {
	const idle = 15 * time.Minute
	for _, tt := range []struct {
		name   string
		change func(*core.Config)
		during func(cancel func()) // before the long wait
	}{
		{name: "a passive one", change: func(c *core.Config) { c.Passive = func(*http.Request) bool { return true } }},
		{name: "one whose client is gone", during: func(cancel func()) { cancel() }},
		{name: "one at the absolute timeout", change: func(c *core.Config) { c.AbsoluteTimeout = time.Hour }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := new(mapstore.Store)
				m := process(t, st, func(c *core.Config) {
					c.IdleTimeout = idle
					if tt.change != nil {
						tt.change(c)
					}
				})
				cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w := serve(m, requestWith(ctx, cookie), func(_ http.ResponseWriter, r *http.Request) {
					if tt.during != nil {
						tt.during(cancel)
					}
					time.Sleep(time.Hour)
					counter.Set(core.FromContext(r.Context()), 2)
				})
				if w.Code != http.StatusConflict || len(st.Records()) != 0 {
					t.Errorf("status %d and %d records, want 409 and a session that ended", w.Code, len(st.Records()))
				}
			})
		})
	}
}

// What another process ended or renewed is not kept by a request that does not know.
func TestALongRequestKeepsNothingThatHasEnded(t *testing.T) {
	for name, end := range map[string]func(s *core.Session) error{
		"destroyed": func(s *core.Session) error { return s.Destroy(context.Background()) },
		"renewed":   func(s *core.Session) error { return s.Renew() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st, log := new(mapstore.Store), new(stageLog)
				m := process(t, st, func(c *core.Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) })
				other := process(t, st)
				cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
				id := load(t, m, cookie).ID()
				serve(m, requestWith(t.Context(), cookie), func(http.ResponseWriter, *http.Request) {
					s := load(t, other, cookie)
					if err := end(s); err != nil {
						t.Fatal(err)
					}
					commit(t, other, s, cookie)
					time.Sleep(time.Hour)
					if _, err := st.Load(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
						t.Errorf("an hour later there is a record under the old id: %v", err)
					}
					if log.String() != "" {
						t.Errorf("an end is logged like a failure:\n%s", log.String())
					}
				})
			})
		})
	}
}

func TestManyLongRequestsOfASessionExtendItOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, d := observed(new(mapstore.Store)), new(diary)
		m := process(t, st, func(c *core.Config) { c.IdleTimeout, c.Observer = time.Hour, d })
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		st.took()
		d.took()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				serve(m, requestWith(t.Context(), cookie), func(http.ResponseWriter, *http.Request) {
					time.Sleep(30*time.Minute + time.Second)
				})
			})
		}
		all.Wait()
		if n := st.touches(); n != 30 {
			t.Errorf("%d extensions in half an hour, want 30", n)
		}
		if told := d.took(); len(told) != 30 || slices.Compact(told)[0] != "extended" {
			t.Errorf("the Observer is told %d times in half an hour, of %v; want 30 extensions", len(told), told)
		}
	})
}

// A panickyTouch is a store with a bug in one verb.
type panickyTouch struct{ store.Store }

func (panickyTouch) Touch(context.Context, string, time.Duration) error { panic("bug in the store") }

func TestAPanicBesideALongRequestEndsNoProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := new(mapstore.Store)
		var log stageLog
		m := process(t, panickyTouch{st}, func(c *core.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		serve(m, requestWith(t.Context(), cookie), func(http.ResponseWriter, *http.Request) { time.Sleep(150 * time.Second) })
		if n := log.count("panicked; the next sweep tries again"); n != 2 {
			t.Errorf("it was logged %d times, want 2:\n%s", n, log.String())
		}
		if strings.Contains(log.String(), "bug in the store") {
			t.Error("the log has what the store panicked with")
		}
	})
}

// A session that is found when its handler has returned already, by a goroutine that
// nobody waits for, is not kept by it.
func TestALazyLoadAfterTheRequestIsNoRequestUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := new(mapstore.Store)
		m := process(t, st, func(c *core.Config) { c.Lazy, c.IdleTimeout = true, 15*time.Minute })
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		var left context.Context
		serve(m, requestWith(t.Context(), cookie), func(_ http.ResponseWriter, r *http.Request) { left = r.Context() })
		if s := core.FromContext(left); s.Status() != core.StatusLoaded {
			t.Fatalf("the session is %v", s.Status())
		}
		other := visitor(t, m, func(s *core.Session) { counter.Set(s, 2) })
		serve(m, requestWith(t.Context(), other), func(_ http.ResponseWriter, r *http.Request) {
			counter.Get(core.FromContext(r.Context())) // sessions are looked after as long as this lasts
			time.Sleep(time.Hour)
		})
		if isLive(t, m, cookie) {
			t.Error("a request that is over keeps its session")
		}
	})
}

// One process extends a session once for each TouchInterval, however many requests
// come at once.
func TestFiftyRequestsAtOnceSendOneExtension(t *testing.T) {
	for _, tt := range []struct {
		name  string
		known bool // this process has extended the session before
	}{
		{name: "known to this process", known: true},
		{name: "new to this process"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near := new(mapstore.Store)
				st := observed(distantStore{near})
				m, maker := process(t, st), process(t, near)
				if tt.known {
					maker = m
				}
				cookie := visitor(t, maker, func(s *core.Session) { counter.Set(s, 1) })
				for round := range 3 {
					time.Sleep(time.Minute)
					st.took()
					var all sync.WaitGroup
					for range 50 {
						all.Go(func() {
							serve(m, requestWith(t.Context(), cookie), func(http.ResponseWriter, *http.Request) {})
						})
					}
					all.Wait()
					if n := st.touches(); n != 1 {
						t.Errorf("round %d: %d extensions, want 1", round, n)
					}
				}
			})
		})
	}
}

// An extension that failed is not taken for one that was done.
func TestAnExtensionThatFailedIsClaimedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := observed(new(mapstore.Store))
		m := process(t, st)
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		time.Sleep(time.Minute)
		st.took()
		st.failWith("touch", errors.New("down"))
		for range 2 {
			serve(m, requestWith(t.Context(), cookie), func(http.ResponseWriter, *http.Request) {})
			if n := st.touches(); n != 1 {
				t.Errorf("%d extensions while they fail, want 1 for each request", n)
			}
		}
		st.failWith("touch", nil)
		for _, want := range []int{1, 0} {
			serve(m, requestWith(t.Context(), cookie), func(http.ResponseWriter, *http.Request) {})
			if n := st.touches(); n != want {
				t.Errorf("%d extensions after they failed, want %d", n, want)
			}
		}
	})
}

// What is no activity of the visitor leaves the life of the session as it is.
//
// Standards: ASVS-7.3.1
func TestWhatIsNoActivityKeepsTheLifeThatIsLeft(t *testing.T) {
	passive := func(do func(t *testing.T, s *core.Session)) func(*testing.T, *core.Manager, string) string {
		return func(t *testing.T, m *core.Manager, cookie string) string {
			r := requestWith(t.Context(), cookie)
			r.Header.Set("X-Poll", "yes")
			w := serve(m, r, func(_ http.ResponseWriter, r *http.Request) { do(t, core.FromContext(r.Context())) })
			if w.Code != http.StatusOK {
				t.Errorf("status %d", w.Code)
			}
			return w.Header().Get("Set-Cookie")
		}
	}
	change := func(_ *testing.T, s *core.Session) { counter.Update(s, func(n int) int { return n + 1 }) }
	edit := func(t *testing.T, m *core.Manager, cookie string) string {
		err := m.Edit(t.Context(), load(t, m, cookie).ID(), func(s *core.Session) error { change(t, s); return nil })
		if err != nil {
			t.Error(err)
		}
		return ""
	}
	const idle = time.Hour
	for _, tt := range []struct {
		name     string
		change   func(*core.Config)
		do       func(t *testing.T, m *core.Manager, cookie string) (setCookie string)
		activity bool
	}{
		{name: "Edit", do: edit},
		{name: "a passive change", do: passive(change)},
		{name: "a passive Save", do: passive(func(t *testing.T, s *core.Session) {
			if err := s.Save(t.Context()); err != nil {
				t.Error(err)
			}
		})},
		{name: "a passive Take", do: passive(func(t *testing.T, s *core.Session) {
			if _, err := ticket.Take(t.Context(), s); err != nil {
				t.Errorf("Take: %v", err)
			}
		})},
		{name: "a passive request with Resave", change: func(c *core.Config) { c.Resave = true }, do: passive(func(*testing.T, *core.Session) {})},
		{name: "a passive request with Rolling", change: func(c *core.Config) { c.Rolling = true }, do: passive(change)},

		{name: "a passive Touch", activity: true, do: passive(func(_ *testing.T, s *core.Session) { s.Touch() })},
		{name: "a passive Touch and a change", activity: true, do: passive(func(t *testing.T, s *core.Session) { s.Touch(); change(t, s) })},
		{name: "a passive SetMaxAge", activity: true, do: passive(func(t *testing.T, s *core.Session) {
			if err := s.SetMaxAge(idle); err != nil {
				t.Error(err)
			}
		})},
		{name: "a passive Renew", activity: true, do: passive(func(t *testing.T, s *core.Session) {
			if err := s.Renew(); err != nil {
				t.Error(err)
			}
		})},
		{name: "a passive SignIn", activity: true, do: passive(func(t *testing.T, s *core.Session) {
			if err := signIn(s); err != nil {
				t.Error(err)
			}
		})},
		{name: "an ordinary change", activity: true, do: func(t *testing.T, m *core.Manager, cookie string) string {
			s := load(t, m, cookie)
			change(t, s)
			commit(t, m, s, cookie)
			return ""
		}},
	} {
		for _, maxAge := range []time.Duration{0, 90 * time.Minute} {
			t.Run(tt.name+", max age "+maxAge.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					st := new(mapstore.Store)
					m := process(t, st, func(c *core.Config) {
						c.IdleTimeout, c.Cookie.MaxAge = idle, maxAge
						c.Passive = func(r *http.Request) bool { return r.Header.Get("X-Poll") != "" }
						if tt.change != nil {
							tt.change(c)
						}
					})
					cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1); ticket.Set(s, "A1") })
					expires := cookieOf(t, st).Expires
					time.Sleep(45 * time.Second) // no extension is due
					setCookie := tt.do(t, m, cookie)
					if !tt.activity && setCookie != "" {
						t.Errorf("it sets %q", setCookie)
					}
					if got := cookieOf(t, st).Expires; !tt.activity && got != expires {
						t.Errorf("the record says that the cookie expires at %s, and the browser was told %s", got, expires)
					}
					time.Sleep(idle - 45*time.Second - time.Nanosecond)
					if live(st) == 0 {
						t.Fatal("the session has ended before its time")
					}
					time.Sleep(time.Nanosecond)
					if lives := live(st) > 0; lives != tt.activity {
						t.Errorf("after its idle time the session lives: %v, want %v", lives, tt.activity)
					}
				})
			})
		}
	}
}

// A storedCookie is the member cookie of a record.
type storedCookie struct {
	MaxAge  float64 `json:"originalMaxAge"`
	Expires string  `json:"expires"`
}

// cookieOf returns the member cookie of the one session that lives.
func cookieOf(t *testing.T, st *mapstore.Store) storedCookie {
	t.Helper()
	for _, rec := range st.Records() {
		var r struct {
			Cookie storedCookie `json:"cookie"`
			Meta   struct {
				Retired int64 `json:"retired"`
			} `json:"__cloakroom"`
		}
		if err := json.Unmarshal(rec.Data, &r); err != nil {
			t.Fatal(err)
		}
		if r.Meta.Retired == 0 {
			return r.Cookie
		}
	}
	t.Fatal("there is no session")
	return storedCookie{}
}
