package takeover

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
)

// Records is the store in which the former library keeps its sessions. It may be used
// by several goroutines at once.
type Records interface {
	// Record returns what is stored under the id of a session, without changing it. The
	// error matches [predecessor.ErrNone] where there is nothing.
	Record(ctx context.Context, id string) (Record, error)

	// Delete deletes it, at a logout. Where there is nothing it returns nil.
	Delete(ctx context.Context, id string) error
}

// A Record is what the former library stored of a session.
type Record struct {
	Data    []byte
	Expires time.Time // when the store will drop it; zero where that is not known
}

// Files are the records of gorilla's FilesystemStore, and of gin-contrib's
// filesystem, in that folder: the one that the store was given, or os.TempDir().
type Files string

var _ Records = Files("")

// Record implements [Records].
func (f Files) Record(_ context.Context, id string) (Record, error) {
	name, ok := f.name(id)
	if !ok {
		return Record{}, predecessor.ErrNone
	}
	file, err := os.Open(name) //nolint:gosec // its name was looked at
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, predecessor.ErrNone
	} else if err != nil {
		return Record{}, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(file, 2*maxRecord))
	return Record{Data: data}, err
}

// Delete implements [Records].
func (f Files) Delete(_ context.Context, id string) error {
	name, ok := f.name(id)
	if !ok {
		return nil
	}
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// name returns the name of the file of a session. An id is one of base32, and names
// no other folder.
func (f Files) name(id string) (string, bool) {
	for _, c := range []byte(id) {
		if (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return "", false
		}
	}
	return filepath.Join(string(f), "session_"+id), id != ""
}

// SQL are the records in a table, as gormstore and pgstore write them. The statements
// take the id as their only argument, in the way of the driver:
//
//	SELECT data FROM sessions WHERE id = $1 AND expires_at > now()
//	DELETE FROM sessions WHERE id = $1
//
// gorm's table is sessions; that of postgres is http_sessions, its id the column key,
// and its expiry expires_on.
type SQL struct {
	DB     *sql.DB
	Select string // of one column: the data
	Remove string
}

var _ Records = SQL{}

// Record implements [Records].
func (q SQL) Record(ctx context.Context, id string) (r Record, err error) {
	err = q.DB.QueryRowContext(ctx, q.Select, id).Scan(&r.Data)
	if errors.Is(err, sql.ErrNoRows) {
		return Record{}, predecessor.ErrNone
	}
	return r, err
}

// Delete implements [Records].
func (q SQL) Delete(ctx context.Context, id string) error {
	_, err := q.DB.ExecContext(ctx, q.Remove, id)
	return err
}
