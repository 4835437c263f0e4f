package takeover_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/takeover"
)

// recordMap stands for the store of the app, such as valkeystore or mongostore.
type recordMap struct{ sync.Map }

// Load implements [store.Store].
func (m *recordMap) Load(_ context.Context, id string) (store.Record, error) {
	data, ok := m.Map.Load(id)
	if !ok {
		return store.Record{}, store.ErrNotFound
	}
	return store.Record{ID: id, Data: data.([]byte)}, nil
}

// Create implements [store.Store].
func (m *recordMap) Create(_ context.Context, r store.Record) error {
	if _, used := m.LoadOrStore(r.ID, r.Data); used {
		return store.ErrExists
	}
	return nil
}

// Update implements [store.Store].
func (m *recordMap) Update(_ context.Context, old, next store.Record) error {
	m.Store(old.ID, next.Data)
	return nil
}

// Touch implements [store.Store].
func (*recordMap) Touch(context.Context, string, time.Duration) error { return nil }

// Delete implements [store.Store].
func (m *recordMap) Delete(_ context.Context, id string) error {
	m.Map.Delete(id)
	return nil
}

// The visitor comes with a cookie that npm's cookie-session set, and leaves with one of
// Cloakroom's.
func Example() {
	sessions, err := core.New(core.Config{
		Store:   new(recordMap),
		Secrets: []string{"a secret of 32 random bytes or more"},
		Predecessor: core.Predecessor{
			Source: takeover.CookieSession{Keys: []string{"open-key-of-a-test-1"}, User: func(v map[string]any) string {
				user, _ := v["user"].(string)
				return user
			}},
			Until: time.Now().AddDate(0, 1, 0),
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		fmt.Fprint(w, s.Status(), ": ", s.User(), ", ", s.Get("n"))
	}))

	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.AddCookie(&http.Cookie{Name: "session", Value: "eyJ1c2VyIjoiYm9iIiwibiI6NDIsInBhc3Nwb3J0Ijp7InVzZXIiOjd9LCJ1bmkiOiJTY2hsw7xzc2VsIPCflJEiLCJiaWciOjkwMDcxOTkyNTQ3NDA5OTF9"})
	r.AddCookie(&http.Cookie{Name: "session.sig", Value: "l-jDdXWG7KtecBWX10kvZIFZg3Q"})
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Body)

	r = httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.AddCookie(w.Result().Cookies()[0])
	w = httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Body)
	// Output:
	// taken over: bob, 42
	// loaded: bob, 42
}
