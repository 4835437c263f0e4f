package mongostore

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// CreateBatch implements [store.BatchCreator]. It is one InsertMany, and a Create for each
// id that there is already, with an expiry by the clock of this machine, as in Create.
func (s *Store) CreateBatch(ctx context.Context, recs []store.Record) (inUse []string, err error) {
	const verb = "create batch"
	if err := refuse(ctx, verb); err != nil || len(recs) == 0 {
		return nil, err
	}
	docs := make([]any, len(recs))
	for i, rec := range recs {
		doc := s.document(rec)
		if err := tooLarge(verb, len(doc)); err != nil {
			return nil, err
		}
		docs[i] = doc
	}
	_, err = s.coll.InsertMany(alone(ctx), docs, options.InsertMany().SetOrdered(false))
	var refused mongo.BulkWriteException
	switch {
	case !errors.As(err, &refused):
		return nil, failure(ctx, verb, err)
	case refused.WriteConcernError != nil:
		return nil, failure(ctx, verb, mongo.WriteException{WriteConcernError: refused.WriteConcernError})
	}
	for _, one := range refused.WriteErrors {
		if !mongo.IsDuplicateKeyError(one) {
			return nil, failure(ctx, verb, mongo.WriteException{WriteErrors: mongo.WriteErrors{one.WriteError}})
		}
		switch err := s.Create(ctx, recs[one.Index]); { // it may have expired
		case errors.Is(err, store.ErrExists):
			inUse = append(inUse, recs[one.Index].ID)
		case err != nil:
			return nil, err
		}
	}
	return inUse, nil
}
