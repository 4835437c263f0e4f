#!/usr/bin/env bash
# In SQLite a session stored under []byte is not found by the same id as a string, whatever the column was declared.
#
# With: modernc.org/sqlite v1.62.0, github.com/mattn/go-sqlite3 v1.14.53; 2026-11-29
# Guess: An id is an id: database/sql converts, as PostgreSQL and MySQL do; or the declared type of the column does.
# Happens: []byte is stored as a BLOB and string as a TEXT, in a TEXT column as well, and no BLOB equals a TEXT. Both can stand side by side
#   under a PRIMARY KEY. A STRICT table refuses the wrong type at writing, and still finds nothing, without an error.
# Seen:
#   modernc, TEXT PRIMARY KEY: string stored true, bytes stored true, rows 2, found by bytes 1
#   modernc, TEXT PRIMARY KEY, STRICT: string stored true, bytes stored false, rows 1, found by bytes 0
#   mattn, TEXT PRIMARY KEY: string stored true, bytes stored true, rows 2, found by bytes 1
#   mattn, TEXT PRIMARY KEY, STRICT: string stored true, bytes stored false, rows 1, found by bytes 0
# Matters: Two programs, or two versions of one, that share a file and differ in string([]byte) do not see each other's sessions: a logout by one
#   leaves the other's row. 

source "$(dirname "$0")/lib.bash"

go_get modernc.org/sqlite@v1.62.0 github.com/mattn/go-sqlite3@v1.14.53
cat >main.go <<'GO'
package main

import (
	"database/sql"
	"fmt"
	"strings"

	_ "github.com/mattn/go-sqlite3"
	_ "modernc.org/sqlite"
)

func main() {
	for _, driver := range []string{"sqlite", "sqlite3"} {
		db, err := sql.Open(driver, ":memory:")
		if err != nil {
			panic(err)
		}
		db.SetMaxOpenConns(1)
		for _, strict := range []string{"", ", STRICT"} {
			db.Exec("DROP TABLE IF EXISTS s")
			db.Exec("CREATE TABLE s (id TEXT PRIMARY KEY) " + strings.TrimPrefix(strict, ","))
			_, errText := db.Exec("INSERT INTO s VALUES (?)", "abc")
			_, errBlob := db.Exec("INSERT INTO s VALUES (?)", []byte("abc"))
			var rows, found int
			if err := db.QueryRow("SELECT count(*), count(*) FILTER (WHERE id = ?) FROM s", []byte("abc")).Scan(&rows, &found); err != nil {
				panic(err)
			}
			fmt.Printf("%s, TEXT PRIMARY KEY%s: string stored %v, bytes stored %v, rows %d, found by bytes %d\n",
				map[string]string{"sqlite3": "mattn", "sqlite": "modernc"}[driver], strict, errText == nil, errBlob == nil, rows, found)
		}
		db.Close()
	}
}
GO
go run . | seen
