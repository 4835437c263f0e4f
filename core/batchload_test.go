package core_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
)

// What is no request of net/http, such as a message of a queue, may be served by the
// routes of the app all the same. Their responses are none of the client's.
func TestASessionThatLoadReturnedOutlivesTheRequestsMadeWithIt(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store))
	s, err := m.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody).WithContext(s.Context())
	m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		core.FromContext(r.Context())
		_, _ = io.WriteString(w, "written")
	})).ServeHTTP(httptest.NewRecorder(), r)
	counter.Set(s, 1)
	value, err := m.Commit(t.Context(), s, true)
	if err != nil || value == "" {
		t.Errorf("after another response the session is stored with the cookie %q: %v", value, err)
	}
}

// The race detector looks on.
func TestRequestsMadeWithASessionThatLoadReturnedMayRunAtOnce(t *testing.T) {
	t.Parallel()
	m := process(t, new(mapstore.Store))
	s, err := m.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counter.Update(core.FromContext(r.Context()), func(n int) int { return n + 1 })
		_, _ = io.WriteString(w, "written")
	}))
	const requests = 8
	var all sync.WaitGroup
	for range requests {
		all.Go(func() {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody).WithContext(s.Context()))
		})
	}
	all.Wait()
	if _, err := m.Commit(t.Context(), s, true); err != nil || counter.Get(s) != requests {
		t.Errorf("%d requests have counted to %d: %v", requests, counter.Get(s), err)
	}
}
