package core_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

func TestLoadAndCommitServeAFrameworkWithoutNetHTTP(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{
		Passive:    func(r *http.Request) bool { return r != nil },
		GenerateID: func(r *http.Request) (string, error) { return "an-id-without-a-request", nil },
	})
	s, err := st.Load(t.Context(), "")
	if err != nil || s.Status() != core.StatusNew {
		t.Fatalf("%v, %v", s, err)
	}
	if line, err := st.Commit(t.Context(), s, true); line != "" || err != nil || st.store.verbs() != "" {
		t.Errorf("an untouched session: %q, %v", line, err)
	}

	s, _ = st.Load(t.Context(), "")
	s.Set("n", 1)
	line, err := st.Commit(t.Context(), s, true)
	if err != nil || !strings.HasPrefix(line, "sid=s%3Aan-id-without-a-request.") || !strings.HasSuffix(line, "; Path=/; HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("%q, %v", line, err)
	}
	s.Set("n", 2) // after its commit
	if got := st.log.count("dropped"); got != 1 {
		t.Errorf("logged %d times", got)
	}

	pair, _, _ := strings.Cut(line, ";")
	value := strings.TrimPrefix(pair, "sid=")
	for cookieValue, want := range map[string]core.Status{
		value: core.StatusLoaded, value + "x": core.StatusInvalid, core.Sign(stageSecret, "unknown"): core.StatusUnknown, "": core.StatusNew,
	} {
		s, err := st.Load(t.Context(), cookieValue)
		if err != nil || s.Status() != want {
			t.Errorf("%q: %v, %v", cookieValue, s, err)
		}
		if want == core.StatusLoaded && s.Get("n") != 1 {
			t.Errorf("n is %v", s.Get("n"))
		}
	}

	// Nothing is answered on a session that could not be loaded or saved.
	st.store.failWith("load", &store.Error{Store: "test", Verb: "load", Class: "down"})
	if s, err := st.Load(t.Context(), value); s != nil || core.HTTPStatus(err) != http.StatusServiceUnavailable {
		t.Errorf("%v, %v", s, err)
	}
	st.store.failWith("load", nil)
	s, _ = st.Load(t.Context(), value)
	s.Set("n", 3)
	st.store.failWith("update", &store.Error{Store: "test", Verb: "update", Class: "down", Outcome: store.OutcomeNotApplied})
	if line, err := st.Commit(t.Context(), s, true); line != "" || core.HTTPStatus(err) != http.StatusServiceUnavailable {
		t.Errorf("%q, %v", line, err)
	}
}

func TestUpgradeHeaderBesideAResponse(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	a := st.request("", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		w.WriteHeader(http.StatusOK)
		var wg sync.WaitGroup
		wg.Go(func() {
			if h, err := s.UpgradeHeader(r.Context()); err != nil || h.Get("Vary") != "Cookie" {
				t.Errorf("UpgradeHeader: %v, %v", h, err)
			}
		})
		_ = w.Header().Get("Vary") // as the server does
		wg.Wait()
	})
	if a.header.Get("Vary") != "Cookie" {
		t.Errorf("Vary: %q", a.header.Get("Vary"))
	}
}

func TestSaveBesideManagerCommit(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	s, err := st.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	saved := make(chan struct{})
	wg.Go(func() {
		for i := range 20 {
			s.Set("n", i)
			if err := s.Save(t.Context()); err != nil {
				t.Errorf("Save: %v", err)
			}
			if i == 0 {
				close(saved)
			}
		}
	})
	<-saved
	if line, err := st.Commit(t.Context(), s, true); err != nil || !strings.Contains(line, "; Secure") {
		t.Errorf("Set-Cookie %q, %v", line, err)
	}
	wg.Wait()
}

func TestSaveBeforeCommitLeavesTheCookieToCommit(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Cookie: core.Cookie{Secure: core.SecureAlways}})
	s, _ := st.Load(t.Context(), "")
	s.Set("n", 1)
	if err := s.Save(t.Context()); err != nil {
		t.Fatalf("Save: %v", err)
	}
	if line, err := st.Commit(t.Context(), s, true); err != nil || !strings.Contains(line, "; Secure") {
		t.Errorf("over HTTPS: %q, %v", line, err)
	}
	s, _ = st.Load(t.Context(), "")
	s.Set("n", 1)
	if line, err := st.Commit(t.Context(), s, false); !errors.Is(err, core.ErrInsecure) || line != "" {
		t.Errorf("over HTTP: %q, %v", line, err)
	}
}

