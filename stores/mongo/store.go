package mongostore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"github.com/cloakroom-go/cloakroom/core"
)

// A Store keeps sessions in MongoDB. It is made by [New] or [Open] and may be
// used by many goroutines at once.
type Store struct {
	coll   *mongo.Collection
	newest *mongo.Collection // reads what the primary has, confirmed by others or not: see UpdateOrLoad
	opts   Options
	lists  *Store // the lists of users' sessions; nil in the store of these
	owned  bool   // Close disconnects the client
}

var _ interface {
	core.Store
	core.UpdateLoader
	core.Lister
	core.Counter
	core.Clearer
	core.UserIndexer
	core.Pinger
} = (*Store)(nil)

// Load implements [core.Store]. It is one FindOne.
func (s *Store) Load(ctx context.Context, id string) (core.Record, error) {
	if err := refuse(ctx, "load"); err != nil {
		return core.Record{}, err
	}
	return s.find(ctx, s.coll, "load", id)
}

func (s *Store) find(ctx context.Context, coll *mongo.Collection, verb, id string) (core.Record, error) {
	doc, err := coll.FindOne(alone(ctx), s.one(id)).Raw()
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return core.Record{}, core.ErrNotFound
	case err != nil:
		return core.Record{}, failure(ctx, verb, err)
	}
	return s.record(verb, id, doc)
}

// record returns what a document holds. The bytes are the driver's, which does
// not use them again.
func (s *Store) record(verb, id string, doc bson.Raw) (core.Record, error) {
	c, ok := contentOf(doc)
	if !ok {
		return core.Record{}, odd(verb)
	}
	rec := core.Record{ID: id, Data: c.data()}
	if s.opts.Objects || c.object != nil {
		rec.Token = c
	}
	return rec, nil
}

// Create implements [core.Store]. It is one InsertOne, with an expiry by the clock
// of this machine: an insert cannot ask the server for its own.
func (s *Store) Create(ctx context.Context, rec core.Record) error {
	if err := refuse(ctx, "create"); err != nil {
		return err
	}
	doc := s.document(rec)
	if err := tooLarge("create", len(doc)); err != nil {
		return err
	}
	for range 2 {
		_, err := s.coll.InsertOne(alone(ctx), doc)
		if !mongo.IsDuplicateKeyError(err) {
			return failure(ctx, "create", err)
		}
		// Somebody's mistake, for ids are random, or a record that has expired
		// and was not removed yet.
		result, err := s.coll.ReplaceOne(alone(ctx), s.expired(rec.ID), doc)
		if err != nil || result.MatchedCount > 0 {
			return failure(ctx, "create", err)
		} // else it is live, or was removed meanwhile
	}
	return core.ErrExists
}

// Update implements [core.Store].
func (s *Store) Update(ctx context.Context, old, next core.Record) error {
	_, err := s.UpdateOrLoad(ctx, old, next)
	return err
}

// UpdateOrLoad implements [core.UpdateLoader]. It is one UpdateOne, and where
// that finds no document with the content of old, a FindOne that tells why.
//
// That FindOne sees what the UpdateOne saw, though a failover might still take
// it back: a later UpdateOne that is confirmed confirms what it was based on.
func (s *Store) UpdateOrLoad(ctx context.Context, old, next core.Record) (core.Record, error) {
	if err := refuse(ctx, "update"); err != nil {
		return core.Record{}, err
	}
	was := s.contentOf(old)
	var newest core.Record
	for range attempts {
		filter, update := s.with(old.ID, was), s.put(s.content(next.Data, was), was, next.TTL)
		if err := tooLarge("update", len(filter)+update.size()); err != nil {
			return core.Record{}, err
		}
		result, err := s.coll.UpdateOne(alone(ctx), filter, update)
		if err != nil || result.MatchedCount > 0 {
			return core.Record{}, failure(ctx, "update", err)
		}
		if newest, err = s.find(ctx, s.newest, "update", old.ID); err != nil {
			return core.Record{}, err
		}
		if !bytes.Equal(newest.Data, old.Data) {
			break
		}
		// It is what old says. A sub-document may have types that its JSON does
		// not tell, and that are known only now where old came without a token.
		was = s.contentOf(newest)
	}
	return newest, core.ErrConflict
}

// attempts is how often a write is sent that found no document although there is
// one. Not all servers that speak MongoDB's protocol find a document that is
// being changed at that moment; MongoDB does.
const attempts = 20

// Touch implements [core.Store]. It is one UpdateOne, and where that finds no
// document, a FindOne.
func (s *Store) Touch(ctx context.Context, id string, ttl time.Duration) error {
	if err := refuse(ctx, "touch"); err != nil {
		return err
	}
	filter := s.one(id)
	return s.insist(ctx, "touch", filter, core.ErrNotFound, func() (int64, error) {
		result, err := s.coll.UpdateOne(alone(ctx), filter, s.touch(ttl))
		if err != nil {
			return 0, err
		}
		return result.MatchedCount, nil
	})
}

// Delete implements [core.Store]. It is one DeleteOne, and where that finds no
// document, a FindOne.
func (s *Store) Delete(ctx context.Context, id string) error {
	if err := refuse(ctx, "delete"); err != nil {
		return err
	}
	filter := bson.D{{Key: fieldID, Value: id}}
	return s.insist(ctx, "delete", filter, nil, func() (int64, error) {
		result, err := s.coll.DeleteOne(alone(ctx), filter)
		if err != nil {
			return 0, err
		}
		return result.DeletedCount, nil
	})
}

// insist makes a write until it finds a document, or until there is none with
// that filter, which is what gone says.
func (s *Store) insist(ctx context.Context, verb string, filter any, gone error, write func() (found int64, err error)) error {
	for range attempts {
		n, err := write()
		if err != nil || n > 0 {
			return failure(ctx, verb, err)
		}
		err = s.newest.FindOne(alone(ctx), filter, options.FindOne().SetProjection(bson.D{{Key: fieldID, Value: 1}})).Err()
		switch {
		case errors.Is(err, mongo.ErrNoDocuments):
			return gone
		case err != nil:
			return failure(ctx, verb, err)
		}
	}
	return &core.StoreError{Store: storeName, Verb: verb, Outcome: core.NotApplied, Class: "document is changed too often"}
}

// Ping implements [core.Pinger].
func (s *Store) Ping(ctx context.Context) error {
	if err := refuse(ctx, "ping"); err != nil {
		return err
	}
	return failure(ctx, "ping", s.coll.Database().Client().Ping(alone(ctx), readpref.Primary()))
}

// Close disconnects the client of a store that [Open] made, and waits for calls
// under way until ctx is done. For a store that [New] made it does nothing: the
// client is the app's.
func (s *Store) Close(ctx context.Context) error {
	if !s.owned {
		return nil
	}
	return failure(ctx, "close", s.coll.Database().Client().Disconnect(ctx))
}

// Format keeps a Store that is printed from showing how it reaches its server.
func (s *Store) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("mongostore.Store")) }

// alone returns ctx without a session of the driver that the app may have put
// there: what is stored must not depend on a transaction of the app's.
func alone(ctx context.Context) context.Context {
	if mongo.SessionFromContext(ctx) == nil {
		return ctx
	}
	return mongo.NewSessionContext(ctx, nil)
}
