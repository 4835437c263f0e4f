#!/usr/bin/env bash
# unixepoch('subsec') is NULL in an older SQLite, without an error, and no session there is live or expired.
#
# With: sqlite3 3.40.1 of Debian 12, modernc.org/sqlite v1.62.0 (SQLite 3.54); 2026-11-29
# Guess: A modifier that a version does not know is an error.
# Happens: The date functions answer NULL to what they do not understand, and a comparison with NULL is never true.
# Seen:
#   sqlite3 3.40.1: is NULL 1, live 0, expired 0
#   modernc: is NULL 0, live 1, expired 1
# Matters: The same statement sweeps in the app and leaves all rows alone in the sqlite3 shell, or in an app linked with the system's library. Ask for
#   the version, or for "unixepoch('subsec') IS NULL", when a file is opened.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

deb_get "sqlite3=3.40.1-*" "libsqlite3-0=3.40.1-*"
go_get modernc.org/sqlite@v1.62.0
cat >main.go <<'GO'
package main

import (
	"database/sql"
	"fmt"

	_ "modernc.org/sqlite"
)

func main() {
	db, err := sql.Open("sqlite", "s.db")
	if err != nil {
		panic(err)
	}
	var now, live, expired int
	if err := db.QueryRow("SELECT unixepoch('subsec') IS NULL, (SELECT count(*) FROM s WHERE expires > unixepoch('subsec')), (SELECT count(*) FROM s WHERE expires <= unixepoch('subsec'))").Scan(&now, &live, &expired); err != nil {
		panic(err)
	}
	fmt.Printf("modernc: is NULL %d, live %d, expired %d\n", now, live, expired)
}
GO
{
	sqlite3 s.db "CREATE TABLE s (expires); INSERT INTO s VALUES (1), (9999999999);
		SELECT 'sqlite3 ' || sqlite_version() || ': is NULL ' || (unixepoch('subsec') IS NULL) || ', live ' || (SELECT count(*) FROM s WHERE expires > unixepoch('subsec'))
			|| ', expired ' || (SELECT count(*) FROM s WHERE expires <= unixepoch('subsec'))"
	go run .
} | seen
