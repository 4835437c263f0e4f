package valkey

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/valkeyenv"
)

// TestThreeProcesses has three processes of one app, each by another framework,
// on one server.
func TestThreeProcesses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		cluster bool
		setup   setup
	}{
		{"standalone", false, setup{}},
		{"cluster", true, setup{}},
		{"hashed and sealed", false, setup{Private: true}},
		{"caching", false, setup{CacheTTL: time.Minute}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.setup
			if s.Addrs = []string{}; tt.cluster {
				s.Addrs = valkeyenv.ClusterAddrs(t)
			} else {
				s.Addrs = []string{valkeyenv.Addr(t)}
			}
			s.Prefix = valkeyenv.Prefix()
			client := valkeyenv.Client(t, valkey.ClientOption{InitAddress: s.Addrs})
			store := valkeyenv.Store(t, client, valkeystore.Options{Prefix: s.Prefix})
			all := startThree(t, s)
			t.Run("G1", func(t *testing.T) { countTogether(t, all) })
			for _, end := range []struct{ path, me string }{
				{"/logout", "user="},
				{"/login?user=bob", "user=bob"},
				{"/regenerate", "user="},
			} {
				t.Run("G2 "+end.path[1:], func(t *testing.T) {
					endUnderWriters(t, all, client, store, s, end.path, end.me, false)
				})
				t.Run("G2 "+end.path[1:]+" while they store", func(t *testing.T) {
					endUnderWriters(t, all, client, store, s, end.path, end.me, true)
				})
			}
		})
	}
}

// countTogether has 64 clients increment one counter, 50 times each.
func countTogether(t *testing.T, all []*process) {
	const clients, times = 64, 50
	b := newBrowser()
	b.begin(t, all[0].url+"/regenerate")
	replays := happened(t, all, core.EventReplayed)
	began := time.Now()
	var slowest atomic.Int64
	inParallel(clients, func(i int) {
		b := b.as()
		for range times {
			start := time.Now()
			if a := b.get(all[i%len(all)].url + "/count"); a.err != nil || a.status != http.StatusOK || a.cookie != nil {
				t.Errorf("/count: %v, want 200, no cookie", a)
			}
			if took := int64(time.Since(start)); took > slowest.Load() {
				slowest.Store(took) // about
			}
		}
	})
	took := time.Since(began)
	for _, p := range all {
		if n := b.number(t, p.url+"/read?fresh"); n != clients*times {
			t.Errorf("the counter is %d, want %d", n, clients*times)
		}
	}
	t.Logf("%d increments of one session in %v: %.0f a second, %d replays, the slowest took %v", clients*times,
		took.Round(time.Millisecond), clients*times/took.Seconds(), happened(t, all, core.EventReplayed)-replays,
		time.Duration(slowest.Load()).Round(time.Millisecond))
}

// keyOf returns the key under which the session of a cookie is stored.
func keyOf(t *testing.T, s setup, cookie string) string {
	t.Helper()
	value, err := url.QueryUnescape(strings.TrimPrefix(cookie, "sid="))
	id, _, ok := strings.Cut(strings.TrimPrefix(value, "s:"), ".")
	if err != nil || !ok {
		t.Fatalf("the cookie cannot be read (%v)", err)
	}
	if s.Private {
		sum := sha256.Sum256([]byte(id))
		id = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return s.Prefix + id
}

// endUnderWriters ends a session under 200 requests that are about to change it,
// or that do while it ends.
func endUnderWriters(t *testing.T, all []*process, client valkey.Client, store *valkeystore.Store, s setup, path, me string, racing bool) {
	const writers = 200
	if err := store.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := newBrowser()
	b.begin(t, all[0].url+"/login?user=ann")
	stolen := b.as()
	key := keyOf(t, s, b.cookie)
	if n, err := client.Do(t.Context(), client.B().Exists().Key(key).Build()).AsInt64(); err != nil || n != 1 {
		t.Fatalf("the session is not stored where it is expected (%v)", err)
	}

	var (
		answers = make([]answer, writers)
		wg      sync.WaitGroup
	)
	for i := range answers {
		wg.Go(func() { answers[i] = stolen.as().get(all[i%len(all)].url + "/hold-write") })
	}
	eventually(t, "all writers are under way", func() bool { return held(t, all) == writers })

	var released sync.WaitGroup
	if racing {
		released.Go(func() { release(t, all) })
	}
	began := time.Now()
	a := b.get(all[1].url + path)
	took := time.Since(began)
	if a.err != nil || a.status != http.StatusOK || a.cookie == nil {
		t.Fatalf("%s: %v, want 200 and a cookie", path, a)
	}

	// From now on the session must not be seen again.
	ended, watch := make(chan struct{}), sync.WaitGroup{}
	for i := range all {
		watch.Go(func() {
			for looks := 0; ; looks++ {
				select {
				case <-ended:
					if looks > 10 {
						return
					}
				default:
				}
				// With caching, what another process ended may be seen until its
				// message is there: TestCaching is about that.
				if a := stolen.as().get(all[i].url + "/me?fresh"); !a.says("user=") {
					t.Errorf("/me of the ended session in process %d: %v, want 200 \"user=\", no cookie", i, a)
					return
				}
				data, err := client.Do(t.Context(), client.B().Get().Key(key).Build()).ToString()
				switch {
				case valkey.IsValkeyNil(err):
				case err != nil:
					t.Errorf("GET: %v", err)
					return
				case path == "/logout":
					t.Errorf("the session is stored again")
					return
				case !s.Private && !strings.Contains(data, `"retired":`):
					t.Errorf("the session with the old id is stored again")
					return
				}
			}
		})
	}
	if racing {
		released.Wait()
	} else {
		release(t, all)
	}
	wg.Wait()
	close(ended)
	watch.Wait()

	stored := 0
	for i, a := range answers {
		switch {
		case racing && a.says("stored"):
			stored++
		case !a.refused(http.StatusConflict):
			t.Errorf("writer %d: %v, want 409, no cookie", i, a)
		}
	}
	left := 2 // the retired one, and the next
	if path == "/logout" {
		left = 0
	}
	if n, err := store.Count(t.Context()); err != nil || n != left {
		t.Errorf("%d records are stored (%v), want %d", n, err, left)
	}
	for i, p := range all {
		b.expect(t, p.url+"/me?fresh", me)
		if path == "/login?user=bob" {
			if n := b.number(t, p.url+"/read?fresh"); n != stored {
				t.Errorf("the counter is %d in process %d, want %d: what was stored before", n, i, stored)
			}
		}
	}
	t.Logf("%s took %v; of %d writers %d were in time and the others got 409", path, took.Round(100*time.Microsecond), writers, stored)
}
