package core_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A tellingStore is a mapstore that tells what happens, unless it is mute, and counts how
// often it is asked.
type tellingStore struct {
	*mapstore.Store
	mute     bool // it can tell nothing, and says so
	down     atomic.Bool
	panics   atomic.Bool
	inspects atomic.Int32
	open     atomic.Int32 // watches that were not closed

	mu      sync.Mutex
	changed map[*tellingWatch]func(ids ...string)
}

type tellingWatch struct{ *tellingStore }

func newTellingStore() *tellingStore {
	return &tellingStore{Store: new(mapstore.Store), changed: make(map[*tellingWatch]func(ids ...string))}
}

func (s *tellingStore) tell(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, changed := range s.changed {
		changed(ids...)
	}
}

func (s *tellingStore) Watch(changed func(ids ...string)) store.Watch {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &tellingWatch{s}
	s.changed[w] = changed
	s.open.Add(1)
	return w
}

func (w *tellingWatch) Inspect(ctx context.Context, ids []string) ([]store.Record, error) {
	if w.mute {
		return nil, errors.ErrUnsupported
	}
	return w.tellingStore.Inspect(ctx, ids)
}

func (w *tellingWatch) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.changed, w)
	w.open.Add(-1)
}

func (s *tellingStore) UserIndex() store.Store { return new(mapstore.Store) }

func (s *tellingStore) Inspect(ctx context.Context, ids []string) (found []store.Record, err error) {
	s.inspects.Add(1)
	if s.panics.Load() {
		panic("out of order")
	}
	if s.down.Load() {
		return nil, &store.Error{Store: "map", Verb: "inspect", Class: "connection failed"}
	}
	for _, rec := range s.Records() {
		if slices.Contains(ids, rec.ID) {
			found = append(found, rec)
		}
	}
	return found, ctx.Err()
}

func (s *tellingStore) Update(ctx context.Context, old, next store.Record) error {
	defer s.tell(old.ID)
	return s.Store.Update(ctx, old, next)
}

func (s *tellingStore) Touch(ctx context.Context, id string, ttl time.Duration) error {
	defer s.tell(id)
	return s.Store.Touch(ctx, id, ttl)
}

func (s *tellingStore) Delete(ctx context.Context, id string) error {
	defer s.tell(id)
	return s.Store.Delete(ctx, id)
}

func (s *tellingStore) Remove(ctx context.Context, old store.Record) error {
	defer s.tell(old.ID)
	return s.Store.Remove(ctx, old)
}

