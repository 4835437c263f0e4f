package sqlitestore

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"time"

	"modernc.org/sqlite"
)

// A handle is a connection of SQLite with the statements that were made for it. One
// goroutine at a time uses it.
type handle struct {
	conn  driver.Conn
	stmts map[string]driver.Stmt
}

// mostStatements is how many statements a handle keeps. The store has some thirty.
const mostStatements = 100

// settings are for every connection. What waits for another process asks again for as
// long as busy_timeout says, in ms. The file of the log is cut back to journal_size_limit,
// in bytes, when all of it is in the database.
var settings = []string{
	"PRAGMA busy_timeout = 5000",
	"PRAGMA journal_mode = WAL",
	"PRAGMA journal_size_limit = 16777216",
	"PRAGMA synchronous = FULL",
}

func openHandle(ctx context.Context, name string) (*handle, error) {
	conn, err := new(sqlite.Driver).Open(name)
	if err != nil {
		return nil, err
	}
	h := &handle{conn: conn, stmts: make(map[string]driver.Stmt)}
	for _, s := range settings {
		if err := h.setPatiently(ctx, s); err != nil {
			_ = h.close()
			return nil, err
		}
	}
	return h, nil
}

// setPatiently makes a setting, and waits for other processes until ctx is done, or for as
// long as patience where it has no deadline. Where two give a new file its log at once,
// SQLite turns one of them away without a wait, whatever busy_timeout says.
func (h *handle) setPatiently(ctx context.Context, setting string) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	for {
		err := h.set(ctx, setting)
		if !isBusy(err) {
			return err
		}
		select {
		case <-time.After(moment):
		case <-ctx.Done():
			return err
		}
	}
}

// set makes a setting. One that SQLite cannot do with this file, it leaves as it was, and
// says so.
func (h *handle) set(ctx context.Context, setting string) error {
	rows, err := h.query(ctx, setting, nil)
	if err != nil {
		return err
	}
	found, err := rows.all()
	if err != nil {
		return err
	}
	if strings.HasSuffix(setting, "= WAL") && (len(found.rows) != 1 || found.rows[0][0] != "wal") {
		return errNoLog
	}
	return nil
}

var errNoLog = errors.New("cloakroom: sqlite store: the file system of this file does not allow a write-ahead log, which needs memory that processes share: choose a folder on a local disk")

func (h *handle) stmt(ctx context.Context, query string) (driver.Stmt, error) {
	if s, ok := h.stmts[query]; ok {
		return s, nil
	}
	s, err := h.conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if len(h.stmts) == mostStatements {
		for old, s := range h.stmts {
			_ = s.Close()
			delete(h.stmts, old)
		}
	}
	h.stmts[query] = s
	return s, nil
}

func (h *handle) exec(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := h.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (h *handle) query(ctx context.Context, query string, args []driver.NamedValue) (*rows, error) {
	s, err := h.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	r, err := s.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	return &rows{Rows: r, done: func() {}}, nil
}

func (h *handle) close() error {
	for _, s := range h.stmts {
		_ = s.Close()
	}
	return h.conn.Close()
}

// rows are those of a handle, which is free when they are closed.
type rows struct {
	driver.Rows

	done func()
}

func (r *rows) Close() error {
	defer func() { r.done(); r.done = func() {} }()
	return r.Rows.Close()
}

// all reads all rows and closes them.
func (r *rows) all() (*found, error) {
	f := &found{columns: r.Columns()}
	for {
		values := make([]driver.Value, len(f.columns))
		switch err := r.Next(values); {
		case errors.Is(err, io.EOF):
			return f, r.Close()
		case err != nil:
			_ = r.Close()
			return nil, err
		}
		for i, v := range values { // the connection may use the bytes again
			if b, ok := v.([]byte); ok {
				values[i] = append([]byte{}, b...)
			}
		}
		f.rows = append(f.rows, values)
	}
}

// found are rows that have been read.
type found struct {
	columns []string
	rows    [][]driver.Value
}

func (f *found) Columns() []string { return f.columns }
func (f *found) Close() error      { return nil }

func (f *found) Next(values []driver.Value) error {
	if len(f.rows) == 0 {
		return io.EOF
	}
	copy(values, f.rows[0])
	f.rows = f.rows[1:]
	return nil
}

// readers are the connections that read. There are few of them, each of which is lent to
// one query.
type readers struct {
	name string
	free chan *handle // nil: not opened yet
}

const mostReaders = 8

func newReaders(name string) *readers {
	r := &readers{name: name, free: make(chan *handle, mostReaders)}
	for range mostReaders {
		r.free <- nil
	}
	return r
}

func (r *readers) query(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	var h *handle
	select {
	case h = <-r.free:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if h == nil {
		var err error
		if h, err = openHandle(ctx, r.name); err != nil {
			r.free <- nil
			return nil, err
		}
	}
	found, err := h.query(ctx, query, args)
	if err != nil {
		r.free <- h
		return nil, err
	}
	found.done = func() { r.free <- h }
	return found, nil
}

// close waits for what is lent.
func (r *readers) close() (err error) {
	for range mostReaders {
		if h := <-r.free; h != nil {
			err = errors.Join(err, h.close())
		}
	}
	return err
}

// A connector makes what package sql takes for connections. They share the connections
// of SQLite: the readers, and the one of the writer.
type connector struct {
	name    string
	w       *writer
	readers *readers
}

// mostIdle is how many of them package sql keeps. They cost nothing.
const mostIdle = 256

func (c *connector) Connect(context.Context) (driver.Conn, error) { return &conn{connector: c}, nil }
func (c *connector) Driver() driver.Driver                        { return notByName{} }
func (c *connector) Close() error                                 { return c.readers.close() }

// notByName is what package sql wants to have of a connector.
type notByName struct{}

func (notByName) Open(string) (driver.Conn, error) {
	return nil, errors.New("cloakroom: sqlite store: not opened by name")
}

// A conn is a connection to package sql: its queries go to the readers and its writes to
// the writer. Between BEGIN IMMEDIATE and its end it has the writer for itself.
type conn struct {
	*connector

	tx *turn
}

func (c *conn) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("cloakroom: sqlite store: statements are not prepared here")
}

func (c *conn) Begin() (driver.Tx, error) {
	return nil, errors.New("cloakroom: sqlite store: a transaction begins with BEGIN IMMEDIATE")
}

func (c *conn) Close() error {
	if c.tx != nil {
		_ = c.tx.end(context.Background(), "ROLLBACK") // nobody waits for it
		c.tx = nil
	}
	return nil
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if c.tx != nil {
		return c.tx.query(ctx, query, args)
	}
	return c.readers.query(ctx, query, args)
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (result driver.Result, err error) {
	switch {
	case query == "BEGIN IMMEDIATE":
		c.tx, err = c.w.begin(ctx)
		return driver.ResultNoRows, err
	case query == "COMMIT" || query == "ROLLBACK":
		if c.tx == nil {
			return nil, errors.New("cloakroom: sqlite store: there is no transaction")
		}
		tx := c.tx
		if err := tx.end(ctx, query); err != nil {
			return nil, err
		}
		c.tx = nil
		return driver.ResultNoRows, nil
	case c.tx != nil:
		return c.tx.exec(ctx, query, args)
	}
	return c.w.exec(ctx, query, args)
}
