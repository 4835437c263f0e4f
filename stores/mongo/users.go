package mongostore

import (
	"context"
	"math"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core/store"
)

const (
	// usersSuffix makes the name of the collection for the lists of users'
	// sessions.
	usersSuffix = "_users"

	// fieldLeft is how long a document will live, in ms. It is in answers only.
	fieldLeft = "left"
)

// newLists returns the store of the lists.
func (s *Store) newLists(collection *mongo.Collection) *Store {
	o := s.opts
	o.Objects, o.TouchAfter = false, false // no Express app reads them
	return newStore(collection.Database().Collection(collection.Name()+usersSuffix), o)
}

// UserIndex implements [store.UserIndexer]: a store on the collection beside that of
// the sessions, with "_users" behind its name.
func (s *Store) UserIndex() store.Store { return s.lists }

// Inspect implements [store.UserIndexer]. It is one Find, for all sessions.
func (s *Store) Inspect(ctx context.Context, ids []string) ([]store.Record, error) {
	const verb = "inspect"
	if err := refuse(ctx, verb); err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, nil
	}
	at, filter := begin(nil)
	filter = append(filter, elements(bson.D{{Key: fieldID, Value: bson.D{{Key: "$in", Value: slices.Clone(ids)}}}})...)
	filter = end(s.live(filter), at)
	projection := bson.D{
		{Key: fieldSession, Value: 1},
		{Key: fieldJSON, Value: 1},
		{Key: fieldExpires, Value: 1},
	}
	if !s.opts.AppClock {
		projection = append(projection, bson.E{Key: fieldLeft, Value: bson.D{{Key: "$subtract", Value: bson.A{"$" + fieldExpires, "$$NOW"}}}})
	}
	cursor, err := s.newest.Find(alone(ctx), bson.Raw(filter), options.Find().SetProjection(projection))
	if err != nil {
		return nil, failure(ctx, verb, err)
	}
	var docs []bson.Raw
	if err := cursor.All(alone(ctx), &docs); err != nil {
		return nil, failure(ctx, verb, err)
	}
	found := make([]store.Record, 0, len(docs))
	missing := make(map[string]bool, len(ids))
	for _, id := range ids {
		missing[id] = true
	}
	for _, doc := range docs {
		id := idOf(doc)
		if !missing[id] {
			return nil, misplaced(verb)
		}
		missing[id] = false
		rec, ok := s.record(id, doc)
		if rec.TTL = s.left(doc); ok && rec.TTL > 0 {
			found = append(found, rec)
		}
	}
	return found, nil
}

// left returns how long a document will live. One without an expiry lives as long
// as can be said.
func (s *Store) left(doc bson.Raw) time.Duration {
	expires, ok := doc.Lookup(fieldExpires).TimeOK()
	switch {
	case !ok:
		return math.MaxInt64
	case s.opts.AppClock:
		return time.Until(expires)
	}
	ms, ok := doc.Lookup(fieldLeft).AsInt64OK()
	if !ok || ms > math.MaxInt64/int64(time.Millisecond) {
		return math.MaxInt64
	}
	return time.Duration(ms) * time.Millisecond
}
