package interop

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	echov4 "github.com/labstack/echo/v4"
	echov5 "github.com/labstack/echo/v5"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/echosession"
	echov5session "github.com/cloakroom-go/cloakroom/echov5session"
	"github.com/cloakroom-go/cloakroom/ginsession"
)

// A visit is a request to the app, whatever framework serves it.
type visit struct {
	*core.Session
	r     *http.Request
	param func(string) string
}

func (v visit) key() core.Key[json.RawMessage] { return core.Key[json.RawMessage](v.param("key")) }

// A route answers with a value as JSON, with 204 where it is nil, and with 404
// where it is absent.
type route struct {
	method, path string
	do           func(visit) (any, error)
}

type absent struct{}

// The routes of the app: the same as in express/app.js.
var routes = []route{
	{"GET", "/get/:key", func(v visit) (any, error) {
		if !v.Has(v.param("key")) {
			return absent{}, nil
		}
		return v.key().Get(v.Session), nil
	}},
	{"PUT", "/set/:key", func(v visit) (any, error) {
		value, err := io.ReadAll(v.r.Body)
		v.key().Set(v.Session, value)
		return nil, err
	}},
	{"DELETE", "/delete/:key", func(v visit) (any, error) {
		v.Delete(v.param("key"))
		return nil, nil
	}},
	{"POST", "/count/:key", func(v visit) (any, error) {
		return core.Key[int](v.param("key")).Update(v.Session, func(n int) int { return n + 1 }), nil
	}},
	{"POST", "/slow-count/:key/:ms", func(v visit) (any, error) {
		ms, err := strconv.Atoi(v.param("ms"))
		time.Sleep(time.Duration(ms) * time.Millisecond)
		return core.Key[int](v.param("key")).Update(v.Session, func(n int) int { return n + 1 }), err
	}},
	{"POST", "/login/:user", func(v visit) (any, error) {
		err := v.Regenerate()
		v.Set("user", v.param("user"))
		return nil, err
	}},
	{"POST", "/logout", func(v visit) (any, error) {
		return nil, v.Destroy(v.r.Context())
	}},
	{"POST", "/touch", func(v visit) (any, error) {
		v.Touch()
		return nil, nil
	}},
	{"POST", "/max-age/:ms", func(v visit) (any, error) {
		ms, err := strconv.Atoi(v.param("ms"))
		if err != nil {
			return nil, err
		}
		v.Set("remembered", ms)
		return nil, v.SetMaxAge(time.Duration(ms) * time.Millisecond)
	}},
	{"GET", "/dump", func(v visit) (any, error) {
		var all bytes.Buffer
		all.WriteByte('{')
		for key := range v.Keys() {
			if all.Len() > 1 {
				all.WriteByte(',')
			}
			all.WriteString(quote(key) + ":")
			all.Write(core.Key[json.RawMessage](key).Get(v.Session))
		}
		all.WriteByte('}')
		return json.RawMessage(all.Bytes()), nil
	}},
	{"GET", "/id", func(v visit) (any, error) { return v.ID(), nil }},

	{"POST", "/flash/:kind/:message", func(v visit) (any, error) {
		v.Flash(v.param("kind"), v.param("message"))
		return nil, nil
	}},
	{"GET", "/flashes/:kind", func(v visit) (any, error) {
		return append([]string{}, v.Flashes(v.param("kind"))...), nil
	}},

	{"POST", "/passport/login/:id", func(v visit) (any, error) {
		passport.Set(v.Session, passportUser{v.param("id")})
		return nil, v.Renew()
	}},
	{"POST", "/passport/logout", func(v visit) (any, error) {
		return nil, v.Regenerate()
	}},
	{"GET", "/passport/user", func(v visit) (any, error) {
		if !v.Has(string(passport)) {
			return json.RawMessage("null"), nil
		}
		return map[string]string{"id": passport.Get(v.Session).User}, nil
	}},
}

// What passport keeps in a session.
type passportUser struct {
	User string `json:"user"`
}

const passport core.Key[passportUser] = "passport"

// answer returns the status and the body for what a route returned. The body is
// the JSON of the session as it is, not made pretty or safe for HTML.
func answer(v any, err error) (int, []byte) {
	switch v := v.(type) {
	case nil:
		if err == nil {
			return http.StatusNoContent, nil
		}
	case absent:
		return http.StatusNotFound, nil
	case json.RawMessage:
		return http.StatusOK, v
	}
	if err != nil {
		return core.HTTPStatus(err), []byte(err.Error())
	}
	body, err := json.Marshal(v)
	if err != nil {
		return http.StatusInternalServerError, []byte(err.Error())
	}
	return http.StatusOK, body
}

func serveGin(m *core.Manager) http.Handler {
	e := gin.New()
	e.Use(ginsession.Use(m))
	for _, r := range routes {
		e.Handle(r.method, r.path, func(c *gin.Context) {
			status, body := answer(r.do(visit{ginsession.Get(c), c.Request, c.Param}))
			c.Data(status, "application/json", body)
		})
	}
	return e
}

func serveEcho(m *core.Manager) http.Handler {
	e := echov4.New()
	e.Use(echosession.Use(m))
	for _, r := range routes {
		e.Add(r.method, r.path, func(c echov4.Context) error {
			status, body := answer(r.do(visit{echosession.Get(c), c.Request(), c.Param}))
			return c.Blob(status, "application/json", body)
		})
	}
	return e
}

func serveEchoV5(m *core.Manager) http.Handler {
	e := echov5.New()
	e.Use(echov5session.Use(m))
	for _, r := range routes {
		e.Add(r.method, r.path, func(c *echov5.Context) error {
			status, body := answer(r.do(visit{echov5session.Get(c), c.Request(), c.Param}))
			return c.Blob(status, "application/json", body)
		})
	}
	return e
}