func TestEditChangesASessionFromOutside(t *testing.T) {
	t.Parallel()
	const n core.Key[int] = "n"
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	id := st.idOf(cookie)

	if err := st.Edit(t.Context(), id, func(s *core.Session) error {
		if s.Status() != core.StatusLoaded || s.Get("user") != "ada" || s.ID() != id {
			t.Errorf("session is %v, user %v", s.Status(), s.Get("user"))
		}
		for name, err := range map[string]error{"Renew": s.Renew(), "Regenerate": s.Regenerate(), "SetMaxAge": s.SetMaxAge(time.Hour)} {
			if !errors.Is(err, core.ErrHeadersSent) {
				t.Errorf("%s: %v, want ErrHeadersSent", name, err)
			}
		}
		s.Set("role", "admin")
		return nil
	}); err != nil {
		t.Error(err)
	}
	st.visit(cookie, func(s *core.Session) {
		if s.Get("role") != "admin" || s.Get("user") != "ada" {
			t.Errorf("role %v, user %v", s.Get("role"), s.Get("user"))
		}
	})

	// An error of the function's is returned as it is, and nothing is stored.
	refused := errors.New("refused")
	st.store.took()
	if err := st.Edit(t.Context(), id, func(s *core.Session) error { s.Set("role", "none"); return refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	if got := st.store.verbs(); got != "load" {
		t.Errorf("store was asked to %s", got)
	}
	if err := st.Edit(t.Context(), id, func(*core.Session) error { return nil }); err != nil {
		t.Error(err)
	}
	if got := st.store.verbs(); got != "load" {
		t.Errorf("without a change the store was asked to %s", got)
	}

	// What a request stores meanwhile is kept, and the function sees it.
	if err := st.Edit(t.Context(), id, func(s *core.Session) error {
		st.visit(cookie, func(s *core.Session) { n.Set(s, 10); s.Set("seen", true) })
		n.Update(s, func(v int) int { return v + 1 })
		return nil
	}); err != nil {
		t.Error(err)
	}
	st.visit(cookie, func(s *core.Session) {
		if n.Get(s) != 11 || s.Get("seen") != true {
			t.Errorf("n %d, seen %v", n.Get(s), s.Get("seen"))
		}
	})

	// A session that ends meanwhile stays ended.
	if err := st.Edit(t.Context(), id, func(s *core.Session) error {
		st.visit(cookie, func(s *core.Session) { _ = s.Destroy(t.Context()) })
		s.Set("role", "ghost")
		return nil
	}); !errors.Is(err, core.ErrSessionGone) || st.stored(id) != "" {
		t.Errorf("%v, stored %q", err, st.stored(id))
	}

	for _, id := range []string{"", id, "never was"} {
		if err := st.Edit(t.Context(), id, func(*core.Session) error { t.Error("called"); return nil }); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Edit of %q: %v", id, err)
		}
	}

	// Destroy is how an operator revokes a session.
	cookie = st.signIn()
	if err := st.Edit(t.Context(), st.idOf(cookie), func(s *core.Session) error { return s.Destroy(t.Context()) }); err != nil {
		t.Error(err)
	}
	st.visit(cookie, func(s *core.Session) {
		if s.Status() != core.StatusUnknown {
			t.Errorf("session is %v", s.Status())
		}
	})
}

func TestEditOfARetiredIDFindsNothing(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	id := st.idOf(cookie)
	st.visit(cookie, func(s *core.Session) { _ = s.Renew() })
	if st.stored(id) == "" {
		t.Fatal("there is no retired record")
	}
	if err := st.Edit(t.Context(), id, func(*core.Session) error { return nil }); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}

// An ableStore can do what a store need not.
type ableStore struct {
	*stageStore
	extra   []store.Record
	failure error
}

func (s *ableStore) All(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for id := range s.seen() {
			if rec, err := s.Store.Load(ctx, id); err == nil && !yield(rec, nil) {
				return
			}
		}
		for _, rec := range s.extra {
			if !yield(rec, nil) {
				return
			}
		}
		if s.failure != nil {
			yield(store.Record{}, s.failure)
		}
	}
}

