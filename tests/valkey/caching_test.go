package valkey

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
	"github.com/cloakroom-go/cloakroom/tests/internal/valkeyenv"
)

// A couple is two processes with client-side caching on one server: here goes to
// it directly, there through a proxy.
type couple struct {
	t           *testing.T
	here, there *promises.Process
	proxy       *faultproxy.Proxy
	client      valkey.Client
	name        string // of there's client
	cacheTTL    time.Duration
}

// What a CacheTTL is: one that a test waits for, and one that is not over before it is.
const (
	short = 3 * time.Second
	long  = time.Minute
)

// newCouple starts both. The StoreTimeout is that of there; 0 stands for one that no
// machine is too slow for, which here has.
func newCouple(t *testing.T, cacheTTL, storeTimeout time.Duration) *couple {
	addr := valkeyenv.Addr(t)
	c := &couple{t: t, cacheTTL: cacheTTL, proxy: faultproxy.New(t), client: valkeyenv.Client(t, valkey.ClientOption{InitAddress: []string{addr}})}
	s := settings{Prefix: valkeyenv.Prefix(), CacheTTL: cacheTTL}
	c.name = strings.Trim(s.Prefix, ":")
	valkeyenv.Store(t, c.client, valkeystore.Options{Prefix: s.Prefix})
	start := func(framework, addr, where string, storeTimeout time.Duration) *promises.Process {
		s.Addrs, s.ClientName = []string{addr}, c.name+where
		return promises.Start(t, promises.Setup{Framework: framework, Store: s, StoreTimeout: storeTimeout})
	}
	c.here, c.there = start("Gin", addr, "-here", 0), start("Echo v4", c.proxy.Addr(addr), "-there", storeTimeout)
	return c
}

// session makes a session here that is cached there. The first request there reads it
// and extends it, and the server tells of that as of any change, sooner or later, so
// that another request reads it again.
func (c *couple) session() *promises.Browser {
	c.t.Helper()
	b := promises.NewBrowser()
	b.Begin(c.t, c.here.URL+"/login?user=ann")
	twice := c.reads() + 2
	promises.Eventually(c.t, "the session is cached", func() bool {
		before := c.reads()
		for range 3 {
			switch a := b.Get(c.there.URL + "/me"); {
			case a.Refused(http.StatusServiceUnavailable): // its StoreTimeout was over
				return false
			case !a.Says("user=ann"):
				c.t.Fatalf("/me: %v, want 200 \"user=ann\", no cookie", a)
			}
		}
		return c.reads() == before && before >= twice
	})
	return b
}

func (c *couple) reads() int { return c.proxy.Counts()["GET"] }

// refusal ends the session here and returns how long it was served there. No
// request that began after the bound may have been.
func (c *couple) refusal(b *promises.Browser, wellAgain func(promises.Answer) bool) time.Duration {
	c.t.Helper()
	stolen := b.As()
	if a := b.Get(c.here.URL + "/logout"); a.Err != nil || a.Status != http.StatusOK {
		c.t.Fatalf("/logout: %v", a)
	}
	ended := time.Now()
	var served time.Duration
	promises.Eventually(c.t, "the session is refused", func() bool {
		asked := time.Since(ended)
		a := stolen.As().Get(c.there.URL + "/me")
		if a.Says("user=ann") {
			if asked > c.cacheTTL {
				c.t.Errorf("the session was served %v after it was destroyed elsewhere, want %v at most", asked, c.cacheTTL)
				return true
			}
			served = time.Since(ended)
			return false
		}
		return wellAgain(a)
	})
	return served
}

func anonymous(a promises.Answer) bool { return a.Says("user=") }

