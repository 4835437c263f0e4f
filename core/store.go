package core

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"time"
)

// A Record is one session as a [Store] sees it: an id, opaque bytes and a life.
type Record struct {
	// ID is the key of the record: what the cookie carries, or its SHA-256
	// where [Config.HashIDs] is set. A store keeps it byte for byte and
	// compares it case-sensitively. It is never empty.
	ID string

	// Data is the encoded session: UTF-8 JSON, opaque to most stores.
	//
	// Nobody writes to these bytes: neither core to what Load returned, nor
	// the store to what it was given. A store that wants to keep them after it
	// returned makes a copy.
	Data []byte

	// TTL is the life asked for, counted from the moment when the store applies
	// the write, by the store's own clock. It is an input only, but for
	// [UserIndexer]: what Load returns need not set it. It is always positive; a store whose unit is
	// coarser rounds up, never down to zero, because zero means "at once" or
	// "never" to many servers.
	TTL time.Duration

	// Token is the store's own note about what it loaded, such as the raw
	// document. Core hands it back untouched, as part of old in Update and
	// Replace. It is nil where core knows the content without having loaded it
	// (it has just written it), and a store then compares Data.
	Token any
}

// Format implements [fmt.Formatter]: neither the id nor the data is printed. As for
// [Config.Format], package fmt does not ask for what stands in an unexported field.
func (r Record) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "Record(%d bytes)", len(r.Data))
}

// LogValue implements [slog.LogValuer]: it logs no more than Format prints.
func (r Record) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(r)) }

// A Store keeps the records. It is the only interface that a new kind of
// storage has to implement; package storetest tells whether it did.
//
// All verbs may be called by many goroutines at once, for the same id too, and
// each is atomic in the storage: two processes that call Create, or Update with
// the same old record, see exactly one of them succeed. There is no verb that
// writes a record whether or not it exists: that is how a logged-out session
// comes back.
//
// A record is expired from the moment its TTL has passed, whether or not
// anything has removed it yet: every verb treats it as if it were not there. A
// store that relies on a background job for that is not a Store.
//
// Every verb gives up when ctx is done and returns an error that matches
// ctx.Err() with [errors.Is]; where ctx is done already, nothing is changed. A
// failure of the storage is returned as a [*StoreError], which tells core
// whether a write may have been applied. Any other error but the sentinels
// below is taken for a failure after which nothing is known. The text of an
// error never contains an id or data; drivers' errors often do.
type Store interface {
	// Load returns the record of id, with Data as it was given. It returns
	// [ErrNotFound] when there is none and when it has expired. A store that
	// keeps what it read in a cache asks the storage where [IsFresh] says so.
	Load(ctx context.Context, id string) (Record, error)

	// Create stores rec under an id that is not in use. It returns [ErrExists],
	// and changes nothing, when a live record has that id.
	Create(ctx context.Context, rec Record) error

	// Update replaces the content of old.ID by next.Data and gives it the life
	// next.TTL, but only while what is stored is still what old holds: old.Data,
	// byte for byte, or what old.Token says. old.ID and next.ID are equal, and
	// next.Data never equals old.Data.
	//
	// A Touch in between is no other content. Update returns [ErrConflict] when
	// something else is stored and [ErrNotFound]
	// when the record is gone or expired; in both cases nothing is changed, and
	// nothing is created.
	Update(ctx context.Context, old, next Record) error

	// Touch gives the record of id the life ttl from now on, longer or shorter
	// than what it had. It never rewrites the data and never brings a record
	// back: it returns [ErrNotFound] when the record is gone or expired.
	Touch(ctx context.Context, id string, ttl time.Duration) error

	// Delete removes the record of id, whatever it holds. It is not an error
	// when there is none.
	Delete(ctx context.Context, id string) error
}

// The optional abilities of a store. Core looks for them by type assertion; a
// store that wraps another one passes on what the inner one can.
type (
	// A Replacer renews the id of a session in one atomic step.
	Replacer interface {
		// Replace creates next and puts retired in the place of old, both or
		// neither. old.ID equals retired.ID. It returns [ErrConflict] or
		// [ErrNotFound] as Update(old, retired) would, [ErrExists] as
		// Create(next) would, and [errors.ErrUnsupported] where these two
		// records cannot be changed together (they live on different servers of
		// a cluster): core then does it in two steps.
		Replace(ctx context.Context, old, retired, next Record) error
	}

	// An UpdateLoader saves a round trip after a lost race. Where a driver may
	// send a write twice, core needs it to tell a lost race from its own write.
	UpdateLoader interface {
		// UpdateOrLoad does what Update does; together with [ErrConflict] it
		// returns the record that is stored instead, fit to be the next old.
		UpdateOrLoad(ctx context.Context, old, next Record) (newest Record, err error)
	}

	// A Lister walks all live records, in no particular order. A record that
	// is created or deleted meanwhile may or may not be seen; none is seen
	// twice. The body of the loop may call the store. An error ends the walk; a
	// walk that ends without one is complete.
	Lister interface {
		All(ctx context.Context) iter.Seq2[Record, error]
	}

	// A Counter tells how many live records there are.
	Counter interface {
		Count(ctx context.Context) (int, error)
	}

	// A Clearer removes every record of this store, and nothing else that
	// lives in the same database.
	Clearer interface {
		Clear(ctx context.Context) error
	}

	// A UserIndexer keeps the lists of which sessions a user has, beside the
	// sessions, and tells more about a session than Load does. What
	// [Manager.Sessions] and all that ends sessions of a user are made of.
	UserIndexer interface {
		// UserIndex returns a store for the lists, in the same storage. It makes
		// no call to the storage, and each call returns the same. A list and a
		// session may have the same id and have nothing to do with each other; a
		// Lister, Counter or Clearer of the sessions does not see the lists. A
		// list is not to be evicted as long as it lives, whatever is done with
		// sessions where room is short.
		UserIndex() Store

		// Inspect returns the live records of those ids, in any order and each
		// once, with TTL as the life that is left to them: never more than what
		// is true, and less by no more than the store's unit of time and what
		// the call takes. What was stored before the call, in any process, is
		// seen: no cache is asked. It is no use of the sessions, for a store
		// that tells by use which to evict.
		Inspect(ctx context.Context, ids []string) ([]Record, error)
	}

	// A Pinger tells whether the storage answers.
	Pinger interface {
		Ping(ctx context.Context) error
	}
)

type freshKey struct{}

// Fresh returns a context with which sessions are read from the storage, past any
// cache of the store: for a request that must not see a session which was ended
// elsewhere a moment ago. Use it in front of the session middleware:
//
//	r = r.WithContext(core.Fresh(r.Context()))
//
// [Session.RequireFresh] does it by itself.
func Fresh(ctx context.Context) context.Context {
	return context.WithValue(ctx, freshKey{}, true)
}

// IsFresh tells a store that ctx is one of [Fresh].
func IsFresh(ctx context.Context) bool { return ctx.Value(freshKey{}) != nil }
