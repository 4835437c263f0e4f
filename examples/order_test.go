package examples

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/cloakroom-go/cloakroom/core/store"
	echosession "github.com/cloakroom-go/cloakroom/echov5session"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// What examples/cors says of the order: outside of the sessions CORS has its headers on the
// answer of a session that cannot be stored, too, and gzip may be on either side.
func TestTheOrderOfCORSAndGzip(t *testing.T) {
	t.Parallel()
	for _, order := range []struct {
		name   string
		around bool
	}{{"gzip around the sessions", true}, {"gzip within them", false}} {
		t.Run(order.name, func(t *testing.T) {
			st := memorystore.New(memorystore.Options{})
			t.Cleanup(func() { _ = st.Close() })
			page := strings.Repeat("page ", 500)
			ask := func(st store.Store, storeTimeout time.Duration) *http.Response {
				t.Helper()
				e := echo.New()
				e.Use(middleware.CORSWithConfig(middleware.CORSConfig{AllowOrigins: []string{"https://app.example.com"}, AllowCredentials: true}))
				sessions := echosession.New(echosession.Config{Store: st, Secrets: []string{strings.Repeat("s", 40)}, StoreTimeout: storeTimeout})
				if order.around {
					e.Use(middleware.Gzip(), sessions)
				} else {
					e.Use(sessions, middleware.Gzip())
				}
				e.GET("/", func(c *echo.Context) error {
					echosession.Get(c).Set("visited", true)
					return c.String(http.StatusOK, page)
				})
				server := httptest.NewServer(e)
				t.Cleanup(server.Close)
				r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Accept-Encoding", "gzip")
				r.Header.Set("Origin", "https://app.example.com")
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = res.Body.Close() })
				if got := res.Header.Get("Access-Control-Allow-Origin"); got != "https://app.example.com" {
					t.Errorf("status %d: the page may not read it: Access-Control-Allow-Origin is %q", res.StatusCode, got)
				}
				return res
			}

			res := ask(st, patience)
			unpacked, err := gzip.NewReader(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(unpacked); err != nil || string(body) != page || len(res.Cookies()) != 1 {
				t.Errorf("answer of %d bytes (%v) with the cookies %v, want the page and one cookie", len(body), err, res.Cookies())
			}

			res = ask(full{st}, time.Second)
			var problem struct{ Message string }
			if err := json.NewDecoder(res.Body).Decode(&problem); err != nil || res.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("a session that cannot be stored: status %d, %+v (%v), want 503 and a message", res.StatusCode, problem, err)
			}
			if res.Header.Get("Content-Encoding") != "" || len(res.Cookies()) != 0 {
				t.Errorf("its answer says %v", res.Header)
			}
		})
	}
}

// full is a store that has no room.
type full struct{ store.Store }

func (full) Create(context.Context, store.Record) error {
	return store.ErrFull
}
