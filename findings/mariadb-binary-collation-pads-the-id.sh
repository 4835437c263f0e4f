#!/usr/bin/env bash
# In MariaDB a session id in a column with a binary collation still equals itself with spaces behind it.
#
# With: mariadb-server-core 10.11.14 of Debian 12, github.com/go-sql-driver/mysql v1.10.1; 2026-11-29
# Guess: utf8mb4_bin compares bytes: what is not the same bytes is not the same id.
# Happens: _bin takes care of letters' case. The collation still pads: the shorter text is compared as if it ended in spaces. nopad_bin does not,
#   and varbinary has no collation.
# Seen:
#   utf8mb4_general_ci: abc 1, abc with a space 1, ABC 1
#   utf8mb4_bin: abc 1, abc with a space 1, ABC 0
#   utf8mb4_nopad_bin: abc 1, abc with a space 0, ABC 0
#   varbinary: abc 1, abc with a space 0, ABC 0
# Matters: Ids that are opaque to the app, such as those of another program or hashed ones in text, are unique by a weaker rule than the app's own map of
#   them: an INSERT fails as a duplicate where the app sees none. Store ids as varbinary.

source "$(dirname "$0")/lib.bash"

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
	db, err := sql.Open("mysql", "root@tcp(127.0.0.1:"+os.Args[1]+")/test")
	if err != nil {
		panic(err)
	}
	for _, t := range []struct{ name, column string }{
		{"utf8mb4_general_ci", "varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"},
		{"utf8mb4_bin", "varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"},
		{"utf8mb4_nopad_bin", "varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"},
		{"varbinary", "varbinary(64)"},
	} {
		for _, q := range []string{"DROP TABLE IF EXISTS s", "CREATE TABLE s (id " + t.column + " PRIMARY KEY)", "INSERT INTO s VALUES ('abc')"} {
			if _, err := db.Exec(q); err != nil {
				panic(err)
			}
		}
		found := func(id string) (n int) {
			if err := db.QueryRow("SELECT count(*) FROM s WHERE id = ?", id).Scan(&n); err != nil {
				panic(err)
			}
			return n
		}
		fmt.Printf("%s: abc %d, abc with a space %d, ABC %d\n", t.name, found("abc"), found("abc "), found("ABC"))
	}
}
GO
go run . "$mariadb" | seen
