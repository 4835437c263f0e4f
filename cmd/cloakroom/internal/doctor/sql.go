package doctor

import (
	"database/sql"
	"os"
	"strings"
	"time"

	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
)

func (e *examination) sql() {
	switch e.Dialect {
	case sqlstore.PostgreSQL:
		e.postgresql()
	case sqlstore.MySQL:
		e.mysql()
	case sqlstore.SQLite:
		e.sqlite()
	}
	e.sweeping()
}

// text returns the one value that a statement yields, as a text.
func (e *examination) text(query string) (string, error) {
	var value sql.NullString
	err := e.SQL.QueryRowContext(e.ctx, query).Scan(&value)
	return value.String, err
}

// is reports whether a statement yields one of the values.
func (e *examination) is(query string, values ...string) bool {
	got, err := e.text(query)
	for _, value := range values {
		if err == nil && strings.EqualFold(got, value) {
			return true
		}
	}
	return false
}

// seconds returns the time that a statement yields as seconds since 1970.
func (e *examination) seconds(query string) func() (time.Time, error) {
	return func() (time.Time, error) {
		var seconds float64
		err := e.SQL.QueryRowContext(e.ctx, query).Scan(&seconds)
		return time.UnixMicro(int64(seconds * 1e6)), err
	}
}

func (e *examination) postgresql() {
	text, err := e.text(`SHOW server_version`)
	switch {
	case err != nil:
		e.unknown("version", "SHOW", err)
	case parseVersion(text).before(13, 0):
		e.find(Failure, "version", "upgrade", "PostgreSQL %s is older than what Cloakroom works with (13)", text)
	default:
		e.find(OK, "version", "", "PostgreSQL %s", text)
	}
	e.clock("SELECT", e.seconds(`SELECT extract(epoch FROM clock_timestamp())::float8`))
	if e.is(`SELECT pg_is_in_recovery()`, "true", "t") {
		e.find(Failure, "primary", "name the primary, or target_session_attrs=read-write in the URL", "the server is a replica, which takes no writes")
	}
	if e.is(`SHOW default_transaction_read_only`, "on") {
		e.find(Failure, "primary", "ALTER ROLE or ALTER DATABASE ... RESET default_transaction_read_only", "default_transaction_read_only is on: nothing can be stored")
	}
	if e.is(`SHOW synchronous_commit`, "off") {
		e.find(Warning, "durability", "set synchronous_commit to on for this user", "synchronous_commit is off: a crash of the server loses the last logins, and undoes the last logouts")
	}
	if e.is(`SELECT relpersistence FROM pg_class WHERE oid = to_regclass('`+e.quoted(e.Table)+`')`, "u") {
		e.find(Warning, "durability", "ALTER TABLE ... SET LOGGED", "the table is unlogged: a crash of the server empties it, and a replica has nothing of it")
	}
}

// quoted returns a name of a table as a text of PostgreSQL has it. It is letters, digits,
// underscores and a dot: package sqlstore takes no other.
func (e *examination) quoted(table string) string {
	return `"` + strings.ReplaceAll(table, ".", `"."`) + `"`
}

func (e *examination) mysql() {
	text, err := e.text(`SELECT VERSION()`)
	v := parseVersion(text)
	switch maria := strings.Contains(text, "MariaDB"); {
	case err != nil:
		e.unknown("version", "SELECT", err)
	case maria && v.before(10, 11):
		e.find(Failure, "version", "upgrade", "MariaDB %s is older than what Cloakroom was tried with (10.11)", text)
	case !maria && v.before(8, 0):
		e.find(Failure, "version", "upgrade", "MySQL %s is older than what Cloakroom works with (8.0)", text)
	case maria:
		e.find(OK, "version", "", "MariaDB %s", text)
	default:
		e.find(OK, "version", "", "MySQL %s", text)
	}
	e.clock("SELECT", e.seconds(`SELECT UNIX_TIMESTAMP(SYSDATE(6))`))
	if e.is(`SELECT @@global.read_only`, "1", "ON") {
		e.find(Failure, "primary", "name the primary", "read_only is on: the server is a replica, or takes no writes for now")
	}
	if !e.is(`SELECT @@global.innodb_flush_log_at_trx_commit`, "1") {
		e.find(Warning, "durability", "SET GLOBAL innodb_flush_log_at_trx_commit = 1, and the same in the configuration", "innodb_flush_log_at_trx_commit is not 1: a crash of the machine loses the last logins, and undoes the last logouts")
	}
	name := e.Table[strings.LastIndex(e.Table, ".")+1:]
	if engine, err := e.text(`SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '` + name + `'`); err == nil && engine != "" && engine != "InnoDB" {
		e.find(Failure, "engine", "ALTER TABLE ... ENGINE = InnoDB", "the table is kept by %s: a change is not atomic there", engine)
	}
}

func (e *examination) sqlite() {
	text, err := e.text(`SELECT sqlite_version()`)
	if err != nil {
		e.unknown("version", "reading the file", err)
		return
	}
	e.find(OK, "version", "", "SQLite %s, of this command; the apps have their own", text)
	if info, err := os.Stat(e.File); err == nil && info.Mode().Perm()&0o077 != 0 {
		e.find(Warning, "file", "chmod 600, for the file and those with -wal and -shm behind its name", "others than its owner may read or write the file (%v)", info.Mode().Perm())
	}
	if !e.is(`PRAGMA journal_mode`, "wal") {
		e.find(Warning, "file", "open it with package sqlitestore", "the file has no write-ahead log: readers wait for writers")
	}
}

// sweeping looks whether somebody removes what has expired.
func (e *examination) sweeping() {
	const check = "sweeper"
	old := map[sqlstore.Dialect]string{
		sqlstore.PostgreSQL: `expires < clock_timestamp() - interval '10 minutes'`,
		sqlstore.MySQL:      `expires < UTC_TIMESTAMP(6) - INTERVAL 10 MINUTE`,
		sqlstore.SQLite:     `expires < (unixepoch('subsec') - 600) * 1000`,
	}[e.Dialect]
	quote := `"`
	if e.Dialect == sqlstore.MySQL {
		quote = "`"
	}
	var n int
	for _, table := range []string{e.Table, e.Table + "_users"} {
		name := quote + strings.ReplaceAll(table, ".", quote+"."+quote) + quote
		var some int
		query := `SELECT count(*) FROM (SELECT 1 FROM ` + name + ` WHERE ` + old + ` LIMIT 10000) AS o` //nolint:gosec // package sqlstore takes no other names than of letters, digits and underscores
		if err := e.SQL.QueryRowContext(e.ctx, query).Scan(&some); err != nil {
			e.unknown(check, "SELECT on the tables", err)
			return
		}
		n += some
	}
	const enough = 1000 // more than a busy minute leaves
	switch {
	case n >= enough:
		e.find(Failure, check, "see whether an app runs, and has another Options.SweepInterval than NeverSweep; or call Store.Sweep from a job",
			"%d rows expired more than ten minutes ago and are still there: nobody removes them", n)
	case n > 0:
		e.find(Warning, check, "if an app runs, see whether its Options.SweepInterval is NeverSweep; if none does, nothing is wrong",
			"%d rows expired more than ten minutes ago and are still there", n)
	default:
		e.find(OK, check, "", "nothing that expired long ago is left")
	}
}
