package echosession

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v5"

	"github.com/cloakroom-go/cloakroom/core"
)

// RequireUser returns middleware for routes that are for users who are signed in, behind
// that of [New]. A browser that opens such a page is led to the sign-in page, and back
// by [ReturnPath]; any other client is answered 401, by an [echo.HTTPError] that wraps
// [ErrNotSignedIn]. [core.RequireUser] tells the rest.
func RequireUser(page SignInPage) echo.MiddlewareFunc { return guard(core.RequireUser(page)) }

// RequireRecentSignIn returns middleware for routes that are for users who signed in less
// than maxAge ago: see [core.RequireRecentSignIn]. The error is [ErrSignInTooOld].
func RequireRecentSignIn(maxAge time.Duration, page SignInPage) echo.MiddlewareFunc {
	return guard(core.RequireRecentSignIn(maxAge, page))
}

// RequireProof returns middleware for routes that are for users whose browser has proven
// less than maxAge ago that their session is bound to it, or does so now: see
// [core.RequireProof]. The error is [ErrUnproven].
func RequireProof(maxAge time.Duration, page SignInPage) echo.MiddlewareFunc {
	return guard(core.RequireProof(maxAge, page))
}

// ReturnPath returns where to lead a browser when its user has signed in: see
// [core.ReturnPath].
func ReturnPath(c *echo.Context, otherwise string) string {
	return core.ReturnPath(c.Request(), otherwise)
}

// TellExpiry is a handler that tells a page how long its session has left, at a path that
// Config.Passive names: see [core.TellExpiry].
func TellExpiry(c *echo.Context) error {
	core.TellExpiry(c.Response(), c.Request())
	return nil
}

func guard(g *core.Guard) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			switch status, err := g.Admit(c.Response(), c.Request()); {
			case err == nil:
				return next(c)
			case status != 0:
				return echo.NewHTTPError(status, http.StatusText(status)).Wrap(err)
			}
			return nil
		}
	}
}
