package mongostore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
)

const database = "cloakroom-test"

// uri returns where the server is, or skips the test where there is none.
func uri(t testing.TB) string {
	t.Helper()
	uri := os.Getenv("MONGODB_URI")
	if uri == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("MONGODB_URI is not set: scripts/servers.sh up starts the servers of the tests")
		}
		t.Skip("NOT TESTED: MONGODB_URI is not set; scripts/servers.sh up starts the servers of the tests")
	}
	return uri
}

// dial returns a client for the server.
func dial(t testing.TB, opts ...*options.ClientOptions) *mongo.Client {
	t.Helper()
	client, err := mongo.Connect(append([]*options.ClientOptions{options.Client().ApplyURI(uri(t))}, opts...)...)
	if err != nil {
		t.Fatal("the URI in MONGODB_URI cannot be used")
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	return client
}

// collection returns a collection that is dropped when the test ends.
func collection(t testing.TB, client *mongo.Client) *mongo.Collection {
	t.Helper()
	name := rand.Text()
	t.Cleanup(func() {
		for _, name := range []string{name, name + "_users"} {
			if err := dial(t).Database(database).Collection(name).Drop(context.Background()); err != nil {
				t.Errorf("drop: %v", err)
			}
		}
	})
	return client.Database(database).Collection(name)
}

func open(t testing.TB, c *mongo.Collection, o mongostore.Options) *mongostore.Store {
	t.Helper()
	s, err := mongostore.New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func record(id, text string) store.Record {
	return store.Record{ID: id, Data: []byte(`{"text":"` + text + `"}`), TTL: time.Minute}
}

// A deployment is what the tests run on.
type deployment struct {
	Version    string
	FerretDB   bson.Raw `bson:"ferretdb"`
	SetName    string   `bson:"setName"`
	Router     string   `bson:"msg"` // "isdbgrid" for mongos
	failpoints bool
}

func (d deployment) String() string {
	s := "MongoDB " + d.Version
	if d.FerretDB != nil {
		s = "FerretDB " + d.FerretDB.Lookup("version").StringValue() + ", which speaks the protocol of " + s
	}
	switch {
	case d.Router != "":
		return s + ", sharded"
	case d.SetName != "":
		return s + ", replica set " + d.SetName
	}
	return s + ", one server"
}

func deploymentOf(t testing.TB, client *mongo.Client) (d deployment) {
	t.Helper()
	for _, command := range []string{"buildInfo", "hello"} {
		if err := client.Database("admin").RunCommand(t.Context(), bson.D{{Key: command, Value: 1}}).Decode(&d); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
	d.failpoints = failpoint(t, client, bson.D{{Key: "mode", Value: "off"}}) == nil
	return d
}

func failpoint(t testing.TB, client *mongo.Client, settings bson.D) error {
	command := append(bson.D{{Key: "configureFailPoint", Value: "failCommand"}}, settings...)
	return client.Database("admin").RunCommand(t.Context(), command).Err()
}

func TestStore(t *testing.T) {
	client := dial(t)
	d := deploymentOf(t, client)
	t.Logf("server: %v", d)
	if d.SetName == "" && d.Router == "" {
		t.Log("NOT COVERED on this server: majority concern with more than one vote, retryable writes, failover")
	}
	for _, tt := range []struct {
		name string
		opts mongostore.Options
	}{
		{"by default", mongostore.Options{}},
		{"sub-documents by the app's clock", mongostore.Options{Objects: true, AppClock: true, TouchAfter: true}}, // other tests tell them apart
	} {
		t.Run(tt.name, func(t *testing.T) {
			collections := emptied(t, client)
			storetest.Run(t, func(t *testing.T) store.Store { return open(t, collections(t), tt.opts) })
		})
	}
}

// emptied returns what gives each test an empty collection. To make one takes the
// server longer than most tests do, so they use it one after the other.
func emptied(all *testing.T, client *mongo.Client) func(*testing.T) *mongo.Collection {
	var (
		mu   sync.Mutex
		idle []*mongo.Collection
	)
	take := func() *mongo.Collection {
		mu.Lock()
		defer mu.Unlock()
		if len(idle) == 0 {
			return collection(all, client)
		}
		last := len(idle) - 1
		c := idle[last]
		idle = idle[:last]
		return c
	}
	return func(t *testing.T) *mongo.Collection {
		c := take()
		t.Cleanup(func() {
			for _, name := range []string{c.Name(), c.Name() + "_users"} {
				if _, err := client.Database(database).Collection(name).DeleteMany(context.Background(), bson.D{}); err != nil {
					t.Errorf("the collection cannot be emptied: %v", err)
					return
				}
			}
			mu.Lock()
			defer mu.Unlock()
			idle = append(idle, c)
		})
		return c
	}
}

// stored returns the document of an id.
func stored(t *testing.T, c *mongo.Collection, id string) (doc struct {
	Session      bson.RawValue
	JSON         string `bson:"sessionJSON"`
	Expires      time.Time
	LastModified *time.Time `bson:"lastModified"`
	UpdatedAt    *time.Time `bson:"updatedAt"`
	Note         string
	Fields       bson.M `bson:",inline"`
},
) {
	t.Helper()
	if err := c.FindOne(t.Context(), bson.D{{Key: "_id", Value: id}}).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTheDocumentIsWhatConnectMongoKeeps(t *testing.T) {
	client := dial(t)
	for _, tt := range []struct {
		name string
		opts mongostore.Options
	}{
		{"by default", mongostore.Options{}},
		{"sub-documents", mongostore.Options{Objects: true}},
		{"with lastModified", mongostore.Options{TouchAfter: true}},
		{"by the app's clock", mongostore.Options{AppClock: true}},
		{"by the app's clock, with lastModified", mongostore.Options{AppClock: true, TouchAfter: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := t.Context()
			c := collection(t, client)
			s := open(t, c, tt.opts)
			check := func(text string, ttl time.Duration) {
				t.Helper()
				doc := stored(t, c, "id")
				want := bson.RawValue{Type: bson.TypeString, Value: stringValue(`{"text":"` + text + `"}`)}
				if tt.opts.Objects {
					raw, err := bson.Marshal(bson.D{{Key: "text", Value: text}})
					if err != nil {
						t.Fatal(err)
					}
					want = bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: raw}
				}
				if !doc.Session.Equal(want) || len(doc.Fields) != 1 {
					t.Errorf("session is %v beside %v, want %v", doc.Session, doc.Fields, want)
				}
				if left := time.Until(doc.Expires); left < ttl-30*time.Second || left > ttl+30*time.Second {
					t.Errorf("it expires in %v, want %v", left, ttl)
				}
				if tt.opts.TouchAfter != (doc.LastModified != nil) {
					t.Errorf("lastModified is %v", doc.LastModified)
				}
				if doc.LastModified != nil && time.Since(*doc.LastModified).Abs() > 30*time.Second {
					t.Errorf("lastModified is %v", doc.LastModified)
				}
			}
			if err := s.Create(ctx, record("id", "first")); err != nil {
				t.Fatal(err)
			}
			check("first", time.Minute)
			if err := s.Update(ctx, record("id", "first"), record("id", "$text.$$NOW")); err != nil {
				t.Fatal(err)
			}
			check("$text.$$NOW", time.Minute)
			if err := s.Touch(ctx, "id", time.Hour); err != nil {
				t.Fatal(err)
			}
			check("$text.$$NOW", time.Hour)
		})
	}
}

// stringValue returns the bytes of a BSON string.
func stringValue(s string) []byte {
	_, data, err := bson.MarshalValue(s)
	if err != nil {
		panic(err)
	}
	return data
}

// Documents that somebody else wrote: with lastModified, with fields of the app,
// with types that JSON has not.
func TestADocumentOfAnotherAppKeepsWhatIsItsOwn(t *testing.T) {
	client := dial(t)
	long := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	session := bson.D{{Key: "when", Value: long}, {Key: "n", Value: int64(1)}}
	text := `{"when":"` + long.UTC().Format("2006-01-02T15:04:05.000Z") + `","n":1}`
	for _, tt := range []struct {
		name string
		opts mongostore.Options
		want any // of when, after n was set
	}{
		{"strings", mongostore.Options{}, nil},
		{"sub-documents", mongostore.Options{Objects: true}, long},
		{"sub-documents by the app's clock", mongostore.Options{Objects: true, AppClock: true, TouchAfter: true}, long},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := t.Context()
			c := collection(t, client)
			s := open(t, c, tt.opts)
			if _, err := c.InsertOne(ctx, bson.D{
				{Key: "_id", Value: "id"},
				{Key: "session", Value: session},
				{Key: "expires", Value: time.Now().Add(time.Minute)},
				{Key: "lastModified", Value: long},
				{Key: "updatedAt", Value: long},
				{Key: "note", Value: "of the app"},
			}); err != nil {
				t.Fatal(err)
			}
			if err := s.Touch(ctx, "id", time.Hour); err != nil {
				t.Fatal(err)
			}
			if doc := stored(t, c, "id"); doc.LastModified.Sub(long) < time.Minute || doc.Note != "of the app" {
				t.Errorf("after Touch lastModified is %v, was %v; note is %q", doc.LastModified, long, doc.Note)
			}
			written := func(verb string) { // connect-mongo has it with timestamps
				t.Helper()
				if doc := stored(t, c, "id"); doc.UpdatedAt.Equal(long) != tt.opts.AppClock {
					t.Errorf("after %s updatedAt is %v, was %v", verb, doc.UpdatedAt, long)
				}
				if _, err := c.UpdateByID(ctx, "id", bson.D{{Key: "$set", Value: bson.D{{Key: "updatedAt", Value: long}}}}); err != nil {
					t.Fatal(err)
				}
			}
			written("Touch")
			old, err := s.Load(ctx, "id")
			if err != nil || string(old.Data) != text {
				t.Fatalf("it reads as %s, %v; want %s", old.Data, err, text)
			}
			next := store.Record{ID: "id", Data: bytes.Replace(old.Data, []byte(`1}`), []byte(`2}`), 1), TTL: time.Hour}
			if err := s.Update(ctx, old, next); err != nil {
				t.Fatal(err)
			}
			doc := stored(t, c, "id")
			if doc.LastModified.Sub(long) < time.Minute || doc.Note != "of the app" {
				t.Errorf("after Update lastModified is %v, was %v; note is %q", doc.LastModified, long, doc.Note)
			}
			written("Update")
			if sub, ok := doc.Session.DocumentOK(); ok != tt.opts.Objects || ok && !sub.Lookup("when").Time().Equal(long) {
				t.Errorf("session is %v, want the date kept as a date", doc.Session)
			}
			// What was just written is known by its JSON alone.
			third := store.Record{ID: "id", Data: bytes.Replace(old.Data, []byte(`1}`), []byte(`3}`), 1), TTL: time.Hour}
			if err := s.Update(ctx, next, third); err != nil {
				t.Errorf("Update of what was just written returned %v", err)
			}
			if got, err := s.Load(ctx, "id"); err != nil || !bytes.Equal(got.Data, third.Data) {
				t.Errorf("it reads as %s, %v; want %s", got.Data, err, third.Data)
			}
		})
	}
}

// With TouchAfter, documents that were written without lastModified get it, too;
// without it, they are left as they are.
func TestTouchAfterAddsLastModified(t *testing.T) {
	client := dial(t)
	for _, o := range []mongostore.Options{{}, {TouchAfter: true}, {AppClock: true}, {AppClock: true, TouchAfter: true}} {
		ctx := t.Context()
		c := collection(t, client)
		s := open(t, c, o)
		for _, verb := range []string{"Touch", "Update"} {
			old := record(verb, "first")
			if _, err := c.InsertOne(ctx, bson.D{
				{Key: "_id", Value: verb}, {Key: "session", Value: string(old.Data)}, {Key: "expires", Value: time.Now().Add(time.Minute)},
			}); err != nil {
				t.Fatal(err)
			}
			var err error
			if verb == "Touch" {
				err = s.Touch(ctx, verb, time.Hour)
			} else {
				err = s.Update(ctx, old, record(verb, "second"))
			}
			if err != nil {
				t.Fatalf("%s returned %v", verb, err)
			}
			at := stored(t, c, verb).LastModified
			if (at != nil) != o.TouchAfter || at != nil && time.Since(*at).Abs() > 30*time.Second {
				t.Errorf("TouchAfter: %v, AppClock: %v: after %s lastModified is %v", o.TouchAfter, o.AppClock, verb, at)
			}
			if at := stored(t, c, verb).UpdatedAt; at != nil {
				t.Errorf("TouchAfter: %v, AppClock: %v: after %s there is an updatedAt", o.TouchAfter, o.AppClock, verb)
			}
		}
	}
}

// What the server compares is what it handed out, whatever type it has.
func TestASubDocumentOfAnyTypesCanBeUpdated(t *testing.T) {
	c := collection(t, dial(t))
	ctx := t.Context()
	decimal, err := bson.ParseDecimal128("1.50")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.InsertOne(ctx, bson.D{{Key: "_id", Value: "id"}, {Key: "session", Value: bson.D{
		{Key: "date", Value: time.UnixMilli(-1)},
		{Key: "long", Value: int64(1) << 60},
		{Key: "double", Value: 3.0},
		{Key: "zero", Value: math.Copysign(0, -1)},
		{Key: "nan", Value: math.NaN()},
		{Key: "infinity", Value: math.Inf(-1)},
		{Key: "decimal", Value: decimal},
		{Key: "binary", Value: bson.Binary{Subtype: 4, Data: make([]byte, 16)}},
		{Key: "id", Value: bson.NewObjectID()},
		{Key: "regex", Value: bson.Regex{Pattern: "^a.*$", Options: "i"}},
		{Key: "timestamp", Value: bson.Timestamp{T: 1, I: 2}},
		{Key: "code", Value: bson.JavaScript("f()")},
		{Key: "min", Value: bson.MinKey{}},
		{Key: "max", Value: bson.MaxKey{}},
		{Key: "$set", Value: bson.D{{Key: "$gt", Value: ""}}},
		{Key: "a.b", Value: bson.A{nil, bson.A{}, bson.D{}}},
		{Key: "", Value: "$$NOW"},
	}}, {Key: "expires", Value: time.Now().Add(time.Minute)}}); err != nil {
		t.Fatal(err)
	}
	before, isObject := stored(t, c, "id").Session.DocumentOK()
	if !isObject {
		t.Fatal("the session is no sub-document")
	}
	s := open(t, c, mongostore.Options{Objects: true})
	old, err := s.Load(ctx, "id")
	if err != nil {
		t.Fatal(err)
	}
	next := store.Record{ID: "id", Data: append(bytes.TrimSuffix(slices.Clone(old.Data), []byte("}")), `,"new":1}`...), TTL: time.Minute}
	if err := s.Update(ctx, old, next); err != nil {
		t.Fatalf("Update returned %v", err)
	}
	after, _ := stored(t, c, "id").Session.DocumentOK()
	was, err := before.Elements()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range was {
		if v, err := after.LookupErr(e.Key()); err != nil || !v.Equal(e.Value()) {
			t.Errorf("%s is %v, was %v", e.Key(), v, e.Value())
		}
	}
	if v, ok := after.Lookup("new").Int32OK(); !ok || v != 1 {
		t.Errorf("new is %v", after.Lookup("new"))
	}

	// It can be removed as well, by what was loaded and by what was written.
	doc, err := bson.Marshal(bson.D{{Key: "_id", Value: "id"}, {Key: "session", Value: after}, {Key: "expires", Value: time.Now().Add(time.Minute)}})
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := s.Load(ctx, "id")
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range []store.Record{loaded, next} {
		if err := s.Remove(ctx, rec); err != nil {
			t.Errorf("Remove returned %v", err)
		}
		if err := s.Remove(ctx, rec); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("second Remove returned %v", err)
		}
		if _, err := c.InsertOne(ctx, bson.Raw(doc)); err != nil {
			t.Fatal(err)
		}
	}
}