// An instance is a Manager of several on one store.
func instance(t *testing.T, st store.Store, edit ...func(*core.Config)) *core.Manager {
	t.Helper()
	cfg := core.Config{Store: st, Secrets: []string{stageSecret}, IdleTimeout: time.Hour}
	for _, f := range edit {
		f(&cfg)
	}
	m, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// begin makes a session, and returns the value of its cookie.
func begin(t *testing.T, m *core.Manager) (cookie string) {
	t.Helper()
	s := resume(t, m, "")
	s.Set("user", "ada")
	line, err := m.Commit(t.Context(), s, false)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ = strings.Cut(line, ";")
	_, cookie, _ = strings.Cut(line, "=")
	return cookie
}

// resume returns the session that a cookie leads to.
func resume(t *testing.T, m *core.Manager, cookie string) *core.Session {
	t.Helper()
	s, err := m.Load(t.Context(), cookie)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// isOver reports whether a session was told to have ended, once everything has come to
// rest.
func isOver(ended <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// Stores that tell, that cannot although they are watchers, and that are none; of the
// last kind those that read many sessions at once, and one at a time.
var endedStores = []struct {
	name  string
	open  func() store.Store
	tells bool
}{
	{"a store that tells", func() store.Store { return newTellingStore() }, true},
	{"a store that cannot tell as it is set up", func() store.Store { s := newTellingStore(); s.mute = true; return s }, false},
	{"a store that reads several at once", func() store.Store {
		s := newTellingStore()
		return struct {
			store.Store
			store.Remover
			store.UserIndexer
		}{s, s, s}
	}, false},
	{"a store of five verbs", func() store.Store { return struct{ store.Store }{new(mapstore.Store)} }, false},
}

// Standards: ASVS-7.4.1, ASVS-4.4.3
func TestAnEndIsTold(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, m *core.Manager, cookie string)
	}{
		{"a logout", func(t *testing.T, m *core.Manager, cookie string) {
			if err := resume(t, m, cookie).Destroy(ctx); err != nil {
				t.Fatal(err)
			}
		}},
		{"a renewal", func(t *testing.T, m *core.Manager, cookie string) {
			s := resume(t, m, cookie)
			if err := errors.Join(s.Renew(), s.Save(ctx)); err != nil {
				t.Fatal(err)
			}
		}},
		{"a rotation", func(t *testing.T, m *core.Manager, cookie string) {
			s := resume(t, m, cookie)
			if err := errors.Join(s.Rotate(), s.Save(ctx)); err != nil {
				t.Fatal(err)
			}
		}},
		{"a sign-in", func(t *testing.T, m *core.Manager, cookie string) {
			s := resume(t, m, cookie)
			if err := errors.Join(s.SignIn(ctx, "ada"), s.Save(ctx)); err != nil {
				t.Fatal(err)
			}
		}},
		{"a session that is emptied", func(t *testing.T, m *core.Manager, cookie string) {
			s := resume(t, m, cookie)
			if err := errors.Join(s.Regenerate(), s.Save(ctx)); err != nil {
				t.Fatal(err)
			}
		}},
		{"a deletion by another program", func(t *testing.T, m *core.Manager, cookie string) {
			if err := m.Config().Store.Delete(ctx, resume(t, m, cookie).ID()); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		for _, st := range endedStores {
			for _, here := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/in this process %v", tt.name, st.name, here), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						opened := st.open()
						m := instance(t, opened)
						cookie := begin(t, m)
						open, hangUp := context.WithCancel(ctx)
						defer hangUp()
						ended, again := resume(t, m, cookie).Ended(open), resume(t, m, cookie).Ended(open)
						other := resume(t, m, begin(t, m)).Ended(open)
						time.Sleep(10 * time.Second)
						if isOver(ended) {
							t.Fatal("told before it ended")
						}
						by := m
						if !here {
							by = instance(t, opened)
						}
						start := time.Now()
						tt.end(t, by, cookie)
						<-ended
						<-again
						most := m.Config().PollInterval
						if st.tells || here && !strings.Contains(tt.name, "another program") {
							most = 0
						}
						if took := time.Since(start); took > most {
							t.Errorf("told after %v, want %v at most", took, most)
						}
						time.Sleep(10 * time.Second)
						if isOver(other) {
							t.Error("another session was told to have ended")
						}
					})
				})
			}
		}
	}
}

// Standards: ASVS-7.3.1, ASVS-7.3.2
func TestATimeoutIsTold(t *testing.T) {
	for _, st := range endedStores {
		for _, tt := range []struct {
			name string
			edit func(*core.Config)
			lasts,
			activeFor time.Duration // how long somebody else uses the session
		}{
			{"idle", func(c *core.Config) { c.IdleTimeout = time.Minute }, time.Minute, 0},
			{"idle, after activity", func(c *core.Config) { c.IdleTimeout = time.Minute }, 6 * time.Minute, 5 * time.Minute},
			{"absolute", func(c *core.Config) { c.IdleTimeout, c.AbsoluteTimeout = time.Minute, 3*time.Minute }, 3 * time.Minute, 10 * time.Minute},
		} {
			t.Run(st.name+"/"+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					opened := st.open()
					m, elsewhere := instance(t, opened, tt.edit), instance(t, opened, tt.edit)
					cookie := begin(t, m)
					start := time.Now()
					open, hangUp := context.WithCancel(t.Context())
					defer hangUp()
					ended := resume(t, m, cookie).Ended(open)
					for time.Since(start) < tt.activeFor && !isOver(ended) {
						time.Sleep(20 * time.Second)
						resume(t, elsewhere, cookie)
						synctest.Wait()
					}
					<-ended
					slack := 5 * time.Second // an extension comes up to TouchInterval earlier, and a poll later
					if !st.tells {
						slack += m.Config().PollInterval
					}
					if took := time.Since(start); took < tt.lasts-slack || took > tt.lasts+20*time.Second+slack {
						t.Errorf("told after %v, want %v", took, tt.lasts)
					}
				})
			})
		}
	}
}