func (s *ableStore) Clear(ctx context.Context) error {
	for id := range s.seen() {
		_ = s.Store.Delete(ctx, id)
	}
	return s.failure
}

func (s *ableStore) Ping(context.Context) error { return s.failure }

// able returns a stage on a store that can list, clear and answer a ping.
func able(t *testing.T, cfg core.Config) (*stage, *ableStore) {
	t.Helper()
	scenery := newStage(t, core.Config{})
	backing := &ableStore{stageStore: scenery.store}
	cfg.Store = backing
	st := newStage(t, cfg)
	st.clock.follow(scenery.clock)
	st.store = scenery.store
	return st, backing
}

func TestAllWalksTheLiveSessionsAndNothingElse(t *testing.T) {
	t.Parallel()
	st, backing := able(t, core.Config{AbsoluteTimeout: time.Hour})
	var want []string
	for _, user := range []string{"ada", "bob", "eve"} {
		cookie := st.visit("", func(s *core.Session) { s.Set("user", user) }).cookie
		want = append(want, st.idOf(cookie)+" "+user)
	}
	renewed := st.visit("", func(s *core.Session) { s.Set("user", "zoe") }).cookie
	renewed = st.visit(renewed, func(s *core.Session) { _ = s.Renew() }).cookie // leaves a retired record
	want = append(want, st.idOf(renewed)+" zoe")
	backing.extra = []store.Record{
		{ID: "garbage", Data: []byte("garbage")},
		{ID: "too old", Data: []byte(`{"cookie":{},"user":"old","__cloakroom":{"created":1600000000000,"token":"x"}}`)},
		{ID: "express", Data: []byte(`{"cookie":{},"user":"exp"}`)},
	}
	want = append(want, "express exp")

	walk := func() (got []string) {
		for s, err := range st.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if s.Status() != core.StatusLoaded {
				t.Errorf("session is %v", s.Status())
			}
			got = append(got, s.ID()+" "+core.Key[string]("user").Get(s))
			s.Set("user", "changed")
		}
		return got
	}
	got := walk()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	again := walk()
	slices.Sort(again)
	if !slices.Equal(again, want) {
		t.Errorf("the walk changed something: %q", again)
	}
	for range st.All(t.Context()) {
		break // a walk may be left
	}

	backing.failure = &store.Error{Store: "test", Verb: "list", Class: "down"}
	var errs int
	for s, err := range st.All(t.Context()) {
		if err != nil {
			errs++
			if s != nil || !errors.Is(err, backing.failure) {
				t.Errorf("%v, %v", s, err)
			}
		}
	}
	if errs != 1 {
		t.Errorf("%d errors", errs)
	}
}

