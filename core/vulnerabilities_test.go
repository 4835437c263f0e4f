package core_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// Mistakes that other session libraries have published an advisory for, as far
// as no other test is about them. tests/standards lists them all.

// Standards: ASVS-7.2.4, NIST-5.1-issue
func TestNoIDIsOfUseAfterAnyChangeOfRights(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	renew := func(user string) func(s *core.Session) {
		return func(s *core.Session) {
			if err := s.Renew(); err != nil {
				t.Error(err)
			}
			s.Set("user", user)
		}
	}
	cookie := st.visit("", func(s *core.Session) { s.Set("cart", 1) }).cookie
	var given []string
	for _, step := range []struct {
		name   string
		do     func(s *core.Session)
		user   any
		status core.Status // of a visitor who comes with what this step gave
	}{
		{"login", renew("ada"), "ada", core.StatusLoaded},
		{"login of the same user again", renew("ada"), "ada", core.StatusLoaded},
		{"a second factor", renew("ada"), "ada", core.StatusLoaded},
		{"fewer rights", renew("ada"), "ada", core.StatusLoaded},
		{"another user", func(s *core.Session) { _ = s.Regenerate(); s.Set("user", "bob") }, "bob", core.StatusLoaded},
		{"logout", func(s *core.Session) { _ = s.Destroy(t.Context()) }, nil, core.StatusNew},
		{"login after logout", renew("ada"), "ada", core.StatusLoaded},
	} {
		given = append(given, cookie)
		cookie = st.visit(cookie, step.do).cookie
		if slices.Contains(given, cookie) && cookie != "" {
			t.Errorf("%s: the id did not change", step.name)
		}
		st.visit(cookie, func(s *core.Session) {
			if s.Status() != step.status || s.Get("user") != step.user {
				t.Errorf("%s: the session is %v and its user %v", step.name, s.Status(), s.Get("user"))
			}
		})
		for _, old := range given {
			if old == "" {
				continue
			}
			st.visit(old, func(s *core.Session) {
				if s.Status() == core.StatusLoaded || s.Has("user") {
					t.Errorf("%s: an id given out before leads to a session that is %v", step.name, s.Status())
				}
			})
		}
	}
}

// Two apps, or two cookies of one app, on one store: secrets of their own keep
// what one issued from being used at the other.
//
// Standards: ASVS-9.2.2, ASVS-9.2.3, ASVS-9.2.4, ASVS-8.4.1
func TestACookieOfOneAppIsWorthNothingInAnother(t *testing.T) {
	t.Parallel()
	st := new(asked)
	shop := hostile(t, st, func(c *core.Config) { c.Cookie.Name, c.Secrets = "shop", []string{strings.Repeat("s", 32)} })
	admin := hostile(t, st, func(c *core.Config) { c.Cookie.Name, c.Secrets = "admin", []string{strings.Repeat("a", 32)} })
	cookie := visitor(t, shop, func(s *core.Session) { s.Set("user", "ada") })

	st.ids = nil
	if s := load(t, admin, cookie); s.Status() != core.StatusInvalid || s.Has("user") {
		t.Errorf("at the other app the session is %v", s)
	}
	for _, header := range []string{"admin=" + cookie, "shop=" + cookie, "admin=" + cookie + "; shop=" + cookie} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header.Set("Cookie", header)
		x, err := admin.Begin(r)
		if err != nil {
			t.Fatal(err)
		}
		if s := core.FromContext(x.Request(r).Context()); s.Status() == core.StatusLoaded {
			t.Errorf("%s: the session is %v", header, s)
		}
	}
	if len(st.ids) > 0 {
		t.Errorf("the store was asked for %q", st.ids)
	}
}

