// Package sql runs the stores for SQL on real databases: the contract of a store, the
// table of package adaptertest, what requests cost, several processes on one database,
// and what happens when a database refuses, stops or dies.
package sql

import (
	"context"
	"database/sql"
	"encoding/json"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/store"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
)

func TestMain(m *testing.M) { promises.Main(m, open, nil) }

// A settings is how a process opens its store.
type settings struct {
	File        string // of a sqlitestore
	Driver, DSN string
	Table       string
}

func open(text json.RawMessage) (store.Store, error) {
	var s settings
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	if s.File != "" {
		return sqlitestore.Open(context.Background(), s.File, sqlitestore.Options{})
	}
	db, err := sql.Open(s.Driver, s.DSN)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	return sqlstore.New(db, sqlstore.Options{Table: s.Table})
}
