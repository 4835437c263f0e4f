package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"strings"

	"github.com/cloakroom-go/cloakroom/core"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
)

// The app has a pool already and keeps it. It imports the driver by
//
//	import _ "github.com/jackc/pgx/v5/stdlib"
func ExampleNew() {
	ctx := context.Background()
	db, err := sql.Open("pgx", "postgres://app@127.0.0.1:5432/app")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if err := sqlstore.Migrate(ctx, db, sqlstore.Options{}); err != nil {
		log.Fatal(err)
	}
	store, err := sqlstore.New(db, sqlstore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	sessions, err := core.New(core.Config{Store: store, Secrets: []string{"0123456789abcdef0123456789abcdef"}})
	if err != nil {
		log.Fatal(err)
	}
	_ = sessions.Handler // in front of the app's handlers
}

// The statements are for a tool that has the app's other migrations.
func ExampleSchema() {
	schema, err := sqlstore.Schema(sqlstore.Options{Dialect: sqlstore.PostgreSQL, Table: "app.sessions"})
	if err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(schema) {
		what, _, _ := strings.Cut(line, " (")
		fmt.Println(what)
	}
	// Output:
	// CREATE TABLE IF NOT EXISTS "app"."sessions"
	// CREATE INDEX IF NOT EXISTS "sessions_due" ON "app"."sessions"
	// CREATE TABLE IF NOT EXISTS "app"."sessions_users"
	// CREATE INDEX IF NOT EXISTS "sessions_users_due" ON "app"."sessions_users"
	// CREATE TABLE IF NOT EXISTS "app"."sessions_meta"
	// INSERT INTO "app"."sessions_meta"
}
