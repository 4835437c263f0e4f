package sqlstore

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"reflect"
	"strconv"
	"strings"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// ErrSchema says that the tables of a store are missing, or are not as [Schema] says.
var ErrSchema = errors.New("cloakroom: sql store: the tables are missing or are not what this version needs: call sqlstore.Migrate at a deployment, or run what sqlstore.Schema returns")

// refuse returns an error when ctx is done before anything was sent.
func (s *Store) refuse(ctx context.Context, verb string) error {
	if err := ctx.Err(); err != nil {
		return &store.Error{Store: s.name(), Verb: verb, Outcome: store.OutcomeNotApplied, Class: contextClass(err), Err: err}
	}
	return nil
}

func contextClass(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return "canceled"
}

// A refusal is what a code of the database means. Its text is not passed on: it
// quotes ids and data.
type refusal struct {
	class   string
	unknown bool // it may have been applied all the same
	lost    bool // and the connection with it
	again   bool // it was not, for the sake of another call: the same call may succeed now
	err     error
}

// sqlStates are the codes of PostgreSQL, and of what speaks its protocol. The first two
// letters are of the class of what is not listed. A single statement that is refused
// has done nothing, unless the server ends meanwhile.
var sqlStates = map[string]refusal{
	"40001": {class: "serialization failure", again: true},
	"40P01": {class: "deadlock", again: true},
	"40003": {class: "unknown whether it was done", unknown: true},
	"25006": {class: "database is read-only"},
	"25P02": {class: "transaction was aborted"},
	"22001": {class: "id or data is too long"},
	"54000": {class: "id or data is too long"},
	"57014": {class: "canceled by the server"},
	"57P03": {class: "server is not ready"},
	"57P04": {class: "database was dropped", unknown: true, lost: true},
	"57P05": {class: "connection was idle for too long", unknown: true, lost: true},
	"25P03": {class: "connection was idle for too long", unknown: true, lost: true}, // within a transaction
	"25P04": {class: "transaction took too long", unknown: true, lost: true},
	"55P03": {class: "lock timeout"},
	"53100": {class: "disk is full", err: store.ErrFull},
	"53200": {class: "server is out of memory"},
	"53300": {class: "too many connections"},
	"42501": {class: "not permitted to this user"},
	"42P01": {class: "table is missing", err: ErrSchema},
	"42703": {class: "column is missing", err: ErrSchema},
	"42804": {class: "column is of another type", err: ErrSchema},
	"42883": {class: "column is of another type", err: ErrSchema},
	"42P10": {class: "primary key is missing", err: ErrSchema},
	"3D000": {class: "database is missing"},
	"3F000": {class: "schema is missing", err: ErrSchema},
	"42P05": {class: "prepared statement of another client: behind a pooler, set default_query_exec_mode=exec in the URL of pgx"},
	"26000": {class: "prepared statement is unknown: behind a pooler, set default_query_exec_mode=exec in the URL of pgx"},

	"08": {class: "connection failed", unknown: true, lost: true},
	"28": {class: "authentication failed"},
	"57": {class: "server is shutting down", unknown: true, lost: true},
	"58": {class: "system error of the server", unknown: true},
	"XX": {class: "internal error of the server", unknown: true},
}

