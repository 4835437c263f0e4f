package servers

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A PostgreSQL is a private server. What it acknowledged survives Kill.
type PostgreSQL struct {
	Process
}

// StartPostgreSQL starts a server by the program that POSTGRESQL_SERVER names, with
// settings such as "lock_timeout=100ms", and returns when it takes statements.
func StartPostgreSQL(tb testing.TB, settings ...string) *PostgreSQL {
	tb.Helper()
	program := Env(tb, "POSTGRESQL_SERVER")
	port := strconv.Itoa(FreePort(tb))
	s := &PostgreSQL{Process{Addr: net.JoinHostPort("127.0.0.1", port), Dir: tempDir(tb), tb: tb, last: syscall.SIGTERM}} // it has shared memory to give back
	s.answers = s.ready
	s.command = []string{program, "--port", port, "--dir", s.Dir}
	for _, setting := range settings {
		s.command = append(s.command, "-c", setting)
	}
	s.run()
	return s
}

// ready reports whether the server takes statements.
func (s *PostgreSQL) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// Kill kills the server, and returns when the processes of its connections have noticed:
// each goes on until then.
func (s *PostgreSQL) Kill() {
	s.Process.Kill()
	data := filepath.Join(s.Dir, "data")
	Await(s.tb, "the end of all processes of the server", func() error {
		all, err := filepath.Glob("/proc/[0-9]*/cwd")
		if err != nil {
			return err
		}
		for _, cwd := range all {
			if where, err := os.Readlink(cwd); err == nil && where == data {
				return errors.New("one is left")
			}
		}
		return nil
	})
}

// URL returns how a client reaches the server, as a user who may do everything.
func (s *PostgreSQL) URL() string {
	return "postgres://postgres@" + s.Addr + "/postgres?sslmode=disable"
}