// keeping returns a record for an Update that keeps the life.
func keeping(id, text string) store.Record {
	rec := record(id, text)
	rec.TTL = store.KeepTTL
	return rec
}

// By lastModified an Express app with touchAfter tells whether a session was lately
// extended: a write that is none changes neither date.
func TestAWriteThatKeepsTheLifeChangesNeitherDate(t *testing.T) {
	client := dial(t)
	until, since := time.Now().Add(time.Hour).Truncate(time.Millisecond), time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	for _, o := range []mongostore.Options{
		{}, {Objects: true}, {TouchAfter: true}, {AppClock: true}, {Objects: true, AppClock: true, TouchAfter: true},
	} {
		for _, dates := range []bson.D{
			{{Key: "expires", Value: until}, {Key: "lastModified", Value: since}},
			{{Key: "expires", Value: until}},
			{}, // it never expires, and goes on so
		} {
			ctx := t.Context()
			c := collection(t, client)
			s := open(t, c, o)
			if _, err := c.InsertOne(ctx, append(bson.D{{Key: "_id", Value: "id"}, {Key: "session", Value: `{"text":"first"}`}}, dates...)); err != nil {
				t.Fatal(err)
			}
			for i, text := range []string{"first", "second"} {
				if err := s.Update(ctx, record("id", text), keeping("id", []string{"second", "third"}[i])); err != nil {
					t.Fatal(err)
				}
			}
			if rec, err := s.Load(ctx, "id"); err != nil || string(rec.Data) != `{"text":"third"}` {
				t.Errorf("%+v: Load returned %s, %v", o, rec.Data, err)
			}
			var doc bson.M
			if err := c.FindOne(ctx, bson.D{{Key: "_id", Value: "id"}}).Decode(&doc); err != nil {
				t.Fatal(err)
			}
			want := map[string]time.Time{}
			for _, date := range dates {
				want[date.Key] = date.Value.(time.Time)
			}
			for _, name := range []string{"expires", "lastModified"} {
				got, ok := doc[name].(bson.DateTime)
				date, wanted := want[name]
				if ok != wanted || ok && !got.Time().Equal(date) {
					t.Errorf("%+v: %s is %v, was %v", o, name, doc[name], date)
				}
			}
		}
	}
}

