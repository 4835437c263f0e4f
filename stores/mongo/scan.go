package mongostore

import (
	"context"
	"iter"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// page is how many sessions one query of All asks for. A server sends fewer
// where they are large.
const page = 500

// sessions returns the filter for documents of sessions, expired ones too, whose
// ids come after one: those that contentOf takes for one. No id is empty.
func sessions(after string) bson.D {
	is := func(types ...string) bson.D { return bson.D{{Key: "$type", Value: types}} }
	no := func(condition bson.D) bson.D { return bson.D{{Key: "$not", Value: condition}} }
	beside := func(condition bson.D) bson.D {
		return bson.D{{Key: fieldSession, Value: is("object")}, {Key: fieldJSON, Value: condition}}
	}
	return bson.D{
		{Key: fieldID, Value: bson.D{{Key: "$gt", Value: after}}},
		{Key: fieldSession, Value: append(is("string", "object"), no(is("array"))...)}, // of strings or objects
		{Key: "$nor", Value: bson.A{
			beside(is("array")), // of strings or nulls
			beside(append(no(is("string", "null")), bson.E{Key: "$exists", Value: true})),
		}},
	}
}

// liveSessions is sessions without the expired ones.
func (s *Store) liveSessions(after string) bson.Raw {
	at, dst := begin(nil)
	return end(s.live(append(dst, elements(sessions(after))...)), at)
}

// All implements [store.Lister]. It costs a query for every 500 sessions, in the
// order of their ids, and keeps nothing open between them.
func (s *Store) All(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for last := ""; ; {
			docs, err := s.page(ctx, last)
			if err != nil {
				yield(store.Record{}, err)
				return
			}
			if len(docs) == 0 {
				return
			}
			for _, doc := range docs {
				id := idOf(doc)
				if id <= last { // asked for were those behind last, in order
					yield(store.Record{}, misplaced("list"))
					return
				}
				last = id
				if rec, ok := s.record(id, doc); ok && !yield(rec, nil) {
					return
				}
			}
		}
	}
}

func (s *Store) page(ctx context.Context, after string) ([]bson.Raw, error) {
	if err := refuse(ctx, "list"); err != nil {
		return nil, err
	}
	ctx = alone(ctx)
	cursor, err := s.coll.Find(ctx, s.liveSessions(after), options.Find().
		SetSort(bson.D{{Key: fieldID, Value: 1}}).
		SetLimit(-page)) // negative: one batch and no cursor
	if err != nil {
		return nil, failure(ctx, "list", err)
	}
	var docs []bson.Raw
	for cursor.Next(ctx) {
		docs = append(docs, cursor.Current)
	}
	return docs, failure(ctx, "list", cursor.Err())
}

// Count implements [store.Counter]. It looks at all documents.
func (s *Store) Count(ctx context.Context) (int, error) {
	if err := refuse(ctx, "count"); err != nil {
		return 0, err
	}
	n, err := s.coll.CountDocuments(alone(ctx), s.liveSessions(""))
	return int(n), failure(ctx, "count", err)
}

// Clear implements [store.Clearer]. It removes all documents of sessions from the
// collection and no others.
func (s *Store) Clear(ctx context.Context) error {
	if err := refuse(ctx, "clear"); err != nil {
		return err
	}
	_, err := s.coll.DeleteMany(alone(ctx), sessions(""))
	return failure(ctx, "clear", err)
}
