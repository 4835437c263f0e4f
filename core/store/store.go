// Package store is the contract between Cloakroom and the storage that keeps its
// sessions. A [Store] keeps records by their ids, for as long as each is to live,
// and knows nothing of HTTP, of cookies or of what a record says.
//
// To write one is to write the five verbs of Store over a client that the app
// made, each as one atomic step of the storage, and to return this package's
// errors: [ErrNotFound], [ErrExists] and [ErrConflict] for what was found, and an
// [*Error] for what failed. What the storage can do beyond that, such as listing
// its records, is an interface of its own that core looks for. Package storetest
// has the tests.
//
// An app names this package to act on its errors; the adapters have those that a
// handler can meet under their own names.
package store

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
	// where Config.HashIDs is set. A store keeps it byte for byte and
	// compares it case-sensitively. It is never empty.
	ID string

	// Data is the encoded session: UTF-8 JSON, opaque to most stores.
	//
	// Nobody writes to these bytes: neither core to what Load returned, nor
	// the store to what it was given or has returned. A store that wants to keep
	// them after it returned makes a copy, but for where Shared is set.
	Data []byte

	// Shared says that nobody will ever write to the bytes of Data again, and so that
	// both sides may keep them. Core sets it in all that it writes, and a store in memory
	// keeps such Data without a copy. A store sets it in what Load returns where it
	// keeps these very bytes and will hand them out again for as long as the record has
	// them: core then remembers what it read in them, and does not read them anew. All
	// others leave it alone. A store around another one that passes on other bytes
	// than it was given clears it, unless it keeps the same promise for those.
	Shared bool

	// TTL is the life asked for, counted from the moment when the store applies
	// the write, by the store's own clock. It is an input only, but for
	// [UserIndexer]: what Load returns need not set it. It is always positive, but
	// for [KeepTTL] in an Update; a store whose unit is coarser rounds up, never
	// down to zero, because zero means "at once" or "never" to many servers.
	TTL time.Duration

	// Token is the store's own note about what it loaded, such as the raw
	// document. Core hands it back untouched, as part of old in Update and
	// Replace. It is nil where core knows the content without having loaded it
	// (it has just written it), and a store then compares Data.
	Token any

	// Sessions are the ids of the sessions that a list of [UserIndexer.UserIndex] names,
	// of whatever is revoked and may still be there too; nil for a session, and for a
	// list of which core does not say it. Linger is for how long the list is needed,
	// from the moment when the store applies the write, when none of these lives. A
	// store that has no use for them leaves them alone. They are an input only.
	Sessions []string
	Linger   time.Duration
}

// KeepTTL as the TTL of an Update leaves the life that the record has as it is. It
// is for a write that is no activity of the visitor.
const KeepTTL time.Duration = -1

// Format implements [fmt.Formatter]: neither the id nor the data is printed. Package
// fmt does not ask for what stands in an unexported field.
func (r Record) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "Record(%d bytes)", len(r.Data))
}

// LogValue implements [slog.LogValuer]: it logs no more than Format prints.
func (r Record) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(r)) }