// Standards: ASVS-16.5.2
func TestAnOutageEndsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, mute := range []bool{false, true} {
			st := newTellingStore()
			st.mute = mute
			m := instance(t, st)
			cookie, gone := begin(t, m), begin(t, m)
			open, hangUp := context.WithCancel(t.Context())
			ended, end := resume(t, m, cookie).Ended(open), resume(t, m, gone).Ended(open)
			time.Sleep(time.Minute)
			st.down.Store(true)
			for range 100 {
				st.tell()
				time.Sleep(time.Second)
			}
			if isOver(ended) {
				t.Fatal("a store that failed ended a session")
			}
			if err := st.Delete(t.Context(), resume(t, m, gone).ID()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if isOver(end) {
				t.Fatal("told of something that nobody can know")
			}
			st.down.Store(false)
			start := time.Now()
			<-end
			if took := time.Since(start); took > time.Second {
				t.Errorf("what happened in the outage was told %v after it", took)
			}
			if isOver(ended) {
				t.Error("a session that lives was told to have ended")
			}
			hangUp()
		}
	})
}

func TestAHintEndsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newTellingStore()
		m := instance(t, st)
		cookie := begin(t, m)
		open, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		s := resume(t, m, cookie)
		ended := s.Ended(open)
		for range 10 {
			st.tell(s.ID(), "unknown")
			st.tell()
			again := resume(t, m, cookie)
			again.Set("n", time.Now().UnixNano())
			if _, err := m.Commit(t.Context(), again, false); err != nil {
				t.Fatal(err)
			}
			if isOver(ended) {
				t.Fatal("a session that lives was told to have ended")
			}
		}
	})
}

// A watcher is there while somebody waits, and no longer: synctest finds goroutines that
// are left.
func TestTheWatcherEndsWithTheLastWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newTellingStore()
		m := instance(t, st)
		cookie := begin(t, m)
		var hangUps []context.CancelFunc
		var streams []<-chan struct{}
		for range 10 {
			open, hangUp := context.WithCancel(t.Context())
			hangUps, streams = append(hangUps, hangUp), append(streams, resume(t, m, cookie).Ended(open))
		}
		for i, hangUp := range hangUps {
			synctest.Wait()
			if n := st.open.Load(); n != 1 {
				t.Fatalf("%d watches for %d who wait, want one", n, len(hangUps)-i)
			}
			hangUp()
		}
		synctest.Wait()
		if n := st.open.Load(); n != 0 {
			t.Fatalf("%d watches are left when nobody waits", n)
		}
		asked := st.inspects.Load()
		time.Sleep(24 * time.Hour)
		if n := st.inspects.Load(); n != asked {
			t.Errorf("the store was asked %d times when nobody waited", n-asked)
		}
		for _, ended := range streams {
			if isOver(ended) {
				t.Error("whoever does not wait any more was told of an end")
			}
		}

		cookie = begin(t, m) // the first one has expired
		open, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		ended := resume(t, m, cookie).Ended(open)
		if err := resume(t, instance(t, st), cookie).Destroy(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-ended
		synctest.Wait()
		if n := st.open.Load(); n != 0 {
			t.Errorf("%d watches are left when the last session has ended", n)
		}
	})
}

func TestWhoeverHasGoneIsNotWaitedFor(t *testing.T) {
	m := instance(t, newTellingStore())
	cookie := begin(t, m)
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	select {
	case <-resume(t, m, cookie).Ended(gone):
		t.Error("told of an end that there was not")
	default:
	}
}