func TestEitherFormIsReadAndReplaced(t *testing.T) {
	client := dial(t)
	ctx := t.Context()
	for _, objects := range []bool{false, true} {
		c := collection(t, client)
		from, to := open(t, c, mongostore.Options{Objects: !objects}), open(t, c, mongostore.Options{Objects: objects})
		first := store.Record{ID: "id", Data: []byte(`{"n":1.0}`), TTL: time.Minute} // which a sub-document does not tell byte for byte
		if err := from.Create(ctx, first); err != nil {
			t.Fatal(err)
		}
		if had := stored(t, c, "id").JSON != ""; had != !objects {
			t.Errorf("Objects: %v: the text beside the session is there: %v", !objects, had)
		}
		loaded, err := to.Load(ctx, "id")
		if err != nil || string(loaded.Data) != string(first.Data) {
			t.Fatalf("Objects: %v: Load returned %s, %v", objects, loaded.Data, err)
		}
		second := record("id", "second")
		if err := to.Update(ctx, loaded, second); err != nil {
			t.Fatalf("Objects: %v: Update returned %v", objects, err)
		}
		doc := stored(t, c, "id")
		if _, isObject := doc.Session.DocumentOK(); isObject != objects || len(doc.Fields) != 1 || doc.JSON != "" {
			t.Errorf("Objects: %v: the document holds %v beside %v %q", objects, doc.Session, doc.Fields, doc.JSON)
		}
		if got, err := from.Load(ctx, "id"); err != nil || string(got.Data) != string(second.Data) {
			t.Errorf("Objects: %v: Load returned %s, %v", !objects, got.Data, err)
		}
	}
}

