package core_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
)

// A batch is an endpoint that serves several requests in one, each with a writer of
// its own, by the app's own routes.
type batch struct {
	app   http.Handler
	parts []string
	after http.HandlerFunc // what the endpoint does when all are done
	got   []*httptest.ResponseRecorder
}

func (b *batch) part(r *http.Request, path string) *httptest.ResponseRecorder {
	inner := r.Clone(r.Context())
	inner.URL.Path = path
	w := httptest.NewRecorder()
	b.app.ServeHTTP(w, inner)
	return w
}

func (b *batch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/batch" {
		http.NotFound(w, r)
		return
	}
	for _, path := range b.parts {
		b.got = append(b.got, b.part(r, path))
	}
	if b.after != nil {
		b.after(w, r)
	}
}

// batchApp is an app with a few routes, and a batch that uses them, behind one
// Manager.
func batchApp(t *testing.T, m *core.Manager, b *batch) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	route := func(path string, do func(w http.ResponseWriter, r *http.Request, s *core.Session)) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Route", path)
			do(w, r, core.FromContext(r.Context()))
		})
	}
	route("/writes", func(w http.ResponseWriter, _ *http.Request, _ *core.Session) { _, _ = io.WriteString(w, "written") })
	route("/changes", func(_ http.ResponseWriter, _ *http.Request, s *core.Session) { colour.Set(s, "white") })
	route("/signs-in", func(w http.ResponseWriter, r *http.Request, s *core.Session) {
		if err := s.SignIn(r.Context(), "ada"); err != nil {
			t.Errorf("SignIn: %v", err)
		}
		w.WriteHeader(http.StatusOK)
	})
	route("/fails", func(_ http.ResponseWriter, _ *http.Request, s *core.Session) { s.Set("cookie", "reserved") })
	route("/fails-when-it-writes", func(w http.ResponseWriter, _ *http.Request, s *core.Session) {
		s.Set("cookie", "reserved")
		_, _ = io.WriteString(w, "written")
	})
	route("/panics", func(http.ResponseWriter, *http.Request, *core.Session) { panic("a bug") })
	mux.Handle("/batch", b)
	app := m.Handler(mux)
	b.app = app
	return app
}

// Each inner answer has a beginning of its own: that one has begun keeps no cookie
// from another one, nor from the answer around them.
func TestEachAnswerOfABatchBegins(t *testing.T) {
	for _, tt := range []struct {
		name    string
		parts   []string
		after   http.HandlerFunc
		cookies string // which answers carry the cookie: the parts, then the batch itself
	}{
		{name: "a sign-in after one that wrote", parts: []string{"/writes", "/signs-in"}, cookies: "011"},
		{name: "a sign-in before one that writes", parts: []string{"/signs-in", "/writes"}, cookies: "111"},
		{name: "a sign-in by the batch after all have written", parts: []string{"/writes", "/writes"}, cookies: "001", after: func(_ http.ResponseWriter, r *http.Request) {
			_ = core.FromContext(r.Context()).SignIn(r.Context(), "ada")
		}},
		{name: "a change", parts: []string{"/writes", "/changes", "/writes"}, cookies: "0111"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := process(t, new(mapstore.Store))
			b := &batch{parts: tt.parts, after: tt.after}
			app := batchApp(t, m, b)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/batch", http.NoBody)
			w := httptest.NewRecorder()
			app.ServeHTTP(w, r)
			got := ""
			for i, answer := range append(b.got, w) {
				cookies := answer.Header()["Set-Cookie"]
				got += fmt.Sprint(len(cookies))
				if answer.Code != http.StatusOK {
					t.Errorf("answer %d has status %d", i, answer.Code)
				}
			}
			if got != tt.cookies {
				t.Errorf("the answers have %s cookies, want %s", got, tt.cookies)
			}
			s := load(t, m, browser(t, w.Header().Get("Set-Cookie"), ""))
			if want := strings.Contains(tt.name, "sign-in"); (s.User() == "ada") != want || s.Has("colour") == want {
				t.Errorf("the session is of %q, and has a colour: %v", s.User(), s.Has("colour"))
			}
		})
	}
}

// What is too late for the answer of the batch is too late, also where a part has written
// nothing or has panicked: its answer is over, and can be given no cookie any more.
func TestNoAnswerOfAPartTakesACookieThatIsTooLateForTheBatch(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store))
	for _, path := range []string{"/changes", "/panics"} {
		b := &batch{}
		app := batchApp(t, m, b)
		b.after = func(w http.ResponseWriter, r *http.Request) {
			func() {
				defer func() { _ = recover() }()
				b.part(r, path)
			}()
			_, _ = io.WriteString(w, "written")
			if err := core.FromContext(r.Context()).SignIn(r.Context(), "ada"); !errors.Is(err, core.ErrHeadersSent) {
				t.Errorf("a sign-in after %s, when the batch has written: %v", path, err)
			}
		}
		app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/batch", http.NoBody))
	}
}

