package mongostore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// Options are what can be set about a [Store]. The zero value is the
// recommended setting.
type Options struct {
	// Objects keeps a session as a sub-document in place of a string of JSON, as
	// connect-mongo does with stringify: false. It has to be what the Express
	// app on the same sessions does; without one, a string costs less. Either
	// form is read, whatever is set here.
	Objects bool

	// TouchAfter is for an Express app whose connect-mongo has touchAfter set:
	// every document that is written gets the field lastModified, by which
	// connect-mongo knows when it may spare a touch. Without it the field is
	// kept up to date where a document has it, though not with AppClock.
	TouchAfter bool

	// AppClock lets the clock of this machine decide what has expired, in place
	// of the server's. It is for servers that do not know $$NOW. The clocks of
	// all apps then have to agree to within what an idle time may be off. The field
	// updatedAt, which connect-mongo writes with timestamps, is then left as it is; else
	// it is kept up to date where a document has it.
	AppClock bool

	// WriteConcern is what a write waits for. The default is majority: what was
	// stored, a logout too, is still so after a failover. One that waits for
	// nothing (w: 0) is refused.
	WriteConcern *writeconcern.WriteConcern

	// ReadConcern is what a read sees. The default is majority: nothing that a
	// failover could take back. With a WriteConcern of your own it is local,
	// because a read has to see the writes before it.
	ReadConcern *readconcern.ReadConcern

	// Database and Collection are for [Open]. The defaults are the database in
	// the URI, "test" where it names none, and "sessions", as with
	// connect-mongo.
	Database, Collection string

	// Logger is for what Open finds odd. The default is slog.Default().
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.ReadConcern == nil {
		o.ReadConcern = readconcern.Local()
		if o.WriteConcern == nil {
			o.ReadConcern = readconcern.Majority()
		}
	}
	if o.WriteConcern == nil {
		o.WriteConcern = writeconcern.Majority()
	}
	if o.Collection == "" {
		o.Collection = "sessions"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

func (o Options) check() error {
	switch {
	case !o.WriteConcern.IsValid():
		return errors.New("cloakroom: mongodb store: Options.WriteConcern is not valid")
	case !o.WriteConcern.Acknowledged():
		return errors.New("cloakroom: mongodb store: Options.WriteConcern waits for nothing (w: 0), want 1 or more: a store has to know whether a write was applied")
	}
	return nil
}

// New returns a store on the app's collection. The client stays the app's, which
// disconnects it. The concerns of the collection and its read preference are
// not used: Options say what is, and reads go to the primary. The error says
// which option is not valid.
func New(collection *mongo.Collection, o Options) (*Store, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if collection == nil {
		return nil, errors.New("cloakroom: mongodb store: collection is nil: make one with client.Database(name).Collection(name)")
	}
	s := newStore(collection, o.withDefaults())
	s.lists = s.newLists(collection)
	return s, nil
}

func newStore(collection *mongo.Collection, o Options) *Store {
	primary := options.Collection().SetReadPreference(readpref.Primary()).SetWriteConcern(o.WriteConcern)
	return &Store{
		coll:   collection.Clone(primary.SetReadConcern(o.ReadConcern)),
		newest: collection.Clone(primary.SetReadConcern(readconcern.Local())),
		opts:   o,
	}
}

// connectTimeout is shorter than the driver's 30 seconds: connections that were
// begun in an outage are given up that much later, and while two are pending none
// is begun.
const connectTimeout = 5 * time.Second

// openTimeout is how long Open waits for the first answer, where its context has no
// deadline: a server that is down looks to the driver like one that will be up soon.
const openTimeout = 10 * time.Second

// Open returns a store on a client of its own, which [Store.Close] disconnects.
// The URI is one that the driver takes, such as
// mongodb://user:password@host:27017/database. Where it does not set
// connectTimeoutMS, that is 5 seconds. Open returns when the server has answered,
// or an error that names the hosts when it does not until ctx is done, or for 10
// seconds where ctx has no deadline.
func Open(ctx context.Context, uri string, o Options) (*Store, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if uri == "" {
		return nil, errors.New("cloakroom: mongodb store: the URI is empty: is the environment variable set? Want mongodb://user:password@host:port/database")
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, openTimeout)
		defer cancel()
	}
	o = o.withDefaults()
	opts := clientOptions(uri)
	client, err := mongo.Connect(opts)
	if err != nil { // it quotes the URI, password and all
		return nil, errors.New("cloakroom: mongodb store: the URI cannot be used: want mongodb://user:password@host:port/database, or mongodb+srv:// and a name that DNS knows")
	}
	if p := opts.ReadPreference; p != nil && p.Mode() != readpref.PrimaryMode {
		o.Logger.WarnContext(ctx, "cloakroom: mongodb store: the read preference in the URI is not used: a secondary may not have the newest session, so reads go to the primary",
			slog.String("readPreference", p.Mode().String()))
	}
	if o.Database == "" {
		o.Database = databaseOf(uri)
	}
	s, err := New(client.Database(o.Database).Collection(o.Collection), o)
	if err == nil {
		s.owned = true
		if err = s.Ping(ctx); err != nil {
			err = fmt.Errorf("%w (at %s)", err, where(opts))
		}
	}
	if err != nil {
		_ = client.Disconnect(context.WithoutCancel(ctx))
		return nil, err
	}
	return s, nil
}

// where tells which servers are asked, and how: to the driver those that are no members of
// the replica set, and those with TLS where it has none, are not available.
func where(opts *options.ClientOptions) string {
	hosts := strings.Join(opts.Hosts, ", ")
	if opts.ReplicaSet != nil {
		hosts += fmt.Sprintf(", as replica set %q", *opts.ReplicaSet)
	}
	if opts.TLSConfig != nil {
		return hosts + ", over TLS"
	}
	return hosts + ", without TLS"
}

// clientOptions returns what a URI says, and what Open adds.
func clientOptions(uri string) *options.ClientOptions {
	opts := options.Client().ApplyURI(uri)
	if opts.ConnectTimeout == nil {
		opts.SetConnectTimeout(connectTimeout)
	}
	return opts
}

// databaseOf returns the database that a valid URI names, or "test".
func databaseOf(uri string) string {
	_, rest, _ := strings.Cut(uri, "://")
	_, path, _ := strings.Cut(rest, "/") // a slash in a password or a socket's path is escaped
	name, _, _ := strings.Cut(path, "?")
	if name, err := url.PathUnescape(name); err == nil && name != "" {
		return name
	}
	return "test"
}
