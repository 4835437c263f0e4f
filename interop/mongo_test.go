package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
)

// mongoDB is a MongoDB server, with a collection of its own.
type mongoDB struct {
	kind       string // "mongo string" or "mongo object": connect-mongo's stringify
	uri        string
	collection *mongo.Collection
}

const mongoDatabase = "cloakroom_interop"

func newMongo(kind string) func(testing.TB) database {
	return func(t testing.TB) database { return openMongo(t, kind) }
}

func openMongo(t testing.TB, kind string) *mongoDB {
	t.Helper()
	db := &mongoDB{kind: kind, uri: env(t, "MONGODB_URI")}
	client, err := mongo.Connect(options.Client().ApplyURI(db.uri))
	if err != nil {
		t.Fatal(err)
	}
	db.collection = client.Database(mongoDatabase).Collection(strings.ReplaceAll(kind, " ", "_") + "_" + rand.Text())
	t.Cleanup(func() {
		if err := errors.Join(db.collection.Drop(context.Background()), client.Disconnect(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return db
}

func (db *mongoDB) name() string {
	return map[string]string{"mongo string": "MongoDB, stringify: true", "mongo object": "MongoDB, stringify: false"}[db.kind]
}

func (db *mongoDB) settings() storeSettings {
	return storeSettings{Kind: db.kind, URL: db.uri, Database: mongoDatabase, Collection: db.collection.Name()}
}

func (db *mongoDB) find(t testing.TB, id string) (bson.Raw, bool) {
	t.Helper()
	doc, err := db.collection.FindOne(t.Context(), bson.D{{Key: "_id", Value: id}}).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return doc, true
}

func (db *mongoDB) record(t testing.TB, id string) (string, bool) {
	t.Helper()
	doc, found := db.find(t, id)
	if !found {
		return "", false
	}
	session := doc.Lookup("session")
	if want := map[string]bson.Type{"mongo string": bson.TypeString, "mongo object": bson.TypeEmbeddedDocument}[db.kind]; session.Type != want {
		t.Errorf("the field session is %v, want %v: %v", session.Type, want, doc)
	}
	if session.Type == bson.TypeString {
		return session.StringValue(), true
	}
	var d bson.D
	if err := bson.Unmarshal(session.Value, &d); err != nil {
		t.Fatal(err)
	}
	return jsonOf(t, d), true
}

// jsonOf returns what JavaScript makes of a value: its numbers are all of one
// kind, dates are strings in JSON.
func jsonOf(t testing.TB, v any) string {
	t.Helper()
	switch v := v.(type) {
	case bson.D:
		var members []string
		for _, e := range v {
			members = append(members, quote(e.Key)+":"+jsonOf(t, e.Value))
		}
		return "{" + strings.Join(members, ",") + "}"
	case bson.A:
		var items []string
		for _, item := range v {
			items = append(items, jsonOf(t, item))
		}
		return "[" + strings.Join(items, ",") + "]"
	case bson.DateTime:
		return quote(v.Time().UTC().Format("2006-01-02T15:04:05.000Z"))
	case string:
		return quote(v)
	case nil, bool, int32, int64, float64:
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(bytes.TrimSpace(text))
	}
	t.Fatalf("the session has a %T", v)
	return ""
}

func (db *mongoDB) life(t testing.TB, id string) time.Duration {
	t.Helper()
	doc, found := db.find(t, id)
	if !found {
		return -1
	}
	expires, ok := doc.Lookup("expires").TimeOK()
	if !ok {
		t.Fatalf("expires is no date: %v", doc)
	}
	return time.Until(expires)
}

func (db *mongoDB) expireIn(t testing.TB, id string, d time.Duration) {
	t.Helper()
	_, err := db.collection.UpdateByID(t.Context(), id, bson.D{{Key: "$set", Value: bson.D{{Key: "expires", Value: time.Now().Add(d)}}}})
	if err != nil {
		t.Fatal(err)
	}
}

func (db *mongoDB) put(t testing.TB, id, record string) {
	t.Helper()
	var session any = record
	if db.kind == "mongo object" {
		var d bson.D
		if err := bson.UnmarshalExtJSON([]byte(record), false, &d); err != nil {
			t.Fatal(err)
		}
		session = d
	}
	_, err := db.collection.InsertOne(t.Context(), bson.D{
		{Key: "_id", Value: id}, {Key: "session", Value: session}, {Key: "expires", Value: time.Now().Add(hour)},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestTouchAfter has connect-mongo spare its touches, by a date that it keeps
// beside the session: also in the documents that the Go side writes.
func TestTouchAfter(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"mongo string", "mongo object"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			needNode(t)
			db := openMongo(t, kind)
			sides := startAll(t, db, settings{Store: storeSettings{TTL: int(day.Seconds()), TouchAfter: 600}})
			js := sides[0]
			for _, s := range sides {
				v := newVisitor(t)
				v.set(s, "user", `"bob"`)
				v.set(s, "a", "1")
				id := v.id(s)
				db.expireIn(t, id, time.Minute)
				v.must(js, "POST", "/touch", "")
				if life := db.life(t, id); life > time.Minute {
					t.Errorf("a session that %s wrote a moment ago was touched by connect-mongo: it is to live for %v", s.name, life)
				}
				if text, _ := db.record(t, id); strings.Contains(text, "lastModified") {
					t.Errorf("%s wrote the date into the session: %s", s.name, text)
				}
				if _, ok := db.document(t, id).Lookup("lastModified").TimeOK(); !ok {
					t.Errorf("%s wrote no lastModified: %v", s.name, db.document(t, id))
				}
			}
		})
	}
}

func (db *mongoDB) document(t testing.TB, id string) bson.Raw {
	t.Helper()
	doc, _ := db.find(t, id)
	return doc
}

// TestTheIndexIsOne: either side may make the index that removes what has
// expired, and the other one finds it good.
func TestTheIndexIsOne(t *testing.T) {
	t.Parallel()
	needNode(t)
	for _, goFirst := range []bool{true, false} {
		db := openMongo(t, "mongo string")
		store, err := mongostore.New(db.collection, mongostore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		steps := []func(){
			func() {
				if err := store.EnsureIndexes(t.Context()); err != nil {
					t.Errorf("Go first %v: %v", goFirst, err)
				}
			},
			// connect-mongo makes it when it starts; where that fails, so does every
			// request.
			func() { newVisitor(t).set(start(t, express, db, settings{}), "user", `"bob"`) },
		}
		if !goFirst {
			steps[0], steps[1] = steps[1], steps[0]
		}
		for _, step := range steps {
			step()
		}
		indexes, err := db.collection.Indexes().ListSpecifications(t.Context())
		if err != nil || len(indexes) != 2 { // that of _id is one
			t.Errorf("Go first %v: %d indexes, want 2 (%v)", goFirst, len(indexes), err)
		}
	}
}