func TestCaching(t *testing.T) {
	t.Parallel()
	t.Run("what one process destroys the other refuses", func(t *testing.T) {
		t.Parallel()
		c := newCouple(t, long, 0)
		var delays []time.Duration
		for range 40 {
			delays = append(delays, c.refusal(c.session(), anonymous))
		}
		slices.Sort(delays)
		median, most := delays[len(delays)/2], delays[len(delays)-1]
		if median > c.cacheTTL/10 {
			t.Errorf("it takes %v, the messages do not arrive", median)
		}
		t.Logf("after a logout elsewhere a session was served for %v (median of %d), %v at most; CacheTTL is %v", median, len(delays), most, c.cacheTTL)
	})
	t.Run("the messages are lost", func(t *testing.T) {
		t.Parallel()
		c := newCouple(t, short, 0)
		var served time.Duration
		for tries := 10; tries > 0 && served == 0; tries-- { // a machine that is busy may take that long
			c.proxy.LoseInvalidations(false)
			b := c.session()
			c.proxy.LoseInvalidations(true)
			served = c.refusal(b, anonymous)
		}
		if served == 0 {
			t.Error("the session was never served: the messages were not lost")
		}
		t.Logf("served for %v, CacheTTL is %v", served, c.cacheTTL)
	})
	t.Run("the connection of the messages is a black hole", func(t *testing.T) {
		t.Parallel()
		c := newCouple(t, short, 2*time.Second)
		b := c.session()
		c.proxy.Stall()
		began := time.Now()
		failed := 0
		served := c.refusal(b, func(a promises.Answer) bool {
			if a.Refused(http.StatusServiceUnavailable) {
				failed++
				return false
			}
			if !anonymous(a) {
				t.Errorf("/me: %v, want 200 \"user=\" or 503, no cookie", a)
			}
			return true
		})
		t.Logf("served for %v, CacheTTL is %v; then %d answers 503; well again after %v", served, c.cacheTTL, failed, time.Since(began).Round(time.Millisecond))
	})
	t.Run("the connections are cut while the session ends", func(t *testing.T) {
		t.Parallel()
		c := newCouple(t, long, 2*time.Second) // the client asks again until that is over
		b := c.session()
		c.proxy.On(func(faultproxy.Command) faultproxy.Fault { return faultproxy.CutBefore })
		c.proxy.Cut()
		var failed atomic.Int64
		served := c.refusal(b, func(a promises.Answer) bool {
			if a.Refused(http.StatusServiceUnavailable) {
				if failed.Add(1) == 3 {
					c.proxy.On(nil)
				}
				return false
			}
			if !anonymous(a) {
				t.Errorf("/me: %v, want 200 \"user=\" or 503, no cookie", a)
			}
			return true
		})
		t.Logf("served for %v, CacheTTL is %v; %d answers 503", served, c.cacheTTL, failed.Load())
	})
	t.Run("the server kills the connections", func(t *testing.T) {
		t.Parallel()
		c := newCouple(t, long, 0)
		b := c.session()
		stolen := b.As()
		c.proxy.LoseInvalidations(true)
		b.Must(t, c.here.URL+"/logout")
		began := time.Now()
		stolen.Expect(t, c.there.URL+"/me", "user=ann") // cached
		n := c.kill()
		promises.Eventually(t, "the session is refused", func() bool {
			a := stolen.As().Get(c.there.URL + "/me")
			return anonymous(a) || !a.Says("user=ann") && !a.Refused(http.StatusServiceUnavailable)
		})
		took := time.Since(began)
		stolen.Expect(t, c.there.URL+"/me", "user=")
		if took >= c.cacheTTL {
			t.Errorf("the session was refused after %v: what was cached outlived its connection", took)
		}
		t.Logf("%d connections were killed; the session was refused %v after the logout", n, took)
	})
	t.Run("a write after a stale read overwrites nothing", func(t *testing.T) {
		t.Parallel()
		c := newCouple(t, long, 0)
		b := c.session()
		c.proxy.LoseInvalidations(true)
		for range 5 {
			b.Must(t, c.here.URL+"/count")
		}
		b.Expect(t, c.there.URL+"/read", "0") // cached
		b.Must(t, c.there.URL+"/count")
		b.Expect(t, c.there.URL+"/read", "6") // what it wrote itself it sees
		b.Expect(t, c.here.URL+"/read?fresh", "6")
		if n := promises.Happened(t, []*promises.Process{c.there}, core.EventReplayed); n != 1 {
			t.Errorf("%d replays, want 1", n)
		}
		for _, end := range []string{"/logout", "/login?user=bob", "/regenerate"} {
			for _, write := range []string{"/count", "/login?user=eve", "/regenerate"} {
				c.proxy.LoseInvalidations(false)
				b := c.session()
				stolen := b.As()
				c.proxy.LoseInvalidations(true)
				b.Must(t, c.here.URL+end)
				stolen.Expect(t, c.there.URL+"/me", "user=ann") // cached
				if a := stolen.As().Get(c.there.URL + write); !a.Refused(http.StatusConflict) {
					t.Errorf("%s there after %s here: %v, want 409, no cookie", write, end, a)
				}
				stolen.Expect(t, c.there.URL+"/me", "user=")
			}
		}
	})
	t.Run("a process sees what it did itself", func(t *testing.T) {
		t.Parallel()
		c := newCouple(t, long, 0)
		for path, me := range map[string]string{"/logout": "user=", "/login?user=bob": "user=bob", "/regenerate": "user="} {
			c.proxy.LoseInvalidations(false)
			b := c.session()
			stolen := b.As()
			c.proxy.LoseInvalidations(true)
			b.Must(t, c.there.URL+path)
			stolen.Expect(t, c.there.URL+"/me", "user=") // though user=ann is cached
			b.Expect(t, c.there.URL+"/me", me)
		}
	})
	t.Run("BypassCache reads past the cache", func(t *testing.T) {
		t.Parallel()
		c := newCouple(t, long, 0)
		b := c.session()
		stolen := b.As()
		c.proxy.LoseInvalidations(true)
		b.Must(t, c.here.URL+"/logout")
		stolen.Expect(t, c.there.URL+"/me", "user=ann") // cached
		stolen.Expect(t, c.there.URL+"/me?fresh", "user=")
	})
}

