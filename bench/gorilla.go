package main

import (
	"context"
	"io"
	"maps"
	"net/http"
	"time"

	redistore "github.com/boj/redistore"
	ginsessions "github.com/gin-contrib/sessions"
	gincookie "github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memstore"
	ginredis "github.com/gin-contrib/sessions/redis"
	"github.com/gin-gonic/gin"
	"github.com/gomodule/redigo/redis"
	gorilla "github.com/gorilla/sessions"
	"github.com/labstack/echo-contrib/session"
	"github.com/labstack/echo/v4"
)

// gin-contrib/sessions and echo-contrib/session both stand on gorilla/sessions.

const (
	ginLibrary = "gin-contrib/sessions"
	cookieName = "sid"
)

var (
	plainGin  = ginsessions.Options{Path: "/", MaxAge: 86400, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	plainEcho = gorilla.Options{Path: "/", MaxAge: 86400, HttpOnly: true, SameSite: http.SameSiteLaxMode}
)

func ginContribSubjects() []subject {
	const library = ginLibrary
	return []subject{
		{library, onGin, memory, func(context.Context, *servers) (*app, error) {
			return ginContrib(memstore.NewStore([]byte(secret)), nothing), nil
		}},
		{library, onGin, cookie, func(context.Context, *servers) (*app, error) {
			return ginContrib(gincookie.NewStore([]byte(secret)), nothing), nil
		}},
		// Each command is preceded by a PING, and ten connections are kept.
		{library, onGin, valkeyS, func(_ context.Context, s *servers) (*app, error) {
			store, err := ginredis.NewStore(10, "tcp", s.valkey, "", "", []byte(secret))
			if err != nil {
				return nil, err
			}
			return ginContribRedis(store)
		}},
		{library + ", tuned", onGin, valkeyS, func(_ context.Context, s *servers) (*app, error) {
			store, err := ginredis.NewStoreWithPool(tunedPool(s.valkey), []byte(secret))
			if err != nil {
				return nil, err
			}
			rs, err := ginredis.GetRedisStore(store)
			if err != nil {
				return nil, err
			}
			rs.SetSerializer(redistore.JSONSerializer{})
			return ginContribRedis(store)
		}},
		{library, onGin, mongoS, openGinMongo},
	}
}

// tunedPool returns connections that are not tested each time, enough for
// everyone.
func tunedPool(addr string) *redis.Pool {
	return &redis.Pool{
		MaxIdle:     2 * clients,
		IdleTimeout: 4 * time.Minute,
		Dial:        func() (redis.Conn, error) { return redis.Dial("tcp", addr) },
	}
}

func ginContribRedis(store ginredis.Store) (*app, error) {
	rs, err := ginredis.GetRedisStore(store)
	if err != nil {
		return nil, err
	}
	rs.SetMaxLength(0)
	return ginContrib(store, func() { _ = rs.Close() }), nil
}

func ginContrib(store ginsessions.Store, closed func()) *app {
	store.Options(plainGin)
	e := newGin(ginsessions.Sessions(cookieName, store))
	e.GET(pathRead, func(c *gin.Context) {
		user, _ := ginsessions.Default(c).Get(userKey).(string)
		_ = answer(c.Writer, user == userName)
	})
	e.GET(pathCount, func(c *gin.Context) {
		s := ginsessions.Default(c)
		s.Set(countKey, number(s.Get(countKey))+1)
		_ = answer(c.Writer, s.Save() == nil)
	})
	e.GET(pathLogin, func(c *gin.Context) {
		// There is no call for it; the session beneath is not hidden, though.
		beneath, ok := ginsessions.Default(c).(interface{ Session() *gorilla.Session })
		_ = answer(c.Writer, ok && renew(beneath.Session(), c.Request, c.Writer) == nil)
	})
	e.GET(pathMake, func(c *gin.Context) {
		s := ginsessions.Default(c)
		for key, value := range newValues(c.Query("filler")) {
			s.Set(key, value)
		}
		_ = answer(c.Writer, s.Save() == nil)
	})
	e.GET(pathShow, func(c *gin.Context) {
		s := ginsessions.Default(c)
		user, _ := s.Get(userKey).(string)
		_, _ = io.WriteString(c.Writer, shown(user, number(s.Get(countKey))))
	})
	return &app{handler: e, close: closed}
}

func echoContribSubjects() []subject {
	const library = "echo-contrib/session"
	return []subject{
		{library, onEcho4, cookie, func(context.Context, *servers) (*app, error) {
			store := gorilla.NewCookieStore([]byte(secret))
			store.Options = &plainEcho
			return echoContrib(store, nothing), nil
		}},
		{library + " with redistore", onEcho4, valkeyS, func(_ context.Context, s *servers) (*app, error) {
			store, err := redistore.NewRediStoreWithPool(tunedPool(s.valkey), []byte(secret))
			if err != nil {
				return nil, err
			}
			store.Options = &plainEcho
			store.SetMaxLength(0)
			return echoContrib(store, func() { _ = store.Close() }), nil
		}},
	}
}

func echoContrib(store gorilla.Store, closed func()) *app {
	e := echo.New()
	e.Use(session.Middleware(store))
	e.GET(pathNothing, func(c echo.Context) error { return answer(c.Response(), true) })
	e.GET(pathRead, func(c echo.Context) error {
		s, err := session.Get(cookieName, c)
		user, _ := s.Values[userKey].(string)
		return answer(c.Response(), err == nil && user == userName)
	})
	e.GET(pathCount, func(c echo.Context) error {
		s, err := session.Get(cookieName, c)
		if err != nil {
			return err
		}
		s.Values[countKey] = number(s.Values[countKey]) + 1
		return answer(c.Response(), s.Save(c.Request(), c.Response()) == nil)
	})
	e.GET(pathLogin, func(c echo.Context) error {
		s, err := session.Get(cookieName, c)
		if err != nil {
			return err
		}
		return answer(c.Response(), renew(s, c.Request(), c.Response()) == nil)
	})
	e.GET(pathMake, func(c echo.Context) error {
		s, err := session.Get(cookieName, c)
		if err != nil {
			return err
		}
		maps.Copy(s.Values, newValues(c.QueryParam("filler")))
		return answer(c.Response(), s.Save(c.Request(), c.Response()) == nil)
	})
	e.GET(pathShow, func(c echo.Context) error {
		s, err := session.Get(cookieName, c)
		if err != nil {
			return err
		}
		user, _ := s.Values[userKey].(string)
		_, err = io.WriteString(c.Response(), shown(user, number(s.Values[countKey])))
		return err
	})
	return &app{handler: e, close: closed}
}

// newValues is what /make puts into a session.
func newValues(filler string) map[any]any {
	values := map[any]any{themeKey: theme, countKey: countFrom, userKey: userName}
	for _, key := range fillerKeys(fillerOf(filler)) {
		values[key] = fillerValue
	}
	return values
}

// renew is a login: it ends the session and stores it under a new id.
func renew(s *gorilla.Session, r *http.Request, w http.ResponseWriter) error {
	values, maxAge := maps.Clone(s.Values), s.Options.MaxAge
	s.Options.MaxAge = -1
	if err := s.Save(r, w); err != nil {
		return err
	}
	s.ID, s.Values, s.Options.MaxAge = "", values, maxAge
	s.IsNew = true // else pgstore updates a row that is not there
	s.Values[userKey] = userName
	return s.Save(r, w)
}

// number reads what was stored as an int: JSON makes it a float64.
func number(v any) int {
	if f, ok := v.(float64); ok {
		return int(f)
	}
	n, _ := v.(int)
	return n
}
