package mongotakeover_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/internal/suite"
	"github.com/cloakroom-go/cloakroom/stores/mongo/mongotakeover"
	"github.com/cloakroom-go/cloakroom/takeover"
)

func TestMain(m *testing.M) { suite.MainWaiting(m) }

// collection returns one that is dropped when the test ends, or skips the test where
// there is no server.
func collection(t *testing.T) *mongo.Collection {
	t.Helper()
	uri := os.Getenv("MONGODB_URI")
	if uri == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("MONGODB_URI is not set: scripts/servers.sh up starts the servers of the tests")
		}
		t.Skip("NOT TESTED: MONGODB_URI is not set; scripts/servers.sh up starts the servers of the tests")
	}
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal("the URI in MONGODB_URI cannot be used")
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	coll := client.Database("cloakroom-test").Collection("takeover-" + rand.Text())
	t.Cleanup(func() { _ = coll.Drop(context.Background()) })
	return coll
}

func TestARecordIsADocumentOfWhateverLibrary(t *testing.T) {
	end := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	for name, test := range map[string]struct {
		records mongotakeover.Records
		doc     bson.D
		expires time.Time
	}{
		"gin-contrib": {
			mongotakeover.Records{}, bson.D{{Key: "_id", Value: "id"}, {Key: "data", Value: "data"}, {Key: "modified", Value: time.Now()}}, time.Time{},
		},
		"scs": {
			mongotakeover.Records{ID: "token", Data: "object", Expires: "expiration"},
			bson.D{{Key: "token", Value: "id"}, {Key: "object", Value: []byte("data")}, {Key: "expiration", Value: end.UnixNano()}},
			end,
		},
		"Fiber": {
			mongotakeover.Records{ID: "key", Data: "value", Expires: "exp"},
			bson.D{{Key: "key", Value: "id"}, {Key: "value", Value: []byte("data")}, {Key: "exp", Value: end}},
			end,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := test.records
			r.Collection = collection(t)
			if _, err := r.Collection.InsertOne(t.Context(), test.doc); err != nil {
				t.Fatal(err)
			}
			rec, err := r.Record(t.Context(), "id")
			if err != nil || string(rec.Data) != "data" || !rec.Expires.Equal(test.expires) {
				t.Errorf("%v, which expires at %v, %v", rec, rec.Expires, err)
			}
			for range 2 { // the second one deletes nothing
				if err := r.Delete(t.Context(), "id"); err != nil {
					t.Error(err)
				}
			}
			if _, err := r.Record(t.Context(), "id"); !errors.Is(err, predecessor.ErrNone) {
				t.Errorf("%v, want ErrNone", err)
			}
		})
	}
}

func TestADocumentWithoutDataCannotBeRead(t *testing.T) {
	r := mongotakeover.Records{Collection: collection(t)}
	for id, data := range map[string]any{"number": 7, "null": nil} {
		if _, err := r.Collection.InsertOne(t.Context(), bson.D{{Key: "_id", Value: id}, {Key: "data", Value: data}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Collection.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "none"}}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"number", "null", "none"} {
		if _, err := r.Record(t.Context(), id); !errors.Is(err, predecessor.ErrUnreadable) {
			t.Errorf("%s: %v, want ErrUnreadable", id, err)
		}
	}
}

func TestAServerThatDoesNotAnswerIsAFailure(t *testing.T) {
	r := mongotakeover.Records{Collection: collection(t)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.Record(ctx, "id")
	if err == nil || errors.Is(err, predecessor.ErrNone) || errors.Is(err, predecessor.ErrUnreadable) {
		t.Errorf("Record: %v", err)
	}
	if err := r.Delete(ctx, "id"); err == nil {
		t.Error("Delete: nil")
	}
}

// The fields are those of gin-contrib's mongodriver.
func ExampleRecords() {
	var collection *mongo.Collection // the former library's
	before := takeover.Gorilla{
		Name:     "mysession",
		KeyPairs: [][]byte{[]byte("open-hash-key-of-a-test")},
		Records:  mongotakeover.Records{Collection: collection},
	}
	fmt.Println(before.Records)
	// Output: Records("_id", "data")
}
