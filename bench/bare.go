package main

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v3"
	echo4 "github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"
)

const bareLibrary = "no sessions"

// The frameworks without sessions: what is above them is what sessions cost.
func bareSubjects() []subject {
	bare := func(on string, a *app) subject {
		return subject{library: bareLibrary, on: on, store: noStore, open: func(context.Context, *servers) (*app, error) {
			return a, nil
		}}
	}

	g := newGin()
	e4 := echo4.New()
	e4.GET(pathNothing, func(c echo4.Context) error { return answer(c.Response(), true) })
	e5 := echo5.New()
	e5.GET(pathNothing, func(c *echo5.Context) error { return answer(c.Response(), true) })
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _ = answer(w, true) })
	f := fiber.New()
	f.Get(pathNothing, func(c fiber.Ctx) error { return answerFiber(c, true) })

	return []subject{
		bare(onGin, &app{handler: g, close: nothing}),
		bare(onEcho4, &app{handler: e4, close: nothing}),
		bare(onEcho5, &app{handler: e5, close: nothing}),
		bare(onHTTP, &app{handler: mux, close: nothing}),
		bare(onFiber, &app{fiber: f.Handler(), close: nothing}),
	}
}

// The frameworks.
const (
	onGin   = "Gin"
	onEcho4 = "Echo v4"
	onEcho5 = "Echo v5"
	onHTTP  = "net/http"
	onFiber = "Fiber"
)

// answer is how all apps answer a request that is measured.
func answer(w http.ResponseWriter, ok bool) error {
	body := okBody
	if !ok {
		w.WriteHeader(http.StatusInternalServerError)
		body = wrongBody
	}
	_, err := w.Write(body)
	return err
}

func answerFiber(c fiber.Ctx, ok bool) error {
	body := okBody
	if !ok {
		c.Status(http.StatusInternalServerError)
		body = wrongBody
	}
	_, err := c.Write(body)
	return err
}

// newGin returns an engine with these middlewares, which answers pathNothing.
func newGin(use ...gin.HandlerFunc) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.Use(use...)
	e.GET(pathNothing, func(c *gin.Context) { _ = answer(c.Writer, true) })
	return e
}
