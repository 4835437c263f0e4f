package mongostore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
)

// found is the answer to a find: documents of sessions with these ids.
func found(ids ...any) bson.D {
	docs := bson.A{}
	for _, id := range ids {
		docs = append(docs, bson.D{
			{Key: "_id", Value: id},
			{Key: "session", Value: `{"text":"of ` + fmt.Sprint(id) + `"}`},
			{Key: "expires", Value: time.Now().Add(time.Hour)},
			{Key: "left", Value: time.Hour.Milliseconds()},
		})
	}
	return bson.D{{Key: "ok", Value: 1}, {Key: "cursor", Value: bson.D{
		{Key: "id", Value: int64(0)}, {Key: "ns", Value: "app.sessions"}, {Key: "firstBatch", Value: docs},
	}}}
}

// changed is the answer to a write that found so many documents.
func changed(n int) bson.D { return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: n}} }

// A connection whose answers come one too late gives one request the answer to
// another. What that says of somebody else is not what was asked for.
func TestAnAnswerToAnotherRequestIsAnErrorAndNoData(t *testing.T) {
	type call func(s store.Store) (data []store.Record, err error)
	ctx := t.Context()
	load := func(s store.Store) ([]store.Record, error) {
		rec, err := s.Load(ctx, "bob")
		return []store.Record{rec}, err
	}
	update := func(s store.Store) ([]store.Record, error) {
		rec, err := s.(store.UpdateLoader).UpdateOrLoad(ctx, record("bob", "first"), record("bob", "second"))
		return []store.Record{rec}, err
	}
	remove := func(s store.Store) ([]store.Record, error) {
		return nil, s.(store.Remover).Remove(ctx, record("bob", "first"))
	}
	touch := func(s store.Store) ([]store.Record, error) { return nil, s.Touch(ctx, "bob", time.Hour) }
	deletion := func(s store.Store) ([]store.Record, error) { return nil, s.Delete(ctx, "bob") }
	inspect := func(s store.Store) ([]store.Record, error) {
		return s.(store.UserIndexer).Inspect(ctx, []string{"bob", "carol"})
	}
	list := func(s store.Store) (all []store.Record, err error) {
		for rec, err := range s.(store.Lister).All(ctx) {
			if err != nil {
				return nil, err
			}
			if all = append(all, rec); len(all) > 3 {
				return all, nil // it goes round
			}
		}
		return all, nil
	}
	for _, tt := range []struct {
		name        string
		call        call
		find, write bson.D // what is answered
		verb        string
	}{
		{"Load, another's document", load, found("alice"), nil, "load"},
		{"Load, an id of another type", load, found(7), nil, "load"},
		{"Update, another's document for the conflict", update, found("alice"), changed(0), "update"},
		{"Update, the count of another write", update, nil, changed(2), "update"},
		{"Remove, another's document for the conflict", remove, found("alice"), changed(0), "remove"},
		{"Remove, the count of another write", remove, nil, changed(2), "remove"},
		{"Touch, another's document", touch, found("alice"), changed(0), "touch"},
		{"Touch, the count of another write", touch, nil, changed(2), "touch"},
		{"Delete, another's document", deletion, found("alice"), changed(0), "delete"},
		{"Delete, the count of another write", deletion, nil, changed(2), "delete"},
		{"Inspect, another's document", inspect, found("bob", "alice"), nil, "inspect"},
		{"Inspect, a document twice", inspect, found("bob", "bob"), nil, "inspect"},
		{"All, a page that does not go on", list, found("bob", "carol", "alice"), nil, "list"},
		{"All, a page that was there", list, found("alice"), nil, "list"},
		{"All, an id of another type", list, found(7), nil, "list"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, router{func(command string) bson.D {
				switch command {
				case "find":
					return tt.find
				case "update", "delete":
					return tt.write
				}
				return nil
			}}.collection(t, options.Client()), mongostore.Options{})
			for _, part := range []store.Store{s, s.UserIndex()} {
				data, err := tt.call(part)
				var failure *store.Error
				if !errors.As(err, &failure) || failure.Verb != tt.verb || failure.Class != "answer of the server is to another request" || failure.Outcome != store.OutcomeUnknown {
					t.Errorf("got %v, want an error that says that the answer is to another request", err)
				}
				for _, rec := range data {
					if rec.Data != nil {
						t.Errorf("got the data %s", rec.Data)
					}
				}
				if err != nil && (strings.Contains(err.Error(), "alice") || strings.Contains(err.Error(), "bob")) {
					t.Errorf("the error has an id in it: %v", err)
				}
			}
		})
	}
}

// An app that writes without waiting for an answer, with the client that the store
// has too: some servers answer all the same.
func TestUnacknowledgedWritesOfTheAppGiveNobodyAnothersData(t *testing.T) {
	client := dial(t, options.Client().SetMaxPoolSize(1))
	c := collection(t, client)
	s := open(t, c, mongostore.Options{})
	ctx := t.Context()
	users := []string{"alice", "bob", "carol"}
	for _, user := range users {
		if err := s.Create(ctx, record(user, "of "+user)); err != nil {
			t.Fatal(err)
		}
	}
	database := client.Database(c.Database().Name())
	log := database.Collection(c.Name(), options.Collection().SetWriteConcern(writeconcern.Unacknowledged()))
	refused := 0
	for i := range 20 {
		if _, err := log.InsertOne(ctx, bson.D{{Key: "_id", Value: int64(i)}}); err != nil {
			t.Fatal(err)
		}
		for _, user := range users {
			rec, err := s.Load(ctx, user)
			if err != nil {
				refused++
				continue
			}
			if want := `{"text":"of ` + user + `"}`; string(rec.Data) != want {
				t.Fatalf("Load of %s returned %s, want %s or an error", user, rec.Data, want)
			}
		}
	}
	t.Logf("%d of %d reads were refused", refused, 20*len(users))
}

// A document of ours with a wrong type inside, in either place.
func TestADocumentWithAWrongTypeInsideIsNoRecord(t *testing.T) {
	client := dial(t)
	set := func(fields ...bson.E) bson.D { return bson.D{{Key: "$set", Value: bson.D(fields)}} }
	for _, tt := range []struct {
		name  string
		wrong bson.D
		opts  mongostore.Options
		lists bool
	}{
		{"no session", bson.D{{Key: "$unset", Value: bson.D{{Key: "session", Value: ""}}}}, mongostore.Options{}, false},
		{"null", set(bson.E{Key: "session", Value: nil}), mongostore.Options{}, true},
		{"a number", set(bson.E{Key: "session", Value: 1}), mongostore.Options{Objects: true}, false},
		{"an array", set(bson.E{Key: "session", Value: bson.A{"{}", bson.D{}}}), mongostore.Options{AppClock: true}, false},
		{"a number for the text", set(bson.E{Key: "session", Value: bson.D{}}, bson.E{Key: "sessionJSON", Value: 1}), mongostore.Options{Objects: true}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			storetest.RunDamaged(t, func(t *testing.T) (store.Store, func(string)) {
				c := collection(t, client)
				s := open(t, c, tt.opts)
				part, at := store.Store(s), c
				if tt.lists {
					part, at = s.UserIndex(), c.Database().Collection(c.Name()+"_users")
				}
				return part, func(id string) {
					if result, err := at.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: id}}, tt.wrong); err != nil || result.MatchedCount != 1 {
						t.Fatalf("the document could not be damaged: %v", err)
					}
				}
			})
		})
	}
}
