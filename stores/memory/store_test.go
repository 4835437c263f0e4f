package memorystore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// open returns a store that is closed at the end of the test.
func open(tb testing.TB, o memorystore.Options) *memorystore.Store {
	tb.Helper()
	s := memorystore.New(o)
	tb.Cleanup(func() { s.Close() })
	return s
}

// A clock is set by the test.
type clock struct{ atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Unix(1_700_000_000, c.Load()) }
func (c *clock) Advance(d time.Duration) { c.Add(int64(d)) }

func record(id string) store.Record {
	return store.Record{ID: id, Data: []byte(`{"of":"` + id + `"}`), TTL: time.Hour}
}

// with returns rec with other data.
func with(rec store.Record, data string) store.Record {
	rec.Data = []byte(data)
	return rec
}

func create(tb testing.TB, s *memorystore.Store, ids ...string) {
	tb.Helper()
	for _, id := range ids {
		if err := s.Create(context.Background(), record(id)); err != nil {
			tb.Fatalf("Create of %s: %v", id, err)
		}
	}
}

// holds checks which sessions there are, without using them.
func holds(t *testing.T, s *memorystore.Store, ids ...string) {
	t.Helper()
	left := make(map[string]bool)
	for _, id := range ids {
		left[id] = true
	}
	for rec, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !left[rec.ID] {
			t.Errorf("session %s is there, want %v", rec.ID, ids)
		}
		delete(left, rec.ID)
	}
	for id := range left {
		t.Errorf("session %s is not there, want %v", id, ids)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// isFull checks that err is the refusal of a full store.
func isFull(t *testing.T, verb string, err error) {
	t.Helper()
	var failure *store.Error
	if !errors.As(err, &failure) {
		t.Fatalf("%s of a full store returned %v, want a *store.Error", verb, err)
	}
	want := store.Error{Store: "memory", Verb: verb, Outcome: store.OutcomeNotApplied, Class: "full", Err: store.ErrFull}
	if *failure != want {
		t.Errorf("%s of a full store returned %#v, want %#v", verb, *failure, want)
	}
}

func TestStore(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    memorystore.Options
	}{
		{"Default", memorystore.Options{}},
		{"Limits", memorystore.Options{MaxSessions: 1000, MaxBytes: 10 << 20}},
		{"Evict", memorystore.Options{MaxSessions: 1000, MaxBytes: 10 << 20, AtLimit: memorystore.DropLeastRecentlyUsed}},
		{"SweepAllTheTime", memorystore.Options{SweepInterval: time.Millisecond}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if testing.Short() && tt.name != "Default" {
				t.Skip("it says little more, and waits for what expires")
			}
			t.Parallel()
			storetest.Run(t, func(t *testing.T) store.Store {
				s := open(t, tt.o)
				t.Cleanup(func() {
					if err := s.Check(); err != nil && !t.Failed() {
						t.Error(err)
					}
				})
				return s
			})
		})
	}
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		o    memorystore.Options
		want string
	}{
		{memorystore.Options{MaxSessions: -1}, "MaxSessions"},
		{memorystore.Options{MaxBytes: -1}, "MaxBytes"},
		{memorystore.Options{AtLimit: 2}, "AtLimit"},
		{memorystore.Options{AtLimit: -1}, "AtLimit"},
		{memorystore.Options{SweepInterval: -1}, "SweepInterval"},
		{memorystore.Options{SweepInterval: 10}, "SweepInterval is too short: 10 is 10ns: write 10 * time.Second"},
	} {
		if got := panicOf(func() { memorystore.New(tt.o) }); !strings.Contains(got, "cloakroom: memory store: Options."+tt.want) {
			t.Errorf("New(%+v) panicked with %q, want a message about %s", tt.o, got, tt.want)
		}
	}
}

// panicOf returns the message of the panic of fn, or an empty string.
func panicOf(fn func()) (message string) {
	defer func() {
		if v := recover(); v != nil {
			message = fmt.Sprint(v)
		}
	}()
	fn()
	return ""
}

