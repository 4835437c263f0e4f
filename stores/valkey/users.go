package valkeystore

import (
	"context"
	"math"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// UserIndex implements [store.UserIndexer]: a store with Options.UserPrefix, on the
// same client and without a cache.
func (s *Store) UserIndex() store.Store { return s.lists }

// Inspect implements [store.UserIndexer]. It is a GET and a PTTL for each session,
// sent together.
func (s *Store) Inspect(ctx context.Context, ids []string) ([]store.Record, error) {
	if err := refuse(ctx, "inspect"); err != nil {
		return nil, err
	}
	var (
		asked    = make([]string, 0, len(ids))
		seen     = make(map[string]bool, len(ids))
		commands = make(valkey.Commands, 0, 2*len(ids))
	)
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		key := s.key(id)
		asked = append(asked, id)
		// The life is asked for last: what it says is true of the content, or of a newer one.
		commands = append(commands, s.client.B().Get().Key(key).Build().Pin(), s.client.B().Pttl().Key(key).Build().Pin())
	}
	if len(commands) == 0 {
		return nil, nil
	}
	found := make([]store.Record, 0, len(asked))
	results := s.client.DoMulti(ctx, commands...)
	for i, id := range asked {
		rec, err := recordOf(id, results[2*i], results[2*i+1])
		if err != nil {
			return nil, failure(ctx, "inspect", err)
		}
		if rec.TTL > 0 {
			found = append(found, rec)
		}
	}
	return found, nil
}

// recordOf makes a record of what a GET and a PTTL returned; one without a life where
// there is none.
func recordOf(id string, get, pttl valkey.ValkeyResult) (rec store.Record, err error) {
	const longest = math.MaxInt64 / int64(time.Millisecond)
	data, err := get.AsBytes()
	if valkey.IsValkeyNil(err) || isWrongType(err) {
		return rec, nil
	}
	if err != nil {
		return rec, err
	}
	left, err := pttl.AsInt64()
	switch {
	case err != nil:
		return rec, err
	case left == -2, left == 0: // gone, or as good as
		return rec, nil
	case left < 0, left > longest: // somebody else's, without an end
		left = longest
	}
	return store.Record{ID: id, Data: data, TTL: time.Duration(left) * time.Millisecond}, nil
}
