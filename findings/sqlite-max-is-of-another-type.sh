#!/usr/bin/env bash
# SELECT expires gives a time.Time and SELECT max(expires) an int64, from one column of one SQLite table.
#
# With: github.com/mattn/go-sqlite3 v1.14.53, modernc.org/sqlite v1.62.0; 2026-11-29
# Guess: The Go type of a result goes by the value, which is an integer here.
# Happens: mattn goes by the declared type of a column, and turns the integers of a TIMESTAMP column into time.Time. An expression has no declared
#   type, so the same value comes as it is. modernc leaves integers alone.
# Seen:
#   mattn, SELECT a: time.Time
#   mattn, SELECT max(a): int64
#   mattn, SELECT b: int64
#   modernc, SELECT a: int64
#   modernc, SELECT max(a): int64
#   modernc, SELECT b: int64
# Matters: A sweep that reads "the next expiry" by min(), or a change of driver, fails to scan: seconds come where times were. Declare the column
#   INTEGER, as b here, and both do the same.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get modernc.org/sqlite@v1.62.0 github.com/mattn/go-sqlite3@v1.14.53
cat >main.go <<'GO'
package main

import (
	"database/sql"
	"fmt"

	_ "github.com/mattn/go-sqlite3"
	_ "modernc.org/sqlite"
)

func main() {
	for _, driver := range []string{"sqlite3", "sqlite"} {
		db, err := sql.Open(driver, ":memory:")
		if err != nil {
			panic(err)
		}
		db.SetMaxOpenConns(1)
		if _, err := db.Exec("CREATE TABLE s (a TIMESTAMP, b INTEGER); INSERT INTO s VALUES (1764400000, 1764400000)"); err != nil {
			panic(err)
		}
		for _, what := range []string{"a", "max(a)", "b"} {
			var v any
			if err := db.QueryRow("SELECT " + what + " FROM s").Scan(&v); err != nil {
				panic(err)
			}
			fmt.Printf("%s, SELECT %s: %T\n", map[string]string{"sqlite3": "mattn", "sqlite": "modernc"}[driver], what, v)
		}
		db.Close()
	}
}
GO
go run . | seen