// TestExpiry looks at the last nanosecond of a session and at the next one.
//
// Standards: ASVS-14.2.7
func TestExpiry(t *testing.T) {
	verbs := []struct {
		name string
		call func(s *memorystore.Store, rec store.Record) error
	}{
		{"Load", func(s *memorystore.Store, rec store.Record) error {
			_, err := s.Load(context.Background(), rec.ID)
			return err
		}},
		{"Update", func(s *memorystore.Store, rec store.Record) error {
			return s.Update(context.Background(), rec, with(rec, `{"new":1}`))
		}},
		{"UpdateOrLoad", func(s *memorystore.Store, rec store.Record) error {
			_, err := s.UpdateOrLoad(context.Background(), rec, with(rec, `{"new":1}`))
			return err
		}},
		{"Update that keeps the life", func(s *memorystore.Store, rec store.Record) error {
			next := with(rec, `{"new":1}`)
			next.TTL = store.KeepTTL
			return s.Update(context.Background(), rec, next)
		}},
		{"Remove", func(s *memorystore.Store, rec store.Record) error {
			return s.Remove(context.Background(), rec)
		}},
		{"Touch", func(s *memorystore.Store, rec store.Record) error {
			return s.Touch(context.Background(), rec.ID, time.Hour)
		}},
		{"Replace", func(s *memorystore.Store, rec store.Record) error {
			return s.Replace(context.Background(), rec, with(rec, `{"retired":1}`), record("next"))
		}},
		{"Create", func(s *memorystore.Store, rec store.Record) error {
			err := s.Create(context.Background(), rec)
			switch {
			case errors.Is(err, store.ErrExists):
				return nil
			case err == nil:
				return store.ErrNotFound
			}
			return err
		}},
		{"All", func(s *memorystore.Store, rec store.Record) error {
			for _, err := range s.All(context.Background()) {
				return err
			}
			return store.ErrNotFound
		}},
		{"Count", func(s *memorystore.Store, rec store.Record) error {
			n, err := s.Count(context.Background())
			if n == 0 {
				return store.ErrNotFound
			}
			return err
		}},
	}
	lives := []struct {
		name string
		give func(s *memorystore.Store, rec store.Record, ttl time.Duration) error
	}{
		{"Create", func(s *memorystore.Store, rec store.Record, ttl time.Duration) error {
			rec.TTL = ttl
			return s.Create(context.Background(), rec)
		}},
		{"Update", func(s *memorystore.Store, rec store.Record, ttl time.Duration) error {
			before, next := with(rec, `{"old":1}`), rec
			next.TTL = ttl
			return errors.Join(s.Create(context.Background(), before), s.Update(context.Background(), before, next))
		}},
		{"Update that keeps the life", func(s *memorystore.Store, rec store.Record, ttl time.Duration) error {
			before, next := with(rec, `{"old":1}`), rec
			before.TTL, next.TTL = ttl, store.KeepTTL
			return errors.Join(s.Create(context.Background(), before), s.Update(context.Background(), before, next))
		}},
		{"Touch", func(s *memorystore.Store, rec store.Record, ttl time.Duration) error {
			return errors.Join(s.Create(context.Background(), rec), s.Touch(context.Background(), rec.ID, ttl))
		}},
		{"Replace", func(s *memorystore.Store, rec store.Record, ttl time.Duration) error {
			before, next := record("before"), rec
			next.TTL = ttl
			return errors.Join(
				s.Create(context.Background(), before),
				s.Replace(context.Background(), before, with(before, `{}`), next),
				s.Delete(context.Background(), before.ID),
			)
		}},
	}
	for _, life := range lives {
		for _, ttl := range []time.Duration{1, time.Second, 30 * 24 * time.Hour} {
			for _, verb := range verbs {
				for _, tt := range []struct {
					at   time.Duration
					want error
				}{{ttl - 1, nil}, {ttl, store.ErrNotFound}, {ttl + 1, store.ErrNotFound}} {
					var c clock
					s := open(t, memorystore.Options{Now: c.Now})
					rec := record("a")
					if err := life.give(s, rec, ttl); err != nil {
						t.Fatalf("%s: %v", life.name, err)
					}
					c.Advance(tt.at)
					if err := verb.call(s, rec); !errors.Is(err, tt.want) {
						t.Errorf("%s, %v after %s with the life %v, returned %v, want %v", verb.name, tt.at, life.name, ttl, err, tt.want)
					}
				}
			}
		}
	}
}