// Standards: ASVS-7.4.5
func TestWhatAllFoundCanBeEnded(t *testing.T) {
	t.Parallel()
	for _, hashed := range []bool{false, true} {
		st, _ := able(t, core.Config{HashIDs: hashed})
		keep := st.visit("", func(s *core.Session) { s.Set("user", "ada") }).cookie
		end := st.visit("", func(s *core.Session) { s.Set("user", "eve") }).cookie
		for s, err := range st.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if s.Get("user") == "eve" {
				if err := s.Destroy(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		for cookie, want := range map[string]core.Status{keep: core.StatusLoaded, end: core.StatusUnknown} {
			st.visit(cookie, func(s *core.Session) {
				if s.Status() != want {
					t.Errorf("hashed %v: session is %v, want %v", hashed, s.Status(), want)
				}
			})
		}
	}
}

// Standards: ASVS-7.4.5
func TestClearEndsAllSessions(t *testing.T) {
	t.Parallel()
	st, backing := able(t, core.Config{})
	cookie := st.signIn()
	if err := st.Clear(t.Context()); err != nil {
		t.Error(err)
	}
	st.visit(cookie, func(s *core.Session) {
		if s.Status() != core.StatusUnknown {
			t.Errorf("session is %v", s.Status())
		}
	})
	backing.failure = errors.New("secret driver text")
	var failure *store.Error
	if err := st.Clear(t.Context()); !errors.As(err, &failure) || failure.Verb != "clear" {
		t.Errorf("Clear: %v", err)
	}
}

func TestAStoreThatCannotSaysSo(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	if err := st.Clear(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Clear: %v", err)
	}
	n := 0
	for s, err := range st.All(t.Context()) {
		n++
		if s != nil || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("All: %v, %v", s, err)
		}
	}
	if n != 1 {
		t.Errorf("All yields %d times", n)
	}
}

func TestPingTellsWhetherTheStoreAnswers(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	if err := st.Ping(t.Context()); err != nil || st.store.verbs() != "load" {
		t.Errorf("a store without Ping: %v", err)
	}
	down := &store.Error{Store: "test", Verb: "load", Class: "down"}
	st.store.failWith("load", down)
	if err := st.Ping(t.Context()); !errors.Is(err, down) {
		t.Errorf("a store that is down: %v", err)
	}

	pinged, backing := able(t, core.Config{})
	if err := pinged.Ping(t.Context()); err != nil || pinged.store.verbs() != "" {
		t.Errorf("a store with Ping: %v", err)
	}
	backing.failure = down
	if err := pinged.Ping(t.Context()); !errors.Is(err, down) {
		t.Errorf("a store with Ping that is down: %v", err)
	}
}

func TestHTTPStatusOfEveryError(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]int{
		core.ErrSessionGone:              409,
		store.ErrConflict:                503,
		core.ErrUnknownOutcome:           503,
		store.ErrFull:                    503,
		core.ErrDegraded:                 503,
		core.ErrUnknownSealKey:           503,
		core.ErrTooLarge:                 500,
		core.ErrTooManyKeys:              500,
		core.ErrCookieTooLarge:           500,
		core.ErrReentered:                500,
		core.ErrInsecure:                 500,
		core.ErrInvalidID:                500,
		core.ErrNoSession:                500,
		context.Canceled:                 499,
		context.DeadlineExceeded:         503,
		errors.New("whatever"):           503,
		&core.KeyError{Key: "k"}:         500,
		&core.ConfigError{}:              500,
		&store.Error{}:                   503,
		&store.Error{Err: store.ErrFull}: 503,
	} {
		if got := core.HTTPStatus(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}

func TestErrorsReadWell(t *testing.T) {
	t.Parallel()
	cause := context.DeadlineExceeded
	for err, want := range map[error]string{
		&store.Error{Store: "valkey", Verb: "load"}:                                 "cloakroom: valkey store: load",
		&store.Error{Store: "valkey", Verb: "update", Class: "timeout", Err: cause}: "cloakroom: valkey store: update: timeout: context deadline exceeded",
		&core.KeyError{Key: "cart", Op: "set", Err: core.ErrReservedKey}:            `cloakroom: set session key "cart": key is reserved`,
		&core.ConfigError{Field: "Cookie.Path", Reason: `must begin with "/"`}:      `cloakroom: Config.Cookie.Path must begin with "/"`,
	} {
		if got := err.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if err := (&store.Error{Err: cause}); !errors.Is(err, cause) {
		t.Error("a store.Error hides its cause")
	}
	if err := (&core.KeyError{Err: core.ErrReservedKey}); !errors.Is(err, core.ErrReservedKey) {
		t.Error("a KeyError hides its cause")
	}
}

// Standards: ASVS-16.5.1
func TestTheErrorPage(t *testing.T) {
	t.Parallel()
	down := &store.Error{Store: "test", Verb: "load", Class: "down"}
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	st.store.failWith("load", down)
	a := st.request(cookie, func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })
	if a.status != 503 || a.body != "Service Unavailable\n" || a.header.Get("Cache-Control") != "no-store" ||
		a.header.Get("Content-Type") != "text/plain; charset=utf-8" || a.header.Get("X-Content-Type-Options") != "nosniff" || a.setCookie != "" {
		t.Errorf("%+v", a)
	}
	head := st.request(cookie, nil, func(r *http.Request) { r.Method = http.MethodHead })
	if head.status != 503 || head.body != "" || head.header.Get("Content-Length") != "20" {
		t.Errorf("HEAD: %+v", head)
	}

	own := newStage(t, core.Config{ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
		w.WriteHeader(core.HTTPStatus(err))
		_, _ = w.Write([]byte("own page"))
	}})
	own.store.failWith("create", &store.Error{Store: "test", Verb: "create", Outcome: store.OutcomeNotApplied})
	a = own.request("", func(w http.ResponseWriter, r *http.Request) {
		core.FromContext(r.Context()).Set("n", 1)
		w.Header().Set("ETag", "x")
		w.WriteHeader(http.StatusCreated)
	})
	if a.status != 503 || a.body != "own page" || a.header.Get("ETag") != "" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%+v", a)
	}
}

