package ginsession

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/core"
)

// RequireUser returns middleware for routes that are for users who are signed in, behind
// that of [New]. A browser that opens such a page is led to the sign-in page, and back
// by [ReturnPath]; any other client is answered 401, with [ErrNotSignedIn] as an error of
// the request. [core.RequireUser] tells the rest.
func RequireUser(page SignInPage) gin.HandlerFunc { return guard(core.RequireUser(page)) }

// RequireRecentSignIn returns middleware for routes that are for users who signed in less
// than maxAge ago: see [core.RequireRecentSignIn]. The error is [ErrSignInTooOld].
func RequireRecentSignIn(maxAge time.Duration, page SignInPage) gin.HandlerFunc {
	return guard(core.RequireRecentSignIn(maxAge, page))
}

// RequireProof returns middleware for routes that are for users whose browser has proven
// less than maxAge ago that their session is bound to it, or does so now: see
// [core.RequireProof]. The error is [ErrUnproven].
func RequireProof(maxAge time.Duration, page SignInPage) gin.HandlerFunc {
	return guard(core.RequireProof(maxAge, page))
}

// ReturnPath returns where to lead a browser when its user has signed in: see
// [core.ReturnPath].
func ReturnPath(c *gin.Context, otherwise string) string {
	return core.ReturnPath(c.Request, otherwise)
}

// TellExpiry is a handler that tells a page how long its session has left, at a path that
// Config.Passive names: see [core.TellExpiry].
func TellExpiry(c *gin.Context) { core.TellExpiry(c.Writer, c.Request) }

func guard(g *core.Guard) gin.HandlerFunc {
	return func(c *gin.Context) {
		status, err := g.Admit(c.Writer, c.Request)
		switch {
		case err == nil:
			return
		case status != 0:
			_ = c.AbortWithError(status, err) // returns what it was given, wrapped
		case c.Writer.Status() == http.StatusSeeOther, c.Writer.Status() == http.StatusTemporaryRedirect: // to the sign-in page, or for a proof, which is no error
			c.Abort()
			c.Writer.WriteHeaderNow()
		default:
			_ = c.Error(err)
			c.Abort()
			c.Writer.WriteHeaderNow()
		}
	}
}