// A life that ends after the end of what an int64 can tell does not end in the
// past.
func TestLongestLife(t *testing.T) {
	var c clock
	s := open(t, memorystore.Options{Now: c.Now})
	c.Advance(100 * 365 * 24 * time.Hour)
	rec := record("a")
	rec.TTL = math.MaxInt64
	if err := s.Create(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	c.Advance(100 * 365 * 24 * time.Hour)
	holds(t, s, "a")
}

// Standards: ASVS-15.2.2
func TestMaxSessions(t *testing.T) {
	var c clock
	s := open(t, memorystore.Options{MaxSessions: 2, Now: c.Now})
	create(t, s, "a", "b")
	isFull(t, "create", s.Create(t.Context(), record("c")))
	holds(t, s, "a", "b")

	// What is there can be used, and an id in use is that first of all.
	a := record("a")
	if err := s.Create(t.Context(), a); !errors.Is(err, store.ErrExists) {
		t.Errorf("Create of an id in use returned %v, want ErrExists", err)
	}
	if err := s.Update(t.Context(), a, with(a, strings.Repeat("x", 1000))); err != nil {
		t.Errorf("Update: %v", err)
	}
	b := record("b")
	isFull(t, "replace", s.Replace(t.Context(), b, with(b, `{}`), record("c")))
	holds(t, s, "a", "b")
	if rec, err := s.Load(t.Context(), "b"); err != nil || !bytes.Equal(rec.Data, b.Data) {
		t.Errorf("after a Replace that was refused, Load returned %s, %v, want %s", rec.Data, err, b.Data)
	}

	// Room is made by Delete, by Clear and by time.
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	create(t, s, "c")
	isFull(t, "create", s.Create(t.Context(), record("d")))
	if err := s.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	create(t, s, "e", "f")
	c.Advance(time.Hour)
	create(t, s, "g", "h")
	isFull(t, "create", s.Create(t.Context(), record("i")))
	holds(t, s, "g", "h")
}

// Standards: ASVS-15.2.2
func TestMaxBytes(t *testing.T) {
	size := int64(len("a")+100) + memorystore.Overhead
	s := open(t, memorystore.Options{MaxBytes: 3 * size})
	rec := func(id string, n int) store.Record { return with(record(id), strings.Repeat("x", n)) }
	for _, id := range []string{"a", "b", "c"} {
		if err := s.Create(t.Context(), rec(id, 100)); err != nil {
			t.Fatal(err)
		}
	}
	isFull(t, "create", s.Create(t.Context(), rec("d", 0)))
	isFull(t, "update", s.Update(t.Context(), rec("a", 100), rec("a", 101)))
	_, err := s.UpdateOrLoad(t.Context(), rec("a", 100), rec("a", 101))
	isFull(t, "update", err)
	isFull(t, "replace", s.Replace(t.Context(), rec("a", 100), rec("a", 0), rec("d", 0)))
	holds(t, s, "a", "b", "c")

	// What one session gives back another may take.
	if err := s.Update(t.Context(), rec("a", 100), rec("a", 90)); err != nil {
		t.Errorf("Update to less: %v", err)
	}
	if err := s.Update(t.Context(), rec("b", 100), rec("b", 110)); err != nil {
		t.Errorf("Update to more: %v", err)
	}
	isFull(t, "update", s.Update(t.Context(), rec("c", 100), rec("c", 101)))
	holds(t, s, "a", "b", "c")
}

func TestEvict(t *testing.T) {
	var c clock
	s := open(t, memorystore.Options{MaxSessions: 5, AtLimit: memorystore.DropLeastRecentlyUsed, Now: c.Now})
	create(t, s, "a", "b", "c", "d", "e")

	// Load, Touch and Update are uses; a list is not.
	if _, err := s.Load(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := s.Touch(t.Context(), "b", time.Hour); err != nil {
		t.Fatal(err)
	}
	rec := record("c")
	if err := s.Update(t.Context(), rec, with(rec, `{"new":1}`)); err != nil {
		t.Fatal(err)
	}
	holds(t, s, "a", "b", "c", "d", "e")
	for _, step := range []struct{ created, evicted string }{
		{"f", "d"}, {"g", "e"}, {"h", "a"}, {"i", "b"}, {"j", "c"}, {"k", "f"},
	} {
		create(t, s, step.created)
		if _, err := s.Load(t.Context(), step.evicted); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("after Create of %s, Load of %s returned %v, want ErrNotFound", step.created, step.evicted, err)
		}
	}
	holds(t, s, "g", "h", "i", "j", "k")

	// A refused Create evicts nobody.
	if err := s.Create(t.Context(), record("g")); !errors.Is(err, store.ErrExists) {
		t.Errorf("Create of an id in use returned %v, want ErrExists", err)
	}
	holds(t, s, "g", "h", "i", "j", "k")

	// A renewed session is a used one, and makes one more.
	g := record("g")
	if err := s.Replace(t.Context(), g, with(g, `{}`), record("l")); err != nil {
		t.Fatal(err)
	}
	holds(t, s, "g", "i", "j", "k", "l")

	// The expired ones go before all others.
	if err := s.Touch(t.Context(), "l", time.Second); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Second)
	create(t, s, "m")
	holds(t, s, "g", "i", "j", "k", "m")
}

