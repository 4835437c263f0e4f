package servers

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
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

// StandBy starts a server that follows this one, which it stops and starts again for
// that, and returns when it can be read. The settings are those of the new one.
func (s *PostgreSQL) StandBy(settings ...string) *PostgreSQL {
	s.tb.Helper()
	port := strconv.Itoa(FreePort(s.tb))
	r := &PostgreSQL{Process{Addr: net.JoinHostPort("127.0.0.1", port), Dir: tempDir(s.tb), tb: s.tb, last: syscall.SIGTERM}}
	r.answers = r.ready
	_, primary := s.hostPort()
	r.command = []string{s.command[0], "--port", port, "--dir", r.Dir, "-c", "primary_conninfo=host=127.0.0.1 port=" + primary + " user=postgres"}
	for _, setting := range settings {
		r.command = append(r.command, "-c", setting)
	}
	s.Stop()
	data := filepath.Join(r.Dir, "data")
	if out, err := exec.Command("cp", "-a", filepath.Join(s.Dir, "data"), data).CombinedOutput(); err != nil {
		s.tb.Fatalf("cp: %v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(data, "standby.signal"), nil, 0o644); err != nil { //nolint:gosec // it is empty, and the server may be another user's
		s.tb.Fatal(err)
	}
	s.Start()
	r.run()
	return r
}

// Kill kills the server, and returns when the processes of its connections have noticed:
// each goes on until then.
func (s *PostgreSQL) Kill() {
	s.Process.Kill()
	s.awaitEndIn(filepath.Join(s.Dir, "data"))
}

// awaitEndIn waits until no process works in a directory any more.
func (s *Process) awaitEndIn(dir string) {
	Await(s.tb, "the end of all processes of the server", func() error {
		all, err := filepath.Glob("/proc/[0-9]*/cwd")
		if err != nil {
			return err
		}
		for _, cwd := range all {
			if where, err := os.Readlink(cwd); err == nil && where == dir {
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

// A MariaDB is a private server. What it acknowledged survives Kill.
type MariaDB struct {
	Process
}

// StartMariaDB starts a server by the program that MARIADB_SERVER names, and returns when
// it takes connections.
func StartMariaDB(tb testing.TB) *MariaDB {
	tb.Helper()
	program := os.Getenv("MARIADB_SERVER")
	if program == "" { // CI has servers of containers, and no program of one that runs there
		tb.Skip("NOT TESTED: MARIADB_SERVER names no program of MariaDB")
	}
	port := strconv.Itoa(FreePort(tb))
	s := &MariaDB{Process{Addr: net.JoinHostPort("127.0.0.1", port), Dir: tempDir(tb), tb: tb, last: syscall.SIGTERM}}
	s.answers = func() error {
		conn, err := net.Dial("tcp", s.Addr)
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	s.command = []string{program, "--port", port, "--dir", s.Dir}
	s.run()
	return s
}

// Kill kills the server, and returns when it has ended.
func (s *MariaDB) Kill() {
	s.Process.Kill()
	s.awaitEndIn(filepath.Join(s.Dir, "data"))
}

// DSN returns how a client reaches the server, as a user who may do everything.
func (s *MariaDB) DSN() string { return "root@tcp(" + s.Addr + ")/test" }