// A server that shuts down may cancel the requests that it still has: the contexts
// of all are made from Server.BaseContext. Their clients are there and must not
// take what they get for the answer.
func TestARequestThatTheServerCancelledIsNoSuccess(t *testing.T) {
	t.Parallel()
	for _, lazy := range []bool{false, true} {
		st := newStage(t, core.Config{Lazy: lazy})
		cookie := st.signIn()
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), time.Minute) // with a deadline of its own, a load goes by it
			defer cancel()
			st.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				core.FromContext(r.Context()).Set("n", 1)
				w.WriteHeader(http.StatusNoContent)
			})).ServeHTTP(w, r.WithContext(ctx))
		}))
		srv.Config.BaseContext = func(net.Listener) context.Context { return cancelled }
		srv.Start()
		defer srv.Close()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", cookie)
		res, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 499 {
			t.Errorf("lazy %v: status %d, want 499", lazy, res.StatusCode)
		}
	}
}

// A ReverseProxy panics where a write fails, which it does because the error page
// took the place of the answer.
func TestTheErrorPageInPlaceOfAProxiedAnswerIsComplete(t *testing.T) {
	t.Parallel()
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "from behind") }))
	t.Cleanup(behind.Close)
	to, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	st := newStage(t, core.Config{ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
		w.WriteHeader(core.HTTPStatus(err)) // without a Content-Length: where it ends, only the end of the answer tells
		_, _ = io.WriteString(w, "sorry")
	}})
	cookie := st.signIn()
	st.store.failWith("update", refused)
	a := st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
		core.FromContext(r.Context()).Set("n", 1)
		httputil.NewSingleHostReverseProxy(to).ServeHTTP(w, r)
	})
	if a.status != http.StatusServiceUnavailable || a.body != "sorry" {
		t.Errorf("status %d, body %q; want 503 with all of the error page", a.status, a.body)
	}
}

// With HTTP/2 there is no connection that could be taken over, and a writer may have nothing
// to flush: an ErrorHandler that does no more has written nothing.
func TestAnErrorPageThatCouldNotBeWrittenIsNoSuccess(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]func(c *http.ResponseController) error{
		"Hijack": func(c *http.ResponseController) error { _, _, err := c.Hijack(); return err },
		"Flush":  (*http.ResponseController).Flush,
	} {
		st := newStage(t, core.Config{ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			if err := try(http.NewResponseController(w)); !errors.Is(err, http.ErrNotSupported) {
				t.Errorf("%s: %v, want ErrNotSupported", name, err)
			}
		}})
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header.Set("Cookie", st.signIn())
		st.store.failWith("load", refused)
		w := httptest.NewRecorder()
		st.Handler(http.NotFoundHandler()).ServeHTTP(struct{ http.ResponseWriter }{w}, r) // which can write, and no more
		if w.Code != http.StatusServiceUnavailable || w.Body.Len() == 0 {
			t.Errorf("%s: status %d with %d bytes, want 503 with a text", name, w.Code, w.Body.Len())
		}
	}
}

func TestAnErrorPageThatAbortsIsNoSuccess(t *testing.T) {
	t.Parallel()
	for _, writes := range []bool{false, true} {
		st := newStage(t, core.Config{ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }})
		st.store.failWith("create", refused)
		st.handler = func(w http.ResponseWriter, r *http.Request) {
			core.FromContext(r.Context()).Set("n", 1)
			if writes {
				w.WriteHeader(http.StatusOK)
			}
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, st.server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := st.server.Client().Do(r); err == nil {
			_ = res.Body.Close()
			t.Errorf("the handler writes: %v: status %d, want the connection to end", writes, res.StatusCode)
		}
	}
}