// Two streams of one request may ask before each message, each with its own context.
func TestWhoeverAsksAgainWaitsOnce(t *testing.T) {
	t.Parallel()
	m := instance(t, new(mapstore.Store))
	s := resume(t, m, begin(t, m))
	var ctxs []context.Context
	for range 3 {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		ctxs = append(ctxs, ctx)
	}
	first := s.Ended(ctxs[0])
	for range 10 {
		for _, ctx := range ctxs {
			if s.Ended(ctx) != first {
				t.Fatal("the channels of a session are not one")
			}
		}
	}
	if n := m.Waiting(); n != len(ctxs) {
		t.Errorf("it is waited for %d times", n)
	}
}

func TestWhereNoSessionIsStoredItHasEnded(t *testing.T) {
	m := instance(t, newTellingStore())
	cookie := begin(t, m)
	ended := resume(t, m, cookie)
	if err := ended.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*core.Session{
		"a visitor without one": resume(t, m, ""),
		"a logout just now":     ended,
		"one that is gone":      resume(t, m, cookie),
	} {
		select {
		case <-s.Ended(t.Context()):
		default:
			t.Errorf("%s: the channel is open", name)
		}
	}
}

// Ten thousand are looked at in some twenty calls, and by a poll no more often than it says.
func TestManySessionsAreLookedAtTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sessions = 2000
		st := newTellingStore()
		st.mute = true
		m := instance(t, st, func(c *core.Config) { c.PollInterval = 10 * time.Second })
		open, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		loaded := make([]*core.Session, sessions)
		for i := range loaded {
			loaded[i] = resume(t, m, begin(t, m))
		}
		for _, s := range loaded {
			s.Ended(open)
		}
		time.Sleep(time.Second)
		before := st.inspects.Load()
		time.Sleep(100 * time.Second)
		if n := st.inspects.Load() - before; n != 10*4 {
			t.Errorf("ten polls of %d sessions took %d calls, want 40", sessions, n)
		}
	})
}

// New streams and ends by this process do not put a poll off.
func TestAPollIsNotPutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newTellingStore()
		st.mute = true
		m := instance(t, st)
		cookie := begin(t, m)
		open, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		ended := resume(t, m, cookie).Ended(open)
		time.Sleep(time.Minute)
		if err := resume(t, instance(t, st), cookie).Destroy(t.Context()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for !isOver(ended) {
			resume(t, m, begin(t, m)).Ended(open)
			time.Sleep(10 * time.Millisecond)
			if time.Since(start) > time.Minute {
				t.Fatal("an end was not told within a minute of new streams")
			}
		}
		if took := time.Since(start); took > m.Config().PollInterval+20*time.Millisecond {
			t.Errorf("told after %v", took)
		}
	})
}

func TestAStoreThatPanicsEndsNoProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newTellingStore()
		log := new(stageLog)
		m := instance(t, st, func(c *core.Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) })
		cookie := begin(t, m)
		open, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		ended := resume(t, m, cookie).Ended(open)
		synctest.Wait()
		st.panics.Store(true)
		if err := resume(t, instance(t, st), cookie).Destroy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if isOver(ended) || log.count("panicked") == 0 {
			t.Errorf("told of an end that nobody has looked at, or the log says nothing: %s", log)
		}
		st.panics.Store(false)
		<-ended
	})
}

func TestAStoreThatCannotTellIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newTellingStore()
		st.mute = true
		log := new(stageLog)
		m := instance(t, st, func(c *core.Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) })
		cookie := begin(t, m)
		for range 3 {
			open, hangUp := context.WithCancel(t.Context())
			resume(t, m, cookie).Ended(open)
			time.Sleep(time.Minute)
			hangUp()
			synctest.Wait()
		}
		if n := log.count("PollInterval"); n != 1 || st.open.Load() != 0 {
			t.Errorf("said %d times, want once; %d watches are left", n, st.open.Load())
		}
	})
}

// A partStore cannot read one record: that is on a server of a cluster which is down.
type partStore struct {
	store.Store
	unread atomic.Value // its id
}

