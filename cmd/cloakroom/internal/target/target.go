// Package target opens the store that a URL names, for the command cloakroom: one that a
// whole fleet of apps may be using at that moment.
package target

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/valkey-io/valkey-go"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/cloakroom-go/cloakroom/core/store"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
)

// A Store is what the stores of Cloakroom are.
type Store interface {
	store.Store
	store.UpdateLoader
	store.Remover
	store.BatchCreator
	store.Lister
	store.Counter
	store.UserIndexer
	store.Pinger
}

// A Target is a store that was opened, and what is needed to look at its server: one of
// Valkey, Mongo and SQL.
type Target struct {
	Store Store
	Kind  string // "valkey", "mongodb", "postgresql", "mysql" or "sqlite"
	Where string // the hosts and the database, or the file: no password

	Valkey             valkey.Client
	Prefix, UserPrefix string // of the keys in Valkey

	Mongo *mongo.Collection // of the sessions

	SQL     *sql.DB
	Dialect sqlstore.Dialect
	Table   string // of the sessions
	File    string // of SQLite

	close []func()
}

// Close closes the connections.
func (t *Target) Close() {
	for i := range t.close {
		t.close[len(t.close)-1-i]()
	}
	t.close = nil
}

func (t *Target) onClose(f func()) { t.close = append(t.close, f) }

// ErrURL says that a URL names no store. Its text says why, without quoting it.
var ErrURL = errors.New("the URL of the store cannot be used")

func urlError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrURL, fmt.Sprintf(format, args...))
}

// Forms are the URLs that Open takes, for a person.
//
//nolint:gosec // no password is a password
const Forms = `  valkey://user:password@host:6379/0       valkeys:// and rediss:// for TLS, redis:// is the same
      ?addr=host2:6379                     more servers of a cluster, or more Sentinels
      &master_set=NAME                     the hosts are Sentinels (sentinel_username, sentinel_password: theirs)
      &ca=FILE                             who may have signed the certificate
      &prefix=sess:&user_prefix=user-sess: what keys begin with
  mongodb://user:password@host/database    mongodb+srv:// too; ?collection=sessions, and objects=1 for stringify: false
  postgres://user:password@host/database   ?table=cloakroom_sessions
  mysql://user:password@host/database      MariaDB too; ?table=cloakroom_sessions
  sqlite:sessions.db                       the file`

// Options are how a store is opened.
type Options struct {
	// Create makes the tables, the indexes or the file, where they are missing.
	Create bool
}

// Open opens the store that a URL names. It reaches the server, and does not ask whether
// the store can be used: [store.Pinger] does.
func Open(ctx context.Context, rawURL string, o Options) (*Target, error) {
	scheme, rest, ok := strings.Cut(rawURL, ":")
	if !ok || rest == "" {
		return nil, urlError("it is empty or has no scheme. What there is:\n%s", Forms)
	}
	if scheme == "sqlite" {
		return openSQLite(ctx, strings.TrimPrefix(rest, "//"), o)
	}
	open := map[string]func(context.Context, *url.URL, Options) (*Target, error){
		"valkey": openValkey, "valkeys": openValkey, "redis": openValkey, "rediss": openValkey,
		"mongodb": openMongo, "mongodb+srv": openMongo,
		"postgres": openPostgreSQL, "postgresql": openPostgreSQL, "mysql": openMySQL, "mariadb": openMySQL,
	}[scheme]
	if open == nil {
		return nil, urlError("the scheme is not known. What there is:\n%s", Forms)
	}
	u, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	return open(ctx, u, o)
}

// parse parses a URL. That of MongoDB and of Valkey may name several hosts with a comma
// between them, which is no URL to package url where they have ports.
func parse(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err == nil {
		return u, nil
	}
	scheme, rest, _ := strings.Cut(rawURL, "://")
	authority, path, _ := strings.Cut(rest, "/")
	at := strings.LastIndex(authority, "@") + 1
	hosts := authority[at:]
	if u, err = url.Parse(scheme + "://" + authority[:at] + "hosts/" + path); err != nil || !strings.Contains(hosts, ",") {
		return nil, urlError("it is no URL: is something in the password not escaped? @ is %%40, / is %%2F, # is %%23")
	}
	u.Host = hosts
	return u, nil
}

// take returns a parameter of a URL that is not for the driver, and removes it.
func take(query url.Values, name string) string {
	value := query.Get(name)
	query.Del(name)
	return value
}

// exists tells whether a file that is not to be made is there.
func exists(file string, o Options) error {
	if _, err := os.Stat(file); err != nil && !o.Create {
		return fmt.Errorf("%w: %w", ErrURL, err)
	}
	return nil
}
