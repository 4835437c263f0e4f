package promises

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// Together tests G1 and G2 with three processes of one app, each by another
// framework, on one server. The store is theirs.
func Together(t *testing.T, s Setup, st Store) {
	all := StartThree(t, s)
	t.Run("G1", func(t *testing.T) { countTogether(t, all) })
	for _, end := range []struct{ path, me string }{
		{"/logout", "user="},
		{"/login?user=bob", "user=bob"},
		{"/regenerate", "user="},
	} {
		t.Run("G2 "+end.path[1:], func(t *testing.T) {
			endUnderWriters(t, all, st, s, end.path, end.me, false)
		})
		t.Run("G2 "+end.path[1:]+" while they store", func(t *testing.T) {
			endUnderWriters(t, all, st, s, end.path, end.me, true)
		})
	}
}

// countTogether has 64 clients increment one counter, 50 times each.
func countTogether(t *testing.T, all []*Process) {
	const clients, times = 64, 50
	b := NewBrowser()
	b.Begin(t, all[0].URL+"/regenerate")
	replays := Happened(t, all, core.EventReplayed)
	began := time.Now()
	var slowest atomic.Int64
	InParallel(clients, func(i int) {
		b := b.As()
		for range times {
			start := time.Now()
			if a := b.Get(all[i%len(all)].URL + "/count"); a.Err != nil || a.Status != http.StatusOK || a.Cookie != nil {
				t.Errorf("/count: %v, want 200, no cookie", a)
			}
			if took := int64(time.Since(start)); took > slowest.Load() {
				slowest.Store(took) // about
			}
		}
	})
	took := time.Since(began)
	for _, p := range all {
		if n := b.Number(t, p.URL+"/read?fresh"); n != clients*times {
			t.Errorf("the counter is %d, want %d", n, clients*times)
		}
	}
	t.Logf("%d increments of one session in %v: %.0f a second, %d replays, the slowest took %v", clients*times,
		took.Round(time.Millisecond), clients*times/took.Seconds(), Happened(t, all, core.EventReplayed)-replays,
		time.Duration(slowest.Load()).Round(time.Millisecond))
}

// idOf returns the id under which the session of a cookie is stored.
func idOf(t *testing.T, s Setup, cookie string) string {
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
	return id
}

// endUnderWriters ends a session under 200 requests that are about to change it,
// or that do while it ends.
func endUnderWriters(t *testing.T, all []*Process, st Store, s Setup, path, me string, racing bool) {
	const writers = 200
	if err := st.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := NewBrowser()
	b.Begin(t, all[0].URL+"/login?user=ann")
	stolen := b.As()
	id := idOf(t, s, b.Cookie)
	if _, err := st.Load(t.Context(), id); err != nil {
		t.Fatalf("the session is not stored where it is expected (%v)", err)
	}

	var (
		answers = make([]Answer, writers)
		wg      sync.WaitGroup
	)
	for i := range answers {
		wg.Go(func() { answers[i] = stolen.As().Get(all[i%len(all)].URL + "/hold-write") })
	}
	Eventually(t, "all writers are under way", func() bool { return held(t, all) == writers })

	var released sync.WaitGroup
	if racing {
		released.Go(func() { release(t, all) })
	}
	began := time.Now()
	a := b.Get(all[1].URL + path)
	took := time.Since(began)
	if a.Err != nil || a.Status != http.StatusOK || a.Cookie == nil {
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
				// message is there: that is for another test.
				if a := stolen.As().Get(all[i].URL + "/me?fresh"); !a.Says("user=") {
					t.Errorf("/me of the ended session in process %d: %v, want 200 \"user=\", no cookie", i, a)
					return
				}
				rec, err := st.Load(t.Context(), id)
				switch {
				case errors.Is(err, store.ErrNotFound):
				case err != nil:
					t.Errorf("Load: %v", err)
					return
				case path == "/logout":
					t.Errorf("the session is stored again")
					return
				case !s.Private && !strings.Contains(string(rec.Data), `"retired":`):
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
		case racing && a.Says("stored"):
			stored++
		case !a.Refused(http.StatusConflict):
			t.Errorf("writer %d: %v, want 409, no cookie", i, a)
		}
	}
	left := 2 // the retired one, and the next
	if path == "/logout" {
		left = 0
	}
	if n, err := st.Count(t.Context()); err != nil || n != left {
		t.Errorf("%d records are stored (%v), want %d", n, err, left)
	}
	for i, p := range all {
		b.Expect(t, p.URL+"/me?fresh", me)
		if path == "/login?user=bob" {
			if n := b.Number(t, p.URL+"/read?fresh"); n != stored {
				t.Errorf("the counter is %d in process %d, want %d: what was stored before", n, i, stored)
			}
		}
	}
	t.Logf("%s took %v; of %d writers %d were in time and the others got 409", path, took.Round(100*time.Microsecond), writers, stored)
}