// mySQLCodes are the codes of MySQL and MariaDB, and those from 2000 on of their clients,
// which a proxy passes on when it has lost the server.
var mySQLCodes = map[uint64]refusal{
	1213: {class: "deadlock", again: true},
	1020: {class: "serialization failure", again: true},
	1205: {class: "lock timeout"},
	1290: {class: "database is read-only"},
	1792: {class: "database is read-only"},
	1836: {class: "database is read-only"},
	1044: {class: "not permitted to this user"},
	1142: {class: "not permitted to this user"},
	1143: {class: "not permitted to this user"},
	1045: {class: "authentication failed"},
	1040: {class: "too many connections"},
	1203: {class: "too many connections"},
	1021: {class: "disk is full", err: store.ErrFull},
	1114: {class: "disk is full", err: store.ErrFull},
	1146: {class: "table is missing", err: ErrSchema},
	1054: {class: "column is missing", err: ErrSchema},
	1046: {class: "connection string names no database"},
	1049: {class: "database is missing"},
	1153: {class: "id or data is too long"},
	1406: {class: "id or data is too long"},
	1053: {class: "server is shutting down", unknown: true, lost: true},
	1079: {class: "server is shutting down", unknown: true, lost: true},
	1152: {class: "connection was closed", unknown: true, lost: true},
	1158: {class: "connection failed", unknown: true, lost: true},
	1159: {class: "connection failed", unknown: true, lost: true},
	1160: {class: "connection failed", unknown: true, lost: true},
	1161: {class: "connection failed", unknown: true, lost: true},
	1180: {class: "commit failed", unknown: true},
	1184: {class: "connection was closed", unknown: true, lost: true},
	1317: {class: "canceled by the server", unknown: true},
	1927: {class: "connection was closed", unknown: true, lost: true},
	1969: {class: "canceled by the server"},
	2006: {class: "connection failed", unknown: true, lost: true},
	2013: {class: "connection failed", unknown: true, lost: true},
	2055: {class: "connection failed", unknown: true, lost: true},
	3024: {class: "canceled by the server"},
	3169: {class: "connection was closed", unknown: true, lost: true},
	4031: {class: "connection was idle for too long", unknown: true, lost: true},
}

// sqliteCodes are the primary codes of SQLite.
var sqliteCodes = map[uint64]refusal{
	3:  {class: "not permitted to this process"},
	5:  {class: "database is locked"},
	6:  {class: "database is locked"},
	8:  {class: "database is read-only"},
	9:  {class: "canceled", unknown: true},
	10: {class: "disk I/O error", unknown: true},
	11: {class: "database is damaged"},
	13: {class: "disk is full", err: store.ErrFull},
	14: {class: "database file cannot be opened"},
	18: {class: "id or data is too long"},
	26: {class: "file is no database"},
}

// codeOf returns what a driver says the code of a failure is. It knows drivers by what
// their errors have in common, as this package imports none: the SQLState of the drivers
// for PostgreSQL, the Number of MySQL's, and the code of SQLite's.
func codeOf(d Dialect, err error) (r refusal, ok bool) {
	switch d {
	case PostgreSQL:
		var e interface{ SQLState() string }
		if errors.As(err, &e) {
			return ofSQLState(e.SQLState())
		}
	case MySQL:
		if n, is := field(err, "Number"); is {
			return of(mySQLCodes, n)
		}
	case SQLite:
		var e interface{ Code() int }
		if errors.As(err, &e) {
			return ofSQLite(uint64(e.Code())&0xff, err) //nolint:gosec // a code
		}
		if n, is := field(err, "Code"); is {
			return ofSQLite(n&0xff, err)
		}
	}
	return refusal{}, false
}

func ofSQLState(code string) (refusal, bool) {
	if len(code) != 5 {
		return refusal{}, false
	}
	if r, ok := sqlStates[code]; ok {
		return r, true
	}
	if r, ok := sqlStates[code[:2]]; ok {
		return r, true
	}
	for _, c := range code { // it is printed
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return refusal{}, false
		}
	}
	return refusal{class: "refused by the server (code " + code + ")"}, true
}

func of(codes map[uint64]refusal, n uint64) (refusal, bool) {
	if r, ok := codes[n]; ok {
		return r, true
	}
	return refusal{class: "refused by the server (code " + strconv.FormatUint(n, 10) + ")"}, true
}

// ofSQLite also looks into the text, as SQLite has no code for a table that is missing.
func ofSQLite(n uint64, err error) (refusal, bool) {
	if text := err.Error(); strings.Contains(text, "no such table") || strings.Contains(text, "no such column") || strings.Contains(text, "has no column named") {
		return refusal{class: "table is missing", err: ErrSchema}, true
	}
	return of(sqliteCodes, n)
}

// field returns a field of an error that is a struct, or points to one, or of one that
// it wraps, where it is a number.
func field(err error, name string) (uint64, bool) {
	for ; err != nil; err = errors.Unwrap(err) {
		v := reflect.ValueOf(err)
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			continue
		}
		switch f := v.FieldByName(name); {
		case !f.IsValid():
		case f.CanUint():
			return f.Uint(), true
		case f.CanInt() && f.Int() >= 0:
			return uint64(f.Int()), true //nolint:gosec // not negative
		}
	}
	return 0, false
}

