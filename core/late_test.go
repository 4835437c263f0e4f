package core_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What is changed behind a response that failed is stored no more than what failed it: the
// client was told that nothing is.
func TestNothingIsStoredBehindAnErrorPage(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	st.store.took()
	a := st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		st.store.failWith("update", &store.Error{Store: "test", Verb: "update", Outcome: store.OutcomeNotApplied})
		s.Set("n", 1)
		_, _ = w.Write([]byte("the page"))
		st.store.failWith("update", nil)
		s.Set("n", 2)
	})
	if a.status != http.StatusServiceUnavailable || a.body == "the page" {
		t.Errorf("%d %q", a.status, a.body)
	}
	if got := st.store.verbs(); got != "load update" {
		t.Errorf("the store is asked to %s", got)
	}
}

// A connection that was taken over has no answer any more at whose end something could be
// stored: Save does it.
func TestWhatIsChangedAfterAHijackIsStoredBySaveAlone(t *testing.T) {
	t.Parallel()
	for _, save := range []bool{false, true} {
		st := newStage(t, core.Config{})
		cookie := st.signIn()
		st.store.took()
		hijack := func(w http.ResponseWriter, r *http.Request) {
			conn, buf, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			s := core.FromContext(r.Context())
			s.Set("n", 1)
			if save {
				if err := s.Save(r.Context()); err != nil {
					t.Error(err)
				}
			}
			s.Set("n", 2)
			_, _ = buf.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_ = buf.Flush()
		}
		done := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(done)
			st.Handler(http.HandlerFunc(hijack)).ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", cookie)
		res, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		<-done
		want := "load"
		if save {
			want = "load update"
		}
		if got := st.store.verbs(); got != want {
			t.Errorf("with Save: %v: the store is asked to %q, want %q", save, got, want)
		}
	}
}

// A middleware that is mounted twice ends twice, and its answer comes too late once.
func TestWhatComesTooLateIsToldOnceWhereTheMiddlewareIsMountedTwice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what string
		old  bool // the visitor has a session already, and the store fails
		asks string
	}{
		{"no cookie can be set any more", false, ""},
		{"the store fails", true, "load update"},
	} {
		st := newStage(t, core.Config{})
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		if c.old {
			r.Header.Set("Cookie", st.signIn())
			st.store.took()
			st.store.failWith("update", &store.Error{Store: "test", Verb: "update", Outcome: store.OutcomeNotApplied})
		}
		st.Handler(st.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("the page"))
			core.FromContext(r.Context()).Set("n", 1)
		}))).ServeHTTP(httptest.NewRecorder(), r)
		if n, asked := st.events.count(core.EventDropped), st.store.verbs(); n != 1 || asked != c.asks {
			t.Errorf("%s: it was dropped %d times, and the store is asked to %q; want once, and %q", c.what, n, asked, c.asks)
		}
		if n := strings.Count(st.log.String(), "after the first byte"); n != 1 {
			t.Errorf("%s: the log says so %d times, want once", c.what, n)
		}
	}
}