// A Store keeps the records. It is the only interface that a new kind of
// storage has to implement; package storetest reports whether it did.
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
// failure of the storage is returned as a [*Error], which tells core
// whether a write may have been applied. Any other error but the sentinels
// below is taken for a failure after which nothing is known. The text of an
// error never contains an id or data; drivers' errors often do.
//
// What a store says of a failure decides how long a request waits for it. Where
// Outcome is [OutcomeUnknown], which is what any other error than an [*Error] is
// taken for, core finds out what became of a write: it loads the record, and sends
// the write again, until it knows or Config.StoreTimeout is over. So say
// [OutcomeNotApplied] wherever the storage refused a write or was not reached: the
// request then fails at once. A verb that reads is never tried again for the
// reader. While core finds out about a write, a read that fails with a Class, such
// as "connection failed", is tried again, and one without a Class is a failure at
// once.
type Store interface {
	// Load returns the record of id, with Data as it was given. It returns
	// [ErrNotFound] when there is none and when it has expired. A store that
	// keeps what it read in a cache asks the storage where [BypassesCache] says so.
	//
	// What another program put under the id, and what is no record of this store,
	// is [ErrUndecodable], however often it is asked for, and stays as it is. To
	// Create such an id is in use, to Update there is something else than what
	// old holds, and Delete removes it. Where the storage says of what it
	// answers, Load looks whether that is the id asked for: another one is a
	// failure and no data.
	Load(ctx context.Context, id string) (Record, error)

	// Create stores rec under an id that is not in use. It returns [ErrExists],
	// and changes nothing, when a live record has that id.
	Create(ctx context.Context, rec Record) error

	// Update replaces the content of old.ID by next.Data and gives it the life
	// next.TTL, which may be [KeepTTL], but only while what is stored is still
	// what old holds: old.Data, byte for byte, or what old.Token says. old.ID and
	// next.ID are equal, and next.Data never equals old.Data.
	//
	// A Touch in between is no other content. Update returns [ErrConflict] when
	// something else is stored and [ErrNotFound] when the record is gone or
	// expired; in both cases nothing is changed, and nothing is created.
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
		// returns the record that is stored instead, fit to be the next old, or an
		// empty one where what is stored is no record.
		UpdateOrLoad(ctx context.Context, old, next Record) (newest Record, err error)
	}

	// A Remover deletes a session without deleting what took its place.
	Remover interface {
		// Remove deletes the record of old.ID, but only while what is stored is
		// still what old holds, as in Update. It returns [ErrConflict] when
		// something else is stored and [ErrNotFound] when the record is gone or
		// expired; in both cases nothing is changed. A store that wraps one
		// without this ability, or whose server cannot do it in one step, returns
		// [errors.ErrUnsupported] and changes nothing. Core then does it in two
		// steps.
		Remove(ctx context.Context, old Record) error
	}

	// A BatchCreator stores many new records in few round trips: for a move from one store
	// to another, and for a backup that is played back. No request uses it.
	BatchCreator interface {
		// CreateBatch does with each of recs, whose ids all differ, what Create does, and
		// returns the ids that are in use, in any order. After an error any of them may be
		// stored or not, whatever Outcome it has: whoever wants to know looks. A store that
		// wraps one without this ability returns [errors.ErrUnsupported] and changes nothing.
		CreateBatch(ctx context.Context, recs []Record) (inUse []string, err error)
	}

	// A Lister walks all live records, in no particular order. A record that
	// is created or deleted meanwhile may or may not be seen; none is seen
	// twice, nor is what is no record of this store. The body of the loop may call
	// the store. An error ends the walk; a walk that ends without one is complete.
	Lister interface {
		// All yields each record once, with ID and Data.
		All(ctx context.Context) iter.Seq2[Record, error]
	}

	// A Counter counts the live records: those that a Lister walks.
	Counter interface {
		// Count returns how many live records there are.
		Count(ctx context.Context) (int, error)
	}

	// A Clearer removes every record of this store, and nothing else that
	// lives in the same database: what is no record stays.
	Clearer interface {
		// Clear returns when the records are gone that there were when it was called.
		Clear(ctx context.Context) error
	}

	// A UserIndexer keeps the lists of which sessions a user has, beside the
	// sessions, and tells more about a session than Load does. Listing the
	// sessions of a user, and ending them, needs a store that is one.
	UserIndexer interface {
		// UserIndex returns a store for the lists, in the same storage. It makes
		// no call to the storage, and each call returns the same. A list and a
		// session may have the same id and have nothing to do with each other; a
		// Lister, Counter or Clearer of the sessions does not see the lists. A
		// list is not to be evicted as long as one of its Record.Sessions lives,
		// or as long as it lives where these are nil, whatever is done with
		// sessions where room is short. A list of which no session lives may go
		// after Record.Linger and, where nothing else makes room, before.
		UserIndex() Store

		// Inspect returns the live records of those ids, in any order and each
		// once, with TTL as the life that is left to them: never more than what
		// is true, and less by no more than the store's unit of time and what
		// the call takes. What is no record is left out. What was stored before
		// the call, in any process, is seen: no cache is asked. It is no use of the sessions, for a store
		// that tells by use which to evict.
		Inspect(ctx context.Context, ids []string) ([]Record, error)
	}

	// A Watcher tells when something happened to sessions, whichever process did it, so
	// that an open stream learns of the end of its session at once
	// (Session.Ended). A storage that cannot tell is asked again and again instead.
	Watcher interface {
		// Watch returns a way to be told. It makes no call to the storage.
		//
		// changed is called with the ids to which something may have happened, and
		// with none where that may be any of them: after a connection was lost, for
		// one. It may be called for ids that nobody asked about and for changes that
		// never came about: it is a hint, and whoever gets it looks. It may be called
		// by several goroutines, with locks of the store held: it returns at once and
		// does not call the store.
		Watch(changed func(ids ...string)) Watch
	}

	// A Watch is what [Watcher.Watch] returns. Its Inspect is called by one goroutine at
	// a time.
	Watch interface {
		// Inspect returns what [UserIndexer.Inspect] does: the live records of those
		// ids, each once, with the life that is left as TTL, past any cache and as no use
		// of the sessions.
		//
		// The next thing that happens to a record which it returned is told: a
		// write, a Touch, that it was deleted, renewed, evicted or cleared. It is told
		// also where that happens while Inspect is under way, and what it returned is
		// older. What happens after that need not be told until the id is inspected
		// again. That a record has expired need not be told.
		//
		// It returns [errors.ErrUnsupported] where the storage as it is set up cannot
		// tell, or where a store wraps one without this ability. After any other error
		// core asks again.
		Inspect(ctx context.Context, ids []string) ([]Record, error)

		// Close ends the watch, and whatever connections and goroutines it has. Once it
		// has returned, changed is not called any more. Nothing is called after it.
		Close()
	}

	// A Pinger reports whether the storage answers.
	Pinger interface {
		// Ping returns nil where the storage answers.
		Ping(ctx context.Context) error
	}
)

type bypassKey struct{}

// BypassCache returns a context with which sessions are read from the storage,
// past any cache of the store: for a request that must not see a session which
// was ended elsewhere a moment ago. Use it in front of the session middleware:
//
//	r = r.WithContext(store.BypassCache(r.Context()))
//
// Session.RequireRecentSignIn does it by itself.
func BypassCache(ctx context.Context) context.Context {
	return context.WithValue(ctx, bypassKey{}, true)
}

// BypassesCache reports to a store whether ctx is one of [BypassCache].
func BypassesCache(ctx context.Context) bool { return ctx.Value(bypassKey{}) != nil }
