package sqlstore

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/store"
)

const secretText = "id-of-a-session"

// Errors that have what the drivers' errors have, as this module requires none of these.
// The tests of the real ones are in tests/sql.
type (
	postgresError string // pgx and lib/pq

	mysqlError struct { // go-sql-driver/mysql
		Number  uint16
		Message string
	}

	sqliteError int // modernc.org/sqlite

	mattnError struct { // mattn/go-sqlite3
		Code int
	}
)

func (e postgresError) Error() string    { return secretText }
func (e postgresError) SQLState() string { return string(e) }
func (e *mysqlError) Error() string      { return secretText }
func (e sqliteError) Error() string      { return secretText }
func (e sqliteError) Code() int          { return int(e) }
func (e mattnError) Error() string       { return secretText }

func TestWhatTheDriverReturnsBecomesAStoreError(t *testing.T) {
	live := context.Background()
	cancelled, cancel := context.WithCancel(live)
	cancel()
	var (
		dial    = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		read    = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
		late    = &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
		mysql   = func(n uint16) error { return fmt.Errorf("wrapped: %w", &mysqlError{n, secretText}) }
		refused = store.OutcomeNotApplied
		unknown = store.OutcomeUnknown
	)
	for _, tt := range []struct {
		name    string
		dialect Dialect
		ctx     context.Context
		reached phase
		err     error
		outcome store.Outcome
		class   string
		is      error // found in the chain; nil: nothing is
		again   bool
	}{
		{"no connection", PostgreSQL, live, connecting, fmt.Errorf("wrapped: %w", dial), refused, "connection failed", syscall.ECONNREFUSED, false},
		{"no connection in time", PostgreSQL, cancelled, connecting, context.Canceled, refused, "canceled", context.Canceled, false},
		{"lost connection", PostgreSQL, live, sent, read, unknown, "connection failed", syscall.ECONNRESET, false},
		{"silent connection", PostgreSQL, live, sent, late, unknown, "timeout", context.DeadlineExceeded, false},
		{"closed connection", PostgreSQL, live, sent, io.ErrUnexpectedEOF, unknown, "connection was closed", io.ErrUnexpectedEOF, false},
		{"canceled call", PostgreSQL, cancelled, sent, context.Canceled, unknown, "canceled", context.Canceled, false},
		{"canceled call that the server undid", PostgreSQL, cancelled, sent, postgresError("57014"), refused, "canceled", context.Canceled, false},
		{"canceled before the commit", MySQL, cancelled, sent, sql.ErrTxDone, refused, "canceled", context.Canceled, false},
		{"timeout of the driver", PostgreSQL, live, sent, context.DeadlineExceeded, unknown, "timeout", context.DeadlineExceeded, false},
		{"bad connection, nothing sent", PostgreSQL, live, sent, driver.ErrBadConn, refused, "connection failed", io.ErrUnexpectedEOF, true},
		{"closed pool", PostgreSQL, live, connecting, errors.New("sql: database is closed"), refused, "pool is closed", net.ErrClosed, false},
		{"connection lost within a transaction", MySQL, live, sent, undone{read}, refused, "connection failed", syscall.ECONNRESET, true},
		{"shutdown within a transaction", MySQL, live, sent, undone{mysql(1053)}, refused, "server is shutting down", nil, true},
		{"failure within a transaction", MySQL, live, sent, undone{mysql(1205)}, refused, "lock timeout", nil, false},
		{"deadline within a transaction", MySQL, cancelled, sent, undone{read}, refused, "canceled", context.Canceled, false},

		{"connection string that pgx does not understand", PostgreSQL, live, connecting, errors.New("cannot parse `" + secretText + "`: invalid port"), refused, "connection string cannot be parsed", nil, false},
		{"server without TLS", PostgreSQL, live, connecting, errors.New("failed to connect to `" + secretText + "`: tls error: server refused TLS connection"), refused, "server has no TLS, and the connection string demands it", nil, false},
		{"server without TLS", MySQL, live, connecting, errors.New("TLS requested but server does not support TLS"), refused, "server has no TLS, and the connection string demands it", nil, false},
		{"certificate of an authority that is not known", PostgreSQL, live, connecting, errors.Join(&tls.CertificateVerificationError{Err: errors.New(secretText)}), refused, "certificate of the server is not accepted: it is for another host, or of an unknown authority", nil, false},

		{"serialization failure", PostgreSQL, live, sent, postgresError("40001"), refused, "serialization failure", nil, true},
		{"deadlock", PostgreSQL, live, sent, postgresError("40P01"), refused, "deadlock", nil, true},
		{"deadlock, canceled meanwhile", PostgreSQL, cancelled, sent, postgresError("40P01"), refused, "canceled", context.Canceled, false},
		{"unknown completion", PostgreSQL, live, sent, postgresError("40003"), unknown, "unknown whether it was done", nil, false},
		{"read-only", PostgreSQL, live, sent, postgresError("25006"), refused, "database is read-only", nil, false},
		{"full disk", PostgreSQL, live, sent, postgresError("53100"), refused, "disk is full", store.ErrFull, false},
		{"no table", PostgreSQL, live, sent, postgresError("42P01"), refused, "table is missing", ErrSchema, false},
		{"no permission", PostgreSQL, live, sent, postgresError("42501"), refused, "not permitted to this user", nil, false},
		{"shutdown", PostgreSQL, live, sent, postgresError("57P01"), unknown, "server is shutting down", nil, false},
		{"idle for too long within a transaction", PostgreSQL, live, sent, undone{postgresError("25P03")}, refused, "connection was idle for too long", nil, true},
		{"database dropped", PostgreSQL, live, sent, postgresError("57P04"), unknown, "database was dropped", nil, false},
		{"server that starts, at the last of its addresses", PostgreSQL, live, connecting, errors.Join(dial, postgresError("57P03")), refused, "server is not ready", nil, false},
		{"wrong password", PostgreSQL, live, connecting, postgresError("28P01"), refused, "authentication failed", nil, false},
		{"internal error", PostgreSQL, live, sent, postgresError("XX000"), unknown, "internal error of the server", nil, false},
		{"another code", PostgreSQL, live, sent, postgresError("22P05"), refused, "refused by the server (code 22P05)", nil, false},
		{"no code at all", PostgreSQL, live, sent, postgresError(secretText[:5]), unknown, "driver failed", nil, false},

		{"deadlock", MySQL, live, sent, mysql(1213), refused, "deadlock", nil, true},
		{"lock timeout", MySQL, live, sent, mysql(1205), refused, "lock timeout", nil, false},
		{"read-only", MySQL, live, sent, mysql(1290), refused, "database is read-only", nil, false},
		{"no table", MySQL, live, sent, mysql(1146), refused, "table is missing", ErrSchema, false},
		{"full disk", MySQL, live, sent, mysql(1114), refused, "disk is full", store.ErrFull, false},
		{"shutdown", MySQL, live, sent, mysql(1053), unknown, "server is shutting down", nil, false},
		{"idle for too long", MySQL, live, sent, mysql(4031), unknown, "connection was idle for too long", nil, false},
		{"idle for too long within a transaction", MySQL, live, sent, undone{mysql(4031)}, refused, "connection was idle for too long", nil, true},
		{"no database in the DSN", MySQL, live, sent, mysql(1046), refused, "connection string names no database", nil, false},
		{"another code", MySQL, live, sent, mysql(1366), refused, "refused by the server (code 1366)", nil, false},
		{"lost connection", MySQL, live, sent, errors.New("invalid connection"), unknown, "connection was closed", nil, false},
		{"large packet", MySQL, live, sent, errors.New("packet for query is too large. Try adjusting the `Config.MaxAllowedPacket`"), refused, "id or data is too long", nil, false},

		{"locked", SQLite, live, sent, sqliteError(5), refused, "database is locked", nil, false},
		{"locked, extended code", SQLite, live, sent, sqliteError(261), refused, "database is locked", nil, false},
		{"locked, by the other driver", SQLite, live, sent, mattnError{5}, refused, "database is locked", nil, false},
		{"read-only", SQLite, live, sent, sqliteError(8), refused, "database is read-only", nil, false},
		{"full disk", SQLite, live, sent, sqliteError(13), refused, "disk is full", store.ErrFull, false},
		{"disk error", SQLite, live, sent, sqliteError(10), unknown, "disk I/O error", nil, false},
		{"interrupted", SQLite, cancelled, sent, sqliteError(9), unknown, "canceled", context.Canceled, false},

		{"something else, with an id in it", PostgreSQL, live, sent, errors.New(secretText), unknown, "driver failed", nil, false},
	} {
		t.Run(string(tt.dialect)+"/"+tt.name, func(t *testing.T) {
			s := &Store{opts: Options{Dialect: tt.dialect}, honest: true}
			f, again := s.failure(tt.ctx, "update", tt.reached, tt.err)
			if f.Store != string(tt.dialect) || f.Verb != "update" || f.Outcome != tt.outcome || f.Class != tt.class || again != tt.again {
				t.Errorf("got %+v, again %v, want outcome %v, class %q, again %v", f, again, tt.outcome, tt.class, tt.again)
			}
			if tt.is == nil && f.Err != nil || !errors.Is(f, tt.is) && tt.is != nil {
				t.Errorf("got %v in the chain, want %v", f.Err, tt.is)
			}
			if strings.Contains(f.Error(), secretText) {
				t.Errorf("the error quotes the driver's: %v", f)
			}
		})
	}
}