func (s *partStore) Load(ctx context.Context, id string) (store.Record, error) {
	if id == s.unread.Load() {
		return store.Record{}, &store.Error{Store: "map", Verb: "load", Class: "connection failed"}
	}
	return s.Store.Load(ctx, id)
}

// Standards: ASVS-7.4.1
func TestAnEndIsToldWhileAnotherSessionCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &partStore{Store: new(mapstore.Store)}
		m := instance(t, st)
		open, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		unread := resume(t, m, begin(t, m))
		unread.Ended(open)
		var cookies []string
		var ended []<-chan struct{}
		for range 40 { // more than are read together
			cookies = append(cookies, begin(t, m))
			ended = append(ended, resume(t, m, cookies[len(cookies)-1]).Ended(open))
		}
		time.Sleep(time.Minute)
		st.unread.Store(unread.ID())
		time.Sleep(time.Minute)
		elsewhere := instance(t, st)
		for i, by := range []*core.Manager{m, elsewhere} {
			if err := resume(t, by, cookies[i]).Destroy(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(m.Config().PollInterval + time.Second)
			if !isOver(ended[i]) {
				t.Errorf("%d: the logout is not told, because another session cannot be read", i)
			}
		}
		if isOver(ended[2]) || isOver(unread.Ended(open)) {
			t.Error("a session is told to have ended that lives")
		}
	})
}

// A third of the sessions is on a server that hangs: it answers nothing, and refuses nothing.
type partlyHanging struct {
	*tellingStore
	bad atomic.Pointer[map[string]bool]
}

type partlyHangingWatch struct {
	store.Watch
	s *partlyHanging
}

func (s *partlyHanging) Watch(changed func(ids ...string)) store.Watch {
	return &partlyHangingWatch{s.tellingStore.Watch(changed), s}
}

func (w *partlyHangingWatch) Inspect(ctx context.Context, ids []string) ([]store.Record, error) {
	bad := w.s.bad.Load()
	for _, id := range ids {
		if bad != nil && (*bad)[id] {
			<-ctx.Done()
			return nil, &store.Error{Store: "map", Verb: "watch", Class: "timeout", Err: ctx.Err()}
		}
	}
	return w.Watch.Inspect(ctx, ids)
}

func TestAnEndIsToldWhileAServerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 3000
		st := &partlyHanging{tellingStore: newTellingStore()}
		m := instance(t, st)
		open, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		bad := make(map[string]bool)
		var cookie string
		var ended <-chan struct{}
		for i := range n {
			c := begin(t, m)
			s := resume(t, m, c)
			ch := s.Ended(open)
			if i%3 == 0 {
				bad[s.ID()] = true
			} else {
				cookie, ended = c, ch
			}
		}
		time.Sleep(time.Minute)
		st.bad.Store(&bad)
		st.tell() // a connection was lost
		time.Sleep(time.Minute)
		start := time.Now()
		if err := resume(t, m, cookie).Destroy(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-ended
		took := time.Since(start)
		if took > 4*m.Config().StoreTimeout {
			t.Errorf("told after %v", took)
		}
	})
}

// A stream may ask before each message that it waits for.
func TestAStreamThatAsksAgainWaitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := instance(t, newTellingStore())
		s := resume(t, m, begin(t, m))
		open, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		first := s.Ended(open)
		synctest.Wait() // what looks after the session takes memory, once
		if allocs := testing.AllocsPerRun(100, func() {
			if s.Ended(open) != first {
				t.Error("it is another channel")
			}
		}); allocs > 0 {
			t.Errorf("each time it asks it takes memory: %v allocations", allocs)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		s.Ended(over)
		if s.Ended(open) != first {
			t.Error("the channel of the stream is another one, because somebody else waited")
		}
	})
}

// Whoever waits for a session waits for as long as its own context lasts, and for the
// session under the id that it has then.
func TestWhoeverAsksInAnotherContextWaitsAsLongAsThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := instance(t, newTellingStore())
		cookie := begin(t, m)
		s := resume(t, m, cookie)
		short, hangUp := context.WithCancel(t.Context())
		long, end := context.WithCancel(t.Context())
		defer end()
		s.Ended(short)
		ended := s.Ended(long)
		hangUp()
		synctest.Wait()
		if err := resume(t, m, cookie).Destroy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !isOver(ended) {
			t.Error("the end is not told, because somebody else hung up")
		}
	})
}

