package sqlitestore_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
)

// open returns a store on a file, or on one of its own where there is no name.
func open(t testing.TB, file string, o sqlitestore.Options) *sqlitestore.Store {
	t.Helper()
	if file == "" {
		file = filepath.Join(t.TempDir(), "sessions.db")
	}
	if o.SweepInterval == 0 {
		o.SweepInterval = sqlstore.NeverSweep
	}
	s, err := sqlitestore.Open(t.Context(), file, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func record(id, text string) store.Record {
	return store.Record{ID: id, Data: []byte(`{"text":"` + text + `"}`), TTL: time.Hour}
}

// stores returns a function that returns empty stores: a file takes longer to make than
// most tests of storetest do, so they use it one after the other.
func stores(t *testing.T, o sqlitestore.Options) func(t *testing.T) store.Store {
	var (
		mu   sync.Mutex
		idle []*sqlitestore.Store
	)
	return func(sub *testing.T) store.Store {
		mu.Lock()
		defer mu.Unlock()
		if len(idle) == 0 {
			idle = append(idle, open(t, "", o))
		}
		last := len(idle) - 1
		s := idle[last]
		idle = idle[:last]
		sub.Cleanup(func() {
			for _, part := range []store.Store{s, s.UserIndex()} {
				if err := part.(store.Clearer).Clear(context.Background()); err != nil {
					sub.Errorf("Clear: %v", err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			idle = append(idle, s)
		})
		return s
	}
}

func TestStore(t *testing.T) {
	storetest.Run(t, stores(t, sqlitestore.Options{Durability: sqlitestore.SyncChanges}))
}

func TestSessionsSurviveARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "odd name?%41#.db")
	rec := record("a", "x")
	s := open(t, file, sqlitestore.Options{})
	if err := s.Create(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, file, sqlitestore.Options{})
	if got, err := s.Load(t.Context(), "a"); err != nil || !bytes.Equal(got.Data, rec.Data) {
		t.Errorf("Load after a restart: %v, want what was stored", err)
	}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no file beside %s: %v", file, err)
	}
	for _, name := range names {
		if !strings.HasPrefix(filepath.Base(name), "odd name?%41#.db") {
			t.Errorf("there is a file %q", name)
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v, want 0600 (%v)", name, info.Mode(), err)
		}
	}
}

func TestAClosedStoreFails(t *testing.T) {
	s := open(t, "", sqlitestore.Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var f *store.Error
	if err := s.Create(t.Context(), record("a", "x")); !errors.As(err, &f) || f.Outcome != store.OutcomeNotApplied {
		t.Errorf("Create on a closed store: %v, want a store.Error and nothing stored", err)
	}
}

func TestAFileThatCannotBeUsedIsRefused(t *testing.T) {
	noDatabase := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(noDatabase, bytes.Repeat([]byte("this is no database"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, file, want string }{
		{"no name", "", "the name of the file is empty"},
		{"a folder", t.TempDir(), "cannot be opened for reading and writing"},
		{"no folder", filepath.Join(t.TempDir(), "missing", "sessions.db"), "cannot be opened for reading and writing"},
		{"no database", noDatabase, "it is no database of SQLite"},
	} {
		s, err := sqlitestore.Open(t.Context(), tt.file, sqlitestore.Options{})
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Open returned %v, want an error with %q", tt.name, err, tt.want)
		}
	}
	if _, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), sqlitestore.Options{Durability: 7}); err == nil {
		t.Error("Open accepts an unknown Durability")
	}
}

func TestAFileForEverybodyIsWarnedOf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sessions.db")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]bool{0o644: true, 0o600: false} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		s := open(t, file, sqlitestore.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		_ = s.Close()
		if strings.Contains(log.String(), "chmod 600") != want {
			t.Errorf("mode %v: logged %q, want a warning: %v", mode, log.String(), want)
		}
	}
}

