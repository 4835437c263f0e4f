package valkeystore

import (
	"context"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// CreateBatch implements [store.BatchCreator]. It is a SET with NX for each record, sent
// together.
func (s *Store) CreateBatch(ctx context.Context, recs []store.Record) (inUse []string, err error) {
	const verb = "create batch"
	if err := refuse(ctx, verb); err != nil || len(recs) == 0 {
		return nil, err
	}
	sets := make(valkey.Commands, len(recs))
	for i, rec := range recs {
		key := s.key(rec.ID)
		defer s.writing(key)()
		sets[i] = s.client.B().Set().Key(key).Value(valkey.BinaryString(rec.Data)).Nx().PxMilliseconds(milliseconds(rec.TTL)).Build()
	}
	for i, result := range s.client.DoMulti(ctx, sets...) {
		switch err := result.Error(); {
		case valkey.IsValkeyNil(err):
			inUse = append(inUse, recs[i].ID)
		case err != nil:
			return nil, failure(ctx, verb, err)
		}
	}
	return inUse, nil
}
