#!/usr/bin/env bash
# With lib/pq a write whose answer is lost is applied twice, and Exec returns no error.
#
# With: github.com/lib/pq v1.12.3, github.com/jackc/pgx/v5 v5.13.0 (stdlib), PostgreSQL 18.4; 2026-11-29
# Guess: A connection that is lost while the answer is under way makes an error: whether the write took place is unknown.
# Happens: pgx does that. lib/pq reports driver.ErrBadConn, by which database/sql takes it that nothing was sent: it sends the statement once more, on
#   another connection, and that one succeeds.
# Seen:
#   lib/pq: error <nil>, counter 2
#   pgx: error true, counter 1
# Matters: A restart of a proxy makes an increment count twice; an INSERT that was done fails as a duplicate, and a compare-and-set that was done finds
#   that it lost, against itself. A store has to recognise its own write.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

postgres_up
go_get github.com/lib/pq@v1.12.3 github.com/jackc/pgx/v5@v5.13.0
cat >main.go <<'GO'
package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
)

// proxy passes bytes on. Once armed, it lets the next UPDATE through, waits until the server has answered, and closes.
func proxy(server string, armed *atomic.Bool) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", server)
			if err != nil {
				panic(err)
			}
			var lost atomic.Bool
			go func() {
				defer up.Close()
				for buf := make([]byte, 1<<16); ; {
					n, err := client.Read(buf)
					if err != nil {
						return
					}
					if bytes.Contains(buf[:n], []byte("UPDATE")) && armed.Swap(false) {
						lost.Store(true)
					}
					up.Write(buf[:n])
				}
			}()
			go func() {
				defer client.Close()
				for buf := make([]byte, 1<<16); ; {
					n, err := up.Read(buf)
					if lost.Load() && bytes.Contains(buf[:n], []byte("UPDATE 1")) || err == io.EOF || err != nil {
						return
					}
					if !lost.Load() {
						client.Write(buf[:n])
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func main() {
	u, _ := url.Parse(os.Getenv("postgres"))
	var armed atomic.Bool
	u.Host = proxy(u.Host, &armed)
	for _, driver := range []string{"postgres", "pgx"} {
		db, err := sql.Open(driver, u.String())
		if err != nil {
			panic(err)
		}
		db.Exec("DROP TABLE IF EXISTS s")
		if _, err := db.Exec("CREATE TABLE s (n int)"); err != nil {
			panic(err)
		}
		db.Exec("INSERT INTO s VALUES (0)")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		armed.Store(true)
		_, err = db.ExecContext(ctx, "UPDATE s SET n = n + 1")
		cancel()
		var n int
		if err := db.QueryRow("SELECT n FROM s").Scan(&n); err != nil {
			panic(err)
		}
		if driver == "postgres" {
			fmt.Printf("lib/pq: error %v, counter %d\n", err, n)
		} else {
			fmt.Printf("pgx: error %v, counter %d\n", err != nil, n)
		}
	}
}
GO
go run . | seen