// With ids hashed and data sealed, neither is in the database, in either form.
func TestHashedAndSealedAtRest(t *testing.T) {
	client := dial(t)
	ctx := t.Context()
	const (
		views core.Key[int]    = "views"
		user  core.Key[string] = "user"
	)
	for _, objects := range []bool{false, true} {
		for _, private := range []bool{false, true} {
			c := collection(t, client)
			cfg := core.Config{Store: open(t, c, mongostore.Options{Objects: objects}), Secrets: []string{strings.Repeat("s", 32)}}
			if private {
				cfg.HashIDs, cfg.SealKeys = true, []string{strings.Repeat("k", 32)}
			}
			m, err := core.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			cookie := ""
			var ids []string
			for visit := range 4 {
				s, err := m.Load(ctx, cookie)
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, s.ID())
				if n := views.Update(s, func(n int) int { return n + 1 }); n != visit+1 {
					t.Errorf("objects: %v, private: %v: %d views in visit %d", objects, private, n, visit+1)
				}
				user.Set(s, "bob")
				if visit == 2 {
					if err := s.Renew(); err != nil {
						t.Fatal(err)
					}
				}
				header, err := m.Commit(ctx, s, false)
				if err != nil {
					t.Fatal(err)
				}
				if set, err := http.ParseSetCookie(header); err == nil {
					cookie = set.Value
				}
			}
			docs, err := c.Find(ctx, bson.D{})
			if err != nil {
				t.Fatal(err)
			}
			for docs.Next(ctx) {
				text := docs.Current.String()
				_, isObject := docs.Current.Lookup("session").DocumentOK()
				retired := strings.Contains(text, "retired")
				if isObject != objects {
					t.Errorf("objects: %v, private: %v: session is %v", objects, private, docs.Current.Lookup("session"))
				}
				if told := slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(text, id) }); told == private {
					t.Errorf("objects: %v, private: %v: the document holds the id: %v", objects, private, told)
				}
				if told := strings.Contains(text, "bob"); told == private && !retired {
					t.Errorf("objects: %v, private: %v: the document holds the data: %v", objects, private, told)
				}
			}
		}
	}
}

func TestWhatASubDocumentDoesNotTellIsComparedToo(t *testing.T) {
	s := open(t, collection(t, dial(t)), mongostore.Options{Objects: true})
	ctx := t.Context()
	exact := store.Record{ID: "id", Data: []byte(`{"n":1.0}`), TTL: time.Minute}
	if err := s.Create(ctx, exact); err != nil {
		t.Fatal(err)
	}
	next := record("id", "second")
	if err := s.Update(ctx, store.Record{ID: "id", Data: []byte(`{"n":1}`)}, next); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Update of what reads alike returned %v, want ErrConflict", err)
	}
	if err := s.Remove(ctx, store.Record{ID: "id", Data: []byte(`{"n":1}`)}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Remove of what reads alike returned %v, want ErrConflict", err)
	}
	if err := s.Update(ctx, exact, next); err != nil {
		t.Errorf("Update returned %v", err)
	}
}

func TestADocumentWithoutAnExpiryLives(t *testing.T) {
	client := dial(t)
	ctx := t.Context()
	for _, o := range []mongostore.Options{{}, {AppClock: true}} {
		c := collection(t, client)
		s := open(t, c, o)
		if _, err := c.InsertMany(ctx, []any{
			bson.D{{Key: "_id", Value: "missing"}, {Key: "session", Value: "{}"}},
			bson.D{{Key: "_id", Value: "null"}, {Key: "session", Value: "{}"}, {Key: "expires", Value: nil}},
			bson.D{{Key: "_id", Value: "number"}, {Key: "session", Value: "{}"}, {Key: "expires", Value: 1e15}},
			bson.D{{Key: "_id", Value: "string"}, {Key: "session", Value: "{}"}, {Key: "expires", Value: "2999-01-01"}},
			bson.D{{Key: "_id", Value: "timestamp"}, {Key: "session", Value: "{}"}, {Key: "expires", Value: bson.Timestamp{T: math.MaxUint32}}},
			bson.D{{Key: "_id", Value: "pattern"}, {Key: "session", Value: "{}"}, {Key: "expires", Value: bson.Regex{Pattern: "a"}}},
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(ctx, "missing"); err != nil {
			t.Errorf("AppClock: %v: Load without expires returned %v", o.AppClock, err)
		}
		if found, err := s.Inspect(ctx, []string{"missing", "null", "number", "string", "timestamp", "pattern"}); err != nil || len(found) != 1 || found[0].ID != "missing" {
			t.Errorf("AppClock: %v: Inspect returned %d records, %v; want the one without expires", o.AppClock, len(found), err)
		}
		for _, id := range []string{"null", "number", "string", "timestamp", "pattern"} {
			if _, err := s.Load(ctx, id); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("AppClock: %v: Load with a %s for expires returned %v, want ErrNotFound, as with connect-mongo", o.AppClock, id, err)
			}
		}
		if err := s.Touch(ctx, "missing", time.Minute); err != nil {
			t.Fatal(err)
		}
		if stored(t, c, "missing").Expires.IsZero() {
			t.Error("Touch gave the document no expiry")
		}
	}
}

// A recorder keeps the commands that a client sends.
type recorder struct {
	mu       sync.Mutex
	commands []bson.Raw
}

func (r *recorder) options() *options.ClientOptions {
	return options.Client().SetMonitor(&event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.commands = append(r.commands, slices.Clone(e.Command))
	}})
}

// sent returns the commands that were sent since the last time.
func (r *recorder) sent() (commands []bson.Raw, names string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	commands, r.commands = r.commands, nil
	for _, c := range commands {
		e, err := c.IndexErr(0)
		if err != nil {
			panic(err)
		}
		names += " " + e.Key()
	}
	return commands, strings.TrimSpace(names)
}

func TestEachVerbIsOneOperationWithMajorityConcern(t *testing.T) {
	var r recorder
	client := dial(t, r.options(), options.Client().
		SetReadPreference(readpref.SecondaryPreferred()).SetReadConcern(readconcern.Available()).SetWriteConcern(writeconcern.W1()))
	s := open(t, collection(t, client), mongostore.Options{})
	ctx := t.Context()
	first, second := record("id", "first"), record("id", "second")
	for _, tt := range []struct {
		name    string
		call    func() error
		want    string
		concern string // of the last command, where it is not majority
		err     error
	}{
		{"Create", func() error { return s.Create(ctx, first) }, "insert", "", nil},
		{"Load", func() error { _, err := s.Load(ctx, "id"); return err }, "find", "", nil},
		{"Load of an unknown id", func() error { _, err := s.Load(ctx, "unknown"); return err }, "find", "", store.ErrNotFound},
		{"Update", func() error { return s.Update(ctx, first, second) }, "update", "", nil},
		{"Update of other content", func() error { return s.Update(ctx, first, record("id", "third")) }, "update find", "local", store.ErrConflict},
		{"Update of an unknown id", func() error { return s.Update(ctx, record("unknown", ""), record("unknown", "x")) }, "update find", "local", store.ErrNotFound},
		{"Touch", func() error { return s.Touch(ctx, "id", time.Hour) }, "update", "", nil},
		{"Touch of an unknown id", func() error { return s.Touch(ctx, "unknown", time.Hour) }, "update find", "local", store.ErrNotFound},
		{"Count", func() error { _, err := s.Count(ctx); return err }, "aggregate", "", nil},
		{"Update that keeps the life", func() error { return s.Update(ctx, second, keeping("id", "third")) }, "update", "", nil},
		{"Remove of other content", func() error { return s.Remove(ctx, second) }, "delete find", "local", store.ErrConflict},
		{"Remove", func() error { return s.Remove(ctx, record("id", "third")) }, "delete", "", nil},
		{"Remove of an unknown id", func() error { return s.Remove(ctx, second) }, "delete find", "local", store.ErrNotFound},
		{"Create again", func() error { return s.Create(ctx, first) }, "insert", "", nil},
		{"Delete", func() error { return s.Delete(ctx, "id") }, "delete", "", nil},
		{"Delete of an unknown id", func() error { return s.Delete(ctx, "id") }, "delete find", "local", nil},
		{"Clear", func() error { return s.Clear(ctx) }, "delete", "", nil},
	} {
		r.sent()
		if err := tt.call(); !errors.Is(err, tt.err) {
			t.Errorf("%s returned %v, want %v", tt.name, err, tt.err)
		}
		commands, names := r.sent()
		if names != tt.want {
			t.Errorf("%s sent %q, want %q", tt.name, names, tt.want)
			continue
		}
		for i, c := range commands {
			concern := "majority"
			if tt.concern != "" && i == len(commands)-1 {
				concern = tt.concern
			}
			read, _ := c.Lookup("readConcern", "level").StringValueOK()
			write, _ := c.Lookup("writeConcern", "w").StringValueOK()
			if read+write != concern {
				t.Errorf("%s sent %v, want the concern %s", tt.name, c, concern)
			}
			if mode, ok := c.Lookup("$readPreference", "mode").StringValueOK(); ok && mode != "primary" && mode != "primaryPreferred" { // the driver's way to ask a single server
				t.Errorf("%s prefers to read from a %s", tt.name, mode)
			}
			if _, err := c.LookupErr("updates", "0", "upsert"); err == nil {
				t.Errorf("%s may insert a document: %v", tt.name, c)
			}
		}
	}
}

