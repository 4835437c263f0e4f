package ginsession_test

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/ginsession"
)

func init() { gin.SetMode(gin.TestMode) }

func TestAdapter(t *testing.T) {
	adaptertest.Run(t, adaptertest.Framework{Serve: serve}, nil)
}

func serve(_ testing.TB, app adaptertest.App) http.Handler {
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.Use(middleware(app.Use)...)
	for _, g := range app.Groups {
		group := e.Group(g.Prefix, middleware(g.Use)...)
		for _, r := range g.Routes {
			h := func(c *gin.Context) {
				if err := r.Handler(neutral(c)); err != nil && !c.Writer.Written() {
					_ = c.AbortWithError(http.StatusInternalServerError, err) // returns what it was given
				}
			}
			if r.Method == "" {
				group.Any(r.Path, h)
			} else {
				group.Handle(r.Method, r.Path, h)
			}
		}
	}
	return e
}

func middleware(use []adaptertest.Middleware) (all []gin.HandlerFunc) {
	for _, mw := range use {
		switch {
		case mw.Session != nil:
			all = append(all, ginsession.Use(mw.Session))
		case mw.Recover:
			all = append(all, gin.RecoveryWithWriter(io.Discard))
		}
	}
	return all
}

func neutral(c *gin.Context) *adaptertest.Context {
	return &adaptertest.Context{
		Request: c.Request, Writer: c.Writer,
		Get:    func() *core.Session { return ginsession.Get(c) },
		Lookup: func() (*core.Session, bool) { return ginsession.Lookup(c) },
		Load:   func() (*core.Session, error) { return ginsession.Load(c) },

		String:    func(status int, text string) error { c.String(status, "%s", text); return nil },
		JSON:      func(status int, v any) error { c.JSON(status, v); return nil },
		NoContent: func(status int) error { c.Status(status); return nil },
		Redirect:  func(status int, location string) error { c.Redirect(status, location); return nil },
		File:      func(name string) error { c.File(name); return nil },
		Fail: func(status int) error {
			_ = c.AbortWithError(status, errors.New("failed")) // returns what it was given
			return nil
		},
	}
}
