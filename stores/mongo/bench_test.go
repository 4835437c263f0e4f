package mongostore_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/cloakroom-go/cloakroom/core/store"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
)

// What a read and a change cost beside the driver alone, used as its manual says:
// with the same conditions, and with the clock of the app in place of the
// server's. One session after the other, from one goroutine.
func Benchmark(b *testing.B) {
	client := dial(b)
	ctx := b.Context()
	text := func(n int) []byte {
		return []byte(`{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"n":` +
			string(rune('0'+n)) + `,"text":"` + strings.Repeat("x", 900) + `"}`)
	}
	one, two := text(1), text(2)
	rec := store.Record{ID: rand.Text(), Data: one, TTL: time.Hour}
	unexpired := bson.E{Key: "$expr", Value: bson.D{{Key: "$gt", Value: bson.A{"$expires", "$$NOW"}}}}
	until := func() bson.E {
		return bson.E{Key: "expires", Value: bson.D{{Key: "$gt", Value: time.Now()}}}
	}

	type verbs struct {
		name   string
		load   func(c *mongo.Collection, id string) (string, error)
		update func(c *mongo.Collection, id, old, next string) (int64, error)
	}
	read := func(c *mongo.Collection, filter bson.D) (string, error) {
		var doc struct{ Session string }
		err := c.FindOne(ctx, filter).Decode(&doc)
		return doc.Session, err
	}
	change := func(c *mongo.Collection, filter bson.D, update any) (int64, error) {
		result, err := c.UpdateOne(ctx, filter, update)
		if err != nil {
			return 0, err
		}
		return result.MatchedCount, nil
	}
	through := func(name string, o mongostore.Options) verbs {
		stores := make(map[*mongo.Collection]*mongostore.Store)
		st := func(c *mongo.Collection) *mongostore.Store {
			if stores[c] == nil {
				stores[c] = open(b, c, o)
			}
			return stores[c]
		}
		return verbs{
			name,
			func(c *mongo.Collection, id string) (string, error) {
				rec, err := st(c).Load(ctx, id)
				return string(rec.Data), err
			},
			func(c *mongo.Collection, id, old, next string) (int64, error) {
				return 1, st(c).Update(ctx, store.Record{ID: id, Data: []byte(old)}, store.Record{ID: id, Data: []byte(next), TTL: time.Hour})
			},
		}
	}
	for _, v := range []verbs{
		{
			"driver",
			func(c *mongo.Collection, id string) (string, error) {
				return read(c, bson.D{{Key: "_id", Value: id}, unexpired})
			},
			func(c *mongo.Collection, id, old, next string) (int64, error) {
				return change(c, bson.D{{Key: "_id", Value: id}, {Key: "session", Value: old}, unexpired},
					mongo.Pipeline{{{Key: "$set", Value: bson.D{
						{Key: "session", Value: bson.D{{Key: "$literal", Value: next}}},
						{Key: "expires", Value: bson.D{{Key: "$add", Value: bson.A{"$$NOW", time.Hour.Milliseconds()}}}},
					}}}})
			},
		},
		through("store", mongostore.Options{}),
		{
			"driver, app's clock",
			func(c *mongo.Collection, id string) (string, error) {
				return read(c, bson.D{{Key: "_id", Value: id}, until()})
			},
			func(c *mongo.Collection, id, old, next string) (int64, error) {
				return change(c, bson.D{{Key: "_id", Value: id}, {Key: "session", Value: old}, until()},
					bson.D{{Key: "$set", Value: bson.D{
						{Key: "session", Value: next},
						{Key: "expires", Value: time.Now().Add(time.Hour)},
					}}})
			},
		},
		through("store, app's clock", mongostore.Options{AppClock: true}),
		through("store, sub-documents", mongostore.Options{Objects: true}),
	} {
		c := collection(b, client)
		o := mongostore.Options{Objects: strings.Contains(v.name, "sub-documents")}
		if err := open(b, c, o).Create(ctx, rec); err != nil {
			b.Fatal(err)
		}
		b.Run("Load/"+v.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got, err := v.load(c, rec.ID); err != nil || got != string(one) {
					b.Fatalf("got %d bytes, %v", len(got), err)
				}
			}
		})
		b.Run("Update/"+v.name, func(b *testing.B) {
			b.ReportAllocs()
			old, next := string(one), string(two)
			for b.Loop() {
				if n, err := v.update(c, rec.ID, old, next); err != nil || n != 1 {
					b.Fatalf("%d documents, %v", n, err)
				}
				old, next = next, old
			}
			// Leave it as it was for the next run.
			if old != string(one) {
				if _, err := v.update(c, rec.ID, old, next); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