// A phase is how far a call came before it failed.
type phase int

const (
	connecting phase = iota // it had no connection, so that nothing was sent
	sent                    // it had one
)

// failure makes a store.Error of what the driver or database/sql returned. Nothing of
// the text of an error of these is in it. It reports whether the same call may succeed
// now, and has changed nothing.
func (s *Store) failure(ctx context.Context, verb string, reached phase, err error) (f *store.Error, again bool) {
	f = &store.Error{Store: s.name(), Verb: verb}
	if reached == connecting || errors.As(err, new(undone)) {
		f.Outcome = store.OutcomeNotApplied
	}
	var op *net.OpError
	r, known := codeOf(s.opts.Dialect, err)
	if known && (ctx.Err() == nil || !r.unknown) {
		f.Class, f.Err = r.class, r.err
		if !r.unknown {
			f.Outcome = store.OutcomeNotApplied
		}
		if ctx.Err() != nil {
			f.Class, f.Err = contextClass(ctx.Err()), ctx.Err()
		}
		return f, ctx.Err() == nil && (r.again || r.lost && reached == sent && repeats(verb, err))
	}
	lost := false
	switch {
	case ctx.Err() != nil:
		f.Class, f.Err = contextClass(ctx.Err()), ctx.Err()
		if errors.Is(err, sql.ErrTxDone) { // ctx was done before the commit began
			f.Outcome = store.OutcomeNotApplied
		}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled): // of the driver, or of ctx a moment before that itself is done
		f.Class, f.Err = "timeout", context.DeadlineExceeded
	case errors.Is(err, driver.ErrBadConn) && s.honest:
		f.Class, f.Err, f.Outcome = "connection failed", io.ErrUnexpectedEOF, store.OutcomeNotApplied
		return f, true
	case errors.Is(err, driver.ErrBadConn):
		f.Class, f.Err = "connection failed", io.ErrUnexpectedEOF
	case strings.HasSuffix(err.Error(), "sql: database is closed"), errors.Is(err, sql.ErrConnDone):
		f.Class, f.Err, f.Outcome = "pool is closed", net.ErrClosed, store.OutcomeNotApplied
	case errors.As(err, &op) && op.Timeout(): // of ctx, a moment before that itself is done, or of the pool's driver
		f.Class, f.Err = "timeout", context.DeadlineExceeded
	case errors.As(err, &op):
		f.Class, f.Err, lost = "connection failed", op, true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		f.Class, f.Err, lost = "connection was closed", io.ErrUnexpectedEOF, true
	case strings.HasSuffix(err.Error(), "invalid connection"): // of MySQL's driver, which has no more than the text
		f.Class, lost = "connection was closed", true
	case strings.Contains(err.Error(), "packet for query is too large"): // likewise
		f.Class, f.Outcome = "id or data is too long", store.OutcomeNotApplied
	default:
		f.Class = unexplained
		if class := unconnected(err); class != "" {
			f.Class, f.Outcome = class, store.OutcomeNotApplied
		}
	}
	return f, lost && reached == sent && repeats(verb, err)
}

// unconnected returns why a driver did not connect, where it is a setting that is wrong, or
// "". The drivers have no more than the text for most of these.
func unconnected(err error) string {
	text := err.Error()
	switch {
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return "certificate of the server is not accepted: it is for another host, or of an unknown authority"
	case strings.HasPrefix(text, "cannot parse `"): // of pgx, which quotes it
		return "connection string cannot be parsed"
	case strings.HasSuffix(text, "server refused TLS connection"), strings.HasSuffix(text, "server does not support TLS"):
		return "server has no TLS, and the connection string demands it"
	}
	return ""
}

// unexplained is the class of an error that says nothing to this package.
const unexplained = "driver failed"

// repeats reports whether a call whose connection was lost is made again over another:
// where it comes to the same when it is done twice, and where it was a transaction that
// was not to be committed yet. What else is lost is core's to find out about.
func repeats(verb string, err error) bool { return twice[verb] || errors.As(err, new(undone)) }

// twice are the verbs that come to the same when they are done twice.
var twice = map[string]bool{"load": true, "inspect": true, "list": true, "count": true, "touch": true, "delete": true}
