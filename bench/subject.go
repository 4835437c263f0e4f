package main

import (
	"context"
	"net/http"
	"slices"

	"github.com/valyala/fasthttp"
)

// A subject is one way to have sessions: a library or, for comparison, none,
// with a framework and a place where the sessions are kept.
type subject struct {
	library string // what the tables call it
	on      string // the framework
	store   string // where the sessions are: one of the stores below
	open    func(context.Context, *servers) (*app, error)
}

// The places where sessions are kept.
const (
	noStore = "none"
	cookie  = "cookie" // in the browser itself
	memory  = "memory"
	valkeyS = "Valkey"
	cached  = "Valkey, client-side cache"
)

func (s subject) name() string {
	return s.library + ", " + s.on
}

// id tells subjects apart.
func (s subject) id() string { return s.library + "|" + s.on + "|" + s.store }

// An app is a subject that runs. It answers the paths of package main: see
// workload.go.
type app struct {
	handler http.Handler
	fiber   fasthttp.RequestHandler // in place of handler
	remote  string                  // its address, in place of both

	// makes, if not nil, is another app on the same sessions, which makes them:
	// a process that caches knows what it wrote itself.
	makes http.Handler

	close func()
}

// servers are the servers that subjects may use; an address is empty where
// there is none.
type servers struct {
	valkey string
}

// has tells whether a subject's server is there.
func (s *servers) has(store string) bool {
	return s.valkey != "" || store != valkeyS && store != cached
}

// subjects lists all of them, in the order of the tables.
func subjects() []subject {
	return slices.Concat(bareSubjects(), floorSubjects(), cloakroomSubjects(),
		ginContribSubjects(), echoContribSubjects(), scsSubjects(), fiberSubjects())
}

// secret signs the cookies of those subjects that sign them.
const secret = "a secret of the benchmark, 32 bytes or more"

func nothing() {}
