package sqlitestore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
)

// What the store costs and saves, beside the same statements of the driver with nothing
// in between. Times depend on the machine and its disk, so the ratios of rounds that take
// turns are what is looked at.

// soaking skips a test that takes seconds of the whole machine.
func soaking(t *testing.T) {
	t.Helper()
	if os.Getenv("SOAK") == "" {
		t.Skip("takes seconds of the whole machine: make soak")
	}
}

const (
	ratioSessions = 200

	extend = `UPDATE cloakroom_sessions SET expires = CAST(round(unixepoch('subsec') * 1000) AS INTEGER) + 3600000, due = min(due, expires) WHERE id = ? AND expires > CAST(round(unixepoch('subsec') * 1000) AS INTEGER)`
	load   = `SELECT data FROM cloakroom_sessions WHERE id = ? AND expires > CAST(round(unixepoch('subsec') * 1000) AS INTEGER)`
)

// A way is one to do something with a session.
type way func(ctx context.Context, id string) error

// ways are the same on one file: by the store, and by the driver, each connection of
// which waits for the disk at each statement.
func ways(t *testing.T, connections int) (touch, bareTouch, read, bareRead way) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sessions.db")
	s := open(t, file, sqlitestore.Options{})
	for i := range ratioSessions {
		if err := s.Create(t.Context(), record(strconv.Itoa(i), "x")); err != nil {
			t.Fatal(err)
		}
	}
	db := bare(t, file, connections)
	extending, loading := prepared(t, db, extend), prepared(t, db, load)
	touch = func(ctx context.Context, id string) error { return s.Touch(ctx, id, time.Hour) }
	bareTouch = func(ctx context.Context, id string) error {
		_, err := extending.ExecContext(ctx, []byte(id))
		return err
	}
	read = func(ctx context.Context, id string) error { _, err := s.Load(ctx, id); return err }
	bareRead = func(ctx context.Context, id string) error {
		var data []byte
		return loading.QueryRowContext(ctx, []byte(id)).Scan(&data)
	}
	return touch, bareTouch, read, bareRead
}

// prepared returns a statement as the store has its own.
func prepared(t testing.TB, db *sql.DB, query string) *sql.Stmt {
	t.Helper()
	stmt, err := db.PrepareContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	return stmt
}

func bare(t testing.TB, file string, connections int) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// A pace is how fast some goroutines were.
type pace struct {
	perSecond float64
	longest   time.Duration
}

// run has goroutines do something for a while.
func run(goroutines int, length time.Duration, do way) (p pace, err error) {
	var (
		mu    sync.Mutex
		n     int
		wg    sync.WaitGroup
		began = time.Now()
	)
	for g := range goroutines {
		wg.Go(func() {
			for i := g; time.Since(began) < length; i += goroutines {
				from := time.Now()
				failed := do(context.Background(), strconv.Itoa(i%ratioSessions))
				mu.Lock()
				n++
				p.longest = max(p.longest, time.Since(from))
				err = errors.Join(err, failed)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	p.perSecond = float64(n) / time.Since(began).Seconds()
	return p, err
}

// compare has two ways take turns, and returns how many times faster the first is than
// the second, and how long its longest was as a share of the other's: medians of rounds.
func compare(t *testing.T, goroutines, rounds int, slice time.Duration, a, b way) (faster, longest float64) {
	t.Helper()
	var speeds, waits []float64
	for round := range rounds {
		paces := make([]pace, 2)
		for i := range paces {
			which := (i + round) % 2
			p, err := run(goroutines, slice, []way{a, b}[which])
			if err != nil {
				t.Fatal(err)
			}
			paces[which] = p
		}
		speeds = append(speeds, paces[0].perSecond/paces[1].perSecond)
		waits = append(waits, paces[0].longest.Seconds()/paces[1].longest.Seconds())
	}
	slices.Sort(speeds)
	slices.Sort(waits)
	return speeds[rounds/2], waits[rounds/2]
}

func TestManyWritersAreTenTimesAsFastAsWithAWaitForTheDiskEach(t *testing.T) {
	soaking(t)
	const writers = 64
	touch, bareTouch, _, _ := ways(t, writers)
	faster, longest := compare(t, writers, 9, time.Second, touch, bareTouch)
	t.Logf("%d writers: %.1f x the writes of the driver, the longest wait %.3f x", writers, faster, longest)
	if faster < 10 {
		t.Errorf("%d writers make %.1f x the writes of the driver, want at least 10 x", writers, faster)
	}
	if longest > 0.1 {
		t.Errorf("the longest wait is %.3f x that of the driver, want a tenth at most", longest)
	}
}

func TestOneWriterLosesLittle(t *testing.T) {
	soaking(t)
	touch, bareTouch, _, _ := ways(t, 1)
	faster, _ := compare(t, 1, 101, time.Second/20, touch, bareTouch)
	t.Logf("one writer: %.2f x the writes of the driver", faster)
	if faster < 0.9 {
		t.Errorf("one writer makes %.2f x the writes of the driver, want at least 0.9 x", faster)
	}
}

func TestAReadCostsLittleMoreThanTheDrivers(t *testing.T) {
	soaking(t)
	_, _, read, bareRead := ways(t, 1)
	faster, _ := compare(t, 1, 101, time.Second/50, read, bareRead)
	t.Logf("a read takes %.2f x the time of the driver's", 1/faster)
	if 1/faster > 1.3 {
		t.Errorf("a read takes %.2f x the time of the driver's, want 1.3 x at most", 1/faster)
	}
}

// envWriting is the file of a process that writes as fast as it can.
const envWriting = "CLOAKROOM_WRITING"

const (
	processes  = 3
	writersPer = 32
	writingFor = 10 * time.Second
)

func writeForAWhile() {
	s, err := sqlitestore.Open(context.Background(), os.Getenv(envWriting), sqlitestore.Options{SweepInterval: -1})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	p, err := run(writersPer, writingFor, func(ctx context.Context, id string) error { return s.Touch(ctx, id, time.Hour) })
	if err = errors.Join(err, s.Close()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(p.perSecond, p.longest.Seconds())
	os.Exit(0)
}

// TestNobodyStarves has three processes write to one file as fast as they can.
func TestNobodyStarves(t *testing.T) {
	soaking(t)
	file := filepath.Join(t.TempDir(), "sessions.db")
	s := open(t, file, sqlitestore.Options{})
	for i := range ratioSessions {
		if err := s.Create(t.Context(), record(strconv.Itoa(i), "x")); err != nil {
			t.Fatal(err)
		}
	}
	var (
		speeds, waits [processes]float64
		wg            sync.WaitGroup
	)
	for i := range processes {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), envWriting+"="+file)
			out, err := cmd.Output()
			if err == nil {
				_, err = fmt.Sscan(string(out), &speeds[i], &waits[i])
			}
			if err != nil {
				t.Errorf("a process that writes: %v: %s", err, out)
			}
		})
	}
	wg.Wait()
	t.Logf("three processes with %d writers each: %.0f, %.0f and %.0f writes a second, the longest wait %.2f s", writersPer, speeds[0], speeds[1], speeds[2], slices.Max(waits[:]))
	if slices.Min(speeds[:]) < slices.Max(speeds[:])/5 {
		t.Errorf("%.0f writes a second: one of the processes starves", speeds)
	}
}
