package cookie_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gin-gonic/gin"

	sessions "github.com/cloakroom-go/cloakroom/gincontrib"
	"github.com/cloakroom-go/cloakroom/gincontrib/cookie"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// The line that makes the store is as it was; the one after it is new.
func ExampleNewStore() {
	gin.SetMode(gin.TestMode)
	memory := memorystore.New(memorystore.Options{})
	defer memory.Close()

	store := cookie.NewStore([]byte("the former key, of 32 random bytes or more"))
	store.Config(sessions.Config{
		Store:       memory,
		Secrets:     []string{"a secret of 32 random bytes or more"},
		Predecessor: sessions.Predecessor{Until: time.Now().AddDate(0, 0, 31)},
	})
	r := gin.New()
	r.Use(sessions.Sessions("mysession", store))
	r.GET("/", func(c *gin.Context) {
		session := sessions.Default(c)
		session.Set("hello", "world")
		_ = session.Save()
		c.String(http.StatusOK, "%v", session.Get("hello"))
	})

	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	fmt.Println(w.Body, w.Result().Cookies()[0].Name)
	// Output: world mysession
}
