#!/usr/bin/env bash
# An UPDATE .. RETURNING that has given its row keeps the whole SQLite file locked until the rows are closed.
#
# With: modernc.org/sqlite v1.62.0; 2026-11-29
# Guess: The statement is done, and committed, once its only row has been read.
# Happens: All rows are changed at the first step, and the transaction lasts until the statement is reset, which Rows.Close or the
#   Next that answers false does. Until then every other writer waits for its whole busy_timeout.
# Seen:
#   row read, Rows open: another writer: database is locked (5) (SQLITE_BUSY)
#   row read, Rows closed: another writer: <nil>
# Matters: "Touch the session and read it" in one statement, with the answer written to the client inside of the loop, blocks all logins for as long
#   as that client is slow. QueryRow(..).Scan closes at once; Query(..) with one Next does not.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get modernc.org/sqlite@v1.62.0
cat >main.go <<'GO'
package main

import (
	"database/sql"
	"fmt"

	_ "modernc.org/sqlite"
)

func main() {
	open := func() *sql.DB {
		db, err := sql.Open("sqlite", "file:s.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(200)")
		if err != nil {
			panic(err)
		}
		return db
	}
	a, b := open(), open()
	if _, err := a.Exec("CREATE TABLE s (id TEXT PRIMARY KEY, n INTEGER); INSERT INTO s VALUES ('a', 0), ('b', 0)"); err != nil {
		panic(err)
	}
	rows, err := a.Query("UPDATE s SET n = n + 1 WHERE id = 'a' RETURNING n")
	if err != nil {
		panic(err)
	}
	var n int
	rows.Next()
	rows.Scan(&n)
	_, err = b.Exec("UPDATE s SET n = n + 1 WHERE id = 'b'")
	fmt.Println("row read, Rows open: another writer:", err)
	rows.Close()
	_, err = b.Exec("UPDATE s SET n = n + 1 WHERE id = 'b'")
	fmt.Println("row read, Rows closed: another writer:", err)
}
GO
go run . | seen