func TestServeAnonymouslyMayLetARequestGoOn(t *testing.T) {
	t.Parallel()
	var asked []error
	st := newStage(t, core.Config{ServeAnonymously: func(r *http.Request, err error) bool {
		asked = append(asked, err)
		return r.Header.Get("Strict") == ""
	}})
	cookie := st.signIn()
	down := &store.Error{Store: "test", Verb: "load", Class: "down"}
	st.store.failWith("load", down)
	a := st.visit(cookie, func(s *core.Session) {
		if s.Status() == core.StatusLoaded || s.Has("user") {
			t.Errorf("session is %v", s.Status())
		}
	})
	if a.status != http.StatusOK || a.setCookie != "" {
		t.Errorf("a reader: status %d, Set-Cookie %q", a.status, a.setCookie)
	}
	for name, change := range map[string]func(*core.Session){
		"Set": func(s *core.Session) { s.Set("n", 1) }, "Renew": func(s *core.Session) { _ = s.Renew() }, "Flash": func(s *core.Session) { s.Flash("a", "b") },
	} {
		st.store.took()
		if a := st.visit(cookie, change); a.status != http.StatusServiceUnavailable || a.setCookie != "" || st.store.verbs() != "load" {
			t.Errorf("%s: status %d, Set-Cookie %q", name, a.status, a.setCookie)
		}
	}
	st.visit(cookie, func(s *core.Session) {
		if err := s.Destroy(t.Context()); !errors.Is(err, core.ErrDegraded) {
			t.Errorf("Destroy: %v", err)
		}
	})
	if a := st.request(cookie, nil, func(r *http.Request) { r.Header.Set("Strict", "1") }); a.status != http.StatusServiceUnavailable {
		t.Errorf("a strict request: status %d", a.status)
	}
	for _, err := range asked {
		if !errors.Is(err, down) {
			t.Errorf("asked about %v", err)
		}
	}
	st.store.failWith("load", nil)
	st.visit(cookie, func(s *core.Session) {
		if s.Get("user") != "ada" {
			t.Errorf("after the outage the session is %v", s.Status())
		}
	})
}

func TestTheSessionOfANamedManager(t *testing.T) {
	t.Parallel()
	outer, inner := newStage(t, core.Config{Cookie: core.Cookie{Name: "outer"}}), newStage(t, core.Config{Cookie: core.Cookie{Name: "inner"}})
	handler := outer.Handler(inner.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		outer.FromContext(ctx).Set("n", "outer")
		if s, ok := inner.Lookup(ctx); !ok || s != core.FromContext(ctx) {
			t.Error("FromContext is not the innermost's")
		}
		core.FromContext(ctx).Set("n", "inner")
		if outer.FromContext(ctx).Get("n") != "outer" {
			t.Error("the two share a session")
		}
	})))
	st := newStage(t, core.Config{})
	st.server.Config.Handler = handler
	a := st.request("", nil)
	if got := len(a.header["Set-Cookie"]); got != 2 {
		t.Errorf("%d cookies: %q", got, a.header["Set-Cookie"])
	}
	if got := a.header["Vary"]; len(got) != 1 {
		t.Errorf("Vary %q", got)
	}
}

func TestLazyLoadsWhenTheHandlerAsks(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Lazy: true, TouchInterval: core.EveryRequest})
	cookie := st.signIn()
	st.store.took()
	st.request(cookie, func(http.ResponseWriter, *http.Request) {})
	if got := st.store.verbs(); got != "" {
		t.Errorf("nobody asked, but the store was asked to %s", got)
	}
	st.visit(cookie, func(s *core.Session) {
		if s.Get("user") != "ada" {
			t.Errorf("session is %v", s.Status())
		}
	})
	if got := st.store.verbs(); got != "load touch" {
		t.Errorf("store was asked to %s", got)
	}
	st.store.failWith("load", &store.Error{Store: "test", Verb: "load", Class: "down"})
	a := st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
		core.FromContext(r.Context())
		t.Error("FromContext returned")
	})
	if a.status != http.StatusServiceUnavailable {
		t.Errorf("Get: status %d", a.status)
	}
	a = st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
		if _, err := core.Load(r.Context()); err == nil {
			t.Error("Load returned no error")
		}
		_, _ = w.Write([]byte("plan B"))
	})
	if a.status != http.StatusOK || a.body != "plan B" {
		t.Errorf("Load: status %d, %q", a.status, a.body)
	}
	a = st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
		if _, ok := core.Lookup(r.Context()); ok {
			t.Error("Lookup found a session")
		}
		_, _ = w.Write([]byte("as if nothing was wrong"))
	})
	if a.status != http.StatusServiceUnavailable || strings.Contains(a.body, "nothing") {
		t.Errorf("Lookup: status %d, %q", a.status, a.body)
	}
}