func TestEvictBytes(t *testing.T) {
	size := int64(len("a")+100) + memorystore.Overhead
	s := open(t, memorystore.Options{MaxBytes: 4 * size, AtLimit: memorystore.DropLeastRecentlyUsed})
	rec := func(id string, n int64) store.Record { return with(record(id), strings.Repeat("x", int(n))) }
	for _, id := range []string{"a", "b", "c", "d"} {
		if err := s.Create(t.Context(), rec(id, 100)); err != nil {
			t.Fatal(err)
		}
	}
	// The one that grows is spared, as many others as needed are not.
	if err := s.Update(t.Context(), rec("a", 100), rec("a", 100+size+1)); err != nil {
		t.Fatal(err)
	}
	holds(t, s, "a", "d")

	// What would not fit even alone is refused, and nobody is evicted for it.
	tooMuch := 4*size - memorystore.Overhead
	isFull(t, "create", s.Create(t.Context(), rec("e", tooMuch)))
	isFull(t, "update", s.Update(t.Context(), rec("d", 100), rec("d", tooMuch)))
	isFull(t, "replace", s.Replace(t.Context(), rec("d", 100), rec("d", 0), rec("e", tooMuch)))
	holds(t, s, "a", "d")
	if err := s.Create(t.Context(), rec("e", tooMuch-1)); err != nil {
		t.Fatal(err)
	}
	holds(t, s, "e")
}