// A panic in what the app hooks in does not leave a session behind that ended.
func TestALogoutIsDoneWhateverItsHooksDo(t *testing.T) {
	t.Parallel()
	for name, hook := range map[string]func(c *core.Config){
		"the Observer": func(c *core.Config) {
			c.Observer = observer(func(e core.Event) {
				if e.Kind == core.EventDestroyed {
					panic("the audit log is full")
				}
			})
		},
		"the Logger": func(c *core.Config) {
			c.Logger = slog.New(panicking{slog.DiscardHandler})
		},
	} {
		st := new(mapstore.Store)
		m := process(t, st, hook)
		cookie := visitor(t, m, func(s *core.Session) { s.Set("user", "ada") })
		h := recovering(m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			s := core.FromContext(r.Context())
			if err := s.Destroy(r.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			s.Set("late", true) // is logged
		})))
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header.Set("Cookie", "sid="+cookie)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusInternalServerError || !strings.Contains(w.Header().Get("Set-Cookie"), "sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0") {
			t.Errorf("%s: status %d, Set-Cookie %q", name, w.Code, w.Header().Get("Set-Cookie"))
		}
		if n := len(st.Records()); n > 0 {
			t.Errorf("%s: %d records are left", name, n)
		}
	}
}

// What was done at once is told to the browser also where the commit panics.
func TestAPanicAtTheCommitKeepsNoCookieBack(t *testing.T) {
	t.Parallel()
	for _, writes := range []bool{false, true} {
		for verb, tt := range map[string]struct {
			do   func(s *core.Session) error
			want string
		}{
			"SignOut": {func(s *core.Session) error { return s.SignOut(t.Context()) }, "; Max-Age=0"},
			"Renew":   {func(s *core.Session) error { _ = s.Renew(); return s.Save(t.Context()) }, "sid=s%3A"},
		} {
			commits := 0
			m := process(t, new(mapstore.Store), func(c *core.Config) {
				c.Observer = tracer(func(op core.Operation) {
					if op == core.OpCommit {
						commits++
					}
					if verb == "Renew" && commits == 3 || verb != "Renew" && commits == 2 {
						panic("no room for a span")
					}
				})
			})
			cookie := visitor(t, m, func(s *core.Session) { s.Set("user", "ada") })
			h := recovering(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s := core.FromContext(r.Context())
				if err := tt.do(s); err != nil {
					t.Errorf("%s: %v", verb, err)
				}
				s.Set("late", true)
				if writes {
					w.WriteHeader(http.StatusOK)
				}
			})))
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.Header.Set("Cookie", "sid="+cookie)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != http.StatusInternalServerError || !strings.Contains(w.Header().Get("Set-Cookie"), tt.want) {
				t.Errorf("%s, the handler writes: %v: status %d, Set-Cookie: %v, want 500 with the cookie", verb, writes, w.Code, w.Header().Get("Set-Cookie") != "")
			}
		}
	}
}

type tracer func(core.Operation)

func (tracer) Observe(context.Context, core.Event) {}

func (t tracer) Start(ctx context.Context, op core.Operation) (context.Context, func(error)) {
	t(op)
	return ctx, func(error) {}
}

type observer func(core.Event)

func (o observer) Observe(_ context.Context, e core.Event) { o(e) }

type panicking struct{ slog.Handler }

func (panicking) Enabled(context.Context, slog.Level) bool  { return true }
func (panicking) Handle(context.Context, slog.Record) error { panic("the disk is full") }

func recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// A source of randomness that fails ends the process: there is no other source to
// fall back to, and no id of zeros.
//
// Standards: ASVS-11.5.2
func TestWithoutRandomnessThereIsNoID(t *testing.T) {
	const child = "CLOAKROOM_TEST_BROKEN_RANDOMNESS"
	if os.Getenv(child) != "" {
		m := process(t, new(mapstore.Store))
		rand.Reader = broken{}
		s := load(t, m, "")
		s.Set("user", "ada")
		fmt.Println("issued", s.ID(), commit(t, m, s, ""))
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$") //nolint:gosec // this program
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || bytes.Contains(out, []byte("issued")) || !bytes.Contains(out, []byte("crypto/rand")) {
		t.Errorf("%v, %.300s", err, out)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

// A shared cache has to know of every response that may depend on the session.
//
// Standards: ASVS-14.3.2, WSTG-SESS-04
func TestEveryWayToLookAtASessionSetsVary(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(s *core.Session){
		"nothing but to ask for it": func(*core.Session) {},
		"Get":                       func(s *core.Session) { s.Get("user") },
		"Has":                       func(s *core.Session) { s.Has("nothing") },
		"Keys":                      func(s *core.Session) { s.Keys() },
		"Status":                    func(s *core.Session) { s.Status() },
		"CreatedAt":                 func(s *core.Session) { s.CreatedAt() },
		"ID":                        func(s *core.Session) { _ = s.ID() },
		"Lookup":                    func(s *core.Session) { _, _ = colour.Lookup(s) },
		"Flashes":                   func(s *core.Session) { s.Flashes("info") },
		"Touch":                     func(s *core.Session) { s.Touch() },
		"Set":                       func(s *core.Session) { s.Set("n", 1) },
		"Check":                     func(s *core.Session) { _ = s.Check(context.Background()) },
		"Save":                      func(s *core.Session) { _ = s.Save(context.Background()) },
		"Renew":                     func(s *core.Session) { _ = s.Renew() },
		"Destroy":                   func(s *core.Session) { _ = s.Destroy(context.Background()) },
	} {
		for _, lazy := range []bool{false, true} {
			st := newStage(t, core.Config{Lazy: lazy, Rolling: name == "Touch"})
			for _, cookie := range []string{"", st.signIn()} {
				if a := st.visit(cookie, look); a.header.Get("Vary") != "Cookie" || a.setCookie != "" && a.header.Get("Cache-Control") != "private, no-cache" {
					t.Errorf("%s, lazy %v, cookie %v: Vary %q, Cache-Control %q", name, lazy, cookie != "", a.header.Get("Vary"), a.header.Get("Cache-Control"))
				}
			}
		}
	}
}

// A record that somebody put back, sealed as it was, does not outlive the time
// that its session had.
//
// Standards: ASVS-9.2.1
func TestASealedRecordThatIsPutBackIsNoSessionAfterItsTime(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{SealKeys: []string{strings.Repeat("k", 32)}, AbsoluteTimeout: time.Hour})
	cookie := st.signIn()
	id := st.idOf(cookie)
	copied := st.stored(id)
	st.clock.advance(time.Hour)
	st.put(id, copied)
	st.visit(cookie, func(s *core.Session) {
		if s.Status() == core.StatusLoaded || s.Has("user") {
			t.Errorf("the session is %v", s.Status())
		}
	})
}

// A URL ends up in logs, histories and Referer headers.
//
// Standards: ASVS-14.2.1, WSTG-SESS-04
func TestAnIDIsReadFromTheCookieHeaderAlone(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	_, value, _ := strings.Cut(cookie, "=")
	id := st.idOf(cookie)
	st.store.took()
	for name, edit := range map[string]func(r *http.Request){
		"the query":               func(r *http.Request) { r.URL.RawQuery = "sid=" + value + "&id=" + id },
		"a parameter of the path": func(r *http.Request) { r.URL.Path = "/;sid=" + value },
		"Authorization":           func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+value) },
		"a header of its name":    func(r *http.Request) { r.Header.Set("Sid", value); r.Header.Set("X-Session-Id", id) },
		"Cookie2":                 func(r *http.Request) { r.Header.Set("Cookie2", cookie) },
		"Set-Cookie":              func(r *http.Request) { r.Header.Set("Set-Cookie", cookie) },
		"a form": func(r *http.Request) {
			body := strings.NewReader("sid=" + value)
			r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(body), body.Size()
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		},
	} {
		st.request("", func(_ http.ResponseWriter, r *http.Request) {
			if s := core.FromContext(r.Context()); s.Status() != core.StatusNew || s.Has("user") {
				t.Errorf("%s: the session is %v", name, s)
			}
		}, edit)
	}
	if verbs := st.store.verbs(); verbs != "" {
		t.Errorf("the store was asked: %s", verbs)
	}
}

