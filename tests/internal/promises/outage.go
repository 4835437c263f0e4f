package promises

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// A Server is one that a test may kill.
type Server interface {
	Kill()
	Start()
}

// Outage tests G6: it kills the server of three processes under load, and starts
// it again, three times. The processes go on all the while.
func Outage(t *testing.T, server Server, s Setup) {
	const (
		clients = 12
		outages = 3
	)
	s.StoreTimeout = time.Second
	all := StartThree(t, s)

	var (
		wg     sync.WaitGroup
		stop   = make(chan struct{})
		mu     sync.Mutex
		oks    [3]int // by process
		fails  [3]int
		delays []time.Duration // of the answers 503
	)
	halt := sync.OnceFunc(func() {
		close(stop)
		wg.Wait()
	})
	defer halt() // also where the test fails
	counts := func() (ok, failed [3]int) {
		mu.Lock()
		defer mu.Unlock()
		return oks, fails
	}
	more := func(than, now [3]int, by int) bool {
		for i := range than {
			if now[i] < than[i]+by {
				return false
			}
		}
		return true
	}
	for i := range clients {
		wg.Go(func() {
			b := NewBrowser()
			if !b.begins(all[i%len(all)].URL + "/count") {
				t.Errorf("no session is made within %v", servers.Patience)
				return
			}
			// What was answered 200 is stored, what was answered 503 may be.
			acknowledged, unclear, last := 1, 0, 1
			check := func(n int) {
				if n < last || n < acknowledged || n > acknowledged+unclear {
					t.Errorf("the counter is %d after %d, want %d to %d", n, last, acknowledged, acknowledged+unclear)
				}
				last = n
			}
			for at := i; ; at++ {
				select {
				case <-stop:
					a := b.wellAgain(all[at%len(all)].URL + "/read")
					n, err := strconv.Atoi(a.Text)
					if a.Err != nil || a.Status != http.StatusOK || err != nil {
						t.Errorf("/read in the end: %v, want a number", a)
						return
					}
					check(n)
					return
				default:
				}
				start := time.Now()
				a := b.Get(all[at%len(all)].URL + "/count")
				took := time.Since(start)
				n, err := strconv.Atoi(a.Text)
				mu.Lock()
				switch {
				case a.Err == nil && a.Status == http.StatusOK && a.Cookie == nil && err == nil:
					oks[at%len(all)]++
					acknowledged++
					check(n)
				case a.Refused(http.StatusServiceUnavailable):
					fails[at%len(all)]++
					unclear++
					delays = append(delays, took)
				default:
					t.Errorf("/count: %v, want 200 or 503, no cookie", a)
					mu.Unlock()
					return
				}
				mu.Unlock()
				if a.Status != http.StatusOK {
					time.Sleep(time.Millisecond) // a client that tries again has that much manners
				}
			}
		})
	}
	began := time.Now()
	for range outages {
		ok, _ := counts()
		Eventually(t, "all processes serve", func() bool { now, _ := counts(); return more(ok, now, 50) })
		server.Kill()
		_, failed := counts()
		down := time.Now()
		Eventually(t, "all processes answer 503", func() bool { _, now := counts(); return more(failed, now, 5) })
		InParallel(len(all), func(i int) { // anonymous visitors who need no session have one less worry
			url := all[i].URL
			for path, text := range map[string]string{"/static": "static", "/read": "0"} {
				if a := NewBrowser().Get(url + path); !a.Says(text) {
					t.Errorf("%s of a new visitor during the outage: %v, want 200 %q, no cookie", path, a, text)
				}
			}
			if a := NewBrowser().Get(url + "/count"); !a.Refused(http.StatusServiceUnavailable) {
				t.Errorf("/count of a new visitor during the outage: %v, want 503, no cookie", a)
			}
		})
		server.Start()
		up := time.Now()
		ok, _ = counts()
		Eventually(t, "all processes serve again", func() bool { now, _ := counts(); return more(ok, now, 1) })
		t.Logf("down for %v; all processes served again %v after the server did", up.Sub(down).Round(time.Millisecond), time.Since(up).Round(time.Millisecond))
	}
	halt()
	took := time.Since(began)
	if len(delays) == 0 {
		t.Fatal("no request failed")
	}
	slices.Sort(delays)
	most := delays[len(delays)-1]
	if limit := 2*s.StoreTimeout + servers.Patience/2; most > limit { // the load and the commit, on a machine that is busy
		t.Errorf("an answer 503 took %v, want at most %v", most, limit)
	}
	ok, failed := counts()
	sum := func(n [3]int) int { return n[0] + n[1] + n[2] }
	t.Logf("%d outages by SIGKILL in %v: %d answers 200, %d answers 503, these after %v (median) and %v (slowest); %d store errors were observed",
		outages, took.Round(time.Millisecond), sum(ok), sum(failed), delays[len(delays)/2].Round(100*time.Microsecond), most.Round(time.Millisecond),
		Happened(t, all, core.EventStoreError))
}

// wellAgain asks until the answer is no 503 any more, at most for servers.Patience: a process
// that has served once may have other connections that are lost, or be slow.
func (b *Browser) wellAgain(url string) (a Answer) {
	for end := time.Now().Add(servers.Patience); time.Now().Before(end); {
		if a = b.Get(url); !a.Refused(http.StatusServiceUnavailable) {
			break
		}
	}
	return a
}

// begins makes a session, as soon as the store is fast enough for StoreTimeout, and
// reports whether that was within servers.Patience.
func (b *Browser) begins(url string) bool {
	for end := time.Now().Add(servers.Patience); time.Now().Before(end); {
		if a := b.Get(url); a.Err == nil && a.Status == http.StatusOK && a.Cookie != nil {
			return true
		}
	}
	return false
}