// The middleware may be around a part twice: its answer is over with the outer one.
func TestAPartOfABatchBehindTheMiddlewareTwice(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store))
	b := &batch{parts: []string{"/changes"}}
	app := batchApp(t, m, b)
	b.app = m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		app.ServeHTTP(w, r)
		if err := core.FromContext(r.Context()).Renew(); err != nil {
			t.Errorf("Renew between the two, when nothing is written: %v", err)
		}
	}))
	b.after = func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "written")
		if err := core.FromContext(r.Context()).Renew(); !errors.Is(err, core.ErrHeadersSent) {
			t.Errorf("Renew when all have written: %v", err)
		}
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/batch", http.NoBody))
	for i, answer := range append(b.got, w) {
		if len(answer.Header()["Set-Cookie"]) != 1 || answer.Code != http.StatusOK {
			t.Errorf("answer %d: status %d, cookies %q", i, answer.Code, answer.Header()["Set-Cookie"])
		}
	}
}

// An error page takes the place of its own answer, and of no other one.
func TestTheErrorPageOfABatchIsItsOwn(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store))
	b := &batch{parts: []string{"/writes", "/fails", "/writes"}, after: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-After", "yes")
		core.FromContext(r.Context()).Discard()
	}}
	app := batchApp(t, m, b)
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/batch", http.NoBody))
	if before, failed := b.got[0], b.got[1]; before.Code != http.StatusOK || before.Header().Get("X-Route") != "/writes" ||
		failed.Code != http.StatusInternalServerError || failed.Header().Get("X-Route") != "" {
		t.Errorf("before %d %v, failed %d %v", before.Code, before.Header(), failed.Code, failed.Header())
	}
}

// The session of a batch is one: what could not be stored for a part is not stored for the
// batch either, which must not answer as if it were. The part may have written something itself, or nothing.
func TestABatchOfWhichAPartCouldNotBeStoredFails(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"/fails", "/fails-when-it-writes"} {
		b := &batch{parts: []string{part}, after: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "written") }}
		app := batchApp(t, process(t, new(mapstore.Store)), b)
		w := httptest.NewRecorder()
		app.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/batch", http.NoBody))
		if b.got[0].Code != http.StatusInternalServerError || w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "written") {
			t.Errorf("%s: the part has status %d, the batch %d, %q", part, b.got[0].Code, w.Code, w.Body)
		}
	}
}

// A panic in one of them, of which the batch recovers, leaves the others as they are.
func TestAPanicInABatchIsThatOfOneAnswer(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store))
	var recovered any
	b := &batch{}
	app := batchApp(t, m, b)
	b.after = func(_ http.ResponseWriter, r *http.Request) {
		func() {
			defer func() { recovered = recover() }()
			b.part(r, "/panics")
		}()
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/batch", http.NoBody))
	if recovered == nil || w.Code != http.StatusOK {
		t.Errorf("recovered %v, status %d", recovered, w.Code)
	}
}

// Inner requests may be served beside each other.
func TestABatchBesideItself(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store))
	b := &batch{}
	app := batchApp(t, m, b)
	b.after = func(_ http.ResponseWriter, r *http.Request) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				path := []string{"/writes", "/changes"}[i%2]
				if w := b.part(r, path); w.Code != http.StatusOK || w.Header().Get("X-Route") != path {
					t.Errorf("%s is answered by %s, status %d", path, w.Header().Get("X-Route"), w.Code)
				}
			})
		}
		all.Wait()
		if err := core.FromContext(r.Context()).SignIn(r.Context(), "ada"); errors.Is(err, core.ErrHeadersSent) {
			t.Error("the headers of the batch count as sent because those of its parts were")
		}
	}
	for range 20 {
		w := httptest.NewRecorder()
		app.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/batch", http.NoBody))
		if s := load(t, m, browser(t, w.Header().Get("Set-Cookie"), "")); w.Code != http.StatusOK || s.User() != "ada" {
			t.Errorf("status %d, and the session is of %q", w.Code, s.User())
		}
	}
}

// A socket may be served for hours by a request for each message: what is over of these is
// not kept until the socket is.
func TestABatchForgetsTheAnswersThatAreOver(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store))
	b := &batch{}
	app := batchApp(t, m, b)
	b.after = func(_ http.ResponseWriter, r *http.Request) {
		for _, path := range []string{"/writes", "/changes", "/writes", "/changes"} {
			b.part(r, path)
		}
		if n := core.Answers(r.Context()); n > 1 { // the last one is forgotten when another one begins
			t.Errorf("%d answers are kept, and all are over", n)
		}
	}
	app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/batch", http.NoBody))
}