// Writes that come at once are done in few transactions: each of these rewrites the
// same page, which each transaction adds to the log once.
func TestWritesThatWaitTogetherShareATransaction(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sessions.db")
	s := open(t, file, sqlitestore.Options{})
	const writers, each = 64, 20
	rec := record("a", "x")
	if err := s.Create(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	before := size(t, file+"-wal")
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if err := s.Touch(t.Context(), rec.ID, time.Hour); err != nil {
					t.Errorf("Touch: %v", err)
				}
			}
		})
	}
	wg.Wait()
	const page = 4096 + 24
	transactions := (size(t, file+"-wal") - before) / page
	if most := int64(writers * each / 4); transactions > most {
		t.Errorf("%d writes took %d transactions or more, want at most %d", writers*each, transactions, most)
	}
	t.Logf("%d writes took %d transactions", writers*each, transactions)
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// A write that waits for another process is given up when its context is done, and is
// not done later. Nor does it keep others from going on afterwards.
func TestAWriteIsGivenUpInTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sessions.db")
	s := open(t, file, sqlitestore.Options{})
	if err := s.Create(t.Context(), record("a", "x")); err != nil {
		t.Fatal(err)
	}
	unlock := lock(t, file)
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	for range 3 {
		ctx := soon()
		if err := s.Create(ctx, record(rand.Text(), "y")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Create behind the lock of another: %v, want DeadlineExceeded", err)
		}
	}
	replace := func(ctx context.Context) error {
		return s.Replace(ctx, record("a", "x"), record("a", "retired"), record("next", "x"))
	}
	took := time.Hour
	for tries := 5; tries > 0 && took > 4*time.Second; tries-- { // a machine that is busy takes longer now and then
		began := time.Now()
		if err := replace(soon()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Replace behind the lock of another: %v, want DeadlineExceeded", err)
		}
		if _, err := s.Load(t.Context(), "a"); err != nil {
			t.Errorf("Load behind the lock of another: %v", err)
		}
		took = time.Since(began)
	}
	if took > 4*time.Second {
		t.Errorf("that took %v, as if it had waited for the lock", took)
	}
	unlock()
	if err := s.Create(t.Context(), record("b", "z")); err != nil {
		t.Errorf("Create when the lock is gone: %v", err)
	}
	if err := replace(t.Context()); err != nil {
		t.Errorf("Replace when the lock is gone: %v", err)
	}
	if n, err := s.Count(t.Context()); err != nil || n > 4 { // a, b, next and the first of those, which the writer had begun
		t.Errorf("Count: %d, %v, want 4 at most: what was given up while it waited in line is not done", n, err)
	}
}

// A write that nobody else's is in the way of in this process is given up before it begins,
// and says so.
func TestALoneWriteThatWaitsForAnotherProcessIsNotDone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sessions.db")
	s := open(t, file, sqlitestore.Options{})
	unlock := lock(t, file)
	sqlitestore.Rest(s)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var f *store.Error
	if err := s.Create(ctx, record("a", "x")); !errors.As(err, &f) || f.Outcome != store.OutcomeNotApplied || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Create behind the lock of another: %v, want DeadlineExceeded, and not applied", err)
	}
	unlock()
	if err := s.Create(t.Context(), record("b", "x")); err != nil {
		t.Errorf("Create when the lock is gone: %v", err)
	}
	if n, err := s.Count(t.Context()); err != nil || n != 1 {
		t.Errorf("Count: %d, %v, want 1: what was given up is not done", n, err)
	}
}

// What fails in a shared transaction fails alone.
func TestAFailureIsNotShared(t *testing.T) {
	s := open(t, "", sqlitestore.Options{})
	errs := make([]error, 64)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			id := fmt.Sprint(i)
			if i%2 == 1 {
				id = strings.Repeat("x", 600) // longer than a table keeps
			}
			errs[i] = s.Create(t.Context(), record(id, "x"))
		})
	}
	wg.Wait()
	for i, err := range errs {
		if (err != nil) != (i%2 == 1) {
			t.Errorf("Create %d: %v", i, err)
		}
	}
}

// writeUntilKilled is a process that creates sessions, and ends every other one, and says
// so when it is done.
func writeUntilKilled() {
	s, err := sqlitestore.Open(context.Background(), os.Getenv("CLOAKROOM_FILE"), sqlitestore.Options{})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var mu sync.Mutex
	say := func(verb, id string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(verb, id)
	}
	for w := range 8 {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, n)
				if err := s.Create(context.Background(), record(id, "x")); err != nil {
					say("error", err.Error())
				}
				say("created", id)
				if n%2 == 1 {
					say("ending", id)
					if err := s.Delete(context.Background(), id); err != nil {
						say("error", err.Error())
					}
					say("ended", id)
				}
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test is over, too
	os.Exit(0)
}