// Whose clock decides is seen in what is sent: the clocks of a test agree.
func TestTheServersClockDecides(t *testing.T) {
	var r recorder
	client := dial(t, r.options())
	for _, o := range []mongostore.Options{{}, {Objects: true, TouchAfter: true}, {AppClock: true}, {AppClock: true, Objects: true, TouchAfter: true}} {
		s := open(t, collection(t, client), o)
		ctx := t.Context()
		first, second := record("id", "first"), record("id", "second")
		if err := errors.Join(s.Create(ctx, first), s.Update(ctx, first, second), s.Touch(ctx, "id", time.Hour)); err != nil {
			t.Fatal(err)
		}
		for _, s := range []store.Store{s, s.UserIndex()} {
			_, _ = s.Load(ctx, "id")
		}
		_, _ = s.Inspect(ctx, []string{"id"})
		_, _ = s.Count(ctx)
		for range s.All(ctx) {
		}
		commands, _ := r.sent()
		for _, c := range commands {
			name, text := c.Index(0).Key(), c.String()
			ours := o.AppClock || name == "insert"
			if strings.Contains(text, `"$date"`) != ours || strings.Contains(text, "$$NOW") == ours {
				t.Errorf("%+v: the store sent %v, want the time of this machine: %v", o, c, ours)
			}
		}
	}
}

func TestConcernsCanBeWeaker(t *testing.T) {
	var r recorder
	s := open(t, collection(t, dial(t, r.options())), mongostore.Options{WriteConcern: writeconcern.W1()})
	ctx := t.Context()
	if err := s.Create(ctx, record("id", "first")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(ctx, "id"); err != nil {
		t.Fatal(err)
	}
	commands, names := r.sent()
	if names != "insert find" {
		t.Fatalf("Create and Load sent %q", names)
	}
	if w := commands[0].Lookup("writeConcern", "w"); w.AsInt64() != 1 {
		t.Errorf("Create waits for %v, want 1", w)
	}
	if level := commands[1].Lookup("readConcern", "level"); level.StringValue() != "local" {
		t.Errorf("Load reads what is %v, want local: it would not see the write before it", level)
	}
	s = open(t, collection(t, dial(t, r.options())), mongostore.Options{ReadConcern: readconcern.Available()})
	if _, err := s.Load(ctx, "id"); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	commands, _ = r.sent()
	if level := commands[0].Lookup("readConcern", "level"); level.StringValue() != "available" {
		t.Errorf("Load reads what is %v, want available", level)
	}
}

// A server that does not find a document that is there is asked again, but not
// for ever.
func TestAWriteThatFindsNoDocumentIsMadeAgain(t *testing.T) {
	s := open(t, collection(t, dial(t)), mongostore.Options{})
	ctx := t.Context()
	if err := s.Create(ctx, record("id", "first")); err != nil {
		t.Fatal(err)
	}
	writes := 0
	if err := s.Insist(ctx, "id", func() (int64, error) { writes++; return int64(writes / 3), nil }); err != nil || writes != 3 {
		t.Errorf("%d writes and %v, want success with the third", writes, err)
	}
	writes = 0
	var failure *store.Error
	if err := s.Insist(ctx, "id", func() (int64, error) { writes++; return 0, nil }); !errors.As(err, &failure) || writes != 20 {
		t.Errorf("%d writes and %v, want a store.Error after 20", writes, err)
	}
	writes = 0
	if err := s.Insist(ctx, "unknown", func() (int64, error) { writes++; return 0, nil }); err != nil || writes != 1 {
		t.Errorf("%d writes and %v, want one where there is no document", writes, err)
	}
}

func TestTransactionsOfTheAppDoNotTakeSessionsAlong(t *testing.T) {
	var r recorder
	client := dial(t, r.options())
	s := open(t, collection(t, client), mongostore.Options{})
	session, err := client.StartSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.EndSession(t.Context())
	if err := session.StartTransaction(); err != nil {
		t.Fatal(err)
	}
	ctx := mongo.NewSessionContext(t.Context(), session)
	first, second := record("id", "first"), record("id", "second")
	for name, err := range map[string]error{
		"Create": s.Create(ctx, first),
		"Update": s.Update(ctx, first, second),
		"Touch":  s.Touch(ctx, "id", time.Hour),
		"Delete": s.Delete(ctx, "id"),
		"Ping":   s.Ping(ctx),
	} {
		if err != nil {
			t.Errorf("%s returned %v", name, err)
		}
	}
	if _, err := s.Load(ctx, "id"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Load returned %v, want ErrNotFound", err)
	}
	if _, err := s.Count(ctx); err != nil {
		t.Errorf("Count returned %v", err)
	}
	for _, err := range s.All(ctx) {
		t.Errorf("All yielded %v", err)
	}
	if err := s.Clear(ctx); err != nil {
		t.Errorf("Clear returned %v", err)
	}
	commands, _ := r.sent()
	for _, c := range commands {
		if _, err := c.LookupErr("startTransaction"); err == nil {
			t.Errorf("a command is part of the transaction: %v", c)
		}
		if _, err := c.LookupErr("autocommit"); err == nil {
			t.Errorf("a command is part of the transaction: %v", c)
		}
	}
}

// What Load takes for a session, and nothing else, is one to All, Count and Clear.
func TestWalksLeaveAloneWhatIsNoSession(t *testing.T) {
	client := dial(t)
	until := bson.E{Key: "expires", Value: time.Now().Add(time.Hour)}
	object := bson.E{Key: "session", Value: bson.D{{Key: "cookie", Value: bson.D{}}}}
	shapes := map[string]bson.D{
		"text":    {{Key: "session", Value: "{}"}},
		"object":  {object},
		"missing": {},
		"null":    {{Key: "session", Value: nil}},
		"number":  {{Key: "session", Value: 1}},
		"array":   {{Key: "session", Value: bson.A{"secret", bson.D{}}}},
	}
	for name, value := range map[string]any{
		"text": `{"cookie":{}}`, "null": nil,
		"number": 1, "object": bson.D{{Key: "cookie", Value: bson.D{}}}, "bytes": []byte("{}"), "true": true,
		"empty array": bson.A{}, "array of texts": bson.A{"{}"}, "array of nulls": bson.A{nil},
	} {
		beside := bson.E{Key: "sessionJSON", Value: value}
		shapes["object, beside it: "+name] = bson.D{object, beside}
		shapes["text, beside it: "+name] = bson.D{{Key: "session", Value: "{}"}, beside}
	}
	for _, o := range []mongostore.Options{{}, {Objects: true}, {AppClock: true}} {
		t.Run(fmt.Sprintf("objects %v, app's clock %v", o.Objects, o.AppClock), func(t *testing.T) {
			c := collection(t, client)
			s := open(t, c, o)
			ctx := t.Context()
			var loaded, listed []string
			for id, doc := range shapes {
				if _, err := c.InsertOne(ctx, append(bson.D{{Key: "_id", Value: id}, until}, doc...)); err != nil {
					t.Fatal(err)
				}
				switch _, err := s.Load(ctx, id); {
				case err == nil:
					loaded = append(loaded, id)
				case !errors.Is(err, store.ErrUndecodable):
					t.Errorf("Load of %q returned %v", id, err)
				}
			}
			if _, err := c.InsertOne(ctx, bson.D{{Key: "_id", Value: 1}, {Key: "session", Value: "{}"}, until}); err != nil {
				t.Fatal(err)
			}
			if len(loaded) < 6 || len(loaded) > len(shapes)-6 {
				t.Fatalf("%d of %d shapes can be loaded: %q", len(loaded), len(shapes), loaded)
			}
			for rec, err := range s.All(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				listed = append(listed, rec.ID)
			}
			slices.Sort(loaded)
			if !slices.Equal(listed, loaded) {
				t.Errorf("All yielded %q, want what can be loaded, %q", listed, loaded)
			}
			if n, err := s.Count(ctx); n != len(loaded) || err != nil {
				t.Errorf("Count returned %d, %v; want what can be loaded, %d", n, err, len(loaded))
			}
			if err := s.Clear(ctx); err != nil {
				t.Fatal(err)
			}
			left := len(shapes) + 1 - len(loaded)
			if n, err := c.CountDocuments(ctx, bson.D{}); n != int64(left) || err != nil {
				t.Errorf("Clear left %d documents, %v; want all %d that are no sessions", n, err, left)
			}
			for _, id := range loaded {
				if _, err := s.Load(ctx, id); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("Load of %q after Clear returned %v", id, err)
				}
			}
		})
	}
}

