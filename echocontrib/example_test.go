package session_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/labstack/echo/v4"

	session "github.com/cloakroom-go/cloakroom/echocontrib"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// The handler is as it was with echo-contrib.
func Example() {
	memory := memorystore.New(memorystore.Options{})
	defer memory.Close()
	store := session.NewStore(session.Config{
		Store:       memory,
		Secrets:     []string{"a secret of 32 random bytes or more"},
		Predecessor: session.Predecessor{Until: time.Now().AddDate(0, 0, 31)},
	}, []byte("the former key, of 32 random bytes or more"))

	e := echo.New()
	e.Use(session.Middleware(store))
	e.GET("/incr", func(c echo.Context) error {
		sess, err := session.Get("session", c)
		if err != nil {
			return err
		}
		count, _ := sess.Values["count"].(int)
		sess.Values["count"] = count + 1
		if err := sess.Save(c.Request(), c.Response()); err != nil {
			return err
		}
		return c.String(http.StatusOK, fmt.Sprintf("count: %d", count+1))
	})

	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/incr", http.NoBody))
	fmt.Println(w.Body)
	again := httptest.NewRequest(http.MethodGet, "/incr", http.NoBody)
	again.AddCookie(w.Result().Cookies()[0])
	w = httptest.NewRecorder()
	e.ServeHTTP(w, again)
	fmt.Println(w.Body)
	// Output:
	// count: 1
	// count: 2
}
