package sql

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// TestFailover kills a primary under load, and makes its synchronous standby the primary,
// as docs/sql.md has it: nothing that was acknowledged is lost, and no logout. Before
// that the standby can be read, and says so.
//
// Standards: ASVS-7.4.1
func TestFailover(t *testing.T) {
	t.Parallel()
	const replicates = "wal_level=replica"
	primary := servers.StartPostgreSQL(t, replicates, "max_wal_senders=4", "synchronous_commit=remote_apply", "synchronous_standby_names=*")
	standby := primary.StandBy(replicates, "max_wal_senders=4", "hot_standby=on")
	migrated(t, "pgx", primary.URL())
	o := sqlstore.Options{SweepInterval: sqlstore.NeverSweep}
	open := func(url string) *sqlstore.Store {
		s, err := sqlstore.New(sqlenv.Open(t, "pgx", url), o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	both := "postgres://postgres@" + primary.Addr + "," + standby.Addr + "/postgres?sslmode=disable&target_session_attrs=read-write"
	app, reader := open(both), open(standby.URL())

	ctx := t.Context()
	if err := app.Create(ctx, record("a", "x")); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Load(ctx, "a"); err != nil {
		t.Errorf("Load from the standby: %v", err)
	}
	fails(t, "Create on the standby", reader.Create(ctx, record("b", "x")), store.OutcomeNotApplied, "database is read-only", nil)
	fails(t, "Update on the standby", reader.Update(ctx, record("a", "x"), record("a", "y")), store.OutcomeNotApplied, "database is read-only", nil)
	fails(t, "Touch on the standby", reader.Touch(ctx, "a", time.Hour), store.OutcomeNotApplied, "database is read-only", nil)
	fails(t, "Remove on the standby", reader.Remove(ctx, record("a", "x")), store.OutcomeNotApplied, "database is read-only", nil)
	fails(t, "Replace on the standby", reader.Replace(ctx, record("a", "x"), record("a", "y"), record("b", "z")), store.OutcomeNotApplied, "database is read-only", nil)

	w := writers{t: t, s: app, stop: make(chan struct{})}
	w.begin(4)
	w.more(100)
	primary.Kill()
	exec(t, sqlenv.Open(t, "pgx", standby.URL()), "SELECT pg_promote()")
	w.more(100)
	w.end()
	slices.Sort(w.classes)
	t.Logf("%d writes were acknowledged; the failures were %v", w.acknowledged(), slices.Compact(w.classes))
}

// writers are several users who count, and log in and out.
type writers struct {
	t    *testing.T
	s    *sqlstore.Store
	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	done    int
	counts  []counter
	ended   []string
	classes []string // of failures
}

// A counter is a counter of which one writer alone knows.
type counter struct {
	id                    string
	acknowledged, unclear int
}

func (w *writers) acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done
}

// more waits for so many more writes.
func (w *writers) more(n int) {
	w.t.Helper()
	servers.AwaitMore(w.t, "more writes", int64(n), func() int64 { return int64(w.acknowledged()) })
}

func (w *writers) begin(n int) {
	for i := range n {
		c := counter{id: "counter" + strconv.Itoa(i)}
		ctx, cancel := context.WithTimeout(w.t.Context(), servers.Patience)
		if err := w.s.Create(ctx, number(c.id, 0)); err != nil {
			w.t.Fatal(err)
		}
		cancel()
		w.wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-w.stop:
					w.mu.Lock()
					defer w.mu.Unlock()
					w.counts = append(w.counts, c)
					return
				default:
				}
				switch id := c.id + "-" + strconv.Itoa(n); {
				case n%4 > 0:
					w.count(&c)
				case w.try(func(ctx context.Context) error { return w.s.Create(ctx, record(id, "x")) }) &&
					w.try(func(ctx context.Context) error { return w.s.Remove(ctx, record(id, "x")) }):
					w.mu.Lock()
					w.ended = append(w.ended, id)
					w.mu.Unlock()
				}
			}
		})
	}
}

func number(id string, n int) store.Record {
	return store.Record{ID: id, Data: []byte(strconv.Itoa(n)), TTL: time.Hour}
}

// count adds one to a counter.
func (w *writers) count(c *counter) {
	var found store.Record
	if !w.try(func(ctx context.Context) (err error) { found, err = w.s.Load(ctx, c.id); return err }) {
		return
	}
	n, _ := strconv.Atoi(string(found.Data))
	if n < c.acknowledged || n > c.acknowledged+c.unclear {
		w.t.Errorf("a counter is %d, want %d to %d", n, c.acknowledged, c.acknowledged+c.unclear)
	}
	if w.try(func(ctx context.Context) error { return w.s.Update(ctx, found, number(c.id, n+1)) }) {
		c.acknowledged++
	} else {
		c.unclear++
	}
}

// try makes a call that is given a second, and reports whether it was acknowledged. It
// fails the test where the failure is none that a failover explains.
func (w *writers) try(call func(ctx context.Context) error) bool {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
	defer cancel()
	err := call(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	var f *store.Error
	switch {
	case err == nil:
		w.done++
		return true
	case errors.As(err, &f):
		w.classes = append(w.classes, f.Class)
		if !slices.Contains([]string{"connection failed", "connection was closed", "timeout", "server is shutting down", "server is not ready", "database is read-only"}, f.Class) {
			w.t.Errorf("a call failed with %v", err)
		}
	case !errors.Is(err, store.ErrConflict): // an update of before was done after all
		w.t.Errorf("a call failed with %v", err)
	}
	return false
}

// end stops the writers, and looks whether all is there.
func (w *writers) end() {
	w.t.Helper()
	close(w.stop)
	w.wg.Wait()
	for _, c := range w.counts {
		rec, err := w.s.Load(w.t.Context(), c.id)
		if n, _ := strconv.Atoi(string(rec.Data)); err != nil || n < c.acknowledged || n > c.acknowledged+c.unclear {
			w.t.Errorf("%s is %d, %v, want %d (acknowledged) to %d (and unknown ones)", c.id, n, err, c.acknowledged, c.acknowledged+c.unclear)
		}
	}
	if len(w.ended) == 0 {
		w.t.Error("nobody logged out")
	}
	for _, id := range w.ended {
		if _, err := w.s.Load(w.t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			w.t.Errorf("who logged out is there: %v", err)
		}
	}
}