// kill has the server close the connections of the process that is there, and
// returns how many.
func (c *couple) kill() (n int) {
	c.t.Helper()
	list, err := c.client.Do(c.t.Context(), c.client.B().ClientList().Build()).ToString()
	if err != nil {
		c.t.Fatalf("CLIENT LIST: %v", err)
	}
	for line := range strings.Lines(list) {
		if !strings.Contains(line, " name="+c.name+"-there ") {
			continue
		}
		_, line, _ = strings.Cut(line, "id=") // the first line may say "txt:" before it
		id, _, _ := strings.Cut(line, " ")
		if err := c.client.Do(c.t.Context(), c.client.B().Arbitrary("CLIENT", "KILL", "ID", id).Build()).Error(); err != nil {
			c.t.Fatalf("CLIENT KILL: %v", err)
		}
		n++
	}
	if n == 0 {
		c.t.Fatalf("there are no connections to kill")
	}
	return n
}

// TestCachingOwnWrites reads what was written a moment before, while others read
// as well so that it is always cached.
func TestCachingOwnWrites(t *testing.T) {
	const sessions = 8
	part := 5 // of the rounds
	if soak.For(t) > 0 {
		part = 1
	}
	for _, tt := range []struct {
		name   string
		addrs  func(testing.TB) []string
		rounds int
	}{
		{"standalone", func(tb testing.TB) []string { return []string{valkeyenv.Addr(tb)} }, 10_000 / sessions},
		{"cluster", valkeyenv.ClusterAddrs, 3_000 / sessions},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := valkeyenv.Client(t, valkey.ClientOption{InitAddress: tt.addrs(t)})
			app := promises.Serve(frameworks.All()[0], promises.ManagerOn(t, core.Config{
				Store: valkeyenv.Store(t, client, valkeystore.Options{CacheTTL: time.Minute}),
			}))
			get := func(path, cookie string) (text, setCookie string) {
				req := httptest.NewRequest(http.MethodGet, path, nil)
				req.Header.Set("Cookie", cookie)
				res := httptest.NewRecorder()
				app.ServeHTTP(res, req)
				setCookie, _, _ = strings.Cut(res.Header().Get("Set-Cookie"), ";")
				return res.Body.String(), setCookie
			}
			var stale, reads atomic.Int64
			began := time.Now()
			promises.InParallel(sessions, func(int) {
				_, cookie := get("/count", "")
				stop := make(chan struct{})
				var wg sync.WaitGroup
				wg.Go(func() { // reads all the time
					last := 0
					for {
						select {
						case <-stop:
							return
						default:
						}
						text, _ := get("/read", cookie)
						n, err := strconv.Atoi(text)
						if err != nil || n < last {
							t.Errorf("/read: %q after %d", text, last)
						}
						last = n
						reads.Add(1)
					}
				})
				for i := range tt.rounds / part {
					get("/count", cookie)
					if text, _ := get("/read", cookie); text != strconv.Itoa(i+2) {
						stale.Add(1)
					}
				}
				close(stop)
				wg.Wait()
			})
			if n := stale.Load(); n > 0 {
				t.Errorf("%d of %d reads after one's own write were stale", n, sessions*(tt.rounds/part))
			}
			t.Logf("%d writes, each read at once: %d stale, with %d other reads, in %v", sessions*(tt.rounds/part), stale.Load(), reads.Load(), time.Since(began).Round(time.Millisecond))
		})
	}
}
