#!/usr/bin/env bash
# statement_cache_capacity=0, the setting that is to make pgx safe behind a pooler, makes it refuse every query.
#
# With: github.com/jackc/pgx/v5 v5.13.0, PostgreSQL 18.4; 2026-11-29
# Guess: No cache means that nothing is prepared by name, and all else works.
# Happens: The default way of running a query needs the cache. pgx connects, answers a ping, and refuses the first query before anything is sent.
# Seen:
#   statement_cache_capacity=0
#     ping: <nil>
#     query: cannot use QueryExecModeCacheStatement with disabled statement cache
#     query with an argument: cannot use QueryExecModeCacheStatement with disabled statement cache
#   default_query_exec_mode=exec
#     ping: <nil>
#     query: <nil>
#     query with an argument: <nil>
#   statement_cache_capacity=0&default_query_exec_mode=exec
#     ping: <nil>
#     query: <nil>
#     query with an argument: <nil>
# Matters: A check of the connection at the start of a program passes, and each request fails. What was meant is default_query_exec_mode=exec
#   (or cache_describe), alone.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

postgres_up
go_get github.com/jackc/pgx/v5@v5.13.0
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"
)

func main() {
	ctx := context.Background()
	for _, setting := range []string{"statement_cache_capacity=0", "default_query_exec_mode=exec", "statement_cache_capacity=0&default_query_exec_mode=exec"} {
		db, err := pgx.Connect(ctx, os.Getenv("postgres")+"&"+setting)
		if err != nil {
			panic(err)
		}
		var n int
		fmt.Printf("%s\n  ping: %v\n  query: %v\n  query with an argument: %v\n", setting, db.Ping(ctx),
			db.QueryRow(ctx, "SELECT 1").Scan(&n), db.QueryRow(ctx, "SELECT $1::int", 1).Scan(&n))
	}
}
GO
go run . | seen
