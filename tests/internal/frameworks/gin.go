package frameworks

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/gin-contrib/gzip"
	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/ginsession"
)

func init() { gin.SetMode(gin.TestMode) }

func serveGin(_ testing.TB, app adaptertest.App) http.Handler {
	use := func(list []adaptertest.Middleware) (all []gin.HandlerFunc) {
		for _, mw := range list {
			switch {
			case mw.Session != nil:
				all = append(all, ginsession.Use(mw.Session))
			case mw.Guard != nil && mw.Guard.Proof:
				all = append(all, ginsession.RequireProof(mw.Guard.MaxAge, mw.Guard.Page))
			case mw.Guard != nil && mw.Guard.MaxAge != 0:
				all = append(all, ginsession.RequireRecentSignIn(mw.Guard.MaxAge, mw.Guard.Page))
			case mw.Guard != nil:
				all = append(all, ginsession.RequireUser(mw.Guard.Page))
			case mw.Recover:
				all = append(all, gin.RecoveryWithWriter(io.Discard))
			case mw.Gzip:
				all = append(all, gzip.Gzip(gzip.DefaultCompression))
			}
		}
		return all
	}
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.Use(use(app.Use)...)
	for _, g := range app.Groups {
		group := e.Group(g.Prefix, use(g.Use)...)
		for _, r := range g.Routes {
			h := func(c *gin.Context) {
				if err := r.Handler(fromGin(c)); err != nil && !c.Writer.Written() {
					_ = c.AbortWithError(http.StatusInternalServerError, err)
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

func fromGin(c *gin.Context) *adaptertest.Context {
	return &adaptertest.Context{
		Request: c.Request, Writer: c.Writer,
		Get:    func() *core.Session { return ginsession.Get(c) },
		Lookup: func() (*core.Session, bool) { return ginsession.Lookup(c) },
		Load:   func() (*core.Session, error) { return ginsession.Load(c) },

		TellExpiry: func() error { ginsession.TellExpiry(c); return nil },
		ReturnPath: func(otherwise string) string { return ginsession.ReturnPath(c, otherwise) },

		String:    func(status int, text string) error { c.String(status, "%s", text); return nil },
		JSON:      func(status int, v any) error { c.JSON(status, v); return nil },
		NoContent: func(status int) error { c.Status(status); return nil },
		Redirect:  func(status int, location string) error { c.Redirect(status, location); return nil },
		File:      func(name string) error { c.File(name); return nil },
		Fail:      func(status int) error { _ = c.AbortWithError(status, errors.New("failed")); return nil },
	}
}
