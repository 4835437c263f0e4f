package sqlitestore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
)

// What a process is told that is to stop at a statement.
const (
	envFile  = "CLOAKROOM_STOPPING_FILE"
	envVerb  = "CLOAKROOM_STOPPING_VERB"
	envStop  = "CLOAKROOM_STOPPING_AT"
	envAfter = "CLOAKROOM_STOPPING_AFTER"
)

// A killedVerb is what a process is killed at, and how to see whether it was done.
type killedVerb struct {
	name string
	do   func(ctx context.Context, s *sqlitestore.Store) error
	many bool // it is a transaction of several statements
	left map[string]string
}

const together = 3 // writes that share a transaction

// before is what is stored before, by id.
var before = map[string]string{"a": "x"}

var killedVerbs = []killedVerb{
	{name: "create", do: func(ctx context.Context, s *sqlitestore.Store) error { return s.Create(ctx, record("b", "z")) }, left: map[string]string{"a": "x", "b": "z"}},
	{name: "update", do: func(ctx context.Context, s *sqlitestore.Store) error {
		return s.Update(ctx, record("a", "x"), record("a", "y"))
	}, left: map[string]string{"a": "y"}},
	{name: "remove", do: func(ctx context.Context, s *sqlitestore.Store) error { return s.Remove(ctx, record("a", "x")) }, left: map[string]string{}},
	{name: "delete", do: func(ctx context.Context, s *sqlitestore.Store) error { return s.Delete(ctx, "a") }, left: map[string]string{}},
	{name: "replace", many: true, do: func(ctx context.Context, s *sqlitestore.Store) error {
		return s.Replace(ctx, record("a", "x"), record("a", "y"), record("b", "z"))
	}, left: map[string]string{"a": "y", "b": "z"}},
	{name: "writes together", many: true, do: createTogether, left: map[string]string{"a": "x", "c0": "z", "c1": "z", "c2": "z"}},
}

// createTogether has several writes wait for the writer, which StopAt is set for.
func createTogether(ctx context.Context, s *sqlitestore.Store) error {
	waiting, release, err := sqlitestore.Hold(ctx, s)
	if err != nil {
		return err
	}
	errs := make(chan error, together)
	for i := range together {
		go func() { errs <- s.Create(ctx, record("c"+strconv.Itoa(i), "z")) }()
	}
	for waiting() < together {
		time.Sleep(time.Millisecond)
	}
	err = release()
	for range together {
		err = errors.Join(err, <-errs)
	}
	return err
}

// stopAtAStatement is a process that does a verb, and stops at one of its statements
// for good.
func stopAtAStatement() {
	s, err := sqlitestore.Open(context.Background(), os.Getenv(envFile), sqlitestore.Options{SweepInterval: -1})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	at, _ := strconv.Atoi(os.Getenv(envStop))
	for _, v := range killedVerbs {
		if v.name != os.Getenv(envVerb) {
			continue
		}
		if v.name == "writes together" { // what holds the writer is a statement, too
			at++
		}
		sqlitestore.StopAt(s, at, os.Getenv(envAfter) != "", func(word string) {
			fmt.Println("stopped", word)
			select {}
		})
		if err := v.do(context.Background(), s); err != nil {
			fmt.Println("error", err)
		}
		fmt.Println("done")
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
	os.Exit(0)
}

// TestKilledBetweenStatements kills a process by SIGKILL before and after each statement
// of a write, while another process has the file open: what the write was to do is done,
// all of it, once its last statement was, and before that nothing is. The other process
// goes on at once.
func TestKilledBetweenStatements(t *testing.T) {
	for _, v := range killedVerbs {
		t.Run(v.name, func(t *testing.T) {
			points := 0
			for n := 1; v.killedAt(t, n, false); n++ {
				v.killedAt(t, n, true)
				points += 2
			}
			if points < 2 || v.many && points < 8 {
				t.Errorf("killed at %d points only", points)
			}
			t.Logf("killed at %d points", points)
		})
	}
}

// killedAt reports whether there was such a statement.
func (v killedVerb) killedAt(t *testing.T, n int, after bool) bool {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sessions.db")
	s := open(t, file, sqlitestore.Options{})
	if err := s.Create(t.Context(), record("a", "x")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envFile+"="+file, envVerb+"="+v.name, envStop+"="+strconv.Itoa(n))
	if after {
		cmd.Env = append(cmd.Env, envAfter+"=1")
	}
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
	lines := bufio.NewScanner(out)
	lines.Scan()
	said, word, _ := strings.Cut(lines.Text(), " ")
	where := fmt.Sprintf("killed %s %s, which is statement %d", map[bool]string{true: "after", false: "before"}[after], word, n)
	if said == "stopped" {
		v.holds(t, s, where+", before that", after && v.last(word))
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	switch said {
	case "stopped":
		v.holds(t, s, where, after && v.last(word))
	case "done":
		v.holds(t, s, "killed when all was done", true)
	default:
		t.Fatalf("a process says: %s", lines.Text())
	}
	if err := s.Create(t.Context(), record("later", "x")); err != nil {
		t.Errorf("%s: the next write: %v", where, err)
	}
	return said == "stopped"
}

// last reports whether a statement is the one that makes the write done.
func (v killedVerb) last(word string) bool { return !v.many || word == "COMMIT" }

// holds checks what is stored.
func (v killedVerb) holds(t *testing.T, s *sqlitestore.Store, where string, done bool) {
	t.Helper()
	want := before
	if done {
		want = v.left
	}
	n := 0
	for rec, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if text, ok := want[rec.ID]; !ok || string(rec.Data) != string(record(rec.ID, text).Data) {
			t.Errorf("%s: %s holds %s, want %v", where, rec.ID, rec.Data, want)
		}
	}
	if n != len(want) {
		t.Errorf("%s: %d sessions are stored, want %v", where, n, want)
	}
	if _, err := s.Load(t.Context(), "later"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%s: Load of what is not there: %v", where, err)
	}
}
