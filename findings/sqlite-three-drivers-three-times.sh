#!/usr/bin/env bash
# Three SQLite drivers for Go write one time.Time as three texts, which do not sort together.
#
# With: modernc.org/sqlite v1.62.0, github.com/mattn/go-sqlite3 v1.14.53, github.com/ncruces/go-sqlite3 v0.37.0; 2026-11-29
# Guess: time.Time is a type of database/sql, so one driver can take over the file of another, and compare times in SQL.
# Happens: SQLite has no type for times. Each driver writes a text in a form of its own, in the time's own zone, and modernc's is Time.String. A
#   comparison is one of texts: the sweep below runs an hour after all three have expired, with a parameter in UTC.
# Seen:
#   modernc writes 2026-11-29 21:00:00.5 +0900 JST
#   mattn writes 2026-11-29 21:00:00.5+09:00
#   ncruces writes 2026-11-29T21:00:00.5+09:00
#   modernc, an hour later: 0 of 3 expired
#   mattn, an hour later: 0 of 3 expired
#   ncruces, an hour later: 2 of 3 expired
# Matters: Sessions end hours late or early, by the zone of the machine that wrote them, and after a change of driver at once or never. Store integers
#   of your own, and no time.Time.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get modernc.org/sqlite@v1.62.0 github.com/mattn/go-sqlite3@v1.14.53 github.com/ncruces/go-sqlite3@v0.37.0
cat >main.go <<'GO'
package main

import (
	"database/sql"
	"fmt"
	"os"
	"time"
)

func main() {
	db, err := sql.Open(driver, "file:times.db")
	if err != nil {
		panic(err)
	}
	defer db.Close()
	at := time.Date(2026, 11, 29, 21, 0, 0, 500_000_000, time.FixedZone("JST", 9*3600)) // noon in UTC
	if os.Args[1] == "write" {
		if _, err := db.Exec("CREATE TABLE IF NOT EXISTS s (expires TIMESTAMP)"); err != nil {
			panic(err)
		}
		if _, err := db.Exec("INSERT INTO s VALUES (?)", at); err != nil {
			panic(err)
		}
		var text string
		if err := db.QueryRow("SELECT expires || '' FROM s WHERE rowid = (SELECT max(rowid) FROM s)").Scan(&text); err != nil {
			panic(err)
		}
		fmt.Printf("%s writes %s\n", name, text)
		return
	}
	var expired int
	if err := db.QueryRow("SELECT count(*) FROM s WHERE expires <= ?", at.Add(time.Hour).UTC()).Scan(&expired); err != nil {
		panic(err)
	}
	fmt.Printf("%s, an hour later: %d of 3 expired\n", name, expired)
}
GO
program() { # program NAME DRIVER IMPORT
	printf 'package main\n\nimport _ "%s"\n\nconst name, driver = "%s", "%s"\n' "$3" "$1" "$2" >driver.go
	quiet go build -o "$1" .
}
program modernc sqlite modernc.org/sqlite
program mattn sqlite3 github.com/mattn/go-sqlite3
program ncruces sqlite3 github.com/ncruces/go-sqlite3/driver
for what in write sweep; do
	for name in modernc mattn ncruces; do "./$name" $what; done
done | seen