func TestAllSeesEachSessionOnce(t *testing.T) {
	c := collection(t, dial(t))
	s := open(t, c, mongostore.Options{})
	ctx := t.Context()
	var docs []any
	var want []string
	for i := range 1501 {
		id := fmt.Sprintf("%04d", i)
		docs = append(docs, bson.D{{Key: "_id", Value: id}, {Key: "session", Value: "{}"}, {Key: "expires", Value: time.Now().Add(time.Hour)}})
		want = append(want, id)
	}
	// So large that a server does not send a whole page of them.
	large := strings.Repeat("x", 3<<20)
	for i := range 8 {
		id := fmt.Sprintf("large-%d", i)
		docs = append(docs, bson.D{{Key: "_id", Value: id}, {Key: "session", Value: large}, {Key: "expires", Value: time.Now().Add(time.Hour)}})
		want = append(want, id)
	}
	for page := range slices.Chunk(docs, 1501) {
		if _, err := c.InsertMany(ctx, page); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for rec, err := range s.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, rec.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("All yielded %d ids, want each of the %d once and in order", len(got), len(want))
	}
}

func TestASessionThatIsTooLargeForTheServerIsRefused(t *testing.T) {
	s := open(t, collection(t, dial(t)), mongostore.Options{})
	ctx := t.Context()
	refused := func(verb string, err error) {
		t.Helper()
		var failure *store.Error
		if !errors.As(err, &failure) || failure.Outcome != store.OutcomeNotApplied || failure.Class != "document is too large" {
			t.Errorf("%s returned %v, want a store.Error that says that it is too large", verb, err)
		}
	}
	huge := record("id", strings.Repeat("x", 16<<20))
	refused("Create", s.Create(ctx, huge))
	half := record("id", strings.Repeat("x", 9<<20))
	if err := s.Create(ctx, half); err != nil {
		t.Fatal(err)
	}
	refused("Update", s.Update(ctx, half, record("id", strings.Repeat("y", 9<<20))))
	refused("Remove", s.Remove(ctx, huge))
	if err := s.Update(ctx, half, record("id", "y")); err != nil {
		t.Errorf("Update to a small one returned %v", err)
	}
}

// faulty returns a store whose client uses a wire. Its first session is "id".
func faulty(t *testing.T) (*mongostore.Store, *wire, store.Record) {
	t.Helper()
	w := new(wire)
	t.Cleanup(func() { w.fault.Store(sound) })
	s := open(t, collection(t, dial(t, w.options().SetConnectTimeout(time.Second))), mongostore.Options{})
	rec := record("id", "first")
	if err := s.Create(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	return s, w, rec
}

// recovers checks that the store works again, without being made anew.
func recovers(t *testing.T, s *mongostore.Store, w *wire) store.Record {
	t.Helper()
	w.fault.Store(sound)
	patience := time.Second // with a connection that hangs
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		patience *= 2 // the machine may be busy
		rec, err := s.Load(ctx, "id")
		cancel()
		if err == nil {
			t.Logf("recovered after %v", time.Since(start).Round(time.Millisecond))
			return rec
		}
		if time.Since(start) > time.Minute {
			t.Fatalf("the store did not recover: %v", err)
		}
	}
}