// The lines of a log are not a client's to write.
//
// Standards: ASVS-16.4.1
func TestNothingThatAClientSendsIsLogged(t *testing.T) {
	t.Parallel()
	const forged = "msg=forged-by-a-client"
	audit := new(stageLog)
	st := newStage(t, core.Config{Header: &core.Header{}, Observer: core.LogObserver(slog.New(slog.NewTextHandler(audit, &slog.HandlerOptions{Level: slog.LevelDebug})))})
	cookie := st.signIn()
	for name, edit := range map[string]func(r *http.Request){
		"a cookie":        func(r *http.Request) { r.Header["Cookie"] = []string{"sid=" + forged, forged + "=x"} },
		"an id":           func(r *http.Request) { r.Header.Set("Cookie", "sid="+core.Sign(stageSecret, "x\n"+forged)) },
		"a foreign token": func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+forged) },
		"a token": func(r *http.Request) {
			r.Header["Authorization"] = []string{"Bearer s:" + forged, "Bearer s%3A" + forged}
		},
		"an id in a token":  func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+core.Sign(stageSecret, "x\n"+forged)) },
		"User-Agent":        func(r *http.Request) { r.Header.Set("User-Agent", forged) },
		"X-Forwarded-Proto": func(r *http.Request) { r.Header["X-Forwarded-Proto"] = []string{forged, forged + ",https"} },
		"X-Forwarded-For":   func(r *http.Request) { r.Header.Set("X-Forwarded-For", forged) },
		"Referer":           func(r *http.Request) { r.Header.Set("Referer", forged) },
		"Host":              func(r *http.Request) { r.Host = "x--" + strings.ReplaceAll(forged, "=", "-") },
		"the path":          func(r *http.Request) { r.URL.Path, r.URL.RawQuery = "/"+forged, forged },
		"the method":        func(r *http.Request) { r.Method = "forged-by-a-client" },
	} {
		for _, verb := range []string{"", "load", "update"} {
			st.store.failWith(verb, &store.Error{Store: "test", Verb: verb, Class: "down", Outcome: store.OutcomeNotApplied})
			st.request(cookie, func(_ http.ResponseWriter, r *http.Request) {
				counter.Update(core.FromContext(r.Context()), func(n int) int { return n + 1 })
			}, edit)
			st.store.failWith(verb, nil)
		}
		said := st.log.String() + audit.String()
		if strings.Contains(said, "forged-by") {
			t.Fatalf("%s is logged: %s", name, said)
		}
	}
	for _, want := range []string{"could not be loaded", "could not be saved", "TrustedProxies", "event=forged", "event=unknown"} {
		if said := st.log.String() + audit.String(); !strings.Contains(said, want) {
			t.Errorf("the log does not say %q: %s", want, said)
		}
	}
}

// Standards: ASVS-11.5.2
func TestIDsAreDistinctUnderLoad(t *testing.T) {
	t.Parallel()
	const goroutines, each = 8, 25_000
	m := process(t, new(mapstore.Store))
	made := make([][]string, goroutines)
	var wg sync.WaitGroup
	for i := range made {
		wg.Go(func() {
			for range each {
				s, err := m.Load(context.Background(), "")
				if err != nil {
					t.Error(err)
					return
				}
				made[i] = append(made[i], s.ID())
			}
		})
	}
	wg.Wait()
	all := slices.Concat(made...)
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != goroutines*each {
		t.Errorf("of %d ids %d are distinct", goroutines*each, n)
	}
	for _, id := range all {
		if len(id) != 32 {
			t.Fatalf("an id has %d characters", len(id))
		}
	}
}
