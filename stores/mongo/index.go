package mongostore

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// EnsureIndexes creates the index by which the server removes what has expired:
// on expires, with expireAfterSeconds 0, as connect-mongo does; and the same on the
// collection for the lists of users' sessions. It changes nothing where there is
// one. The error of an index on expires with other options says what to do about
// it.
//
// It is for a deployment or the start of an app, by a user who may create
// indexes. A store works without it, only that expired sessions then stay in the
// collection.
func (s *Store) EnsureIndexes(ctx context.Context) error {
	if err := s.ensureIndex(ctx); err != nil {
		return err
	}
	return s.lists.ensureIndex(ctx)
}

func (s *Store) ensureIndex(ctx context.Context) error {
	const verb = "ensure indexes"
	if err := refuse(ctx, verb); err != nil {
		return err
	}
	_, err := s.coll.Indexes().CreateOne(alone(ctx), mongo.IndexModel{
		Keys:    bson.D{{Key: fieldExpires, Value: 1}},
		Options: options.Index().SetExpireAfterSeconds(0),
	})
	var command mongo.CommandError
	if !errors.As(err, &command) || command.Code != codeIndexOptionsConflict && command.Code != codeIndexKeySpecsConflict {
		return failure(ctx, verb, err)
	}
	// There is an index on expires, or one of that name. Under another name it
	// does as well.
	done, err := s.expires(ctx)
	if err != nil || done {
		return failure(ctx, verb, err)
	}
	const what = `the collection has another index on "expires" or named "expires_1": drop it, or set its expireAfterSeconds to 0 with collMod`
	if s.lists == nil {
		return &store.Error{Store: storeName, Verb: verb, Outcome: store.OutcomeNotApplied, Class: `with "` + usersSuffix + `" behind its name, ` + what}
	}
	return &store.Error{Store: storeName, Verb: verb, Outcome: store.OutcomeNotApplied, Class: what}
}

// expires reports whether the collection has an index that lets the server remove
// everything that has expired.
func (s *Store) expires(ctx context.Context) (bool, error) {
	cursor, err := s.coll.Indexes().List(alone(ctx))
	if err != nil {
		return false, err
	}
	var indexes []struct {
		Key     bson.D
		After   *int32 `bson:"expireAfterSeconds"`
		Partial bson.D `bson:"partialFilterExpression"`
	}
	if err := cursor.All(alone(ctx), &indexes); err != nil {
		return false, err
	}
	for _, index := range indexes {
		if len(index.Key) == 1 && index.Key[0].Key == fieldExpires && index.After != nil && *index.After == 0 && index.Partial == nil {
			return true, nil
		}
	}
	return false, nil
}
