// Package mongoenv opens stores on the server that MONGODB_URI names, which is
// MongoDB or another that speaks its protocol.
package mongoenv

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// Database is where all collections of tests are.
const Database = "cloakroom_test"

// URI returns how a server is reached.
func URI(tb testing.TB) string {
	tb.Helper()
	return servers.Env(tb, "MONGODB_URI")
}

// Client returns a client of that server, with more options, that is
// disconnected when the test is over.
func Client(tb testing.TB, more ...*options.ClientOptions) *mongo.Client {
	tb.Helper()
	client, err := mongo.Connect(append([]*options.ClientOptions{options.Client().ApplyURI(URI(tb))}, more...)...)
	if err != nil {
		tb.Fatalf("mongo.Connect: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = client.Disconnect(ctx) // a test may have left calls under way
	})
	return client
}

// Collection returns the name of a collection that nobody else has, and that is
// dropped when the test is over.
func Collection(tb testing.TB, client *mongo.Client) string {
	tb.Helper()
	name := "sessions_" + strings.ToLower(rand.Text())
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), servers.Patience)
		defer cancel()
		for _, name := range []string{name, name + "_users"} {
			if err := client.Database(Database).Collection(name).Drop(ctx); err != nil {
				tb.Errorf("Drop: %v", err)
			}
		}
	})
	return name
}

// Store returns a store on a collection, or on one of its own where
// o.Collection is not set.
func Store(tb testing.TB, client *mongo.Client, o mongostore.Options) *mongostore.Store {
	tb.Helper()
	if o.Collection == "" {
		o.Collection = Collection(tb, client)
	}
	store, err := mongostore.New(client.Database(Database).Collection(o.Collection), o)
	if err != nil {
		tb.Fatalf("mongostore.New: %v", err)
	}
	return store
}

// ReplicaSet reports whether a server is a member of a replica set.
func ReplicaSet(tb testing.TB, client *mongo.Client) bool {
	tb.Helper()
	var hello struct {
		SetName string `bson:"setName"`
	}
	if err := client.Database("admin").RunCommand(tb.Context(), bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
		tb.Fatalf("hello: %v", err)
	}
	return hello.SetName != ""
}

// Name returns what a server says that it is.
func Name(tb testing.TB, client *mongo.Client) string {
	tb.Helper()
	var info struct {
		Version  string
		FerretDB struct{ Version, Package string } `bson:"ferretdb"`
	}
	if err := client.Database("admin").RunCommand(tb.Context(), bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info); err != nil {
		tb.Fatalf("buildInfo: %v", err)
	}
	if info.FerretDB.Version != "" {
		return "FerretDB " + info.FerretDB.Version + ", for MongoDB " + info.Version
	}
	return "MongoDB " + info.Version
}
