#!/usr/bin/env bash
# With clientFoundRows, an upsert that changes nothing counts one row, as an insert does; without it, a touch that changes nothing counts none, as a row that is gone does.
#
# With: mariadb-server-core 10.11 of Debian 12, github.com/go-sql-driver/mysql v1.10.1; 2026-11-29
# Guess: One setting tells both: whether an INSERT .. ON DUPLICATE KEY UPDATE made the row, and whether an UPDATE found it.
# Happens: By default the row counts are of changes, so that an UPDATE to what is there already is 0. With clientFoundRows they are of rows found, and the
#   upsert over a live row, which must not touch it, is 1, like the one that made it.
# Seen:
#   default: insert 1, upsert over a live row 0, touch 1, the same touch again 0, touch of a row that is gone 0
#   clientFoundRows: insert 1, upsert over a live row 1, touch 1, the same touch again 1, touch of a row that is gone 0
# Matters: Two requests in one second look like a session that is gone with the one setting, and two creators of one id both look like the first with
#   the other. The setting is in the app's DSN: a store has to work with either, and count on neither.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

mariadb_up
go_get github.com/go-sql-driver/mysql@v1.10.1
cat >main.go <<'GO'
package main

import (
	"database/sql"
	"fmt"
	"os"

	_ "github.com/go-sql-driver/mysql"
)

func main() {
	for _, setting := range []string{"default", "clientFoundRows"} {
		dsn := "root@tcp(127.0.0.1:" + os.Args[1] + ")/test"
		if setting != "default" {
			dsn += "?" + setting + "=true"
		}
		db, err := sql.Open("mysql", dsn)
		if err != nil {
			panic(err)
		}
		rows := func(query string) int64 {
			r, err := db.Exec(query)
			if err != nil {
				panic(err)
			}
			n, _ := r.RowsAffected()
			return n
		}
		rows("DROP TABLE IF EXISTS s")
		rows("CREATE TABLE s (id varbinary(64) PRIMARY KEY, data blob, expires bigint)")
		// An expired row is taken over, a live one is left as it is.
		upsert := "INSERT INTO s VALUES ('a', 'x', 200) ON DUPLICATE KEY UPDATE data = IF(expires <= 100, VALUES(data), data), expires = IF(expires <= 100, VALUES(expires), expires)"
		fmt.Printf("%s: insert %d, upsert over a live row %d, touch %d, the same touch again %d, touch of a row that is gone %d\n", setting,
			rows(upsert), rows(upsert), rows("UPDATE s SET expires = 300 WHERE id = 'a'"), rows("UPDATE s SET expires = 300 WHERE id = 'a'"),
			rows("UPDATE s SET expires = 300 WHERE id = 'b'"))
	}
}
GO
go run . "$mariadb" | seen