// What comes to the same when it is done twice is done again when its connection is lost.
func TestALostConnectionIsNoReasonToFailWhatMayBeDoneTwice(t *testing.T) {
	of := map[Dialect]*Store{}
	for _, d := range []Dialect{PostgreSQL, MySQL} {
		of[d] = &Store{opts: Options{Dialect: d}, honest: true}
	}
	s := of[PostgreSQL]
	lost := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for verb, want := range map[string]bool{"load": true, "inspect": true, "touch": true, "delete": true, "create": false, "update": false, "remove": false, "replace": false} {
		for _, err := range []error{lost, io.ErrUnexpectedEOF, postgresError("57P01"), postgresError("08006")} {
			if f, again := s.failure(t.Context(), verb, sent, err); again != want || f.Outcome != store.OutcomeUnknown {
				t.Errorf("%s, %T: again %v, %+v, want %v, and an unknown outcome", verb, err, again, f, want)
			}
			if _, again := s.failure(t.Context(), verb, connecting, err); again {
				t.Errorf("%s, %T: is done again where nobody can be reached", verb, err)
			}
			if _, again := s.failure(cancelled, verb, sent, err); again {
				t.Errorf("%s, %T: is done again when its time is over", verb, err)
			}
		}
		for d, codes := range map[Dialect][]string{
			PostgreSQL: {"57P01", "57P02", "57P04", "57P05", "25P03", "25P04", "08006", "08P01"},
			MySQL:      {"1053", "1079", "1152", "1158", "1159", "1160", "1161", "1184", "1927", "2006", "2013", "2055", "3169", "4031"},
		} {
			for _, code := range codes {
				var err error = postgresError(code)
				if d == MySQL {
					n, _ := strconv.Atoi(code)
					err = &mysqlError{uint16(n), secretText} //nolint:gosec // one of these
				}
				if f, again := of[d].failure(t.Context(), verb, sent, err); again != want || f.Outcome != store.OutcomeUnknown {
					t.Errorf("%s, %s of %s: again %v, %+v, want %v, and an unknown outcome", verb, code, d, again, f, want)
				}
			}
		}
		for _, err := range []error{postgresError("42501"), postgresError("XX000"), errors.New(secretText)} {
			if _, again := s.failure(t.Context(), verb, sent, err); again {
				t.Errorf("%s: is done again after %T", verb, err)
			}
		}
	}
}

// A driver that says "bad connection" of what it has sent is not believed.
func TestADriverThatIsNotHonestLeavesItOpen(t *testing.T) {
	s := &Store{opts: Options{Dialect: PostgreSQL}}
	if f, again := s.failure(t.Context(), "update", sent, driver.ErrBadConn); f.Outcome != store.OutcomeUnknown || again {
		t.Errorf("got %+v, again %v, want an unknown outcome", f, again)
	}
}

func TestALifeIsRoundedUp(t *testing.T) {
	for ttl, want := range map[string]int64{"postgresql": 1, "sqlite": 1} {
		if got := idioms[Dialect(ttl)].life(1); got != want {
			t.Errorf("%s: a nanosecond is %d units, want %d", ttl, got, want)
		}
	}
}
