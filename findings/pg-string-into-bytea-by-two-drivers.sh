#!/usr/bin/env bash
# A string of JSON written into a bytea column becomes other bytes, or an error, by pgx, and not by lib/pq.
#
# With: github.com/lib/pq v1.12.3, github.com/jackc/pgx/v5 v5.13.0 (stdlib), PostgreSQL 18.4; 2026-11-29
# Guess: string and []byte are the same bytes to a column of bytes.
# Happens: pgx sends a string as the text of a bytea, in which a backslash begins an escape: \\ becomes one, \101 a letter, and \n is refused. lib/pq
#   sends the bytes.
# Seen:
#   lib/pq, {"user":"bob"}: {"user":"bob"} <nil>
#   lib/pq, {"a":"\\101"}: {"a":"\\101"} <nil>
#   lib/pq, {"a":"x\ny"}: {"a":"x\ny"} <nil>
#   pgx, {"user":"bob"}: {"user":"bob"} <nil>
#   pgx, {"a":"\\101"}: {"a":"\101"} <nil>
#   pgx, {"a":"x\ny"}:  ERROR: invalid input syntax for type bytea (SQLSTATE 22P02)
# Matters: After a change from lib/pq to pgx, sessions without a quotation mark or a line break work for months. Then one has a backslash in its JSON: it cannot be saved, or comes back
#   changed. Hand over []byte.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

postgres_up
go_get github.com/lib/pq@v1.12.3 github.com/jackc/pgx/v5@v5.13.0
cat >main.go <<'GO'
package main

import (
	"database/sql"
	"fmt"
	"os"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
)

func main() {
	for _, driver := range []string{"postgres", "pgx"} {
		db, err := sql.Open(driver, os.Getenv("postgres"))
		if err != nil {
			panic(err)
		}
		db.Exec("CREATE TABLE IF NOT EXISTS s (data bytea)")
		for _, data := range []string{`{"user":"bob"}`, `{"a":"\\101"}`, `{"a":"x\ny"}`} {
			var back []byte
			err := db.QueryRow("INSERT INTO s VALUES ($1) RETURNING data", data).Scan(&back)
			fmt.Printf("%s, %s: %s %v\n", map[string]string{"postgres": "lib/pq", "pgx": "pgx"}[driver], data, back, err)
		}
	}
}
GO
go run . | seen
