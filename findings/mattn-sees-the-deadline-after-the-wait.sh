#!/usr/bin/env bash
# A call with a deadline of 100 ms comes back from mattn/go-sqlite3 after the whole busy_timeout, and with another error than from modernc.
#
# With: github.com/mattn/go-sqlite3 v1.14.53, modernc.org/sqlite v1.62.0; 2026-11-29
# Guess: ExecContext returns context.DeadlineExceeded when the context ends, also while it waits for the file's lock.
# Happens: modernc does. In mattn the wait takes place inside of SQLite's busy handler, which an interrupt does not end: it comes back after busy_timeout,
#   with "database is locked".
# Seen:
#   modernc: context.DeadlineExceeded true, before busy_timeout true
#   mattn: context.DeadlineExceeded false, before busy_timeout false
# Matters: A limit on how long a store may take holds with one driver and not with the other, and errors.Is(err, context.DeadlineExceeded) tells
#   overload from fault with the one only. Keep busy_timeout below the shortest deadline, or make the call in a goroutine.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get modernc.org/sqlite@v1.62.0 github.com/mattn/go-sqlite3@v1.14.53
cat >main.go <<'GO'
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	_ "github.com/mattn/go-sqlite3"
	_ "modernc.org/sqlite"
)

const busy = 5 * time.Second

func main() {
	for _, t := range []struct{ name, driver, dsn string }{
		{"modernc", "sqlite", "file:a.db?_pragma=busy_timeout(5000)"}, {"mattn", "sqlite3", "file:b.db?_busy_timeout=5000"},
	} {
		holder, err := sql.Open(t.driver, t.dsn)
		if err != nil {
			panic(err)
		}
		if _, err := holder.Exec("CREATE TABLE s (n)"); err != nil {
			panic(err)
		}
		tx, _ := holder.Begin()
		if _, err := tx.Exec("INSERT INTO s VALUES (1)"); err != nil {
			panic(err)
		}
		other, _ := sql.Open(t.driver, t.dsn)
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		begin := time.Now()
		_, err = other.ExecContext(ctx, "INSERT INTO s VALUES (2)")
		took := time.Since(begin)
		cancel()
		tx.Rollback()
		fmt.Printf("%s: context.DeadlineExceeded %v, before busy_timeout %v\n", t.name, errors.Is(err, context.DeadlineExceeded), took < busy*9/10)
	}
}
GO
go run . | seen
