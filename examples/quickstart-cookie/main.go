// Command quickstart-cookie counts a visitor's views, with nothing on the server: the
// session is sealed in its cookie. docs/sealed-cookie.md says what that cannot keep.
package main

import (
	"cmp"
	"log"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/ginsession"
)

const views ginsession.Key[int] = "views"

func main() {
	r := gin.Default()
	r.Use(ginsession.New(ginsession.Config{
		Sealed:  &ginsession.SealedCookie{},
		Secrets: []string{os.Getenv("SESSION_SECRET")}, // 32 random bytes or more, the same on every instance
	}))
	r.GET("/", func(c *gin.Context) {
		n := views.Update(ginsession.Get(c), func(n int) int { return n + 1 })
		c.String(http.StatusOK, "Number of views: %d\n", n)
	})
	log.Fatal(r.Run("127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")))
}