func TestAnOutageIsSaidClearlyAndPasses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault int32
		is    []error // any of them
	}{
		{"connections are reset and refused", broken, []error{syscall.ECONNRESET, syscall.ECONNREFUSED, context.DeadlineExceeded}},
		{"replies are lost", deafening, []error{syscall.ECONNRESET, context.DeadlineExceeded}},
		{"nothing passes", silent, []error{context.DeadlineExceeded}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, w, rec := faulty(t)
			w.fault.Store(tt.fault)
			for verb, call := range map[string]func(context.Context) error{
				"load":   func(ctx context.Context) error { _, err := s.Load(ctx, "id"); return err },
				"create": func(ctx context.Context) error { return s.Create(ctx, record("new", "first")) },
				"update": func(ctx context.Context) error { return s.Update(ctx, rec, record("id", "second")) },
				"touch":  func(ctx context.Context) error { return s.Touch(ctx, "id", time.Hour) },
				"delete": func(ctx context.Context) error { return s.Delete(ctx, "new") },
				"remove": func(ctx context.Context) error { return s.Remove(ctx, record("new", "first")) },
				"list": func(ctx context.Context) (err error) {
					for _, err = range s.All(ctx) {
					}
					return err
				},
				"count":          func(ctx context.Context) error { _, err := s.Count(ctx); return err },
				"ping":           s.Ping,
				"ensure indexes": s.EnsureIndexes,
			} {
				const patience = 300 * time.Millisecond
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				start := time.Now()
				err := call(ctx)
				took := time.Since(start)
				cancel()
				var failure *store.Error
				if !errors.As(err, &failure) || failure.Verb != verb {
					t.Errorf("%s returned %v, want a store.Error", verb, err)
					continue
				}
				if !slices.ContainsFunc(tt.is, func(is error) bool { return errors.Is(err, is) }) {
					t.Errorf("%s returned %v, want one of %v", verb, err, tt.is)
				}
				if took > 20*time.Second { // a busy machine: the driver's own time is 30 seconds
					t.Errorf("%s took %v, want %v", verb, took, patience)
				}
			}
			recovers(t, s, w)
		})
	}
}

func TestALostReplyIsAnUnknownOutcomeUnlessTheDriverSettlesIt(t *testing.T) {
	s, w, rec := faulty(t)
	second := record("id", "second")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.onLost = func(command []byte) {
		if bytes.Contains(command, []byte("second")) {
			cancel() // it is applied, and the driver would ask again for as long as it may
		}
	}
	w.fault.Store(deafening)
	err := s.Update(ctx, rec, second)
	var failure *store.Error
	if err != nil && (!errors.As(err, &failure) || failure.Outcome != store.OutcomeUnknown) {
		t.Errorf("Update returned %v, want a store.Error with an unknown outcome", err)
	}
	if got := recovers(t, s, w); string(got.Data) != string(second.Data) {
		t.Errorf("%s is stored, want what was applied although the reply was lost", got.Data)
	}
}

