#!/usr/bin/env bash
# The one clock of PostgreSQL that is right after a wait for a lock is the one that no index can be used for.
#
# With: PostgreSQL 18.4, github.com/jackc/pgx/v5 v5.13.0; 2026-11-29
# Guess: "expires <= clock_timestamp()" is a comparison with a time, like the same with now(), and goes by the index on expires.
# Happens: clock_timestamp() may differ from row to row, so each row is asked. now() and statement_timestamp() stand still, and with them the index
#   is used.
# Seen:
#   now(): Index Scan
#   statement_timestamp(): Index Scan
#   clock_timestamp(): Seq Scan
#   statement_timestamp() and clock_timestamp(): Index Scan
# Matters: A sweep of ten expired sessions among a million reads the whole table each minute. Ask by statement_timestamp() for the index, and by
#   clock_timestamp() as well where a row may have been extended during the wait.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

postgres_up
go_get github.com/jackc/pgx/v5@v5.13.0
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"regexp"

	"github.com/jackc/pgx/v5"
)

func main() {
	ctx := context.Background()
	db, err := pgx.Connect(ctx, os.Getenv("postgres"))
	if err != nil {
		panic(err)
	}
	for _, q := range []string{
		"CREATE TABLE s (id int, expires timestamptz)",
		"INSERT INTO s SELECT i, now() + interval '1 hour' * (i - 10) FROM generate_series(1, 100000) i",
		"CREATE INDEX ON s (expires)", "ANALYZE s", "SET enable_bitmapscan = off",
	} {
		if _, err := db.Exec(ctx, q); err != nil {
			panic(err)
		}
	}
	for _, t := range []struct{ name, where string }{
		{"now()", "expires <= now()"},
		{"statement_timestamp()", "expires <= statement_timestamp()"},
		{"clock_timestamp()", "expires <= clock_timestamp()"},
		{"statement_timestamp() and clock_timestamp()", "expires <= statement_timestamp() AND expires <= clock_timestamp()"},
	} {
		var plan string
		if err := db.QueryRow(ctx, "EXPLAIN SELECT * FROM s WHERE "+t.where).Scan(&plan); err != nil {
			panic(err)
		}
		fmt.Printf("%s: %s\n", t.name, regexp.MustCompile(`(Seq|Index) Scan`).FindString(plan))
	}
}
GO
go run . | seen
