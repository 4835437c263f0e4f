package target

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // to look at a file beside the store

	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
)

// defaultTable is that of package sqlstore.
const defaultTable = "cloakroom_sessions"

// mostConnections are enough to keep a database busy, and few to one that serves apps.
const mostConnections = 16

func openPostgreSQL(ctx context.Context, u *url.URL, o Options) (*Target, error) {
	query := u.Query()
	table := take(query, "table")
	u.RawQuery = query.Encode()
	config, err := pgx.ParseConfig(u.String())
	if err != nil { // it may quote the URL
		return nil, urlError("want postgres://user:password@host:port/database")
	}
	where := fmt.Sprintf("%s:%d/%s", config.Host, config.Port, config.Database)
	return openSQL(ctx, stdlib.OpenDB(*config), "postgresql", where, sqlstore.Options{Dialect: sqlstore.PostgreSQL, Table: table}, o)
}

func openMySQL(ctx context.Context, u *url.URL, o Options) (*Target, error) {
	query := u.Query()
	table := take(query, "table")
	const want = "want mysql://user:password@host:port/database, with parameters of github.com/go-sql-driver/mysql"
	config, err := mysql.ParseDSN("tcp(" + u.Host + ")/?" + query.Encode())
	if err != nil {
		return nil, urlError(want)
	}
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.DBName = strings.Trim(u.Path, "/")
	config.InterpolateParams = true // one round trip for a statement
	connector, err := mysql.NewConnector(config)
	if err != nil || config.DBName == "" {
		return nil, urlError(want)
	}
	return openSQL(ctx, sql.OpenDB(connector), "mysql", config.Addr+"/"+config.DBName, sqlstore.Options{Dialect: sqlstore.MySQL, Table: table}, o)
}

func openSQL(ctx context.Context, db *sql.DB, kind, where string, opts sqlstore.Options, o Options) (*Target, error) {
	db.SetMaxOpenConns(mostConnections)
	db.SetMaxIdleConns(mostConnections)
	t := &Target{Kind: kind, Where: where, SQL: db, Dialect: opts.Dialect, Table: opts.Table}
	if t.Table == "" {
		t.Table = defaultTable
	}
	t.onClose(func() { _ = db.Close() })
	opts.SweepInterval = sqlstore.NeverSweep // that is the apps'
	s, err := sqlstore.New(db, opts)         //nolint:contextcheck // it has no goroutine: nothing is swept
	if err == nil && o.Create {
		err = sqlstore.Migrate(ctx, db, opts)
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	t.Store = s
	t.onClose(func() { _ = s.Close() })
	return t, nil
}

func openSQLite(ctx context.Context, file string, o Options) (*Target, error) {
	if err := exists(file, o); err != nil {
		return nil, err
	}
	t := &Target{Kind: "sqlite", Where: file, File: file, Dialect: sqlstore.SQLite, Table: defaultTable}
	name, err := filepath.Abs(file)
	if err == nil {
		uri := url.URL{Scheme: "file", Path: filepath.ToSlash(name), RawQuery: "mode=ro&_pragma=busy_timeout(5000)"}
		t.SQL, err = sql.Open("sqlite", uri.String())
	}
	if err != nil {
		return nil, err
	}
	t.onClose(func() { _ = t.SQL.Close() })
	if !o.Create {
		err = hasSessions(ctx, t.SQL)
	}
	if err == nil {
		err = t.openFile(ctx)
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// openFile opens the store in the file, and makes its tables where they are missing.
func (t *Target) openFile(ctx context.Context) error {
	s, err := sqlitestore.Open(ctx, t.File, sqlitestore.Options{
		SweepInterval: sqlstore.NeverSweep,
		Logger:        slog.New(slog.DiscardHandler), // doctor says what there is to say of the file
	})
	if err != nil {
		return err
	}
	t.Store = s
	t.onClose(func() { _ = s.Close() })
	return nil
}

// hasSessions refuses a file of SQLite that has something else in it: to open it as a store
// would change it. What is no such file at all, package sqlitestore tells.
func hasSessions(ctx context.Context, db *sql.DB) error {
	var n int
	err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?", defaultTable).Scan(&n)
	if err == nil && n == 0 {
		return urlError("the file has no sessions of Cloakroom in it: is it the right one?")
	}
	return nil
}
