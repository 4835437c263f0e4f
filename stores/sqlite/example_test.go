package sqlitestore_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/cloakroom-go/cloakroom/core"
	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
)

// The sessions are there again when the app is.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for range 2 {
		store, err := sqlitestore.Open(context.Background(), filepath.Join(dir, "sessions.db"), sqlitestore.Options{})
		if err != nil {
			panic(err)
		}
		visit(store)
		if err := store.Close(); err != nil {
			panic(err)
		}
	}
	// Output:
	// Number of views: 1
	// Number of views: 2
}

var cookies []*http.Cookie // of the one visitor

func visit(store *sqlitestore.Store) {
	sessions, err := core.New(core.Config{Store: store, Secrets: []string{"0123456789abcdef0123456789abcdef"}})
	if err != nil {
		panic(err)
	}
	const views core.Key[int] = "views"
	app := sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := views.Update(core.FromContext(r.Context()), func(n int) int { return n + 1 })
		_, _ = fmt.Fprintln(w, "Number of views:", n)
	}))
	r := httptest.NewRequest("GET", "/", nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	fmt.Print(w.Body)
	cookies = append(cookies, w.Result().Cookies()...)
}