// What has a deadline waits for other processes until then, and not only as long as what has
// none.
func TestOpenWaitsForOthersAsLongAsItsContextSays(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sessions.db")
	open(t, file, sqlitestore.Options{})
	unlock := lock(t, file)
	const ownPatience = 5 * time.Second
	time.AfterFunc(ownPatience+time.Second/2, unlock)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := sqlitestore.Open(ctx, file, sqlitestore.Options{})
	if err != nil {
		t.Fatalf("Open behind the lock of another: %v", err)
	}
	_ = s.Close()
}

// Where a file is new, each makes it one with a write-ahead log, and SQLite turns all but one
// away at once, whatever busy_timeout says.
func TestManyOpenANewFileAtOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // on a busy machine with one processor they wait for long
	defer cancel()
	for range 40 {
		file, begin := filepath.Join(t.TempDir(), "sessions.db"), make(chan struct{})
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				<-begin
				s, err := sqlitestore.Open(ctx, file, sqlitestore.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		close(begin)
		wg.Wait()
	}
}

// TestKilledProcesses has two processes on one file, kills both in the middle of it, and
// looks whether all is there that they said, and nothing that they said had ended.
func TestKilledProcesses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sessions.db")
	rounds := 2
	if os.Getenv("SOAK") != "" {
		rounds = 50
	}
	for range rounds {
		said := make(map[string]string)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 2 {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "CLOAKROOM_FILE="+file)
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				const enough = 300
				lines := bufio.NewScanner(out)
				for n := 0; lines.Scan(); n++ {
					verb, id, _ := strings.Cut(lines.Text(), " ")
					mu.Lock()
					said[id] = verb
					mu.Unlock()
					if verb == "error" {
						t.Errorf("a process says: %s", id)
					}
					if n == enough {
						_ = cmd.Process.Kill()
					}
				}
				_ = cmd.Wait()
			})
		}
		wg.Wait()
		s := open(t, file, sqlitestore.Options{})
		counts := make(map[string]int)
		for id, verb := range said {
			counts[verb]++
			_, err := s.Load(t.Context(), id)
			switch {
			case verb == "created" && err != nil:
				t.Errorf("a session is lost: %v", err)
			case verb == "ended" && !errors.Is(err, store.ErrNotFound):
				t.Errorf("a session that was ended is there: %v", err)
			}
		}
		if counts["created"] == 0 || counts["ended"] == 0 {
			t.Errorf("the processes did %v, want some of each", counts)
		}
		t.Logf("looked at %v", counts)
		_ = s.Close()
	}
}

// TestCounterOfTwoHandles has two stores on the same file count
// together, as an old and a new process do in a rolling restart.
func TestCounterOfTwoHandles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sessions.db")
	first := store.Record{ID: "a", Data: []byte("0"), TTL: time.Hour}
	a, b := open(t, file, sqlitestore.Options{}), open(t, file, sqlitestore.Options{})
	if err := a.Create(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	const each = 50
	var wg sync.WaitGroup
	for _, s := range []*sqlitestore.Store{a, b, a, b} {
		wg.Go(func() {
			for range each {
				rec, err := s.Load(t.Context(), "a")
				for ; err == nil; rec, err = s.Load(t.Context(), "a") {
					n, _ := strconv.Atoi(string(rec.Data))
					err := s.Update(t.Context(), rec, store.Record{ID: "a", Data: []byte(strconv.Itoa(n + 1)), TTL: time.Hour})
					if err == nil {
						break
					}
					if !errors.Is(err, store.ErrConflict) {
						t.Errorf("Update: %v", err)
						return
					}
				}
				if err != nil {
					t.Errorf("Load: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if rec, err := b.Load(t.Context(), "a"); err != nil || string(rec.Data) != strconv.Itoa(4*each) {
		t.Errorf("counted %s, %v, want %d", rec.Data, err, 4*each)
	}
}

// lock has another connection hold the lock for writing.
func lock(t *testing.T, file string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := c.ExecContext(t.Context(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		_ = c.Close()
	}
}
