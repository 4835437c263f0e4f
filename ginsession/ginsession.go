// Package ginsession gives Gin apps server-side sessions. It is the adapter of
// Cloakroom for Gin: all that there is to configure is in [Config], and all
// that a handler can do with a session is in [Session] and [Key].
//
//	const views ginsession.Key[int] = "views"
//
//	r := gin.Default()
//	r.Use(ginsession.New(ginsession.Config{
//		Store:   memorystore.New(memorystore.Options{}),
//		Secrets: []string{os.Getenv("SESSION_SECRET")},
//	}))
//	r.GET("/", func(c *gin.Context) {
//		n := views.Update(ginsession.Get(c), func(n int) int { return n + 1 })
//		c.String(http.StatusOK, "Number of views: %d\n", n)
//	})
//
// A session that cannot be loaded or saved is an error of the request (see
// [gin.Context.Error]) and answered with 503, or by Config.ErrorHandler.
package ginsession

import (
	"bufio"
	"cmp"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/core"
)

// New returns the middleware. It panics on an invalid Config, with a message
// that says which field and why; [core.New] and [Use] give the error instead.
func New(cfg Config) gin.HandlerFunc {
	m, err := core.New(cfg)
	if err != nil {
		panic(err)
	}
	return Use(m)
}

// Use returns the middleware for a Manager that the app keeps, because it also
// uses it outside of requests.
func Use(m *core.Manager) gin.HandlerFunc {
	return func(c *gin.Context) { serve(m, c, c.Next) }
}

// UseAll returns one middleware for several Managers, whose cookies have different
// names. [Get] returns the session of the last; FromContext of a Manager returns its own.
func UseAll(managers ...*core.Manager) gin.HandlerFunc {
	return func(c *gin.Context) { serveAll(managers, c) }
}

func serveAll(managers []*core.Manager, c *gin.Context) {
	if len(managers) == 0 {
		c.Next()
		return
	}
	serve(managers[0], c, func() { serveAll(managers[1:], c) })
}

// serve does what is inside with the session of a Manager.
func serve(m *core.Manager, c *gin.Context, inside func()) {
	c.Request.Pattern = cmp.Or(c.Request.Pattern, c.FullPath()) // which the log says
	if m.ServeBinding(c.Writer, c.Request) {
		c.Abort()
		c.Writer.WriteHeaderNow()
		return
	}
	x, err := m.Begin(c.Request)
	if err != nil {
		fail(m, c, c.Writer, err)
		return
	}
	c.Request = x.Request(c.Request)
	if x.Skipped() {
		inside()
		return
	}
	inner := c.Writer
	w := &writer{ResponseWriter: inner, m: m, c: c}
	w.commit = x.Writer(inner)
	w.commit.Failer = w
	c.Writer = w
	defer func() {
		if v := recover(); v != nil {
			x.Panicked(w.commit, v)
		}
	}()
	inside()
	if err := x.Finish(w.Header()); err != nil {
		w.commit.Fail(err)
	}
}

// fail notes the error with the request and answers with the error page.
func fail(m *core.Manager, c *gin.Context, w gin.ResponseWriter, err error) {
	_ = c.Error(err) // returns what it was given, wrapped
	c.Abort()
	m.Fail(w, c.Request, err)
}

// Get returns the session of the request. Behind the middleware there is
// always one. Elsewhere, and where Config.Skip or Cookie.Path left the request
// alone, it panics and names the reason; [Lookup] does not.
//
// With Config.Lazy it loads the session and, where that fails, abandons the
// handler by a panic that the middleware turns into the error page. A goroutine
// that the handler started calls [Load]: nobody would recover the panic there, and
// it would end the process.
//
// It is [core.FromContext] for the request's context, where a session is found
// too: by a handler's callees, for instance.
func Get(c *gin.Context) *Session { return core.FromContext(c.Request.Context()) }

// Lookup returns the session of the request and whether there is one. It never
// panics.
func Lookup(c *gin.Context) (*Session, bool) { return core.Lookup(c.Request.Context()) }

// Load returns the session of the request or the reason why there is none:
// [ErrNoSession], or the store's error where Config.Lazy is set.
func Load(c *gin.Context) (*Session, error) { return core.Load(c.Request.Context()) }

// A writer is Gin's writer, but that it commits before the first byte. Gin
// holds the status back until it knows whether there is a body, so the first
// byte is what its own writer takes for it.
type writer struct {
	gin.ResponseWriter
	commit *core.Writer // around the same writer
	m      *core.Manager
	c      *gin.Context
}

// Fail implements [core.Failer].
func (w *writer) Fail(_ http.ResponseWriter, _ *http.Request, err error) {
	fail(w.m, w.c, w.ResponseWriter, err)
}

func (w *writer) WriteHeaderNow() {
	if w.commit.Commit() == nil {
		w.ResponseWriter.WriteHeaderNow()
	}
}

func (w *writer) Write(b []byte) (int, error)       { return w.commit.Write(b) }
func (w *writer) WriteString(s string) (int, error) { return w.commit.WriteString(s) }
func (w *writer) Flush()                            { w.commit.Flush() }
func (w *writer) Unwrap() http.ResponseWriter       { return w.ResponseWriter }

func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.commit.Hijack() }
