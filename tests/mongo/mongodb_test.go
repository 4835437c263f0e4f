package mongo

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
	"github.com/cloakroom-go/cloakroom/tests/internal/mongoenv"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// What is in this file only MongoDB does. What a primary stored that dies by
// SIGKILL, or that steps down, is still stored then because a majority has it:
// on a replica set TestOutage tests that as well.

func TestServer(t *testing.T) {
	client := mongoenv.Client(t)
	t.Logf("on %s, a replica set: %v", mongoenv.Name(t, client), mongoenv.ReplicaSet(t, client))
}

// replicaSet starts a replica set of one.
func replicaSet(t *testing.T) *servers.Mongo {
	t.Helper()
	server := servers.StartMongo(t)
	if !server.ReplicaSet() {
		t.Skip("NOT MONGODB: MONGO_SERVER is another server that speaks its protocol, so this is NOT TESTED")
	}
	return server
}

// A steppingDown is a primary that steps down and is elected again, as if it had
// died.
type steppingDown struct {
	*servers.Mongo
	t *testing.T
}

func (s steppingDown) Kill() {
	s.t.Helper()
	_, err := s.Do(bson.D{{Key: "replSetStepDown", Value: 10}, {Key: "secondaryCatchUpPeriodSecs", Value: 0}, {Key: "force", Value: true}})
	if err != nil && !mongo.IsNetworkError(err) {
		s.t.Fatalf("replSetStepDown: %v", err)
	}
}

func (s steppingDown) Start() {
	s.t.Helper()
	s.Await("election", func() error {
		hello, err := s.Do(bson.D{{Key: "hello", Value: 1}})
		if err == nil && hello["isWritablePrimary"] != true {
			err = errors.New("it is no primary")
		}
		return err
	})
}

func TestStepDown(t *testing.T) {
	t.Parallel()
	server := replicaSet(t)
	promises.Outage(t, steppingDown{server, t}, promises.Setup{Store: settings{URI: server.URI(), Collection: "sessions"}})
}

// TestRefusals has the server refuse commands as it does in a failover: once,
// which nobody notices, and until the time for the store is over.
func TestRefusals(t *testing.T) {
	t.Parallel()
	server := replicaSet(t)
	client, err := mongo.Connect(options.Client().ApplyURI(server.URI()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(t.Context()) }() // the server ends as well
	store := mongoenv.Store(t, client, mongostore.Options{Collection: "sessions"})
	m := promises.ManagerOn(t, core.Config{Store: store, StoreTimeout: 2 * time.Second})
	srv := httptest.NewServer(promises.Serve(frameworks.All()[0], m))
	defer srv.Close()
	point := func(mode any, data bson.D) {
		t.Helper()
		command := bson.D{{Key: "configureFailPoint", Value: "failCommand"}, {Key: "mode", Value: mode}}
		if data != nil {
			command = append(command, bson.E{Key: "data", Value: data})
		}
		if _, err := server.Do(command); err != nil {
			t.Fatalf("configureFailPoint: %v", err)
		}
	}
	for _, verb := range []struct{ command, begin, path, text, text2 string }{
		{"find", "/count", "/read", "1", "1"},
		{"insert", "", "/count", "1", "0"},
		{"update", "/count", "/count", "2", "1"},
		{"delete", "/count", "/logout", "bye", "1"},
	} {
		for _, fault := range []struct {
			name string
			data bson.D
		}{
			{"primary steps down", bson.D{{Key: "errorCode", Value: 189}}},
			{"not the primary", bson.D{{Key: "errorCode", Value: 10107}}},
			{"shutting down", bson.D{{Key: "errorCode", Value: 11600}}},
			{"connection closed", bson.D{{Key: "closeConnection", Value: true}}},
		} {
			data := append(bson.D{{Key: "failCommands", Value: bson.A{verb.command}}}, fault.data...)
			t.Run(verb.command+", "+fault.name, func(t *testing.T) {
				defer point("off", nil)
				b := promises.NewBrowser()
				if verb.begin != "" {
					b.Must(t, srv.URL+verb.begin)
				}
				point(bson.D{{Key: "times", Value: 1}}, data)
				if a := b.As().Get(srv.URL + verb.path); a.Err != nil || a.Status != http.StatusOK || a.Text != verb.text {
					t.Errorf("%s: %v, want 200 %q", verb.path, a, verb.text)
				}

				b = promises.NewBrowser()
				if verb.begin != "" {
					b.Must(t, srv.URL+verb.begin)
				}
				point("alwaysOn", data)
				if a := b.As().Get(srv.URL + verb.path); !a.Refused(http.StatusServiceUnavailable) {
					t.Errorf("%s, again and again: %v, want 503, no cookie", verb.path, a)
				}
				point("off", nil)
				b.Expect(t, srv.URL+"/read", verb.text2)
			})
		}
	}
}
