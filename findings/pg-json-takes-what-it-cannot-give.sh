#!/usr/bin/env bash
# A session whose JSON holds \u0000 is stored in a json column, and then none of its members can be read in SQL.
#
# With: PostgreSQL 18.4, github.com/jackc/pgx/v5 v5.13.0; 2026-11-29
# Guess: json checks at the INSERT; what is in can be asked for.
# Happens: json keeps the text and checks its form. \u0000 is well formed, and cannot be made a text of PostgreSQL: jsonb refuses it at once, json at
#   the moment of ->>, of whichever member, and of a cast; the error ends the whole query.
# Seen:
#   json, stored: ok
#   json, ->> of another member: 22P05
#   json, ->> of that member: 22P05
#   json, cast to jsonb: 22P05
#   jsonb, stored: 22P05
# Matters: One visitor who pastes a NUL into a form makes "all sessions of bob", and a migration from json to jsonb, fail for everybody. Escape it
#   before it is stored, or keep sessions as bytes.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

postgres_up
go_get github.com/jackc/pgx/v5@v5.13.0
cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func main() {
	ctx := context.Background()
	db, err := pgx.Connect(ctx, os.Getenv("postgres"))
	if err != nil {
		panic(err)
	}
	try := func(name, query string, args ...any) {
		_, err := db.Exec(ctx, query, args...)
		result, pg := "ok", (*pgconn.PgError)(nil)
		if errors.As(err, &pg) {
			result = pg.Code
		} else if err != nil {
			panic(err)
		}
		if name != "" {
			fmt.Printf("%s: %s\n", name, result)
		}
	}
	data := `{"user": "bob", "note": "a\u0000b"}`
	try("", "CREATE TABLE a (sess json)")
	try("", "CREATE TABLE b (sess jsonb)")
	try("json, stored", "INSERT INTO a VALUES ($1::text::json)", data)
	try("json, ->> of another member", "SELECT sess->>'user' FROM a")
	try("json, ->> of that member", "SELECT sess->>'note' FROM a")
	try("json, cast to jsonb", "INSERT INTO b SELECT sess::jsonb FROM a")
	try("jsonb, stored", "INSERT INTO b VALUES ($1::text::jsonb)", data)
}
GO
go run . | seen
