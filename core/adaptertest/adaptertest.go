// Package adaptertest reports whether the adapter of a framework does what the
// rest of Cloakroom promises: one table of HTTP scenarios, run over a real
// listener. This is all that an adapter's own tests need:
//
//	func TestAdapter(t *testing.T) {
//		adaptertest.Run(t, adaptertest.Framework{Serve: serve}, nil)
//	}
//
// where serve builds, with the framework, the app that a scenario asks for.
// [NetHTTP] is such a Framework and the model for others.
//
// What an adapter has to do is little (see [core.Exchange]), but every framework
// has ways around it: a status that is written without its writer being called,
// a Flush that goes straight to the connection, a connection that is taken over,
// an error page that is rendered when all middleware has returned. The table
// has them all, and each is run with a store that fails too: nothing of the
// handler's answer may leave then.
//
// Clients that keep no cookies, and have a token in a header in their place
// ([core.Header]), get the same: the scenarios about what a session goes through are run
// a second time, with each cookie put into a header on the way.
//
// Beside what a scenario is about, all of them check that every Set-Cookie obeys
// RFC 6265bis to the letter, that no response carries a cookie of ours twice,
// that no log line and no body contains a session's id, and that the server has
// nothing to say about superfluous headers.
//
// Where this package is imported, core panics when it meets a combination of states
// that cannot occur, which it passes over otherwise.
//
// No scenario sleeps: what has to happen in a certain order is made to. Run the
// suite with -race.
package adaptertest

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// Run tests the adapter of a framework. Each scenario gets an empty store from
// newStore; with nil it is one that keeps records in a map, and the scenarios for clients
// without cookies are run as well: what carries a session is nothing to a store.
func Run(t *testing.T, fw Framework, newStore func(t *testing.T) store.Store) {
	t.Helper()
	all := scenarios()
	if newStore != nil || fw.sealed {
		all = slices.DeleteFunc(all, func(sc scenario) bool { return strings.HasPrefix(sc.name, byHeader) })
	}
	if newStore == nil {
		newStore = func(*testing.T) store.Store { return NewStore() }
	}
	for name := range fw.Except {
		if !slices.ContainsFunc(all, func(sc scenario) bool { return sc.name == name }) {
			t.Errorf("adaptertest: there is no scenario %q to be excepted", name)
		}
	}
	for _, sc := range all {
		t.Run(sc.name, func(t *testing.T) {
			if why, ok := fw.Except[strings.TrimPrefix(sc.name, byHeader)]; ok {
				t.Skip(why)
			}
			t.Parallel()
			s := newScene(t, fw, newStore(t), patience)
			s.empty = func() store.Store { return newStore(t) }
			s.play(sc)
		})
	}
}

// NewStore returns an empty store that keeps records in a map: for the other
// tests of an adapter, whose module then needs none of the store modules.
func NewStore() store.Store { return new(mapstore.Store) }

// A Framework is what is tested: an adapter together with its framework.
type Framework struct {
	// Serve returns a server for the app.
	Serve func(tb testing.TB, app App) http.Handler

	// Gzip says that Serve knows [Middleware.Gzip]. The scenarios that ask for
	// it are skipped otherwise; others use a compressor of the suite's own.
	Gzip bool

	// Guards says that Serve knows [Middleware.Guard] and Context has what
	// goes with it. The scenarios that ask for these are skipped otherwise.
	Guards bool

	// Except names scenarios that the framework cannot pass, each with the
	// reason. They are skipped, by header too.
	Except map[string]string

	sealed bool // the sessions are in their cookies: see RunSealed
}

// An App is what a scenario wants to be served. An unknown path is answered 404
// and a known one with another method 405, both behind Use.
type App struct {
	Use    []Middleware // in front of everything, the outermost first
	Groups []Group      // the routes
}

// A Group is the part of an App below a prefix, which may be empty.
type Group struct {
	Prefix string       // of the paths of its routes
	Use    []Middleware // in front of the routes, inside of those of the App
	Routes []Route      // may be none
}

// A Route is where a handler is found.
type Route struct {
	Method  string  // empty: all
	Path    string  // below the prefix of the group; exactly that
	Handler Handler // what answers
}

// A Handler answers a request. What an error means is the framework's affair:
// Echo's handlers return it; where handlers return nothing, answer with 500 if
// nothing was answered yet.
type Handler func(c *Context) error

// A Middleware is the one of these that is set.
type Middleware struct {
	Session *core.Manager // the adapter's, for this Manager
	Recover bool          // the framework's own that answers a panic with 500, quietly
	Gzip    bool          // the framework's own that compresses, see Framework.Gzip
	Guard   *Guard        // the adapter's, see Framework.Guards
}

// A Guard is the middleware RequireUser of the adapter or, where MaxAge is set, its
// RequireRecentSignIn, and where Proof is set, its RequireProof.
type Guard struct {
	Page   core.SignInPage
	MaxAge time.Duration
	Proof  bool
}