func TestWhoeverAsksAfterRenewWaitsForTheNewId(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := instance(t, newTellingStore())
		s := resume(t, m, begin(t, m))
		open, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		before := s.Ended(open)
		if err := errors.Join(s.Renew(), s.Save(t.Context())); err != nil {
			t.Fatal(err)
		}
		if !isOver(before) || isOver(s.Ended(open)) {
			t.Error("the old id has not ended, or the new one has")
		}
	})
}

// A store that has lost its connection says that anything may have happened.
func TestAStoreThatMayHaveMissedSomethingHasAllLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newTellingStore()
		m := instance(t, st)
		s := resume(t, m, begin(t, m))
		open, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		ended := s.Ended(open)
		synctest.Wait()
		if err := st.Store.Delete(t.Context(), s.ID()); err != nil { // what the store does not tell of
			t.Fatal(err)
		}
		if isOver(ended) {
			t.Fatal("it was told by something else")
		}
		st.tell()
		if !isOver(ended) {
			t.Error("the end is not told")
		}
	})
}

// What could not be read is tried again, until it could.
func TestAfterAnOutageNothingIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newTellingStore()
		m := instance(t, st, func(c *core.Config) { c.IdleTimeout = 100 * time.Hour })
		s := resume(t, m, begin(t, m))
		open, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		s.Ended(open)
		synctest.Wait()
		st.down.Store(true)
		st.tell()
		time.Sleep(time.Minute)
		st.down.Store(false)
		time.Sleep(time.Minute)
		before := st.inspects.Load()
		time.Sleep(time.Hour)
		if n := st.inspects.Load() - before; n != 0 {
			t.Errorf("the store was asked %d times in the hour after the outage", n)
		}
	})
}

func TestAnOutageIsNoEndOfAStream(t *testing.T) {
	st := &partStore{Store: new(mapstore.Store)}
	m := instance(t, st, func(c *core.Config) {
		c.ServeAnonymously = func(*http.Request, error) bool { return true }
	})
	cookie := begin(t, m)
	st.unread.Store(resume(t, m, cookie).ID())
	serve(m, requestWith(t.Context(), cookie), func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-core.FromContext(r.Context()).Ended(r.Context()):
			t.Error("the store is down, and the stream is told that its session has ended")
		default:
		}
	})
}

// A stream is activity of its visitor, unless Config.Passive says that it is none: then the
// idle timeout ends the session, and the stream is told. To wait for that extends nothing.
//
// Standards: ASVS-7.3.1
func TestWhetherAStreamKeepsItsSessionAlive(t *testing.T) {
	for _, passive := range []bool{false, true} {
		t.Run(fmt.Sprintf("passive %v", passive), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := instance(t, newTellingStore(), func(c *core.Config) {
					c.IdleTimeout = time.Minute
					c.Passive = func(*http.Request) bool { return passive }
				})
				cookie := begin(t, m)
				open, hangUp := context.WithCancel(t.Context())
				r := httptest.NewRequestWithContext(open, http.MethodGet, "/events", http.NoBody)
				r.Header.Set("Cookie", "sid="+cookie)
				start := time.Now()
				go func() {
					time.Sleep(10 * time.Minute)
					hangUp()
				}()
				var told bool
				m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					select {
					case <-core.FromContext(r.Context()).Ended(r.Context()):
						told = true
					case <-r.Context().Done():
					}
				})).ServeHTTP(httptest.NewRecorder(), r)
				took := time.Since(start)
				if passive && (!told || took > 2*time.Minute) || !passive && (told || took < 10*time.Minute) {
					t.Errorf("told %v after %v", told, took)
				}
				hangUp()
				time.Sleep(10 * time.Minute)
			})
		})
	}
}
