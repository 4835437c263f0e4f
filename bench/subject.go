package main

import (
	"context"
	"net/http"
	"slices"

	"github.com/valkey-io/valkey-go"
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
	opened  = "Valkey, by Open" // of stores/valkey, with a client of its own
	cached  = "Valkey, client-side cache"
	mongoS  = "MongoDB"

	postgresS = "PostgreSQL"
	sqliteS   = "SQLite"
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

// servers are the servers that subjects may use. What is empty is not there.
type servers struct {
	valkey string // an address
	mongo  string // a URI

	postgresql string // a URL

	// pipelines makes valkey-go treat a single request as it treats many at a
	// time, so that what it costs can be counted exactly.
	pipelines bool
}

func (s *servers) valkeyClient() (valkey.Client, error) {
	return valkey.NewClient(valkey.ClientOption{InitAddress: []string{s.valkey}, AlwaysPipelining: s.pipelines})
}

// has reports whether a subject's server is there.
func (s *servers) has(store string) bool {
	switch store {
	case valkeyS, opened, cached:
		return s.valkey != ""
	case mongoS:
		return s.mongo != ""
	case postgresS:
		return s.postgresql != ""
	}
	return true
}

// parallel is how many ask at the same time where that is measured.
func parallel(store string) int {
	switch store {
	case valkeyS, opened, cached, mongoS, postgresS, sqliteS:
		return clients
	}
	return 1
}

// subjects lists all of them, in the order of the tables.
func subjects() []subject {
	return slices.Concat(bareSubjects(), floorSubjects(), cloakroomSubjects(),
		ginContribSubjects(), echoContribSubjects(), scsSubjects(), fiberSubjects(), sqlSubjects())
}

// secret signs the cookies of those subjects that sign them.
const secret = "a secret of the benchmark, 32 bytes or more"

func nothing() {}
