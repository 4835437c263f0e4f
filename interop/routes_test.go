package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
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
	w     http.ResponseWriter
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

	{"POST", "/do", func(v visit) (any, error) {
		var steps [][]json.RawMessage
		if err := json.NewDecoder(v.r.Body).Decode(&steps); err != nil {
			return nil, err
		}
		results := []any{}
		for _, step := range steps {
			result, err := v.step(step)
			if err != nil {
				return nil, err
			}
			results = append(results, result)
		}
		return results, nil
	}},

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

// step takes a step of /do: a verb with its arguments.
func (v visit) step(step []json.RawMessage) (result any, err error) {
	word := func(i int) (s string) { // empty where it is no string, or not there
		if i < len(step) {
			_ = json.Unmarshal(step[i], &s)
		}
		return s
	}
	milliseconds := func() time.Duration {
		n, _ := strconv.Atoi(string(step[1])) // 0 where it is null
		return time.Duration(n) * time.Millisecond
	}
	switch ctx := v.r.Context(); word(0) {
	case "get":
		return v.Get(word(1)), nil
	case "set":
		v.Set(word(1), step[2])
	case "delete":
		v.Delete(word(1))
	case "setDate":
		ms, err := strconv.ParseInt(string(step[2]), 10, 64)
		core.Key[time.Time](word(1)).Set(v.Session, time.UnixMilli(ms).UTC())
		return nil, err
	case "getDate":
		return core.Key[time.Time](word(1)).Get(v.Session).UnixMilli(), nil
	case "maxAge":
		return nil, v.SetMaxAge(milliseconds())
	case "touch":
		v.Touch()
	case "save":
		return nil, v.Save(ctx)
	case "reload":
		if err := v.Reload(ctx); err != nil {
			return "failed", nil //nolint:nilerr // the steps go on
		}
	case "regenerate":
		return nil, v.Regenerate()
	case "destroy":
		return nil, v.Destroy(ctx)
	case "discard":
		v.Discard()
	case "cookie":
		v.w.Header().Add("Set-Cookie", word(1)+"=1")
	case "body":
		_, err = io.WriteString(v.w, "body ")
	case "ask":
		var res *http.Response
		if res, err = http.Get(word(1)); err == nil {
			err = res.Body.Close()
		}
	default:
		err = fmt.Errorf("there is no step %q", word(0))
	}
	return nil, err
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
			status, body := answer(r.do(visit{ginsession.Get(c), c.Writer, c.Request, c.Param}))
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
			status, body := answer(r.do(visit{echosession.Get(c), c.Response(), c.Request(), c.Param}))
			return c.Blob(status, "application/json", body)
		})
	}
	return e
}

func serveEchoV5(m *core.Manager) http.Handler {
	e := echov5.New()
	e.Logger = slog.New(slog.DiscardHandler)
	e.Use(echov5session.Use(m))
	for _, r := range routes {
		e.Add(r.method, r.path, func(c *echov5.Context) error {
			status, body := answer(r.do(visit{echov5session.Get(c), c.Response(), c.Request(), c.Param}))
			return c.Blob(status, "application/json", body)
		})
	}
	return e
}
