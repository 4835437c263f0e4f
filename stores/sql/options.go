package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// Options are what can be set about a [Store]. The zero value is the
// recommended setting.
type Options struct {
	// Dialect is what the database speaks. The default is what the driver of the
	// pool speaks, for the drivers that the documentation of this package names.
	// With another one, such as one that wraps a driver, it has to be named.
	Dialect Dialect

	// Table is the name of the table of the sessions, with the name of its schema
	// and a dot in front if need be. The lists of users' sessions are in a second
	// table, with "_users" behind the name, and what the store notes about both is
	// in a third, with "_meta". It is letters, digits and underscores, and case
	// counts. The default is "cloakroom_sessions".
	Table string

	// SweepInterval is the time between two rounds that remove expired sessions.
	// Of several processes with the same table one does the round. An expired
	// session is not served or counted for as long as it waits: all that is at
	// stake is when its room is freed. The default, 0, is one minute. With
	// [NeverSweep] there are no rounds, and [Store.Sweep] is to be called from
	// elsewhere.
	SweepInterval time.Duration

	// Logger is told when a round fails. The default is slog.Default().
	Logger *slog.Logger

	// AllowLibPQ accepts github.com/lib/pq, which is refused without it: its
	// calls were measured to outlive their deadlines, and behind a connection
	// pooler to run statements of other clients. github.com/jackc/pgx/v5/stdlib
	// does neither.
	AllowLibPQ bool
}

// NeverSweep as Options.SweepInterval switches the rounds off.
const NeverSweep time.Duration = -1

const (
	defaultTable         = "cloakroom_sessions"
	defaultSweepInterval = time.Minute

	// A name, and what is put behind it, has to be one in every database.
	longestName = 50
)

// The packages of the drivers.
const (
	pkgPGX    = "github.com/jackc/pgx/"
	pkgPQ     = "github.com/lib/pq"
	pkgMySQL  = "github.com/go-sql-driver/mysql"
	pkgSQLite = "modernc.org/sqlite"
	pkgMattn  = "github.com/mattn/go-sqlite3"
	pkgFile   = "github.com/cloakroom-go/cloakroom/stores/sqlite" // which opens a file of its own
)

// driverPackage returns the import path of the package that the driver of a pool
// is from.
func driverPackage(db *sql.DB) string {
	t := reflect.TypeOf(db.Driver())
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath()
}

// dialectOf returns what the drivers of a package speak, or "".
func dialectOf(pkg string) Dialect {
	switch {
	case strings.HasPrefix(pkg, pkgPGX), pkg == pkgPQ:
		return PostgreSQL
	case pkg == pkgMySQL:
		return MySQL
	case pkg == pkgSQLite, pkg == pkgMattn:
		return SQLite
	}
	return ""
}

// keepsDeadlines reports whether the drivers of a package are known to return when
// the context of a call is done.
func keepsDeadlines(pkg string) bool {
	return strings.HasPrefix(pkg, pkgPGX) || pkg == pkgMySQL || pkg == pkgSQLite || pkg == pkgFile
}

var nameOfTable = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*\.)?[A-Za-z_][A-Za-z0-9_]*$`)

// complete returns the options with what is set in place of their zero values.
func (o Options) complete(pkg string) (Options, error) {
	if o.Table == "" {
		o.Table = defaultTable
	}
	if o.SweepInterval == 0 {
		o.SweepInterval = defaultSweepInterval
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Dialect == "" {
		o.Dialect = dialectOf(pkg)
	}
	switch {
	case o.Dialect == "":
		return o, errors.New("cloakroom: sql store: it is not known what this driver speaks: set Options.Dialect to PostgreSQL, MySQL or SQLite")
	case !o.Dialect.valid():
		return o, errors.New("cloakroom: sql store: Options.Dialect is not valid, want PostgreSQL, MySQL or SQLite")
	case !nameOfTable.MatchString(o.Table) || len(o.Table) > longestName:
		return o, fmt.Errorf("cloakroom: sql store: Options.Table is not valid, want up to %d letters, digits and underscores, and a schema and a dot before these if need be", longestName)
	case o.Dialect == SQLite && strings.Contains(o.Table, "."):
		return o, errors.New("cloakroom: sql store: Options.Table has a dot in it, but SQLite has no schemas")
	case o.SweepInterval < 0 && o.SweepInterval != NeverSweep:
		return o, fmt.Errorf("cloakroom: sql store: Options.SweepInterval is %v, want 0 (one minute), more, or NeverSweep", o.SweepInterval)
	case o.SweepInterval > 0 && o.SweepInterval < time.Millisecond: // most likely it was meant to be seconds
		return o, fmt.Errorf("cloakroom: sql store: Options.SweepInterval is too short: %d is %v: write %d * time.Second", int64(o.SweepInterval), o.SweepInterval, int64(o.SweepInterval))
	case pkg == pkgPQ && !o.AllowLibPQ:
		return o, errors.New("cloakroom: sql store: the driver github.com/lib/pq is not accepted: its calls outlive their deadlines, and behind a connection pooler it may run another client's statement: " +
			`open the pool with sql.Open("pgx", url) of github.com/jackc/pgx/v5/stdlib, or set Options.AllowLibPQ`)
	}
	return o, nil
}

// open completes the options for a pool.
func (o Options) open(db *sql.DB) (Options, error) {
	if db == nil {
		return o, errors.New("cloakroom: sql store: the pool is nil: make one with sql.Open")
	}
	return o.complete(driverPackage(db))
}