// TestLimitUnderLoad fills a store from many goroutines: exactly as many
// sessions get in as there is room for.
func TestLimitUnderLoad(t *testing.T) {
	const room, callers, each = 500, 8, 200
	perSession := int64(len("0-000")+2) + memorystore.Overhead
	for _, tt := range []struct {
		name string
		o    memorystore.Options
	}{
		{"Sessions", memorystore.Options{MaxSessions: room}},
		{"Bytes", memorystore.Options{MaxBytes: room * perSession}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, tt.o)
			var stored, refused atomic.Int64
			var wg sync.WaitGroup
			for caller := range callers {
				wg.Go(func() {
					for i := range each {
						rec := with(record(fmt.Sprintf("%d-%03d", caller, i)), `{}`)
						switch err := s.Create(context.Background(), rec); {
						case err == nil:
							stored.Add(1)
						case errors.Is(err, store.ErrFull):
							refused.Add(1)
						default:
							t.Errorf("Create: %v", err)
						}
					}
				})
			}
			wg.Wait()
			if stored.Load() != room || refused.Load() != callers*each-room {
				t.Errorf("%d sessions were stored and %d refused, want %d and %d", stored.Load(), refused.Load(), room, callers*each-room)
			}
			if n, err := s.Count(t.Context()); n != room || err != nil {
				t.Errorf("Count returned %d, %v, want %d", n, err, room)
			}
			if err := s.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEverythingAtOnce lets all verbs meet at both limits, with time passing.
func TestEverythingAtOnce(t *testing.T) {
	for _, atLimit := range []memorystore.AtLimit{memorystore.RefuseNew, memorystore.DropLeastRecentlyUsed} {
		var c clock
		s := open(t, memorystore.Options{
			MaxSessions: 60, MaxBytes: 20_000, AtLimit: atLimit, SweepInterval: time.Millisecond, Now: c.Now,
		})
		var wg sync.WaitGroup
		for caller := range uint64(8) {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(caller, 0))
				for range 3000 {
					step(s, &c, r)
					if r.IntN(100) > 0 {
						continue
					}
					if err := s.Check(); err != nil {
						t.Errorf("AtLimit %d: %v", atLimit, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

func step(s *memorystore.Store, c *clock, r *rand.Rand) {
	ctx := context.Background()
	rec := with(record(fmt.Sprint(r.IntN(100))), strings.Repeat("x", r.IntN(400)))
	rec.TTL = time.Duration(1 + r.IntN(1000))
	other := with(record(fmt.Sprint(r.IntN(100))), strings.Repeat("y", r.IntN(400)))
	c.Advance(time.Duration(r.IntN(3)))
	switch r.IntN(13) {
	case 0, 1, 2, 3:
		s.Create(ctx, rec)
	case 4, 5:
		if r.IntN(2) == 0 {
			rec.TTL = store.KeepTTL
		}
		if old, err := s.Load(ctx, rec.ID); err == nil {
			s.UpdateOrLoad(ctx, old, rec)
		}
	case 6, 7:
		if old, err := s.Load(ctx, rec.ID); err == nil {
			s.Replace(ctx, old, rec, other)
		}
	case 8:
		s.Touch(ctx, rec.ID, rec.TTL)
	case 9:
		s.Delete(ctx, rec.ID)
	case 10:
		s.Count(ctx)
	case 11:
		if old, err := s.Load(ctx, rec.ID); err == nil {
			s.Remove(ctx, old)
		}
	case 12:
		for range s.All(ctx) {
			break
		}
		if r.IntN(100) == 0 {
			s.Clear(ctx)
		}
	}
}

// TestSweep: expired sessions go without a call, the others stay.
//
// Standards: ASVS-14.2.7
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memorystore.Options{SweepInterval: time.Minute})
		for i := range 10_000 {
			rec := record(fmt.Sprint(i))
			rec.TTL = 90 * time.Second
			if err := s.Create(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
		}
		create(t, s, "long")
		for _, tt := range []struct {
			after time.Duration
			want  int
		}{{61 * time.Second, 10_001}, {60 * time.Second, 1}, {time.Hour, 0}} {
			time.Sleep(tt.after)
			synctest.Wait()
			if n := s.Held(); n != tt.want {
				t.Errorf("another %v later the store holds %d sessions, want %d", tt.after, n, tt.want)
			}
		}
		// An empty store has no timer; the next session sets it again.
		create(t, s, "again")
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if n := s.Held(); n != 0 {
			t.Errorf("the store holds %d sessions, want 0", n)
		}
	})
}

// While many sessions are swept away requests find the processor free again and again.
// Who counts the sessions waits for what there is to do, and no longer.
func TestASweepRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		s := open(t, memorystore.Options{SweepInterval: time.Minute})
		for round := range 2 {
			for i := range n {
				if err := s.Create(t.Context(), record(fmt.Sprint(i))); err != nil {
					t.Fatal(err)
				}
				if err := s.Touch(t.Context(), fmt.Sprint(i), 90*time.Second); err != nil {
					t.Fatal(err)
				}
			}
			if round == 1 {
				time.Sleep(90 * time.Second)
				before := time.Now()
				if left, err := s.Count(t.Context()); left != 0 || err != nil || time.Since(before) != 0 {
					t.Errorf("Count returned %d, %v, after %v; want 0 at once", left, err, time.Since(before))
				}
				return
			}
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if gone := n - s.Held(); gone <= 0 || gone > n/8 {
				t.Errorf("the first part of a sweep of %d sessions takes %d of them", n, gone)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if left := s.Held(); left != 0 {
				t.Errorf("after a sweep there are %d sessions", left)
			}
		}
	})
}

// TestWhatIsExtendedOutlivesItsFirstEnd: many sessions in each part of the store are due
// at once, and most of them were extended meanwhile.
func TestWhatIsExtendedOutlivesItsFirstEnd(t *testing.T) {
	const n, ofThem = 20_000, 100 // one in so many is not extended
	for _, tt := range []struct {
		name    string
		options memorystore.Options
		look    func(*testing.T, *memorystore.Store) // at what has expired
	}{
		{"a count", memorystore.Options{}, func(t *testing.T, s *memorystore.Store) {
			if _, err := s.Count(t.Context()); err != nil {
				t.Fatal(err)
			}
		}},
		{"a session more than there may be", memorystore.Options{MaxSessions: n}, func(t *testing.T, s *memorystore.Store) {
			for i := range n / ofThem {
				create(t, s, fmt.Sprint("new", i))
			}
			isFull(t, "create", s.Create(t.Context(), record("one more")))
			for i := range n / ofThem {
				if err := s.Delete(t.Context(), fmt.Sprint("new", i)); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"a session more than there may be, which drops none that lives", memorystore.Options{MaxSessions: n, AtLimit: memorystore.DropLeastRecentlyUsed}, func(t *testing.T, s *memorystore.Store) {
			for i := range n / ofThem {
				create(t, s, fmt.Sprint("new", i))
			}
			for i := range n / ofThem {
				if err := s.Delete(t.Context(), fmt.Sprint("new", i)); err != nil {
					t.Fatal(err)
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c clock
			tt.options.Now, tt.options.SweepInterval = c.Now, time.Hour
			s := open(t, tt.options)
			for i := range n {
				create(t, s, fmt.Sprint(i))
			}
			c.Advance(30 * time.Minute)
			for i := range n {
				if i%ofThem == 0 {
					continue
				}
				if err := s.Touch(t.Context(), fmt.Sprint(i), 2*time.Hour); err != nil {
					t.Fatal(err)
				}
			}
			for _, ends := range []struct {
				after time.Duration
				want  int
			}{{30 * time.Minute, n - n/ofThem}, {90*time.Minute - 1, n - n/ofThem}} {
				c.Advance(ends.after)
				tt.look(t, s)
				if got := s.Held(); got != ends.want {
					t.Errorf("%v later the store holds %d sessions, want %d", ends.after, got, ends.want)
				}
				if err := s.Check(); err != nil {
					t.Error(err)
				}
				if _, err := s.Load(t.Context(), "1"); err != nil {
					t.Errorf("%v later one that was extended: %v", ends.after, err)
				}
			}
			c.Advance(1)
			if count, err := s.Count(t.Context()); count != 0 || err != nil || s.Held() != 0 {
				t.Errorf("at the end Count = %d, %v and the store holds %d, want none", count, err, s.Held())
			}
		})
	}
}

// TestMemoryIsGivenBack: neither a map nor a slice shrinks on its own.
func TestMemoryIsGivenBack(t *testing.T) {
	var c clock
	s := open(t, memorystore.Options{Now: c.Now, SweepInterval: time.Hour})
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	empty := heap()
	for i := range 50_000 {
		create(t, s, fmt.Sprint(i))
	}
	full := heap() - empty
	c.Advance(2 * time.Hour)
	if n, err := s.Count(t.Context()); n != 0 || err != nil {
		t.Fatalf("Count returned %d, %v, want 0", n, err)
	}
	left := max(heap(), empty) - empty
	if left > full/8 {
		t.Errorf("after all of %d bytes have expired, %d are left", full, left)
	}
	runtime.KeepAlive(s)
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails where a goroutine is left
		s := memorystore.New(memorystore.Options{})
		create(t, s, "a", "b")
		for range 2 {
			if err := s.Close(); err != nil {
				t.Errorf("Close returned %v", err)
			}
		}
		if n := s.Held(); n != 0 {
			t.Errorf("a closed store holds %d sessions", n)
		}
		ctx, a := t.Context(), record("a")
		_, loadErr := s.Load(ctx, "a")
		_, updateErr := s.UpdateOrLoad(ctx, a, with(a, `{}`))
		_, countErr := s.Count(ctx)
		var listErr error
		for _, err := range s.All(ctx) {
			listErr = err
		}
		for verb, err := range map[string]error{
			"load":    loadErr,
			"create":  s.Create(ctx, a),
			"update":  updateErr,
			"touch":   s.Touch(ctx, "a", time.Hour),
			"delete":  s.Delete(ctx, "a"),
			"remove":  s.Remove(ctx, a),
			"replace": s.Replace(ctx, a, with(a, `{}`), record("c")),
			"list":    listErr,
			"count":   countErr,
			"clear":   s.Clear(ctx),
			"ping":    s.Ping(ctx),
		} {
			var failure *store.Error
			if !errors.As(err, &failure) {
				t.Errorf("%s after Close returned %v, want a *store.Error", verb, err)
				continue
			}
			want := store.Error{Store: "memory", Verb: verb, Outcome: store.OutcomeNotApplied, Class: "closed", Err: net.ErrClosed}
			if *failure != want {
				t.Errorf("%s after Close returned %#v, want %#v", verb, *failure, want)
			}
		}
		time.Sleep(time.Hour)
	})
}

// TestCloseLeavesNoGoroutine closes stores in all stages of sweeping.
func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for i := range 200 {
		s := memorystore.New(memorystore.Options{SweepInterval: time.Millisecond})
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() {
				for j := range i {
					s.Create(context.Background(), store.Record{ID: fmt.Sprint(n, j), TTL: time.Microsecond})
				}
			})
		}
		if i%2 == 0 {
			wg.Wait()
		}
		s.Close()
		s.Close()
		wg.Wait()
	}
	stacks := make([]byte, 1<<20)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if runtime.NumGoroutine() <= before { // a goroutine takes a moment to end after its last statement
			return
		}
	}
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
}

