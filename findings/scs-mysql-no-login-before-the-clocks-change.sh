#!/usr/bin/env bash
# scs's MySQL store saves no session that ends in the hour which the server's time zone leaves out in spring.
#
# With: github.com/alexedwards/scs/mysqlstore v0.0.0-20250417082927-ab20b3feb5e9, github.com/go-sql-driver/mysql v1.10.1, mariadb-server-core 10.11 of Debian 12; 2026-11-29
# Guess: The store writes UTC and compares with UTC_TIMESTAMP, so the server's time zone does not matter.
# Happens: The column of scs's README is a TIMESTAMP, for which the server takes the text of a UTC time as one of its own zone. In Berlin there is no
#   02:30 on 28 March 2027, and in strict mode, the default, that is an error. All other moments of the year come out right again: wrong twice.
# Seen:
#   server in Europe/Berlin: ends 2027-03-28 01:30 UTC: saved
#   server in Europe/Berlin: ends 2027-03-28 02:30 UTC: Error 1292, not saved
#   server in Europe/Berlin: ends 2027-03-28 03:30 UTC: saved
#   server in UTC: ends 2027-03-28 01:30 UTC: saved
#   server in UTC: ends 2027-03-28 02:30 UTC: saved
#   server in UTC: ends 2027-03-28 03:30 UTC: saved
# Matters: With sessions of a day nobody can log in for an hour of the day before the clocks change, and with those of 30 days for an hour a month
#   before, when nobody thinks of clocks. And who reads expiry as what it says, with UNIX_TIMESTAMP, is wrong by the zone. Have the store's connections set time_zone to '+00:00'.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

TZ=Europe/Berlin mariadb_up
go_get github.com/alexedwards/scs/mysqlstore@v0.0.0-20250417082927-ab20b3feb5e9 github.com/go-sql-driver/mysql@v1.10.1
cat >main.go <<'GO'
package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alexedwards/scs/mysqlstore"
	"github.com/go-sql-driver/mysql"
)

func main() {
	for _, zone := range []struct{ name, dsn string }{{"Europe/Berlin", ""}, {"UTC", "?time_zone=%27%2B00:00%27"}} {
		db, err := sql.Open("mysql", "root@tcp(127.0.0.1:"+os.Args[1]+")/test"+zone.dsn)
		if err != nil {
			panic(err)
		}
		// The table of the store's README.
		for _, query := range []string{"DROP TABLE IF EXISTS sessions", "CREATE TABLE sessions (token CHAR(43) PRIMARY KEY, data BLOB NOT NULL, expiry TIMESTAMP(6) NOT NULL)"} {
			if _, err := db.Exec(query); err != nil {
				panic(err)
			}
		}
		store := mysqlstore.NewWithCleanupInterval(db, 0)
		for hour := 1; hour <= 3; hour++ {
			ends := time.Date(2027, 3, 28, hour, 30, 0, 0, time.UTC)
			token, said := ends.Format("15:04"), "saved"
			var refused *mysql.MySQLError
			err := store.Commit(token, []byte("data"), ends)
			if errors.As(err, &refused) {
				said = fmt.Sprintf("Error %d", refused.Number)
			} else if err != nil {
				panic(err)
			}
			if _, found, err := store.Find(token); err != nil {
				panic(err)
			} else if !found {
				said += ", not saved"
			}
			fmt.Printf("server in %s: ends %s UTC: %s\n", zone.name, ends.Format("2006-01-02 15:04"), said)
		}
	}
}
GO
go run . "$mariadb" | seen
