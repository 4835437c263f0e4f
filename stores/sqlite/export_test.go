package sqlitestore

import (
	"context"
	"database/sql/driver"
	"strings"
)

// StopAt calls stopped at a statement of those that change the file, counted from now,
// before it is done or when it has been, with the first word of it. What undoes a
// transaction does not count.
func StopAt(s *Store, n int, after bool, stopped func(word string)) {
	h := s.w.handle
	for query, stmt := range h.stmts {
		_ = stmt.Close()
		delete(h.stmts, query)
	}
	h.conn = &stoppingConn{Conn: h.conn, left: n, after: after, stopped: stopped}
}

type stoppingConn struct {
	driver.Conn

	left    int
	after   bool
	stopped func(word string)
}

func (c *stoppingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	stmt, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if word, _, _ := strings.Cut(query, " "); err == nil && word != "ROLLBACK" {
		return &stoppingStmt{stmt, c, word}, nil
	}
	return stmt, err
}

type stoppingStmt struct {
	driver.Stmt

	conn *stoppingConn
	word string
}

func (s *stoppingStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.conn.left--
	if s.conn.left == 0 && !s.conn.after {
		s.conn.stopped(s.word)
	}
	result, err := s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	if s.conn.left == 0 && s.conn.after {
		s.conn.stopped(s.word)
	}
	return result, err
}

// Hold has the writer of a store do nothing until release is called. It returns what
// tells how many writes wait.
func Hold(ctx context.Context, s *Store) (waiting func() int, release func() error, err error) {
	t, err := s.w.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	return func() int { return len(s.w.jobs) }, func() error { return t.end(ctx, "ROLLBACK") }, nil
}

// Rest returns when the writer of a store has nothing to do.
func Rest(s *Store) {
	<-s.w.free
	s.w.free <- struct{}{}
}
