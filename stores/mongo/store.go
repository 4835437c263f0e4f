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

	"github.com/cloakroom-go/cloakroom/core/store"
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
	store.Store
	store.UpdateLoader
	store.BatchCreator
	store.Remover
	store.Lister
	store.Counter
	store.Clearer
	store.UserIndexer
	store.Pinger
} = (*Store)(nil)

// Load implements [store.Store]. It is one FindOne.
func (s *Store) Load(ctx context.Context, id string) (store.Record, error) {
	if err := refuse(ctx, "load"); err != nil {
		return store.Record{}, err
	}
	return s.find(ctx, s.coll, "load", id)
}

func (s *Store) find(ctx context.Context, coll *mongo.Collection, verb, id string) (store.Record, error) {
	doc, err := coll.FindOne(alone(ctx), s.one(id)).Raw()
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return store.Record{}, store.ErrNotFound
	case err != nil:
		return store.Record{}, failure(ctx, verb, err)
	case idOf(doc) != id:
		return store.Record{}, misplaced(verb)
	}
	rec, ok := s.record(id, doc)
	if !ok {
		return store.Record{}, store.ErrUndecodable
	}
	return rec, nil
}

// idOf returns the id of a document, or nothing where that is no string.
func idOf(doc bson.Raw) string {
	id, _ := doc.Lookup(fieldID).StringValueOK()
	return id
}

// record returns what a document holds, or false where that is no session. The
// bytes are the driver's, which does not use them again.
func (s *Store) record(id string, doc bson.Raw) (store.Record, bool) {
	c, ok := contentOf(doc)
	if !ok {
		return store.Record{}, false
	}
	rec := store.Record{ID: id, Data: c.data()}
	if s.opts.Objects || c.object != nil {
		rec.Token = c
	}
	return rec, true
}

// Create implements [store.Store]. It is one InsertOne, with an expiry by the clock
// of this machine: an insert cannot ask the server for its own.
func (s *Store) Create(ctx context.Context, rec store.Record) error {
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
	return store.ErrExists
}

// Update implements [store.Store].
func (s *Store) Update(ctx context.Context, old, next store.Record) error {
	_, err := s.UpdateOrLoad(ctx, old, next)
	return err
}

// UpdateOrLoad implements [store.UpdateLoader]. It is one UpdateOne, and where
// that finds no document with the content of old, a FindOne that tells why.
//
// That FindOne sees what the UpdateOne saw, though a failover might still take
// it back: a later UpdateOne that is confirmed confirms what it was based on.
func (s *Store) UpdateOrLoad(ctx context.Context, old, next store.Record) (store.Record, error) {
	const verb = "update"
	return s.inPlaceOf(ctx, verb, old, func(was content) (found int64, err error) {
		filter, update := s.with(old.ID, was), s.put(s.content(next.Data, was), was, next.TTL)
		if err := tooLarge(verb, len(filter)+update.size()); err != nil {
			return 0, err
		}
		result, err := s.coll.UpdateOne(alone(ctx), filter, update)
		if err != nil {
			return 0, err
		}
		return result.MatchedCount, nil
	})
}

// inPlaceOf makes a write to the live document with a content, which is that of old,
// until it finds that document. It returns what is stored instead where there is
// something else.
func (s *Store) inPlaceOf(ctx context.Context, verb string, old store.Record, write func(was content) (found int64, err error)) (newest store.Record, err error) {
	if err := refuse(ctx, verb); err != nil {
		return store.Record{}, err
	}
	was := s.contentOf(old)
	for range attempts {
		n, err := write(was)
		if err != nil || n > 0 {
			return store.Record{}, wrote(ctx, verb, n, err)
		}
		newest, err = s.find(ctx, s.newest, verb, old.ID)
		switch {
		case errors.Is(err, store.ErrUndecodable): // that is not what old holds
			return store.Record{}, store.ErrConflict
		case err != nil:
			return store.Record{}, err
		}
		if !bytes.Equal(newest.Data, old.Data) {
			break
		}
		// It is what old says. A sub-document may have types that its JSON does
		// not tell, and that are known only now where old came without a token.
		was = s.contentOf(newest)
	}
	return newest, store.ErrConflict
}

