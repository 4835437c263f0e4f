package promises

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2" //nolint:depguard // a seed that can be given again
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// Streams are sessions whose ends a process waits for, and another process on the same
// storage that uses them and ends them.
type Streams struct {
	t         *testing.T
	Elsewhere *core.Manager
	cookies   []string
	ended     []<-chan struct{}
	Live      []int // those that nobody has ended yet
}

// OpenStreams makes n sessions, and waits for the ends of all. The stores are those of the
// process that waits and of the other one. A StoreTimeout of zero is the default, because a
// server may fail.
func OpenStreams(t *testing.T, here, elsewhere store.Store, cfg core.Config, n int) *Streams {
	t.Helper()
	cfg.StoreTimeout = cmp.Or(cfg.StoreTimeout, 5*time.Second)
	cfg.Store = here
	waiting := ManagerOn(t, cfg)
	cfg.Store = elsewhere
	s := &Streams{t: t, Elsewhere: ManagerOn(t, cfg), cookies: make([]string, n), ended: make([]<-chan struct{}, n)}
	sessions := make([]*core.Session, n)
	ctx, hangUp := context.WithCancel(context.Background())
	t.Cleanup(hangUp)
	s.each(n, func(i int) (err error) {
		if s.cookies[i], err = begin(ctx, waiting); err == nil {
			sessions[i], err = waiting.Load(ctx, s.cookies[i])
		}
		return err
	})
	for i, session := range sessions {
		s.ended[i] = session.Ended(ctx)
		s.Live = append(s.Live, i)
	}
	return s
}

// begin makes a session, and returns the value of its cookie.
func begin(ctx context.Context, m *core.Manager) (cookie string, err error) {
	s, err := m.Load(ctx, "")
	if err != nil {
		return "", err
	}
	count.Set(s, 1)
	return committed(ctx, m, s)
}

// committed stores a session, and returns the value of the cookie that was set, if any.
func committed(ctx context.Context, m *core.Manager, s *core.Session) (cookie string, err error) {
	line, err := m.Commit(ctx, s, false)
	if err != nil || line == "" {
		return "", err
	}
	c, err := http.ParseSetCookie(line)
	if err != nil {
		return "", errors.New("what was set is no cookie")
	}
	return c.Value, nil
}

