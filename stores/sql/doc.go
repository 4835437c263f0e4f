// Package sqlstore keeps sessions in PostgreSQL, MySQL or MariaDB, through the pool of
// database/sql that the app has. It is the store for an app of which several instances
// run and that has such a database already.
//
//	db, err := sql.Open("pgx", "postgres://app@127.0.0.1:5432/app")
//	...
//	err = sqlstore.Migrate(ctx, db, sqlstore.Options{}) // at a deployment, or at every start
//	store, err := sqlstore.New(db, sqlstore.Options{})
//	...
//	defer store.Close()
//	cfg := core.Config{Store: store, ...}
//
// This package brings no driver. It knows these, and what they speak:
//
//	github.com/jackc/pgx/v5/stdlib   PostgreSQL 13 and newer
//	github.com/go-sql-driver/mysql   MySQL 8, MariaDB 10.11 and newer
//	modernc.org/sqlite               SQLite 3.42 and newer
//	github.com/mattn/go-sqlite3      SQLite 3.42 and newer
//
// For a file of SQLite there is package sqlitestore, which opens it as sessions need it. A
// pool of the app's own on such a file is best one of a single connection, with a
// busy_timeout: connections of one process wait for each other badly.
//
// It keeps the whole contract of [store.Store] and has all optional abilities. What it
// does not do: make its tables by itself, see [Migrate] and [Schema]; read from replicas;
// join a transaction of the app's.
//
// # What a request costs
//
// A request that only reads is one statement, one that changes the session two, and a
// new id two with PostgreSQL, and five with the others, where renewing an id is a
// transaction. A sign-in waits for two or three more. A visitor without a session costs none.
//
// # What it relies on
//
// An update, and a logout, names the content that was loaded: the database decides between
// two that race, and nothing brings back what was deleted. Its clock decides what has
// expired, and is read after the wait for a lock. What gave way to others, by a deadlock or
// a serialization failure, is done again.
//
// A connection that breaks leaves open whether a write was done, and so does a call that is
// given up in the middle: core finds out. Nothing is sent where no connection was free in
// time.
//
// docs/sql.md in the repository tells operators what to set: tables, privileges, poolers,
// vacuum, timeouts.
package sqlstore