// A Context is what a handler works with: the framework's own things. Request,
// Writer, Get, Lookup and Load are required. The others are what the framework
// offers to answer with, and may be nil: what net/http has then takes their
// place.
type Context struct {
	Request *http.Request       // with the session in its context
	Writer  http.ResponseWriter // as handlers of the framework see it

	// The functions of the adapter. TellExpiry and ReturnPath are needed where
	// Framework.Guards is set.
	Get    func() *core.Session          // panics where there is none
	Lookup func() (*core.Session, bool)  // reports whether there is one
	Load   func() (*core.Session, error) // says why there is none

	TellExpiry func() error                  // answers how long the session has left
	ReturnPath func(otherwise string) string // says where a sign-in leads

	String    func(status int, text string) error     // plain text
	JSON      func(status int, v any) error           // v encoded
	NoContent func(status int) error                  // without a body
	Redirect  func(status int, location string) error // to another URL
	File      func(name string) error                 // what the file holds
	Fail      func(status int) error                  // how a handler says that it failed
}

// withDefaults fills in what the framework does not have.
func (c *Context) withDefaults() *Context {
	if c.String == nil {
		c.String = func(status int, text string) error {
			c.Writer.Header().Set("Content-Type", "text/plain; charset=utf-8")
			c.Writer.WriteHeader(status)
			_, err := c.Writer.Write([]byte(text))
			return err
		}
	}
	if c.JSON == nil {
		c.JSON = func(status int, v any) error {
			c.Writer.Header().Set("Content-Type", "application/json")
			c.Writer.WriteHeader(status)
			return encode(c.Writer, v)
		}
	}
	if c.NoContent == nil {
		c.NoContent = func(status int) error {
			c.Writer.WriteHeader(status)
			return nil
		}
	}
	if c.Redirect == nil {
		c.Redirect = func(status int, location string) error {
			http.Redirect(c.Writer, c.Request, location, status)
			return nil
		}
	}
	if c.File == nil {
		c.File = func(name string) error {
			if _, err := os.Stat(name); err != nil {
				return err
			}
			http.ServeFile(c.Writer, c.Request, name)
			return nil
		}
	}
	if c.Fail == nil {
		c.Fail = func(status int) error {
			http.Error(c.Writer, http.StatusText(status), status)
			return nil
		}
	}
	return c
}

// NetHTTP is the Framework of net/http itself, with [core.Manager.Handler] as
// the adapter.
func NetHTTP() Framework {
	return Framework{Gzip: true, Guards: true, Serve: func(_ testing.TB, app App) http.Handler {
		return ServeNetHTTP(app, (*core.Manager).Handler)
	}}
}

// ServeNetHTTP serves an app by net/http alone, with sessions by a middleware of
// net/http's kind.
func ServeNetHTTP(app App, sessions func(m *core.Manager, next http.Handler) http.Handler) http.Handler {
	wrap := func(use []Middleware, h http.Handler) http.Handler {
		for i := len(use) - 1; i >= 0; i-- {
			switch mw := use[i]; {
			case mw.Session != nil:
				h = sessions(mw.Session, h)
			case mw.Recover:
				h = recovering(h)
			case mw.Gzip:
				h = compressing(h)
			case mw.Guard != nil:
				h = mw.Guard.netHTTP().Handler(h)
			}
		}
		return h
	}
	mux := http.NewServeMux()
	for _, g := range app.Groups {
		for _, r := range g.Routes {
			h := http.HandlerFunc(func(w http.ResponseWriter, r2 *http.Request) {
				ctx := r2.Context()
				err := r.Handler(&Context{
					Request: r2, Writer: w,
					Get:    func() *core.Session { return core.FromContext(ctx) },
					Lookup: func() (*core.Session, bool) { return core.Lookup(ctx) },
					Load:   func() (*core.Session, error) { return core.Load(ctx) },

					TellExpiry: func() error { core.TellExpiry(w, r2); return nil },
					ReturnPath: func(otherwise string) string { return core.ReturnPath(r2, otherwise) },
				})
				if err != nil {
					w.WriteHeader(http.StatusInternalServerError)
				}
			})
			mux.Handle(strings.TrimSpace(r.Method+" "+g.Prefix+r.Path), wrap(g.Use, h))
		}
	}
	return wrap(app.Use, mux)
}

// netHTTP returns that of net/http.
func (g *Guard) netHTTP() *core.Guard {
	switch {
	case g.Proof:
		return core.RequireProof(g.MaxAge, g.Page)
	case g.MaxAge != 0:
		return core.RequireRecentSignIn(g.MaxAge, g.Page)
	}
	return core.RequireUser(g.Page)
}

// patience is how long a scenario waits for something that has to happen. Only
// an adapter that fails waits for so long.
const patience = time.Minute

// A scenario is one row of the table.
type scenario struct {
	name string
	play func(s *scene)
}

func scenarios() []scenario {
	var all []scenario
	for _, group := range [][]scenario{
		lifecycle, responses(), headers, mounting(), panics, lazy, cookies,
		failures, connections(), meanwhile(), repeated, activity, guarantees, carriers, guards, bindings,
	} {
		all = append(all, group...)
	}
	return append(all, carriedByHeader(lifecycle, responses(), panics, lazy, failures, connections(), meanwhile(), repeated, activity, guarantees)...)
}
