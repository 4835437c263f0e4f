#!/usr/bin/env bash
# A string of JSON written into a bytea column is other bytes, or an error, by lib/pq and not by pgx.
#
# With: github.com/lib/pq v1.12.3, github.com/jackc/pgx/v5 v5.13.0 (stdlib), PostgreSQL 18.4; 2026-11-29
# Guess: string and []byte are the same bytes to a column of bytes, as in MySQL.
# Happens: to fill in
# Seen:
#   to fill in
# Matters: Sessions without a quotation mark or a line break work for months. Then one has a backslash in its JSON: it cannot be saved, or comes back
#   changed. Hand over []byte.

source "$(dirname "$0")/lib.bash"

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
