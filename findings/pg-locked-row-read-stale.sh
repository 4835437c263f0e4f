#!/usr/bin/env bash
# A PostgreSQL statement that waited for a row and lost answers with the data from before the wait.
#
# With: PostgreSQL 18.4, github.com/jackc/pgx/v5 v5.13.0; 2026-11-29
# Guess: One statement can compare, set, and say what is there: WITH u AS (UPDATE .. WHERE data = old RETURNING 1) SELECT data FROM s. After waiting
#   for another's lock it sees what the other wrote: its UPDATE does, for it changes nothing.
# Happens: The UPDATE looks at the newest row after the wait, and the SELECT beside it at the snapshot from before. The loser is told that its
#   old data is still there. Read through FOR UPDATE in the same statement, the answer is the winner's.
# Seen:
#   plain SELECT: updated 0, answer old
#   SELECT .. FOR UPDATE: updated 0, answer winner
# Matters: A session store that replays a change on "what is there now" replays it on what has just lost, and loses again for ever or, without
#   the compare, overwrites the winner.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

postgres_up
go_get github.com/jackc/pgx/v5@v5.13.0
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func main() {
	ctx := context.Background()
	a, b := must(pgx.Connect(ctx, os.Getenv("postgres"))), must(pgx.Connect(ctx, os.Getenv("postgres")))
	watch := must(pgx.Connect(ctx, os.Getenv("postgres")))
	must(a.Exec(ctx, "CREATE TABLE s (id text PRIMARY KEY, data text)"))
	for _, t := range []struct{ name, lock string }{{"plain SELECT", ""}, {"SELECT .. FOR UPDATE", "FOR UPDATE"}} {
		must(a.Exec(ctx, "DELETE FROM s"))
		must(a.Exec(ctx, "INSERT INTO s VALUES ('x', 'old')"))
		tx := must(a.Begin(ctx))
		must(tx.Exec(ctx, "UPDATE s SET data = 'winner' WHERE id = 'x'"))
		done := make(chan string)
		go func() {
			var updated int
			var data string
			err := b.QueryRow(ctx, "WITH u AS (UPDATE s SET data = 'loser' WHERE id = 'x' AND data = 'old' RETURNING 1), l AS (SELECT data FROM s WHERE id = 'x' "+t.lock+
				") SELECT (SELECT count(*) FROM u), data FROM l").Scan(&updated, &data)
			if err != nil {
				panic(err)
			}
			done <- fmt.Sprintf("updated %d, answer %s", updated, data)
		}()
		for waiting := 0; waiting == 0; time.Sleep(10 * time.Millisecond) {
			if err := watch.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").Scan(&waiting); err != nil {
				panic(err)
			}
		}
		if err := tx.Commit(ctx); err != nil {
			panic(err)
		}
		fmt.Printf("%s: %s\n", t.name, <-done)
	}
}
GO
go run . | seen
