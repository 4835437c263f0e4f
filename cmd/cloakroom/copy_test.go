package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/cmd/cloakroom/internal/target"
	"github.com/cloakroom-go/cloakroom/cmd/cloakroom/internal/transfer"
	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A told is what copy --json says of a pass.
type told struct {
	Looked, Copied, Updated, Extended, Removed, Foreign int
	Alike, Last                                         bool
}

// move is an environment in which to copy from one store to another.
type move map[string]string

func newMove(t *testing.T, from, to string) move {
	return move{"CLOAKROOM_STORE": from, "CLOAKROOM_TO": to, "JOURNAL": filepath.Join(t.TempDir(), "journal")}
}

// copy copies, and returns what is said of the last pass.
func (m move) copy(t *testing.T, code int, args ...string) (first, last told) {
	t.Helper()
	r := operate(t, m, append([]string{"copy", "--json", "--journal", m["JOURNAL"]}, args...)...).want(t, code)
	all := lines[told](t, r)
	if !all[len(all)-1].Last {
		t.Errorf("the last pass is not called so: %s", r.out)
	}
	return all[0], all[len(all)-1]
}

// contents returns all that a store has.
func contents(t *testing.T, s *target.Target) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for name, side := range map[string]store.Lister{"sessions": s.Store, "lists": s.Store.UserIndex().(store.Lister)} {
		for rec, err := range side.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			all[name+rec.ID] = string(rec.Data)
		}
	}
	return all
}

func alike(t *testing.T, from, to *target.Target) {
	t.Helper()
	if a, b := contents(t, from), contents(t, to); !maps.Equal(a, b) || len(a) == 0 {
		t.Errorf("the source has %d records and the target %d, or they differ", len(a), len(b))
	}
}

func TestSessionsMoveFromEveryStoreToEveryOther(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"valkey", "mongodb"}, {"mongodb", "postgresql"}, {"postgresql", "sqlite"}, {"sqlite", "mysql"}, {"mysql", "cluster"}, {"cluster", "valkey"}} {
		t.Run(pair[0]+" to "+pair[1], func(t *testing.T) {
			t.Parallel()
			m := newMove(t, kinds[pair[0]](t), kinds[pair[1]](t))
			from := open(t, m["CLOAKROOM_STORE"])
			old := newApp(t, from, core.Config{SealKeys: []string{keyOne}})
			ada, bob, eve := old.visit("login=ada&cart=apples"), old.visit("login=bob"), old.visit("login=eve")
			for range 1100 { // more than one batch
				create(t, from, unique(), `{"cookie":{"path":"/"},"n":1}`)
			}
			first, last := m.copy(t, exitOK)
			to := open(t, m["CLOAKROOM_TO"])
			if first.Copied != 1106 || !last.Alike || last.Looked != 1106 {
				t.Errorf("copied %+v, and at the end %+v", first, last)
			}
			alike(t, from, to)

			// Life goes on, and the copy after it.
			old.ask(ada, "cart=pears")
			if err := old.m.RevokeUser(t.Context(), "bob"); err != nil {
				t.Fatal(err)
			}
			old.visit("login=mia")
			if first, last = m.copy(t, exitOK); first.Updated < 2 || first.Copied != 2 || first.Removed != 1 || !last.Alike {
				t.Errorf("a day later, %+v", first)
			}
			alike(t, from, to)

			// The apps move.
			app := newApp(t, to, core.Config{SealKeys: []string{keyOne}})
			for cookie, want := range map[string]string{ada: "ada pears", bob: " <nil>", eve: "eve <nil>"} {
				if body, _ := app.ask(cookie, ""); body != want {
					t.Errorf("after the move a session is %q, want %q", body, want)
				}
			}
			if err := app.m.RevokeUser(t.Context(), "ada"); err != nil {
				t.Error(err)
			}
			if body, _ := app.ask(ada, ""); body != " <nil>" {
				t.Errorf("who was revoked is %q", body)
			}
			app.ask(eve, "cart=plums")
			app.visit("login=leo")

			// Somebody runs the copy once too often. It undoes nothing.
			before := contents(t, to)
			old.ask(eve, "cart=cherries")
			if first, _ = m.copy(t, exitFound, "--passes", "1"); first.Foreign < 4 { // ada, eve and leo, and lists
				t.Errorf("once too often, %+v", first)
			}
			if !maps.Equal(contents(t, to), before) {
				t.Error("the copy has changed what the apps have")
			}
		})
	}
}

