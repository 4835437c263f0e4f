package mongo

import (
	"context"
	"maps"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
	"github.com/cloakroom-go/cloakroom/tests/internal/mongoenv"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
)

type tally = promises.Tally

// A ledger counts the commands of a client.
type ledger struct {
	mu sync.Mutex
	n  tally
}

func (l *ledger) monitor() *options.ClientOptions {
	l.n = make(tally)
	return options.Client().SetMonitor(&event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.n[e.CommandName]++
		},
	})
}

func (l *ledger) count() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.n)
}

func TestCommandCounts(t *testing.T) {
	for _, form := range forms {
		var l ledger
		client := mongoenv.Client(t, l.monitor())
		store := mongoenv.Store(t, client, mongostore.Options{Objects: form.objects})
		for _, fw := range frameworks.All() {
			t.Run(form.name+"/"+fw.Name, func(t *testing.T) {
				m := promises.NewMetered(t, fw, store)
				for _, c := range []promises.Cost{
					{What: "anonymous", Path: "/read"},
					{What: "forged cookie", Cookie: "sid=s%3Aforged.signature", Path: "/read"},
					{What: "first visit", Path: "/count", Wire: tally{"insert": 1}},
					{What: "login without a session", Path: "/login", Wire: tally{"insert": 1}},
					{What: "ignores its session", Begin: "/count", Path: "/static", Wire: tally{"find": 1}},
					{What: "reads", Begin: "/count /read", Path: "/read", Wire: tally{"find": 1}},
					{What: "reads, extension is due", Begin: "/count", Due: true, Path: "/read", Wire: tally{"find": 1, "update": 1}},
					{What: "reads, was just extended", Begin: "/count", Due: true, Between: "/read", Path: "/read", Wire: tally{"find": 1}},
					{What: "changes", Begin: "/count", Path: "/count", Wire: tally{"find": 1, "update": 1}},
					{What: "changes, extension is due", Begin: "/count", Due: true, Path: "/count", Wire: tally{"find": 1, "update": 2}},
					{What: "changes a large record", Begin: "/count /large", Path: "/count", Wire: tally{"find": 1, "update": 1}},
					{What: "login", Begin: "/count", Path: "/login", Wire: tally{"find": 1, "insert": 1, "update": 1}},
					{What: "new id, empty", Begin: "/count", Path: "/regenerate", Wire: tally{"find": 1, "insert": 1, "update": 1}},
					{What: "logout", Begin: "/count", Path: "/logout", Wire: tally{"find": 1, "delete": 1}},
					{What: "sign-in without a session", Path: "/signin", Wire: tally{"find": 1, "insert": 2}},
					{What: "sign-in", Begin: "/count", Path: "/signin", Wire: tally{"find": 2, "insert": 2, "update": 1}},
					{What: "sign-in again", Begin: "/signin", Path: "/signin-again", Wire: tally{"find": 2, "insert": 1, "update": 2}},
					{What: "new id of a user's session", Begin: "/signin", Path: "/login", Wire: tally{"find": 2, "insert": 1, "update": 2}},
					{What: "reads, of a user", Begin: "/signin", Path: "/read", Wire: tally{"find": 1}},
					{What: "changes, of a user", Begin: "/signin", Path: "/count", Wire: tally{"find": 1, "update": 1}},
					{What: "logout of a user", Begin: "/signin", Path: "/signout", Wire: tally{"find": 1, "delete": 1}},
					{What: "RequireRecentSignIn", Begin: "/signin", Path: "/spend", Wire: tally{"find": 2}},
					{What: "lists the user's sessions", Begin: "/signin", Path: "/devices", Wire: tally{"find": 3}},
					{What: "ends the user's sessions", Begin: "/signin", Path: "/revoke-user", Wire: tally{"find": 2, "update": 2, "delete": 1}},
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
}

func proxied(t *testing.T) (*mongostore.Store, *faultproxy.Proxy) {
	t.Helper()
	proxy := faultproxy.NewMongo(t)
	return mongoenv.Store(t, mongoenv.Client(t, options.Client().SetDialer(proxy)), mongostore.Options{}), proxy
}

func TestRoundTrips(t *testing.T) {
	store, proxy := proxied(t)
	promises.RoundTrips(t, store, proxy, 3)
}

func TestExtensionBesideHandler(t *testing.T) {
	store, proxy := proxied(t)
	promises.ExtensionBesideHandler(t, store, proxy, "update")
}
