package main

import (
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/ginsession"
)

// newGin mounts the app on Gin.
func newGin(a *app) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.HandleMethodNotAllowed = true
	r.Use(
		gin.CustomRecovery(func(c *gin.Context, v any) { a.fail(c.Writer, c.Request, fmt.Errorf("%w: panic: %v", errBroken, v)) }),
		ginsession.Use(a.sessions), // a handler has its session by ginsession.Get(c), or core.FromContext
	)
	for _, route := range a.routes() {
		r.Handle(route.method, route.path, func(c *gin.Context) {
			if err := a.serve(route, c.Writer, c.Request); err != nil {
				a.fail(c.Writer, c.Request, err)
			}
		})
	}
	r.GET("/static/*file", gin.WrapH(static()))
	r.NoRoute(func(c *gin.Context) { a.fail(c.Writer, c.Request, errNotFound) })
	r.NoMethod(func(c *gin.Context) { a.fail(c.Writer, c.Request, errMethod) })
	return r
}
