// Command quickstart-file counts a visitor's views, and goes on counting after a restart.
package main

import (
	"cmp"
	"context"
	"log"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/ginsession"
	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
)

const views ginsession.Key[int] = "views"

func main() {
	store, err := sqlitestore.Open(context.Background(), "sessions.db", sqlitestore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	r := gin.Default()
	r.Use(ginsession.New(ginsession.Config{Store: store, Secrets: []string{os.Getenv("SESSION_SECRET")}}))
	r.GET("/", func(c *gin.Context) {
		n := views.Update(ginsession.Get(c), func(n int) int { return n + 1 })
		c.String(http.StatusOK, "Number of views: %d\n", n)
	})
	log.Fatal(r.Run("127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")))
}
