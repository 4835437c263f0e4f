package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
)

// Options are what can be set about a [Store]. The zero value is the
// recommended setting.
type Options struct {
	// Durability is what a power cut, or a crash of the system, may lose. A crash of
	// the process alone loses nothing. The default is SyncAll.
	Durability Durability

	// SweepInterval is the time between two rounds that remove expired sessions. An
	// expired session is not served or counted for as long as it waits. The default,
	// 0, is one minute. With [sqlstore.NeverSweep] there are no rounds, and
	// [sqlstore.Store.Sweep] is to be called from elsewhere.
	SweepInterval time.Duration

	// Logger is told when a round fails, and of a file that others can read. The
	// default is slog.Default().
	Logger *slog.Logger
}

// Durability is what a [Store] waits for before it answers.
type Durability int

const (
	// SyncAll answers when what was written is on the disk: a power cut loses nothing.
	SyncAll Durability = iota

	// SyncChanges does not wait for the disk when a session is new, or only lives
	// longer. A power cut may lose what was created or extended in the seconds before
	// it: who signed in then is signed out, and who was away may be. Never lost are a
	// logout, a revocation and a change of a session, and what was written before one.
	SyncChanges
)

// A Store keeps sessions in a file. It is made by [Open] and may be used by many
// goroutines at once. What it returns as errors is what [sqlstore.Store] does.
type Store struct {
	*sqlstore.Store

	db *sql.DB
	w  *writer
}

var _ interface {
	store.Store
	store.Replacer
	store.BatchCreator
	store.UpdateLoader
	store.Remover
	store.Lister
	store.Counter
	store.Clearer
	store.UserIndexer
	store.Pinger
} = (*Store)(nil)

// openTimeout is how long Open waits for the other processes that use the file, where its
// context has no deadline.
const openTimeout = 10 * time.Second

// Open returns a store on a file, which it makes where there is none, for the user of
// the process alone. The folder has to be there. The error says what is wrong with the
// file, such as that it cannot be written or is on a network file system. Where other
// processes use the file, Open waits for them until ctx is done, or for 10 seconds where
// ctx has no deadline.
func Open(ctx context.Context, file string, o Options) (*Store, error) {
	if o.Durability != SyncAll && o.Durability != SyncChanges {
		return nil, fmt.Errorf("cloakroom: sqlite store: Options.Durability is %d, want SyncAll or SyncChanges", o.Durability)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, openTimeout)
		defer cancel()
	}
	name, err := prepare(ctx, file, o.Logger)
	if err != nil {
		return nil, err
	}
	w, err := newWriter(ctx, name, o.Durability)
	if err != nil {
		return nil, err
	}
	s := &Store{db: sql.OpenDB(&connector{name: name, w: w, readers: newReaders(name)}), w: w}
	s.db.SetMaxIdleConns(mostIdle)
	if err := s.open(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, o Options) (err error) {
	options := sqlstore.Options{Dialect: sqlstore.SQLite, SweepInterval: o.SweepInterval, Logger: o.Logger}
	if err := sqlstore.Migrate(ctx, s.db, options); err != nil {
		return err
	}
	s.Store, err = sqlstore.New(s.db, options) //nolint:contextcheck // its goroutine lives until Close
	return err
}

// prepare makes the file where there is none, and returns its name as SQLite takes it.
func prepare(ctx context.Context, file string, logger *slog.Logger) (name string, err error) {
	if file == "" {
		return "", errors.New("cloakroom: sqlite store: the name of the file is empty: want one such as sessions.db; for sessions in memory there is package memorystore")
	}
	file, err = filepath.Abs(file)
	if err != nil {
		return "", fmt.Errorf("cloakroom: sqlite store: %w", err)
	}
	if kind := networkOf(filepath.Dir(file)); kind != "" {
		return "", fmt.Errorf("cloakroom: sqlite store: %s is on a network file system (%s), where the locks of SQLite do not hold: choose a folder on a local disk, or a database that is a server", file, kind)
	}
	info, err := ensureFile(file)
	if err != nil {
		return "", fmt.Errorf("cloakroom: sqlite store: the file cannot be opened for reading and writing: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		logger.WarnContext(ctx, "cloakroom: sqlite store: every user of this machine can read or write the file of the sessions: chmod 600", slog.String("file", file))
	}
	return "file:" + (&url.URL{Path: filepath.ToSlash(file)}).EscapedPath(), nil
}

// ensureFile makes the file where there is none. It does not open one that is there: a process
// that closes any descriptor of a file loses all its locks on it (fcntl(2)), and those of
// another store on the same file are among them.
func ensureFile(file string) (fs.FileInfo, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the app's choice
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // nothing was written
		return f.Stat()
	}
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no file")
	}
	return info, canWrite(file)
}

// Close stops the removal of expired sessions, writes what is in the file with -wal
// behind its name into the file itself, as far as no other process uses it, and closes
// it. Calls under way come to their end; later ones fail.
func (s *Store) Close() error {
	if s.Store != nil {
		_ = s.Store.Close() // always nil
	}
	if err := s.db.Close(); err != nil {
		return errors.New("cloakroom: sqlite store: a connection cannot be closed")
	}
	return s.w.close()
}

// Format implements [fmt.Formatter]: no verb prints what a store holds.
func (s *Store) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("sqlitestore.Store")) }