// A store that is dropped without Close is garbage, although sessions live in it
// and its timer is set.
func TestDroppedStoreIsCollected(t *testing.T) {
	collected := make(chan struct{})
	func() {
		s := memorystore.New(memorystore.Options{})
		create(t, s, "a")
		runtime.AddCleanup(s, func(done chan struct{}) { close(done) }, collected)
	}()
	deadline := time.After(time.Minute)
	for {
		runtime.GC()
		select {
		case <-collected:
			return
		case <-deadline:
			t.Fatal("the store is still in memory")
		default:
		}
	}
}

func TestLoadDoesNotAllocate(t *testing.T) {
	s := open(t, memorystore.Options{MaxSessions: 10, AtLimit: memorystore.DropLeastRecentlyUsed})
	create(t, s, "a")
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { s.Load(ctx, "a") }); n != 0 {
		t.Errorf("Load allocates %v times, want 0", n)
	}
}

// Whoever appends to what Load returned does not write to what others have.
func TestLoadedBytesHaveNoRoom(t *testing.T) {
	s := open(t, memorystore.Options{})
	rec := with(record("a"), `{"odd":12345}`)
	next := with(rec, `{"odd":123456789}`)
	if err := s.Create(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	for _, want := range []store.Record{rec, next} {
		got, err := s.Load(t.Context(), "a")
		if err != nil || len(got.Data) != cap(got.Data) {
			t.Errorf("Load returned %d bytes with room for %d, %v", len(got.Data), cap(got.Data), err)
		}
		if !bytes.Equal(got.Data, want.Data) {
			t.Errorf("Load returned %s, want %s", got.Data, want.Data)
		}
		s.Update(t.Context(), rec, next)
	}
}

func TestListsCountAndAreNotEvicted(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   memorystore.AtLimit
	}{{"RefuseNew", memorystore.RefuseNew}, {"DropLeastRecentlyUsed", memorystore.DropLeastRecentlyUsed}} {
		t.Run(tt.name, func(t *testing.T) {
			const size = 100 + memorystore.Overhead
			s := open(t, memorystore.Options{MaxSessions: 3, MaxBytes: 5 * size, AtLimit: tt.at})
			lists, ctx := s.UserIndex(), t.Context()
			of := func(id string) store.Record {
				return store.Record{ID: id, Data: bytes.Repeat([]byte("x"), 100-len(id)), TTL: time.Hour}
			}
			for _, id := range []string{"a", "b", "c"} {
				if err := s.Create(ctx, of(id)); err != nil {
					t.Fatal(err)
				}
			}
			for _, id := range []string{"A", "B"} { // three sessions are the most, but these are none
				if err := lists.Create(ctx, of(id)); err != nil {
					t.Fatal(err)
				}
			}
			err := lists.Create(ctx, of("C"))
			if tt.at == memorystore.RefuseNew {
				isFull(t, "create", err)
			} else if _, gone := s.Load(ctx, "a"); err != nil || !errors.Is(gone, store.ErrNotFound) {
				t.Errorf("a list beyond the limit: %v, and the least recently used session: %v", err, gone)
			}
			for i := range 10 {
				_ = s.Create(ctx, of(fmt.Sprint("more", i)))
			}
			for _, id := range []string{"A", "B"} {
				if _, err := lists.Load(ctx, id); err != nil {
					t.Errorf("a list is gone: %v", err)
				}
			}
			if err := s.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Where no other session can make enough room for one that comes, grows, or gets
// another id, that is refused, and nobody is evicted.
func TestNobodyIsEvictedInVain(t *testing.T) {
	record := func(id string, length int) store.Record {
		return store.Record{ID: id, Data: bytes.Repeat([]byte("x"), length), TTL: time.Hour}
	}
	s := open(t, memorystore.Options{MaxBytes: 3000, AtLimit: memorystore.DropLeastRecentlyUsed})
	ctx := t.Context()
	if err := s.UserIndex().Create(ctx, record("list", 1500)); err != nil {
		t.Fatal(err)
	}
	old := record("a", 100)
	if err := s.Create(ctx, old); err != nil {
		t.Fatal(err)
	}
	other := record("other", 100)
	if err := s.Create(ctx, other); err != nil {
		t.Fatal(err)
	}
	isFull(t, "create", s.Create(ctx, record("new", 2000)))
	isFull(t, "update", s.Update(ctx, old, record("a", 2000)))
	isFull(t, "replace", s.Replace(ctx, old, record("a", 50), record("b", 2000)))
	for _, want := range []store.Record{old, other} {
		if rec, err := s.Load(ctx, want.ID); err != nil || !bytes.Equal(rec.Data, want.Data) {
			t.Errorf("session %s: %v, want it as it was: its end would have made too little room", want.ID, err)
		}
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func TestExpiredListsMakeRoomForSessions(t *testing.T) {
	var clock clock
	s := open(t, memorystore.Options{MaxBytes: 2 * (100 + memorystore.Overhead), Now: clock.Now})
	ctx := t.Context()
	data := bytes.Repeat([]byte("x"), 99)
	for _, id := range []string{"A", "B"} {
		if err := s.UserIndex().Create(ctx, store.Record{ID: id, Data: data, TTL: time.Minute}); err != nil {
			t.Fatal(err)
		}
	}
	isFull(t, "create", s.Create(ctx, store.Record{ID: "a", Data: data, TTL: time.Hour}))
	clock.Advance(time.Minute)
	for _, id := range []string{"a", "b"} {
		if err := s.Create(ctx, store.Record{ID: id, Data: data, TTL: time.Hour}); err != nil {
			t.Errorf("Create: %v", err)
		}
	}
}

func TestCloseEndsTheListsToo(t *testing.T) {
	s := memorystore.New(memorystore.Options{})
	lists := s.UserIndex()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := lists.Load(t.Context(), "a"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Load of a list after Close: %v", err)
	}
	if _, err := s.Inspect(t.Context(), nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Inspect after Close: %v", err)
	}
}

// What nobody will write to is kept without a copy, unless that would keep much memory
// with it that nobody uses.
func TestSharedDataIsKeptAsItIs(t *testing.T) {
	data := []byte(`{"a":"0123456789"}`)
	for _, tt := range []struct {
		name   string
		data   []byte
		shared bool
		want   bool
	}{
		{"shared", data, true, true},
		{"not shared", data, false, false},
		{"with as much memory behind it", append(make([]byte, 0, 2*len(data)), data...), true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := memorystore.New(memorystore.Options{})
			defer s.Close()
			if err := s.Create(t.Context(), store.Record{ID: "id", Data: tt.data, TTL: time.Hour, Shared: tt.shared}); err != nil {
				t.Fatal(err)
			}
			rec, err := s.Load(t.Context(), "id")
			if err != nil || !bytes.Equal(rec.Data, data) || !rec.Shared || cap(rec.Data) != len(rec.Data) {
				t.Fatalf("Load returned %q (shared: %v, room for %d), %v", rec.Data, rec.Shared, cap(rec.Data), err)
			}
			if got := &rec.Data[0] == &tt.data[0]; got != tt.want {
				t.Errorf("kept as it is: %v, want %v", got, tt.want)
			}
		})
	}
}

// A toldContext ends by the clock of whoever asks, as those of package core may.
type toldContext struct {
	context.Context
	until time.Time
}

func (c toldContext) ErrAt(now time.Time) error {
	if now.Before(c.until) {
		return nil
	}
	return context.DeadlineExceeded
}

func TestAContextIsToldWhatTimeItIs(t *testing.T) {
	ahead := func() time.Time { return time.Now().Add(2 * time.Hour) }
	for _, tt := range []struct {
		name string
		now  func() time.Time
		left time.Duration
		want string
	}{
		{"there is time left", nil, time.Hour, ""},
		{"the time is over", nil, 0, "timeout"},
		{"by the clock of the app alone the time is over", ahead, time.Hour, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := memorystore.New(memorystore.Options{Now: tt.now})
			defer s.Close()
			if err := s.Create(t.Context(), store.Record{ID: "id", Data: []byte("{}"), TTL: time.Hour}); err != nil {
				t.Fatal(err)
			}
			_, err := s.Load(toldContext{t.Context(), time.Now().Add(tt.left)}, "id")
			class := ""
			if failure := (*store.Error)(nil); errors.As(err, &failure) {
				class = failure.Class
			}
			if class != tt.want || (err == nil) != (tt.want == "") {
				t.Errorf("Load returned %v, want an error of class %q", err, tt.want)
			}
		})
	}
}