func TestACallCanBeCancelled(t *testing.T) {
	s, w, rec := faulty(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.onSunk = func(command []byte) {
		if bytes.Contains(command, []byte("second")) {
			cancel()
		}
	}
	w.fault.Store(silent)
	err := s.Update(ctx, rec, record("id", "second"))
	var failure *store.Error
	if !errors.Is(err, context.Canceled) || !errors.As(err, &failure) || failure.Outcome != store.OutcomeUnknown {
		t.Errorf("Update returned %v, want a store.Error with an unknown outcome that says that it was cancelled", err)
	}
	recovers(t, s, w)
}

// What a primary says that steps down, or shuts down: MongoDB says it on demand.
func TestFailover(t *testing.T) {
	client := dial(t)
	if d := deploymentOf(t, client); !d.failpoints || d.SetName == "" {
		t.Skipf("NOT COVERED: %v cannot be made to fail commands (a replica set with enableTestCommands can)", d)
	}
	const (
		notPrimary = 10107
		stepdown   = 11602
		shutdown   = 91
	)
	for _, code := range []int{notPrimary, stepdown, shutdown} {
		for _, times := range []int{1, 1000} { // the driver sends a write twice
			app := rand.Text()
			s := open(t, collection(t, dial(t, options.Client().SetAppName(app))), mongostore.Options{})
			first, second := record("id", "first"), record("id", "second")
			if err := s.Create(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			if err := failpoint(t, client, bson.D{
				{Key: "mode", Value: bson.D{{Key: "times", Value: times}}},
				{Key: "data", Value: bson.D{
					{Key: "failCommands", Value: bson.A{"update"}},
					{Key: "errorCode", Value: code},
					{Key: "appName", Value: app},
					{Key: "errorLabels", Value: bson.A{"RetryableWriteError"}},
				}},
			}); err != nil {
				t.Fatal(err)
			}
			timeout := time.Minute
			if times > 1 { // until which the driver asks again
				timeout = 5 * time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			err := s.Update(ctx, first, second)
			cancel()
			if e := failpoint(t, client, bson.D{{Key: "mode", Value: "off"}}); e != nil {
				t.Fatal(e)
			}
			want := second
			var failure *store.Error
			if times > 1 {
				want = first
				if !errors.As(err, &failure) || failure.Outcome != store.OutcomeUnknown {
					t.Errorf("code %d, %d times: Update returned %v, want a store.Error with an unknown outcome", code, times, err)
				}
			} else if err != nil {
				t.Errorf("code %d, %d times: Update returned %v", code, times, err)
			}
			if got, err := s.Load(t.Context(), "id"); err != nil || string(got.Data) != string(want.Data) {
				t.Errorf("code %d, %d times: %s, %v is stored, want %s", code, times, got.Data, err, want.Data)
			}
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	client := dial(t)
	for field, o := range map[string]mongostore.Options{
		"WriteConcern is not valid":         {WriteConcern: &writeconcern.WriteConcern{W: -1}},
		"WriteConcern waits for nothing":    {WriteConcern: writeconcern.Unacknowledged()},
		"WriteConcern is not valid: of a w": {WriteConcern: &writeconcern.WriteConcern{W: 1.5}},
	} {
		field, _, _ = strings.Cut(field, ":")
		if s, err := mongostore.New(client.Database(database).Collection("x"), o); s != nil || err == nil || !strings.Contains(err.Error(), "Options."+field) {
			t.Errorf("New returned %v, want an error that says %s", err, field)
		}
		if s, err := mongostore.Open(t.Context(), uri(t), o); s != nil || err == nil || !strings.Contains(err.Error(), "Options."+field) {
			t.Errorf("Open returned %v, want an error that says %s", err, field)
		}
	}
	if s, err := mongostore.New(nil, mongostore.Options{}); s != nil || err == nil {
		t.Errorf("New without a collection returned %v", err)
	}
}

func TestOpen(t *testing.T) {
	ctx := t.Context()
	var log bytes.Buffer
	o := mongostore.Options{Database: database, Collection: collection(t, dial(t)).Name(), Logger: slog.New(slog.NewTextHandler(&log, nil))}
	s, err := mongostore.Open(ctx, uri(t), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Create(ctx, record("id", "first")); err != nil {
		t.Error(err)
	}
	if n, err := dial(t).Database(database).Collection(o.Collection).CountDocuments(ctx, bson.D{}); n != 1 || err != nil {
		t.Errorf("the collection has %d documents, %v; want the one of the session", n, err)
	}
	if log.Len() > 0 {
		t.Errorf("Open logged %s", log.String())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	var failure *store.Error
	if _, err := s.Load(ctx, "id"); !errors.As(err, &failure) || failure.Outcome != store.OutcomeNotApplied {
		t.Errorf("Load after Close returned %v, want a store.Error", err)
	}
}

// with returns a URI with another parameter.
func with(uri, parameter string) string {
	switch _, rest, _ := strings.Cut(uri, "://"); {
	case strings.Contains(rest, "?"):
		return uri + "&" + parameter
	case strings.Contains(rest, "/"):
		return uri + "?" + parameter
	}
	return uri + "/?" + parameter
}

func TestOpenWarnsOfASecondaryReadPreference(t *testing.T) {
	var log bytes.Buffer
	s, err := mongostore.Open(t.Context(), with(uri(t), "readPreference=secondaryPreferred"), mongostore.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "readPreference=secondaryPreferred") {
		t.Errorf("Open logged %q, want a warning of the read preference", log.String())
	}
}

func TestOpenTellsNoPassword(t *testing.T) {
	address := strings.TrimPrefix(uri(t), "mongodb://")
	if i := strings.LastIndex(address, "@"); i >= 0 {
		address = address[i+1:]
	}
	for _, tt := range []struct {
		name, uri, want string
		is              error
	}{
		{"a scheme that does not exist", "nonsense://user:secret@host", "URI cannot be used", nil},
		{"a bad escape", "mongodb://user:secret%zz@host", "URI cannot be used", nil},
		{"an option that is wrong", with("mongodb://user:secret@host", "w=-1"), "URI cannot be used", nil},
		{"a server that is down", with("mongodb://user:secret@127.0.0.1:1", "connectTimeoutMS=100"), "no server is available: context deadline exceeded (at 127.0.0.1:1, without TLS)", context.DeadlineExceeded},
		{"a server that is down, by TLS", "mongodb://user:secret@127.0.0.1:1/?connectTimeoutMS=100&tls=true", "(at 127.0.0.1:1, over TLS)", context.DeadlineExceeded},
		{"a replica set that is down", "mongodb://user:secret@127.0.0.1:1,127.0.0.1:2/?connectTimeoutMS=100&replicaSet=ours", "(at 127.0.0.1:1, 127.0.0.1:2, as replica set \"ours\", without TLS)", context.DeadlineExceeded},
		{"a user that does not exist", "mongodb://nobody:secret@" + address, "authentication failed", nil},
	} {
		timeout := time.Minute
		if tt.is != nil {
			timeout = 2 * time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		s, err := mongostore.Open(ctx, tt.uri, mongostore.Options{})
		cancel()
		if s != nil || err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: Open returned %v, want an error that says %q", tt.name, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "nobody")) {
			t.Errorf("%s: the error has the password or the user in it: %v", tt.name, err)
		}
	}
}

func TestAStoreOfTheAppsCollectionLeavesTheClientConnected(t *testing.T) {
	client := dial(t)
	s := open(t, collection(t, client), mongostore.Options{})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := client.Ping(t.Context(), nil); err != nil {
		t.Errorf("the app's client after Store.Close: %v", err)
	}
}

func TestEnsureIndexes(t *testing.T) {
	client := dial(t)
	index := func(name string, key string, more ...bson.E) bson.D {
		return append(bson.D{{Key: "name", Value: name}, {Key: "key", Value: bson.D{{Key: key, Value: 1}}}}, more...)
	}
	after := func(seconds int) bson.E { return bson.E{Key: "expireAfterSeconds", Value: seconds} }
	for _, tt := range []struct {
		name  string
		there bson.D
		ok    bool
	}{
		{"nothing is there", nil, true},
		{"connect-mongo's is there", index("expires_1", "expires", bson.E{Key: "background", Value: true}, after(0)), true},
		{"one with another name is there", index("ttl", "expires", after(0)), true},
		{"one that waits longer is there", index("expires_1", "expires", after(60)), false},
		{"one that removes nothing is there", index("expires_1", "expires"), false},
		{"one that removes nothing is there under another name", index("other", "expires"), false},
		{"the name is another one's", index("expires_1", "lastModified"), false},
		{"one of some documents is there", index("expires_1", "expires", after(0),
			bson.E{Key: "partialFilterExpression", Value: bson.D{{Key: "x", Value: bson.D{{Key: "$exists", Value: true}}}}}), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := t.Context()
			c := collection(t, client)
			if tt.there != nil {
				if err := c.Database().RunCommand(ctx, bson.D{{Key: "createIndexes", Value: c.Name()}, {Key: "indexes", Value: bson.A{tt.there}}}).Err(); err != nil {
					t.Fatal(err)
				}
			}
			s := open(t, c, mongostore.Options{})
			for range 2 {
				err := s.EnsureIndexes(ctx)
				var failure *store.Error
				if tt.ok && err != nil {
					t.Errorf("EnsureIndexes returned %v", err)
				}
				if !tt.ok && (!errors.As(err, &failure) || failure.Outcome != store.OutcomeNotApplied || !strings.Contains(failure.Class, "drop it")) {
					t.Errorf("EnsureIndexes returned %v, want an error that says what to do", err)
				}
			}
			cursor, err := c.Indexes().List(ctx)
			if err != nil {
				t.Fatal(err)
			}
			var indexes []bson.M
			if err := cursor.All(ctx, &indexes); err != nil {
				t.Fatal(err)
			}
			removing := slices.ContainsFunc(indexes, func(i bson.M) bool { return i["expireAfterSeconds"] != nil && i["partialFilterExpression"] == nil })
			if len(indexes) != 2 || tt.ok && !removing {
				t.Errorf("the collection has the indexes %v", indexes)
			}
		})
	}
}

func TestEnsureIndexesTellsWhichCollection(t *testing.T) {
	client := dial(t)
	for _, suffix := range []string{"", "_users"} {
		c := collection(t, client)
		other := mongo.IndexModel{Keys: bson.D{{Key: "expires", Value: 1}}, Options: options.Index().SetExpireAfterSeconds(60)}
		if _, err := client.Database(database).Collection(c.Name()+suffix).Indexes().CreateOne(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		err := open(t, c, mongostore.Options{}).EnsureIndexes(t.Context())
		if err == nil || strings.Contains(err.Error(), "_users") != (suffix != "") {
			t.Errorf("EnsureIndexes with another index on the collection with %q behind its name returned %v", suffix, err)
		}
	}
}

// Standards: ASVS-14.2.7
func TestTheServerRemovesWhatHasExpired(t *testing.T) {
	c := collection(t, dial(t))
	s := open(t, c, mongostore.Options{})
	ctx := t.Context()
	if err := s.EnsureIndexes(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(ctx, store.Record{ID: "id", Data: []byte("{}"), TTL: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		n, err := c.CountDocuments(ctx, bson.D{})
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			t.Logf("removed after %v", time.Since(start).Round(time.Second))
			return
		}
		if time.Since(start) > 3*time.Minute {
			t.Fatal("an expired session is still there after 3 minutes")
		}
	}
}
