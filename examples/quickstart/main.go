// Command quickstart counts a visitor's views.
package main

import (
	"cmp"
	"log"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/ginsession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const views ginsession.Key[int] = "views"

func main() {
	r := gin.Default()
	r.Use(ginsession.New(ginsession.Config{
		Store:   memorystore.New(memorystore.Options{}),
		Secrets: []string{os.Getenv("SESSION_SECRET")},
	}))
	r.GET("/", func(c *gin.Context) {
		n := views.Update(ginsession.Get(c), func(n int) int { return n + 1 })
		c.String(http.StatusOK, "Number of views: %d\n", n)
	})
	log.Fatal(r.Run("127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")))
}
