package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/cloakroom-go/cloakroom/core/store"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

// openStore returns the store that a URL names, and what closes it. Whatever the
// store is, the rest of the app is the same.
func openStore(ctx context.Context, url string) (st store.Store, done func() error, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	switch scheme := nameOf(url); scheme {
	case "memory":
		st := memorystore.New(memorystore.Options{})
		return st, st.Close, nil
	case "valkey", "valkeys", "redis", "rediss":
		st, err := valkeystore.Open(ctx, url, valkeystore.Options{})
		if err != nil {
			return nil, nil, err
		}
		return st, st.Close, nil
	case "mongodb", "mongodb+srv":
		st, err := mongostore.Open(ctx, url, mongostore.Options{})
		if err != nil {
			return nil, nil, err
		}
		return st, st.Close, nil
	case "sqlite":
		st, err := sqlitestore.Open(ctx, strings.TrimPrefix(url, "sqlite:"), sqlitestore.Options{})
		if err != nil {
			return nil, nil, err
		}
		return st, st.Close, nil
	case "postgres", "postgresql":
		return openSQL(ctx, "pgx", url)
	case "mysql":
		dsn, err := mysqlDSN(url)
		if err != nil {
			return nil, nil, err
		}
		return openSQL(ctx, "mysql", dsn)
	default:
		return nil, nil, fmt.Errorf("-store is of the kind %q: use memory, sqlite:file, valkey://host:port, mongodb://host:port, postgres://host:port/database or mysql://host:port/database", scheme)
	}
}

// openSQL returns a store on a database, with its tables. The pool is small: more than
// a few connections for each core make no app faster.
func openSQL(ctx context.Context, driver, dsn string) (st store.Store, done func() error, err error) {
	db, err := sql.Open(driver, dsn)
	if err != nil { // it may quote the password
		return nil, nil, errors.New("the URL in -store cannot be used: want user:password@host:port/database behind ://")
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	if err := sqlstore.Migrate(ctx, db, sqlstore.Options{}); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	s, err := sqlstore.New(db, sqlstore.Options{}) //nolint:contextcheck // its goroutine lives until Close
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return s, func() error { return errors.Join(s.Close(), db.Close()) }, nil
}

// mysqlDSN returns what the driver for MySQL takes in place of a URL.
func mysqlDSN(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil { // it quotes the password
		return "", errors.New("the URL in -store cannot be used: want mysql://user:password@host:port/database")
	}
	c := mysql.NewConfig()
	c.Net, c.Addr, c.DBName, c.User = "tcp", u.Host, strings.TrimPrefix(u.Path, "/"), u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.InterpolateParams = true // one round trip for a statement in place of two
	return c.FormatDSN(), nil
}

// nameOf returns the scheme of a URL, which unlike the rest is no secret.
func nameOf(url string) string {
	scheme, _, _ := strings.Cut(url, ":")
	return scheme
}