// attempts is how often a write is sent that found no document although there is
// one. Not all servers that speak MongoDB's protocol find a document that is
// being changed at that moment; MongoDB does.
const attempts = 20

// Touch implements [store.Store]. It is one UpdateOne, and where that finds no
// document, a FindOne.
func (s *Store) Touch(ctx context.Context, id string, ttl time.Duration) error {
	if err := refuse(ctx, "touch"); err != nil {
		return err
	}
	filter := s.one(id)
	return s.insist(ctx, "touch", id, filter, store.ErrNotFound, func() (int64, error) {
		result, err := s.coll.UpdateOne(alone(ctx), filter, s.touch(ttl))
		if err != nil {
			return 0, err
		}
		return result.MatchedCount, nil
	})
}

// Delete implements [store.Store]. It is one DeleteOne, and where that finds no
// document, a FindOne.
func (s *Store) Delete(ctx context.Context, id string) error {
	if err := refuse(ctx, "delete"); err != nil {
		return err
	}
	filter := bson.D{{Key: fieldID, Value: id}}
	return s.insist(ctx, "delete", id, filter, nil, func() (int64, error) {
		result, err := s.coll.DeleteOne(alone(ctx), filter)
		if err != nil {
			return 0, err
		}
		return result.DeletedCount, nil
	})
}

// Remove implements [store.Remover]. It is one DeleteOne, and where that finds no
// document with the content of old, a FindOne that tells why.
func (s *Store) Remove(ctx context.Context, old store.Record) error {
	const verb = "remove"
	_, err := s.inPlaceOf(ctx, verb, old, func(was content) (found int64, err error) {
		filter := s.with(old.ID, was)
		if err := tooLarge(verb, len(filter)); err != nil {
			return 0, err
		}
		result, err := s.coll.DeleteOne(alone(ctx), filter)
		if err != nil {
			return 0, err
		}
		return result.DeletedCount, nil
	})
	return err
}

// insist makes a write until it finds the document of an id, or until there is
// none with that filter, which is what gone says.
func (s *Store) insist(ctx context.Context, verb, id string, filter any, gone error, write func() (found int64, err error)) error {
	for range attempts {
		n, err := write()
		if err != nil || n > 0 {
			return wrote(ctx, verb, n, err)
		}
		doc, err := s.newest.FindOne(alone(ctx), filter, options.FindOne().SetProjection(bson.D{{Key: fieldID, Value: 1}})).Raw()
		switch {
		case errors.Is(err, mongo.ErrNoDocuments):
			return gone
		case err != nil:
			return failure(ctx, verb, err)
		case idOf(doc) != id:
			return misplaced(verb)
		}
	}
	return &store.Error{Store: storeName, Verb: verb, Outcome: store.OutcomeNotApplied, Class: "document is changed too often"}
}

// wrote returns what a write of one document returns that found n of them.
func wrote(ctx context.Context, verb string, n int64, err error) error {
	if err == nil && n > 1 {
		return misplaced(verb)
	}
	return failure(ctx, verb, err)
}

// Ping implements [store.Pinger].
func (s *Store) Ping(ctx context.Context) error {
	if err := refuse(ctx, "ping"); err != nil {
		return err
	}
	return failure(ctx, "ping", s.coll.Database().Client().Ping(alone(ctx), readpref.Primary()))
}

// closeTimeout is how long Close waits for the calls that are under way.
const closeTimeout = 5 * time.Second

// Close disconnects the client of a store that [Open] made. It waits for calls
// under way, but for no more than 5 seconds. For a store that [New] made it does
// nothing: the client is the app's.
func (s *Store) Close() error {
	if !s.owned {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
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
