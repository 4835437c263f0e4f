#!/usr/bin/env bash
# PRAGMA journal_mode = WAL does not wait for another connection, however long busy_timeout is.
#
# With: modernc.org/sqlite v1.62.0, github.com/mattn/go-sqlite3 v1.14.53; 2026-11-29
# Guess: With busy_timeout set, whatever finds the file locked waits for that long, the statement that makes a new file a WAL file as well.
# Happens: That statement reads first and locks then, inside of one transaction, where SQLite does not call the busy handler: it fails at once while
#   another connection writes. On a file that has the WAL already it changes nothing, and succeeds.
# Seen:
#   modernc, a new file, another one writes: SQLITE_BUSY while the other one still writes
#   modernc, CREATE TABLE in its place, the other one commits a little later: nil
#   modernc, a WAL file, another one writes: nil while the other one still writes
#   mattn, a new file, another one writes: SQLITE_BUSY while the other one still writes
#   mattn, CREATE TABLE in its place, the other one commits a little later: nil
#   mattn, a WAL file, another one writes: nil while the other one still writes
# Matters: Of two processes that start together on a new file, as a deploy does it, one fails to open its sessions, and never again after that day. Try
#   that statement again until it succeeds; what comes after it waits by itself.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get modernc.org/sqlite@v1.62.0 github.com/mattn/go-sqlite3@v1.14.53
cat >main.go <<'GO'
package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	_ "github.com/mattn/go-sqlite3"
	_ "modernc.org/sqlite"
)

var ctx = context.Background()

func open(driver, file string) *sql.Conn {
	db, err := sql.Open(driver, "file:"+file)
	if err != nil {
		panic(err)
	}
	c, err := db.Conn(ctx)
	if err != nil {
		panic(err)
	}
	must(c, "PRAGMA busy_timeout = 3600000")
	return c
}

func must(c *sql.Conn, query string) {
	if _, err := c.ExecContext(ctx, query); err != nil {
		panic(err)
	}
}

func show(err error) string {
	switch {
	case err == nil:
		return "nil"
	case strings.Contains(err.Error(), "database is locked"):
		return "SQLITE_BUSY"
	default:
		return err.Error()
	}
}

func main() {
	for _, d := range []struct{ name, driver string }{{"modernc", "sqlite"}, {"mattn", "sqlite3"}} {
		writer, other := open(d.driver, d.name+".db"), open(d.driver, d.name+".db")
		var mode string
		wal := func() error { return other.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode) }

		// Nobody commits until the statement has come back: it would be here in an hour if it waited.
		must(writer, "BEGIN IMMEDIATE")
		fmt.Printf("%s, a new file, another one writes: %s while the other one still writes\n", d.name, show(wal()))

		time.AfterFunc(300*time.Millisecond, func() { must(writer, "COMMIT") })
		_, err := other.ExecContext(ctx, "CREATE TABLE sessions (id TEXT PRIMARY KEY)")
		fmt.Printf("%s, CREATE TABLE in its place, the other one commits a little later: %s\n", d.name, show(err))

		if err := wal(); err != nil {
			panic(err)
		}
		must(writer, "BEGIN IMMEDIATE")
		must(writer, "INSERT INTO sessions VALUES ('a')")
		fmt.Printf("%s, a WAL file, another one writes: %s while the other one still writes\n", d.name, show(wal()))
		must(writer, "COMMIT")
	}
}
GO
go run . | seen
