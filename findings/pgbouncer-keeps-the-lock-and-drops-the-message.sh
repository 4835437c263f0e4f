#!/usr/bin/env bash
# Behind PgBouncer LISTEN succeeds and nothing ever comes, and an advisory lock outlives the client that took it.
#
# With: pgbouncer 1.18.0 of Debian 12 (pool_mode transaction), PostgreSQL 18.4, github.com/jackc/pgx/v5 v5.13.0; 2026-11-29
# Guess: What cannot work with a shared connection is refused, as a statement_timeout in the address is.
# Happens: Both are done, for the connection to the server, which belongs to nobody a moment later: its messages are thrown away, and its locks stay until
#   it is closed.
# Seen:
#   statement_timeout in the address: refused true
#   LISTEN: <nil>
#   NOTIFY at the server itself: heard false
#   advisory lock: taken true, free after its client has left: false
# Matters: "Tell all instances that a session has ended" and "one instance sweeps" pass each test with PostgreSQL itself. Behind a pooler no instance hears
#   anything, without an error, and who sweeps is up to which connection a client is given. Take pg_try_advisory_xact_lock, or a row.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

postgres_up
deb_get "pgbouncer=1.18.0-*"
go_get github.com/jackc/pgx/v5@v5.13.0
port=$(free_port) as=()
server=${postgres##*@127.0.0.1:} server=${server%%/*}
echo '"postgres" ""' >users
cat >pgbouncer.ini <<I
[databases]
postgres = host=127.0.0.1 port=$server user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
I
chmod 644 pgbouncer.ini
[[ $(id -u) != 0 ]] || as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
"${as[@]}" env LD_LIBRARY_PATH="$LD_LIBRARY_PATH" "$work/root/usr/sbin/pgbouncer" "$work/pgbouncer.ini" >pgbouncer.log 2>&1 &
await eval "exec 3<>/dev/tcp/127.0.0.1/$port"
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
	pooler := "postgres://postgres@127.0.0.1:" + os.Args[1] + "/postgres?sslmode=disable&default_query_exec_mode=simple_protocol"
	_, err := pgx.Connect(ctx, pooler+"&statement_timeout=1000")
	fmt.Println("statement_timeout in the address: refused", err != nil)
	direct := must(pgx.Connect(ctx, os.Getenv("postgres")))

	listener := must(pgx.Connect(ctx, pooler))
	_, err = listener.Exec(ctx, "LISTEN ended")
	fmt.Println("LISTEN:", err)
	must(direct.Exec(ctx, "NOTIFY ended"))
	wait, cancel := context.WithTimeout(ctx, 2*time.Second)
	_, err = listener.WaitForNotification(wait)
	cancel()
	fmt.Println("NOTIFY at the server itself: heard", err == nil)

	client := must(pgx.Connect(ctx, pooler))
	var taken, free bool
	if err := client.QueryRow(ctx, "SELECT pg_try_advisory_lock(7)").Scan(&taken); err != nil {
		panic(err)
	}
	client.Close(ctx)
	// The pooler has seen the client leave once it answers another one.
	must(must(pgx.Connect(ctx, pooler)).Exec(ctx, "SELECT 1"))
	if err := direct.QueryRow(ctx, "SELECT pg_try_advisory_lock(7)").Scan(&free); err != nil {
		panic(err)
	}
	fmt.Printf("advisory lock: taken %v, free after its client has left: %v\n", taken, free)
}
GO
go run . "$port" | seen
