package sql

import (
	"context"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
)

type tally = promises.Tally

// A ledger counts the statements of a pool, by what they do at last: each is one round
// trip, once the connection knows it.
type ledger struct {
	mu sync.Mutex
	n  tally
}

func (l *ledger) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	what := "select"
	for _, word := range []string{"DELETE FROM", "UPDATE ", "INSERT INTO"} { // renewing an id is all of the last two
		if strings.Contains(strings.Replace(data.SQL, "DO UPDATE", "", 1), word) {
			what = strings.ToLower(strings.Fields(word)[0])
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n[what]++
	return ctx
}

func (l *ledger) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (l *ledger) count() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.n)
}

// TestStatementCounts: "insert" is also the one statement that renews an id.
func TestStatementCounts(t *testing.T) {
	l := ledger{n: make(tally)}
	config, err := pgx.ParseConfig(sqlenv.PostgreSQL.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	config.Tracer = &l
	db := stdlib.OpenDB(*config)
	t.Cleanup(func() { _ = db.Close() })
	store := sqlenv.Store(t, db, sqlstore.Options{})
	for _, fw := range frameworks.All() {
		t.Run(fw.Name, func(t *testing.T) {
			m := promises.NewMetered(t, fw, store)
			for _, c := range []promises.Cost{
				{What: "anonymous", Path: "/read"},
				{What: "forged cookie", Cookie: "sid=s%3Aforged.signature", Path: "/read"},
				{What: "first visit", Path: "/count", Wire: tally{"insert": 1}},
				{What: "login without a session", Path: "/login", Wire: tally{"insert": 1}},
				{What: "ignores its session", Begin: "/count", Path: "/static", Wire: tally{"select": 1}},
				{What: "reads", Begin: "/count /read", Path: "/read", Wire: tally{"select": 1}},
				{What: "reads, extension is due", Begin: "/count", Due: true, Path: "/read", Wire: tally{"select": 1, "update": 1}},
				{What: "changes", Begin: "/count", Path: "/count", Wire: tally{"select": 1, "update": 1}},
				{What: "changes a large record", Begin: "/count /large", Path: "/count", Wire: tally{"select": 1, "update": 1}},
				{What: "login", Begin: "/count", Path: "/login", Wire: tally{"select": 1, "insert": 1}},
				{What: "new id, empty", Begin: "/count", Path: "/regenerate", Wire: tally{"select": 1, "insert": 1}},
				{What: "logout", Begin: "/count", Path: "/logout", Wire: tally{"select": 1, "delete": 1}},
				{What: "sign-in without a session", Path: "/signin", Wire: tally{"select": 1, "insert": 2}},
				{What: "sign-in", Begin: "/count", Path: "/signin", Wire: tally{"select": 2, "insert": 2, "update": 1}},
				{What: "reads, of a user", Begin: "/signin", Path: "/read", Wire: tally{"select": 1}},
				{What: "changes, of a user", Begin: "/signin", Path: "/count", Wire: tally{"select": 1, "update": 1}},
				{What: "logout of a user", Begin: "/signin", Path: "/signout", Wire: tally{"select": 1, "delete": 1}},
				{What: "lists the user's sessions", Begin: "/signin", Path: "/devices", Wire: tally{"select": 3}},
			} {
				var before tally
				m.Visit(t, c, func() { before = l.count() })
				sent, want := l.count().Minus(before), c.Wire.Times(promises.Visitors)
				if !maps.Equal(sent, want) {
					t.Errorf("%s: %d requests sent %v, want %v", c.What, promises.Visitors, sent, want)
				}
				t.Logf("%-26s sent %v (%d requests)", c.What, sent, promises.Visitors)
			}
		})
	}
}
