package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	echo4 "github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	echosession "github.com/cloakroom-go/cloakroom/echosession"
	echov5session "github.com/cloakroom-go/cloakroom/echov5session"
	"github.com/cloakroom-go/cloakroom/ginsession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

const (
	libraryName = "Cloakroom"
	lazyName    = "Cloakroom, Lazy"
)

// Cloakroom as its README has it, with every setting at its zero value; and
// with Config.Lazy, where loading a session that is not used is left out.
func cloakroomSubjects() (all []subject) {
	add := func(library, on, st string, mount func(*core.Manager) http.Handler, cfg core.Config) {
		all = append(all, subject{library, on, st, func(ctx context.Context, s *servers) (*app, error) {
			return openCloakroom(ctx, s, st, mount, cfg)
		}})
	}
	add(libraryName, onGin, memory, cloakroomGin, core.Config{})
	add(lazyName, onGin, memory, cloakroomGin, core.Config{Lazy: true})
	add(libraryName, onEcho4, memory, cloakroomEcho4, core.Config{})
	add(libraryName, onEcho5, memory, cloakroomEcho5, core.Config{})
	add(lazyName, onEcho5, memory, cloakroomEcho5, core.Config{Lazy: true})
	add(libraryName, onHTTP, memory, cloakroomHTTP, core.Config{})
	add(lazyName, onHTTP, memory, cloakroomHTTP, core.Config{Lazy: true})
	for _, st := range []string{valkeyS, cached, mongoS, postgresS} {
		add(libraryName, onGin, st, cloakroomGin, core.Config{})
		add(libraryName, onEcho5, st, cloakroomEcho5, core.Config{})
		add(libraryName, onHTTP, st, cloakroomHTTP, core.Config{})
	}
	add(libraryName, onGin, opened, cloakroomGin, core.Config{})
	add(libraryName, onGin, sqliteS, cloakroomGin, core.Config{})
	add(lazyName, onGin, valkeyS, cloakroomGin, core.Config{Lazy: true})
	return all
}

func openCloakroom(ctx context.Context, s *servers, st string, mount func(*core.Manager) http.Handler, cfg core.Config) (*app, error) {
	a := &app{close: nothing}
	manager := func(st store.Store) (*core.Manager, error) {
		cfg := cfg
		cfg.Store = st
		cfg.Secrets = []string{secret}
		cfg.Logger = slog.New(slog.DiscardHandler)
		return core.New(cfg)
	}
	switch st {
	case memory:
		memories := memorystore.New(memorystore.Options{})
		a.close = func() { _ = memories.Close() }
		m, err := manager(memories)
		if err != nil {
			return nil, err
		}
		a.handler = mount(m)
	case valkeyS, cached:
		client, err := s.valkeyClient()
		if err != nil {
			return nil, err
		}
		a.close = client.Close
		open := func(o valkeystore.Options) (http.Handler, error) {
			vs, err := valkeystore.New(client, o)
			if err != nil {
				return nil, err
			}
			m, err := manager(vs)
			if err != nil {
				return nil, err
			}
			return mount(m), nil
		}
		if a.handler, err = open(valkeystore.Options{}); err != nil {
			return nil, err
		}
		if st == cached {
			a.makes = a.handler
			if a.handler, err = open(valkeystore.Options{CacheTTL: time.Minute}); err != nil {
				return nil, err
			}
		}
	case opened:
		kept, err := valkeystore.Open(ctx, "valkey://"+s.valkey, valkeystore.Options{})
		if err != nil {
			return nil, err
		}
		a.close = func() { _ = kept.Close() }
		m, err := manager(kept)
		if err != nil {
			return nil, err
		}
		a.handler = mount(m)
	case mongoS:
		collection, closed, err := openMongo(s, "sessions")
		if err != nil {
			return nil, err
		}
		a.close = closed
		ms, err := mongostore.New(collection, mongostore.Options{})
		if err != nil {
			return nil, err
		}
		m, err := manager(ms)
		if err != nil {
			return nil, err
		}
		a.handler = mount(m)
	case postgresS, sqliteS:
		kept, closed, err := openSQLStore(ctx, s, st)
		if err != nil {
			return nil, err
		}
		a.close = closed
		m, err := manager(kept)
		if err != nil {
			return nil, err
		}
		a.handler = mount(m)
	}
	return a, ctx.Err()
}

