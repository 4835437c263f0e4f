package sessions_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gin-gonic/gin"

	sessions "github.com/cloakroom-go/cloakroom/gincontrib"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// The handler is as it was with gin-contrib.
func Example() {
	gin.SetMode(gin.TestMode)
	memory := memorystore.New(memorystore.Options{})
	defer memory.Close()
	store := sessions.NewStore(sessions.Config{
		Store:       memory,
		Secrets:     []string{"a secret of 32 random bytes or more"},
		Predecessor: sessions.Predecessor{Until: time.Now().AddDate(0, 0, 31)},
	}, []byte("the former key, of 32 random bytes or more"))

	r := gin.New()
	r.Use(sessions.Sessions("mysession", store))
	r.GET("/incr", func(c *gin.Context) {
		session := sessions.Default(c)
		count, _ := session.Get("count").(int)
		session.Set("count", count+1)
		session.Save()
		c.String(http.StatusOK, "count: %d", count+1)
	})

	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/incr", http.NoBody))
	fmt.Println(w.Body)
	again := httptest.NewRequest(http.MethodGet, "/incr", http.NoBody)
	again.AddCookie(w.Result().Cookies()[0])
	w = httptest.NewRecorder()
	r.ServeHTTP(w, again)
	fmt.Println(w.Body)
	// Output:
	// count: 1
	// count: 2
}
