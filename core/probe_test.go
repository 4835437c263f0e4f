package core_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// probe asks over HTTP, as a browser with that cookie would, and returns status and body.
func probe(t *testing.T, h http.Handler, cookie string) (int, string) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/readyz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", cookie)
	res, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q: a cache would answer in the place of the app", got)
	}
	if got := res.Header.Values("Set-Cookie"); len(got) > 0 {
		t.Errorf("it sets %q", got)
	}
	return res.StatusCode, string(body)
}

func TestAProbeTellsWhetherTheStoreAnswersAndNothingElse(t *testing.T) {
	t.Parallel()
	st, backing := able(t, core.Config{TouchInterval: core.EveryRequest})
	cookie := st.signIn()
	st.store.verbs() // those of the sign-in
	ready, live := &core.Probe{Check: st.Ping}, new(core.Probe)
	expect := func(p *core.Probe, status int, text string) {
		t.Helper()
		if gotStatus, got := probe(t, p, cookie); gotStatus != status || got != text {
			t.Errorf("%d %q, want %d %q", gotStatus, got, status, text)
		}
	}
	expect(ready, http.StatusOK, "ok\n")
	backing.failure = &store.Error{Store: "test", Verb: "ping", Class: "connection failed", Err: errors.New("10.0.0.7:6379 refused the password hunter2")}
	expect(ready, http.StatusServiceUnavailable, "unavailable\n")
	expect(live, http.StatusOK, "ok\n")
	backing.failure = nil
	expect(ready, http.StatusOK, "ok\n")
	ready.Drain()
	expect(ready, http.StatusServiceUnavailable, "shutting down\n")
	expect(live, http.StatusOK, "ok\n")
	if got := st.store.verbs(); got != "" {
		t.Errorf("the probes called %s of the store: no session is their business", got)
	}
}

func TestAProbeDoesNotWaitForAStoreThatHangs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ timeout, want time.Duration }{
		{0, time.Second},
		{3 * time.Second, 3 * time.Second},
		{time.Millisecond, time.Millisecond},
		{-1, time.Second},
		{5, time.Second}, // which was to be seconds
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &core.Probe{Timeout: test.timeout, Check: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
			began, w := time.Now(), httptest.NewRecorder()
			p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody))
			if w.Code != http.StatusServiceUnavailable || time.Since(began) != test.want {
				t.Errorf("%d: status %d after %v, want 503 after %v", test.timeout, w.Code, time.Since(began), test.want)
			}
		})
	}
}

// No Timeout takes an instance that can serve out of the balancer for good.
func TestAProbeGivesEveryCheckTimeToAnswer(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{0, -1, -time.Hour, 5} {
		synctest.Test(t, func(t *testing.T) {
			p := &core.Probe{Timeout: timeout, Check: func(ctx context.Context) error { time.Sleep(time.Second / 2); return ctx.Err() }}
			w := httptest.NewRecorder()
			p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody))
			if w.Code != http.StatusOK {
				t.Errorf("with a Timeout of %d: status %d, want 200", timeout, w.Code)
			}
		})
	}
}
