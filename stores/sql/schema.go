package sqlstore

import (
	"context"
	"database/sql"
	"strings"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// schemaVersion is the version of the tables. What is made for another one is refused by
// [Store.Ping] and by [Migrate], never changed by a call.
const schemaVersion = 1

// tables are the statements that make what is missing of the tables.
//
// A row says when its session expires, and from when on the sweeper has to look at it,
// which is never later than that. Each touch moves the first and leaves the second
// alone, so that only the second needs an index: with one on what each touch changes,
// PostgreSQL would write a new entry to every index each time.
var tables = map[Dialect][]string{
	PostgreSQL: {
		`CREATE TABLE IF NOT EXISTS {t} (id bytea PRIMARY KEY, data bytea NOT NULL, expires timestamptz NOT NULL, due timestamptz NOT NULL) WITH (fillfactor = 80)`,
		`CREATE INDEX IF NOT EXISTS {index} ON {t} (due)`,
	},
	MySQL: {
		`CREATE TABLE IF NOT EXISTS {t} (id varbinary(512) NOT NULL PRIMARY KEY, data longblob NOT NULL, expires datetime(6) NOT NULL, due datetime(6) NOT NULL, KEY {index} (due)) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
	},
	SQLite: {
		`CREATE TABLE IF NOT EXISTS {t} (id BLOB NOT NULL PRIMARY KEY, data BLOB NOT NULL, expires INTEGER NOT NULL, due INTEGER NOT NULL) STRICT`,
		`CREATE INDEX IF NOT EXISTS {index} ON {t} (due)`,
	},
}

var metaTables = map[Dialect][]string{
	PostgreSQL: {
		`CREATE TABLE IF NOT EXISTS {m} (id smallint PRIMARY KEY, version integer NOT NULL, swept timestamptz NOT NULL)`,
		`INSERT INTO {m} (id, version, swept) VALUES (1, 1, {now}) ON CONFLICT (id) DO NOTHING`,
	},
	MySQL: {
		`CREATE TABLE IF NOT EXISTS {m} (id smallint NOT NULL PRIMARY KEY, version integer NOT NULL, swept datetime(6) NOT NULL) ENGINE = InnoDB`,
		`INSERT IGNORE INTO {m} (id, version, swept) VALUES (1, 1, {now})`,
	},
	SQLite: {
		`CREATE TABLE IF NOT EXISTS {m} (id INTEGER NOT NULL PRIMARY KEY, version INTEGER NOT NULL, swept INTEGER NOT NULL) STRICT`,
		`INSERT INTO {m} (id, version, swept) VALUES (1, 1, {now}) ON CONFLICT (id) DO NOTHING`,
	},
}

// schema returns the statements for the tables of options that are complete.
func (o Options) schema() (statements []string) {
	meta := o.Table + metaSuffix
	for _, table := range []string{o.Table, o.Table + usersSuffix} {
		t := newText(o.Dialect, table, meta)
		for _, s := range tables[o.Dialect] {
			statements = append(statements, t.of(s))
		}
	}
	t := newText(o.Dialect, o.Table, meta)
	for _, s := range metaTables[o.Dialect] {
		statements = append(statements, t.of(s))
	}
	return statements
}

// Schema returns the statements that make the tables, for an app whose migrations are
// elsewhere. They change nothing that is there already. Of the options it needs the
// Dialect, and the Table where that has another name.
func Schema(o Options) (string, error) {
	o, err := o.complete("")
	if err != nil {
		return "", err
	}
	return strings.Join(o.schema(), ";\n") + ";\n", nil
}

// Migrate makes the tables of a store that has these options, where they are missing. It
// may be called at every start, by any number of instances at once. The user of the
// database has to be permitted to create tables.
func Migrate(ctx context.Context, db *sql.DB, o Options) error {
	o, err := o.open(db)
	if err != nil {
		return err
	}
	s := newStore(db, o, o.Table)
	if _, err := call(ctx, s, "migrate", s.migrate); err != nil {
		return err
	}
	return s.Ping(ctx)
}

func (s *Store) migrate(ctx context.Context, c *sql.Conn) (none struct{}, err error) {
	if s.opts.Dialect == SQLite {
		if err := s.newEnough(ctx, c); err != nil {
			return none, err
		}
	}
	return none, s.transact(ctx, c, func() error {
		if s.opts.Dialect == PostgreSQL {
			// CREATE TABLE IF NOT EXISTS fails where another one creates it at the same time.
			if _, err := c.ExecContext(ctx, `SELECT pg_advisory_xact_lock(7020315840170329)`); err != nil {
				return err
			}
		}
		for _, statement := range s.opts.schema() {
			if _, err := c.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// newEnough returns an error where SQLite does not know the time to the millisecond: it
// would say so by NULL.
func (s *Store) newEnough(ctx context.Context, c *sql.Conn) error {
	var knows bool
	if err := c.QueryRowContext(ctx, `SELECT unixepoch('subsec') IS NOT NULL`).Scan(&knows); err != nil {
		return err
	}
	if !knows {
		return &store.Error{Store: s.name(), Verb: "migrate", Outcome: store.OutcomeNotApplied, Class: "SQLite is older than 3.42"}
	}
	return nil
}