const (
	userOf  core.Key[string] = userKey
	countOf core.Key[int]    = countKey
	themeOf core.Key[string] = themeKey
)

// users counts who signed in, each of whom is another one.
var users atomic.Int64

// What the handlers do, the same with each framework.
var cloakroomRoutes = map[string]func(*core.Session, http.ResponseWriter, *http.Request) error{
	pathRead: func(s *core.Session, w http.ResponseWriter, _ *http.Request) error {
		return answer(w, userOf.Get(s) == userName)
	},
	pathCount: func(s *core.Session, w http.ResponseWriter, _ *http.Request) error {
		countOf.Update(s, func(n int) int { return n + 1 })
		return answer(w, true)
	},
	pathLogin: func(s *core.Session, w http.ResponseWriter, _ *http.Request) error {
		if err := s.Renew(); err != nil {
			return err
		}
		userOf.Set(s, userName)
		return answer(w, true)
	},
	pathSignIn: func(s *core.Session, w http.ResponseWriter, r *http.Request) error {
		if err := s.SignIn(r.Context(), strconv.FormatInt(users.Add(1), 10)); err != nil {
			return err
		}
		return answer(w, true)
	},
	pathMake: func(s *core.Session, w http.ResponseWriter, r *http.Request) error {
		if user := r.URL.Query().Get("as"); user != "" {
			if err := s.SignIn(r.Context(), user); err != nil {
				return err
			}
		}
		themeOf.Set(s, theme)
		countOf.Set(s, countFrom)
		for _, key := range fillerKeys(fillerOf(r.URL.Query().Get("filler"))) {
			core.Key[string](key).Set(s, fillerValue)
		}
		userOf.Set(s, userName)
		return answer(w, true)
	},
	pathShow: func(s *core.Session, w http.ResponseWriter, _ *http.Request) error {
		_, err := io.WriteString(w, shown(userOf.Get(s), countOf.Get(s)))
		return err
	},
}

func cloakroomGin(m *core.Manager) http.Handler {
	e := newGin(ginsession.Use(m))
	for path, handle := range cloakroomRoutes {
		e.GET(path, func(c *gin.Context) {
			if err := handle(ginsession.Get(c), c.Writer, c.Request); err != nil {
				_ = c.AbortWithError(http.StatusInternalServerError, err)
			}
		})
	}
	return e
}

func cloakroomEcho4(m *core.Manager) http.Handler {
	e := echo4.New()
	e.Use(echosession.Use(m))
	e.GET(pathNothing, func(c echo4.Context) error { return answer(c.Response(), true) })
	for path, handle := range cloakroomRoutes {
		e.GET(path, func(c echo4.Context) error {
			return handle(echosession.Get(c), c.Response(), c.Request())
		})
	}
	return e
}

func cloakroomEcho5(m *core.Manager) http.Handler {
	e := echo5.New()
	e.Use(echov5session.Use(m))
	e.GET(pathNothing, func(c *echo5.Context) error { return answer(c.Response(), true) })
	for path, handle := range cloakroomRoutes {
		e.GET(path, func(c *echo5.Context) error {
			return handle(echov5session.Get(c), c.Response(), c.Request())
		})
	}
	return e
}

func cloakroomHTTP(m *core.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _ = answer(w, true) })
	for path, handle := range cloakroomRoutes {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if err := handle(core.FromContext(r.Context()), w, r); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	return m.Handler(mux)
}
