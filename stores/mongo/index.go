package mongostore

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core"
)

// EnsureIndexes creates the index by which the server removes what has expired:
// on expires, with expireAfterSeconds 0, as connect-mongo does. It changes
// nothing where there is one. The error of an index on expires with other
// options says what to do about it.
//
// It is for a deployment or the start of an app, by a user who may create
// indexes. A store works without it, only that expired sessions then stay in the
// collection.
func (s *Store) EnsureIndexes(ctx context.Context) error {
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
	// There is an index on expires. Under another name it does as well.
	specs, err := s.coll.Indexes().ListSpecifications(alone(ctx))
	if err != nil {
		return failure(ctx, verb, err)
	}
	for _, spec := range specs {
		if spec.ExpireAfterSeconds != nil && *spec.ExpireAfterSeconds == 0 {
			keys, err := spec.KeysDocument.Elements()
			if err == nil && len(keys) == 1 && keys[0].Key() == fieldExpires {
				return nil
			}
		}
	}
	return &core.StoreError{
		Store: storeName, Verb: verb, Outcome: core.NotApplied,
		Class: `the collection has another index on "expires": drop it, or set its expireAfterSeconds to 0 with collMod`,
	}
}