// A shaky store fails now and then, and after some writes for good.
type shaky struct {
	target.Store
	left atomic.Int64
}

var errShaky = &store.Error{Store: "shaky", Verb: "create", Class: "connection was closed"}

func (s *shaky) CreateBatch(ctx context.Context, recs []store.Record) ([]string, error) {
	n := s.left.Add(-1)
	inUse, err := s.Store.CreateBatch(ctx, recs)
	if n%3 == 0 || n < 0 { // done, and not acknowledged
		return nil, errShaky
	}
	return inUse, err
}

func (s *shaky) UserIndex() store.Store { return s.Store.UserIndex() }

// A copy that was killed in the middle is gone on with, and what changed meanwhile is not
// taken for what an app did in the target.
func TestACopyIsResumed(t *testing.T) {
	t.Parallel()
	from, to := open(t, kinds["sqlite"](t)), open(t, kinds["sqlite"](t))
	var ids []string
	for range 2100 {
		ids = append(ids, unique())
		create(t, from, ids[len(ids)-1], `{"cookie":{},"n":1}`)
	}
	name := filepath.Join(t.TempDir(), "journal")
	journal, err := transfer.OpenJournal(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := transfer.OpenJournal(name); err == nil {
		t.Error("two copies have the journal at once")
	}
	broken := &shaky{Store: to.Store}
	broken.left.Store(1)
	run := transfer.Copy{Parts: []transfer.Part{{Name: "sessions", From: from.Store, To: broken}}, Journal: journal, Now: time.Now}
	ctx, cancel := context.WithCancel(t.Context())
	run.Progress = func(int) { cancel() } // in the middle
	if _, err := run.Run(ctx); err == nil {
		t.Fatal("it was not killed")
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids { // all of them, those too that were on their way
		rec, err := from.Store.Load(t.Context(), id)
		if err == nil {
			err = from.Store.Update(t.Context(), rec, store.Record{ID: id, Data: []byte(`{"cookie":{},"n":2}`), TTL: time.Hour})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if journal, err = transfer.OpenJournal(name); err != nil {
		t.Fatal(err)
	}
	run = transfer.Copy{Parts: run.Parts, Journal: journal, Now: time.Now}
	broken.left.Store(1000)
	pass, err := run.Run(t.Context())
	if err == nil {
		pass, err = run.Run(t.Context())
	}
	if err != nil || pass.Foreign != 0 || pass.Changes() != 0 || pass.Target != len(ids) {
		t.Errorf("%+v, %v", pass, err)
	}
	alike(t, from, to)
	if journal.Len() != len(ids) {
		t.Errorf("the journal has %d records", journal.Len())
	}
	if err := journal.Close(); err != nil {
		t.Error(err)
	}
}

// What changes while a copy runs is not lost, and a session that is extended in the source
// is so in the target.
func TestChangesDuringACopyAreNotLost(t *testing.T) {
	t.Parallel()
	m := newMove(t, kinds["valkey"](t), kinds["sqlite"](t))
	from := open(t, m["CLOAKROOM_STORE"])
	var ids []string
	for range 3000 {
		ids = append(ids, unique())
		create(t, from, ids[len(ids)-1], `{"cookie":{},"n":0}`)
	}
	ctx, stop := context.WithCancel(t.Context())
	busy := make(chan error)
	go func() {
		n := 0
		for ; ctx.Err() == nil || n < 3000; n++ {
			id := ids[(n*7)%len(ids)]
			rec, err := from.Store.Load(t.Context(), id)
			switch {
			case errors.Is(err, store.ErrNotFound):
				err = from.Store.Create(t.Context(), store.Record{ID: id, Data: fmt.Appendf(nil, `{"cookie":{},"n":%d}`, n), TTL: time.Hour})
			case err == nil && n%5 == 0:
				err = from.Store.Delete(t.Context(), id)
			case err == nil && n%5 == 1:
				err = from.Store.Touch(t.Context(), id, 2*time.Hour)
			case err == nil:
				err = from.Store.Update(t.Context(), rec, store.Record{ID: id, Data: fmt.Appendf(nil, `{"cookie":{},"n":%d}`, n), TTL: time.Hour})
			}
			if err != nil {
				busy <- err
				return
			}
		}
		busy <- nil
	}()
	operate(t, m, "copy", "--json", "--journal", m["JOURNAL"], "--passes", "2") // whatever it says: the source is busy
	stop()
	if err := <-busy; err != nil {
		t.Fatal(err)
	}
	if _, last := m.copy(t, exitOK); last.Foreign != 0 {
		t.Errorf("%+v", last)
	}
	to := open(t, m["CLOAKROOM_TO"])
	alike(t, from, to)
	for _, id := range ids[:50] {
		a, errA := from.Store.Inspect(t.Context(), []string{id})
		b, errB := to.Store.Inspect(t.Context(), []string{id})
		if errA != nil || errB != nil || len(a) != len(b) || len(a) > 0 && (a[0].TTL-b[0].TTL).Abs() > patience {
			t.Errorf("a session lives for %v and its copy for %v", a, b)
		}
	}
}

// A copy that follows the source ends with a pass that tells whether the two are alike.
func TestACopyFollowsUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	m := newMove(t, kinds["sqlite"](t), kinds["sqlite"](t))
	from := open(t, m["CLOAKROOM_STORE"])
	create(t, from, "one", `{"cookie":{}}`)
	ctx, interrupt := context.WithCancel(t.Context())
	done := make(chan result, 1)
	go func() { done <- operateAt(ctx, nil, m, "copy", "--follow", "--journal", m["JOURNAL"]) }()
	to := open(t, m["CLOAKROOM_TO"])
	has := func(id string) {
		t.Helper()
		for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			if _, err := to.Store.Load(t.Context(), id); err == nil {
				return
			}
			if time.Since(began) > patience {
				t.Fatal("the copy does not follow")
			}
		}
	}
	has("one")
	create(t, from, "two", `{"cookie":{}}`)
	has("two")
	interrupt()
	(<-done).want(t, exitOK, "verified: all 2 records")
}

// A file that is no journal is left alone, however short it is.
func TestWhatIsNoJournalIsLeftAlone(t *testing.T) {
	t.Parallel()
	m := newMove(t, kinds["sqlite"](t), kinds["sqlite"](t))
	open(t, m["CLOAKROOM_STORE"])
	for _, text := range []string{"a", "good password", "cloakroom copy journal 2\n", strings.Repeat("d", 100)} {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		operate(t, m, "copy", "--journal", file).want(t, exitFailed, "no journal")
		if now, err := os.ReadFile(file); err != nil || string(now) != text {
			t.Errorf("%q has become %q, %v", text, now, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("cloakroom"), 0o600); err != nil { // a crash has cut it off
		t.Fatal(err)
	}
	for range 2 {
		operate(t, m, "copy", "--journal", file).want(t, exitOK)
	}
}

func TestACopyThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	url := kinds["sqlite"](t)
	open(t, url)
	operate(t, newMove(t, url, url), "copy").want(t, exitUsage, "are the same")
	operate(t, newMove(t, url, ""), "copy").want(t, exitUsage, "where to?")
	operate(t, newMove(t, url, "ftp://host"), "copy").want(t, exitUsage, "the target")
	operate(t, newMove(t, url, kinds["sqlite"](t)), "copy", "--passes", "0").want(t, exitUsage)
	operate(t, newMove(t, url, kinds["sqlite"](t)), "copy", "--journal", strings.TrimPrefix(url, "sqlite:")).want(t, exitFailed, "journal")
}