// Also where the middleware stands twice around a handler.
func TestWhatStandsBetweenTwoMountsMayChangeTheRequest(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	inner := st.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counter.Set(core.FromContext(r.Context()), 1)
		fmt.Fprint(w, r.URL.Path)
	}))
	w := httptest.NewRecorder()
	st.Handler(http.StripPrefix("/api", inner)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/carts", http.NoBody))
	if w.Body.String() != "/carts" || len(w.Header()["Set-Cookie"]) != 1 {
		t.Errorf("the path is %s, want /carts; %v", w.Body, w.Header())
	}
}

// What stands between two mounts, such as http.TimeoutHandler, may run the inner
// one in a goroutine for which nobody waits.
func TestAMountInsideMayRunForLongerThanTheOneAround(t *testing.T) {
	t.Parallel()
	for name, same := range map[string]bool{"the same Manager": true, "another one": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			full := &faultyStore{Store: new(mapstore.Store), always: &store.Error{Outcome: store.OutcomeNotApplied}}
			outer := process(t, full)
			inner := process(t, new(mapstore.Store), func(c *core.Config) { c.Cookie.Name = "inner" })
			if same {
				inner = outer
			}
			var inside sync.WaitGroup
			change := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { counter.Set(inner.FromContext(r.Context()), 1) })
			around := outer.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				inside.Go(func() {
					inner.Handler(change).ServeHTTP(httptest.NewRecorder(), r)
				})
				counter.Set(outer.FromContext(r.Context()), 2)
				w.WriteHeader(http.StatusGatewayTimeout)
			}))
			for range 20 {
				w := httptest.NewRecorder()
				around.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
				if w.Code != http.StatusServiceUnavailable {
					t.Errorf("status %d, want 503: the session could not be stored", w.Code)
				}
			}
			inside.Wait()
		})
	}
}

// The error page of one Manager does not wait for the session of another: what
// runs inside may do so for as long as it likes.
func TestTheErrorPageDoesNotWaitForTheSessionOfAnotherManager(t *testing.T) {
	t.Parallel()
	full := &faultyStore{Store: new(mapstore.Store), always: &store.Error{Outcome: store.OutcomeNotApplied}}
	outer := process(t, full)
	inner := process(t, new(mapstore.Store), func(c *core.Config) { c.Cookie.Name = "inner" })
	running, release := make(chan struct{}), make(chan struct{})
	var inside sync.WaitGroup
	around := outer.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inside.Go(func() {
			inner.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				counter.Update(inner.FromContext(r.Context()), func(n int) int { close(running); <-release; return n + 1 })
			})).ServeHTTP(httptest.NewRecorder(), r)
		})
		<-running
		counter.Set(outer.FromContext(r.Context()), 2)
		w.WriteHeader(http.StatusGatewayTimeout)
	}))
	w, answered := httptest.NewRecorder(), make(chan struct{})
	go func() {
		defer close(answered)
		around.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	}()
	select {
	case <-answered:
	case <-time.After(time.Minute):
		t.Error("the error page waits for a function given to Update")
	}
	close(release)
	<-answered
	inside.Wait()
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", w.Code)
	}
}

// What is done beside Manager.Commit or Manager.Edit is stored by it or dropped, and
// said to be.
func TestAChangeBesideTheCommitIsStoredOrSaidToBeDropped(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]bool{"Commit": false, "Edit": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 50 {
				var dropped atomic.Bool
				m := process(t, new(mapstore.Store), func(c *core.Config) {
					c.Observer = observer(func(e core.Event) {
						if e.Kind == core.EventDropped {
							dropped.Store(true)
						}
					})
				})
				var (
					id     string
					wg     sync.WaitGroup
					last   int
					beside = func(s *core.Session) {
						started := make(chan struct{})
						wg.Go(func() {
							close(started)
							for n := 1; ; n++ {
								if counter.Set(s, n); dropped.Load() {
									break
								}
								last = n
							}
						})
						<-started
					}
				)
				cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 0); id = s.ID() })
				if edit {
					if err := m.Edit(t.Context(), id, func(s *core.Session) error { beside(s); return nil }); err != nil {
						t.Fatal(err)
					}
				} else {
					s := load(t, m, cookie)
					beside(s)
					commit(t, m, s, cookie)
				}
				wg.Wait()
				if got := counter.Get(load(t, m, cookie)); got != last {
					t.Fatalf("stored %d, want %d: nobody was told that what was set after that is lost", got, last)
				}
			}
		})
	}
}
