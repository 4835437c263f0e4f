package predecessors

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

const nobody = "<nil> <nil>"

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	check(t, err)
	return u
}

// A browser that is signed in at the former app goes on at the new one, with what its
// session held; a logout there is one for good.
func TestABrowserMovesAndStaysSignedIn(t *testing.T) {
	for _, f := range formers() {
		for name, start := range frameworks {
			t.Run(f.name+" to "+name, func(t *testing.T) {
				t.Parallel()
				before, source := f.start(t)
				now := start(t, settings(t, source, nil))
				b := newBrowser(t)
				b.is(before+"/login?user=bob", "bob <nil>")
				b.is(before+"/set?n=41", "bob 41")
				other := b.stolen(before)

				b.is(now+"/get", "bob 41")
				b.is(now+"/values", "{a book 2} 4611686018427387904")
				b.is(now+"/sensitive", core.ErrSignInTooOld.Error())
				b.is(now+"/add?n=1", "bob 42")
				b.is(now+"/get", "bob 42")
				b.is(now+"/logout", nobody)
				b.is(now+"/get", nobody)
				b.is(before+"/get", nobody) // the old cookie is deleted

				other.is(now+"/get", nobody) // and refused, where somebody has it
				if f.record {
					other.is(before+"/get", nobody)
				}
			})
		}
	}
}

// By turns at an old and a new instance, as during a rolling deploy.
func TestByTurnsWhileBothRun(t *testing.T) {
	for _, f := range formers() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			before, source := f.start(t)
			cfg := settings(t, source, nil)
			cfg.Predecessor.Linked = true
			now := frameworks["Gin"](t, cfg)
			b := newBrowser(t)
			b.is(before+"/login?user=bob", "bob <nil>")
			b.is(now+"/get", "bob <nil>")
			b.is(before+"/set?n=5", "bob 5") // a change there is seen here
			b.is(now+"/get", "bob 5")
			b.is(now+"/add?n=1", "bob 6") // and is not done again
			b.is(now+"/get", "bob 6")
			b.is(before+"/login?user=alice", "alice 5") // so is another user
			b.is(now+"/get", "alice 5")
			b.is(before+"/logout", nobody) // and a logout
			b.is(now+"/get", nobody)
			b.is(before+"/login?user=carol", "carol <nil>") // and the next login
			b.is(now+"/get", "carol <nil>")
			b.is(now+"/logout", nobody) // a logout here is one there
			b.is(before+"/get", nobody)
			b.is(now+"/get", nobody)
		})
	}
}

// Without Linked, what was taken over is the new side's alone.
func TestAfterTheCutOverTheNewSideDecides(t *testing.T) {
	for _, f := range formers() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			before, source := f.start(t)
			now := frameworks["Echo v5"](t, settings(t, source, nil))
			b := newBrowser(t)
			b.is(before+"/login?user=bob", "bob <nil>")
			b.is(now+"/set?n=1", "bob 1")
			b.is(before+"/set?n=5", "bob 5")
			b.is(now+"/get", "bob 1")
			b.is(now+"/login?user=bob", "bob 1")
			b.is(now+"/sensitive", "<nil>")
		})
	}
}

// Random walks of a browser between both sides, against a model.
func TestRandomWalksAgreeWithAModel(t *testing.T) {
	const rounds, steps = 20, 12
	for i, f := range formers() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			before, source := f.start(t)
			cfg := settings(t, source, nil)
			cfg.Predecessor.Linked = true
			now := frameworks["Gin"](t, cfg)
			for round := range rounds {
				seed := uint64(i*rounds + round) //nolint:gosec // small
				w := walk{b: newBrowser(t), before: before, now: now, random: rand.New(rand.NewPCG(seed, 1)), name: fmt.Sprintf("%d-%d", i, round)}
				for range steps {
					w.step()
				}
				if t.Failed() {
					t.Fatalf("seed %d: %v", seed, w.did)
				}
			}
		})
	}
}

// A walk is a browser and what it should see. At the old side a session has a user and
// a number; the new side has what was there when it last changed, and its own changes
// since.
type walk struct {
	b           *browser
	before, now string
	random      *rand.Rand
	name        string
	users       int
	did         []string

	old, taken, here state // taken: the old side as the new one has seen it last
}

type state struct{ user, n string }

var empty = state{"<nil>", "<nil>"}

func (s state) String() string { return s.user + " " + s.n }

func (w *walk) step() {
	if w.old == (state{}) {
		w.old, w.taken, w.here = empty, empty, empty
	}
	n := fmt.Sprint(w.random.IntN(1000))
	var at, path string
	var want state
	switch w.random.IntN(6) {
	case 0: // each time as another user, because a logout refuses what was stored within the same second
		w.users++
		at, path = w.before, fmt.Sprintf("/login?user=u%s-%d", w.name, w.users)
		w.old.user = fmt.Sprintf("u%s-%d", w.name, w.users)
		want = w.old
	case 1:
		if w.old == empty {
			return
		}
		at, path = w.before, "/set?n="+n
		w.old.n, want = n, state{w.old.user, n}
	case 2:
		at, path = w.before, "/logout"
		w.old, want = empty, empty
	case 3:
		at, path = w.now, "/get"
		w.sees()
		want = w.here
	case 4:
		w.sees()
		if w.here == empty {
			return
		}
		at, path = w.now, "/set?n="+n
		w.here.n, want = n, state{w.here.user, n}
	case 5:
		at, path = w.now, "/logout"
		w.old, w.taken, w.here, want = empty, empty, empty, empty
	}
	w.did = append(w.did, path)
	if at == w.now {
		w.did[len(w.did)-1] = "new " + path
	}
	w.b.is(at+path, want.String())
}

// sees is what a request at the new side does.
func (w *walk) sees() {
	if w.old != w.taken {
		w.taken, w.here = w.old, w.old
	}
}

// Many requests at once, at three processes, make one session, and every change counts.
func TestManyRequestsAtOnceMakeOneSession(t *testing.T) {
	addr := valkeyAddr(t)
	for _, f := range formers()[:3] {
		for _, linked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, linked %v", f.name, linked), func(t *testing.T) {
				t.Parallel()
				before, source := f.start(t)
				prefix := unique()
				var urls []string
				for range 3 {
					c, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}, ReadBufferEachConn: 16 << 10, WriteBufferEachConn: 16 << 10, RingScaleEachConn: 8})
					check(t, err)
					t.Cleanup(c.Close)
					st, err := valkeystore.New(c, valkeystore.Options{Prefix: prefix})
					check(t, err)
					cfg := settings(t, source, st)
					cfg.Predecessor.Linked = linked
					urls = append(urls, frameworks["Gin"](t, cfg))
				}
				for round := range 10 {
					b := newBrowser(t)
					user := fmt.Sprintf("bob-%d", round)
					b.get(before + "/login?user=" + user)
					b.get(before + "/set?n=100")
					var all sync.WaitGroup
					for i := range 30 {
						all.Add(1)
						go func() {
							defer all.Done()
							b.get(urls[i%3] + "/add?n=1")
						}()
					}
					all.Wait()
					b.is(urls[0]+"/get", user+" 130")
				}
			})
		}
	}
}

// The old records are asked for as long as the date says, and no longer.
func TestAfterTheDateNothingIsTakenOver(t *testing.T) {
	f := formers()[0]
	before, source := f.start(t)
	cfg := settings(t, source, nil)
	cfg.Predecessor.Until = time.Now().Add(-time.Second)
	now := frameworks["Gin"](t, cfg)
	b := newBrowser(t)
	b.get(before + "/login?user=bob")
	b.is(now+"/get", nobody)
}