// each calls do for the first n numbers, many at once, and each again until it succeeds.
func (s *Streams) each(n int, do func(i int) error) {
	s.t.Helper()
	var (
		wg     sync.WaitGroup
		next   atomic.Int64
		failed atomic.Pointer[error]
		end    = time.Now().Add(servers.Patience)
	)
	for range min(32, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				for err := do(i); err != nil; err = do(i) {
					if time.Now().After(end) {
						failed.Store(&err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		s.t.Fatal(*err)
	}
}

// End has the other process end the next n sessions, and returns which they are.
func (s *Streams) End(n int) (ended []int) {
	s.t.Helper()
	ended, s.Live = s.Live[:n], s.Live[n:]
	s.each(n, func(i int) error {
		ctx := context.Background()
		session, err := s.Elsewhere.Load(ctx, s.cookies[ended[i]])
		if err != nil || session.Status() != core.StatusLoaded {
			return err
		}
		return session.Destroy(ctx)
	})
	return ended
}

// Ended returns what is closed when a session has ended.
func (s *Streams) Ended(n int) <-chan struct{} { return s.ended[n] }

// ID returns the id of a session.
func (s *Streams) ID(n int) string {
	s.t.Helper()
	session, err := s.Elsewhere.Load(context.Background(), s.cookies[n])
	if err != nil {
		s.t.Fatal(err)
	}
	return session.ID()
}

// AreTold waits until it is told that sessions have ended, and checks that it is of no
// others.
func (s *Streams) AreTold(ended []int) {
	s.t.Helper()
	for i, n := range ended {
		if !isTold(s.ended[n]) {
			s.t.Fatalf("of %d ends %d were told, and none after that within %v", len(ended), i, servers.Patience)
		}
	}
	s.NoOther()
}

// isTold waits for an end, and reports whether it was told.
func isTold(ended <-chan struct{}) bool {
	select {
	case <-ended:
		return true
	case <-time.After(servers.Patience):
		return false
	}
}

// NoOther checks that nobody was told of an end that there was not.
func (s *Streams) NoOther() {
	s.t.Helper()
	falsely := 0
	for _, n := range s.Live {
		select {
		case <-s.ended[n]:
			falsely++
		default:
		}
	}
	if falsely > 0 {
		s.t.Fatalf("%d of %d sessions that live were told to have ended", falsely, len(s.Live))
	}
}

// Use has the other process change the next n sessions, which ends none.
func (s *Streams) Use(n int) {
	s.t.Helper()
	s.each(n, func(i int) error {
		ctx := context.Background()
		session, err := s.Elsewhere.Load(ctx, s.cookies[s.Live[i]])
		if err != nil {
			return err
		}
		if session.Status() != core.StatusLoaded {
			return fmt.Errorf("a session that nobody has ended is %v", session.Status())
		}
		count.Update(session, next)
		_, err = committed(ctx, s.Elsewhere, session)
		return err
	})
	s.NoOther()
}

// Ends tests that the end of a session is told to whoever waits for it in another process,
// however it ends, and no other.
func Ends(t *testing.T, here, elsewhere store.Store) {
	const user, idle = "ann", 2 * time.Second
	ctx := context.Background()
	cfg := core.Config{MaxSessionsPerUser: 4, AtUserLimit: core.DropOldest, PollInterval: 50 * time.Millisecond, StoreTimeout: servers.Patience}
	s := OpenStreams(t, here, elsewhere, cfg, 40)
	s.Use(20)
	s.AreTold(s.End(10))

	load := func() *core.Session {
		t.Helper()
		session, err := s.Elsewhere.Load(ctx, s.cookies[s.Live[0]])
		if err != nil {
			t.Fatal(err)
		}
		return session
	}
	over := func(how string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		first := s.Live[:1]
		s.Live = s.Live[1:]
		s.AreTold(first)
	}
	session := load()
	over("renewal", errors.Join(session.Renew(), session.Save(ctx)))
	session = load()
	over("new session in its place", errors.Join(session.Regenerate(), session.Save(ctx)))
	session = load()
	over("sign-in", errors.Join(session.SignIn(ctx, user), session.Save(ctx)))
	over("deletion", elsewhere.Delete(ctx, load().ID()))

	// Those of a user, by a revocation, and by one login too many.
	signedIn := func() (ended <-chan struct{}) {
		t.Helper()
		first, err := s.Elsewhere.Load(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := first.SignIn(ctx, user); err != nil {
			t.Fatal(err)
		}
		cookie, err := committed(ctx, s.Elsewhere, first)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Store = here
		waiting := ManagerOn(t, cfg)
		session, err := waiting.Load(ctx, cookie)
		if err != nil {
			t.Fatal(err)
		}
		open, hangUp := context.WithCancel(ctx)
		t.Cleanup(hangUp)
		return session.Ended(open)
	}
	await := func(what string, ended <-chan struct{}) {
		t.Helper()
		if !isTold(ended) {
			t.Fatalf("the end by %s was not told within %v", what, servers.Patience)
		}
	}
	var users []<-chan struct{}
	for range 5 { // with that of before they are six, and two are too many
		users = append(users, signedIn())
	}
	await("the limit", users[0])
	if err := s.Elsewhere.RevokeUser(ctx, user); err != nil {
		t.Fatal(err)
	}
	for _, ended := range users {
		await("a revocation", ended)
	}
	s.NoOther()

	// By the idle timeout, without anybody's doing.
	cfg = core.Config{IdleTimeout: idle, PollInterval: 50 * time.Millisecond, StoreTimeout: servers.Patience}
	brief := OpenStreams(t, here, elsewhere, cfg, 20)
	all := brief.Live
	brief.Live = nil
	brief.AreTold(all)
	s.Use(len(s.Live))
}

// EndsAtRandom has workers of two processes use, renew and end sessions at random while
// another one waits for their ends, and opens streams anew. At the end each session that
// has ended was told, and each that was told has ended.
func EndsAtRandom(t *testing.T, here, elsewhere store.Store, sessions, steps int) {
	const checkers = 16
	ctx, hangUp := context.WithCancel(context.Background())
	defer hangUp()
	cfg := core.Config{PollInterval: 20 * time.Millisecond, StoreTimeout: servers.Patience}
	cfg.Store = here
	waiting := ManagerOn(t, cfg)
	cfg.Store = elsewhere
	processes := []*core.Manager{waiting, ManagerOn(t, cfg)}
	var (
		mu      sync.Mutex
		streams = make(map[string]<-chan struct{}) // by the value of the cookie, all that there ever were
		live    []string
		wg      sync.WaitGroup
	)
	open := func(cookie string) error {
		session, err := waiting.Load(ctx, cookie)
		if err != nil {
			return err
		}
		ended := session.Ended(ctx) // closed, where somebody ended the session a moment ago
		mu.Lock()
		defer mu.Unlock()
		streams[cookie] = ended
		live = append(live, cookie)
		return nil
	}
	replace := func(ended string) error {
		mu.Lock()
		at := slices.Index(live, ended)
		if at >= 0 { // else somebody else was faster
			live = slices.Delete(live, at, at+1)
		}
		mu.Unlock()
		if at < 0 {
			return nil
		}
		cookie, err := begin(ctx, waiting)
		if err == nil {
			err = open(cookie)
		}
		return err
	}
	step := func(m *core.Manager, r *rand.Rand) error {
		mu.Lock()
		cookie := live[r.IntN(len(live))]
		mu.Unlock()
		session, err := m.Load(ctx, cookie)
		if err != nil {
			return err
		}
		switch what := r.IntN(20); {
		case session.Status() != core.StatusLoaded: // it has ended, and is in no hands any more
			return replace(cookie)
		case what < 2:
			if err := session.Destroy(ctx); err != nil && !errors.Is(err, core.ErrSessionGone) {
				return err
			}
			return replace(cookie)
		case what < 6:
			if err := session.Renew(); err != nil {
				return err
			}
		default:
			count.Update(session, next)
		}
		next, err := committed(ctx, m, session)
		if errors.Is(err, core.ErrSessionGone) {
			return nil
		}
		if err == nil && next != "" {
			err = open(next)
		}
		return err
	}
	for range sessions {
		cookie, err := begin(ctx, waiting)
		if err != nil {
			t.Fatal(err)
		}
		if err := open(cookie); err != nil {
			t.Fatal(err)
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for worker := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(worker)))
			for range steps / 8 {
				if err := step(processes[worker%2], r); err != nil {
					t.Errorf("worker %d: %v", worker, err)
					return
				}
			}
		})
	}
	wg.Wait()
	var told, lives atomic.Int64
	all := slices.Collect(maps.Keys(streams))
	InParallel(checkers, func(from int) {
		for i := from; i < len(all); i += checkers {
			session, err := processes[1].Load(store.BypassCache(ctx), all[i])
			ended := streams[all[i]]
			switch {
			case err != nil:
				t.Error(err)
			case session.Status() != core.StatusLoaded:
				if !isTold(ended) {
					t.Errorf("an end was not told within %v", servers.Patience)
					return
				}
				told.Add(1)
			default:
				select {
				case <-ended:
					t.Error("a session that lives was told to have ended")
				default:
					lives.Add(1)
				}
			}
		}
	})
	if told.Load() == 0 || lives.Load() == 0 {
		t.Errorf("%d sessions have ended and %d live: that says little", told.Load(), lives.Load())
	}
	t.Logf("of %d sessions, %d ended and %d live; nobody was told falsely, and nobody missed it", len(all), told.Load(), lives.Load())
}
