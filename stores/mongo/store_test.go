package mongostore_test

import (
	"context"
	"crypto/rand"
	"os"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/storetest"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
)

// dial returns a client for the server, or skips the test where there is none.
func dial(t testing.TB, opts ...*options.ClientOptions) *mongo.Client {
	t.Helper()
	uri := os.Getenv("MONGODB_URI")
	if uri == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("MONGODB_URI is not set: scripts/servers.sh up starts the servers of the tests")
		}
		t.Skip("NOT TESTED: MONGODB_URI is not set; scripts/servers.sh up starts the servers of the tests")
	}
	client, err := mongo.Connect(append([]*options.ClientOptions{options.Client().ApplyURI(uri)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	return client
}

// collection returns a collection that is dropped when the test ends.
func collection(t testing.TB, client *mongo.Client) *mongo.Collection {
	t.Helper()
	c := client.Database("cloakroom-test").Collection(rand.Text())
	t.Cleanup(func() {
		if err := c.Drop(context.Background()); err != nil {
			t.Errorf("drop: %v", err)
		}
	})
	return c
}

func open(t testing.TB, c *mongo.Collection, o mongostore.Options) *mongostore.Store {
	t.Helper()
	s, err := mongostore.New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts mongostore.Options
	}{
		{"by default", mongostore.Options{}},
		{"sub-documents", mongostore.Options{Objects: true}},
		{"by the app's clock", mongostore.Options{AppClock: true}},
		{"sub-documents by the app's clock", mongostore.Options{Objects: true, AppClock: true}},
		{"with lastModified", mongostore.Options{TouchAfter: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := dial(t)
			storetest.Run(t, func(t *testing.T) core.Store {
				return open(t, collection(t, client), tt.opts)
			})
		})
	}
}
