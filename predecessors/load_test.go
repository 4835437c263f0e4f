//go:build unix

package predecessors

import (
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	gincookie "github.com/gin-contrib/sessions/cookie"

	"github.com/cloakroom-go/cloakroom/core"
)

// visits is a load: the requests of many visitors, one after the other, without a network.
type visits struct {
	handler  http.Handler
	requests []*http.Request
	next     int
}

// run serves that many requests and returns what processor time each took.
func (v *visits) run(n int) time.Duration {
	before := processorTime()
	for range n {
		v.handler.ServeHTTP(discard{make(http.Header)}, v.requests[v.next])
		v.next = (v.next + 1) % len(v.requests)
	}
	return (processorTime() - before) / time.Duration(n)
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// discard is a response that nobody reads.
type discard struct{ h http.Header }

func (d discard) Header() http.Header       { return d.h }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// request returns one with these cookies.
func request(cookies ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Header.Set("Cookie", strings.Join(cookies, "; "))
	return r
}

// What taking over costs: the first request, and all later ones beside those of sessions
// that were made here: no allocation more. In make soak, time as well: the least of many
// rounds by turns, which stands in docs/migrating.md.
func TestOnlyTheFirstRequestPaysForTakingOver(t *testing.T) {
	const visitors, each = 200, 1000
	timed, rounds := os.Getenv("SOAK") != "", 2 // a machine that does something else as well tells nothing of time
	if timed {
		rounds = 15
	}
	before := ginApp(t, gincookie.NewStore(hashKey, blockKey))
	var old []string
	for range visitors {
		b := newBrowser(t)
		b.get(before + "/login?user=" + strings.ToLower(unique()[13:20]))
		for _, c := range b.Jar.Cookies(mustParse(t, before)) {
			old = append(old, c.Name+"="+c.Value)
		}
	}
	start := func(change func(*core.Config)) http.Handler {
		cfg := settings(t, gorilla("mysession"), nil)
		cfg.Cookie.Name = "shop"
		change(&cfg)
		m, err := core.New(cfg)
		check(t, err)
		return m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := core.FromContext(r.Context())
			if r.URL.Path == "/login" {
				check(t, s.SignIn(r.Context(), r.URL.Query().Get("user")))
				s.Set("item", Item{"a book", 2})
				s.Set("big", int64(1)<<62)
			} else if s.User() == "" {
				t.Error("a visitor is nobody")
			}
		}))
	}
	// answered returns the cookies that the answer to a request sets.
	answered := func(h http.Handler, r *http.Request) string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		cookies := w.Result().Cookies()
		if len(cookies) == 0 {
			t.Fatalf("status %d, no cookie", w.Code)
		}
		return cookies[0].Name + "=" + cookies[0].Value
	}
	plain := &visits{handler: start(func(c *core.Config) { c.Predecessor = core.Predecessor{} })}
	taken := &visits{handler: start(func(*core.Config) {})}
	linked := &visits{handler: start(func(c *core.Config) { c.Predecessor.Linked = true })}
	for i, cookie := range old {
		login := request()
		login.URL.Path, login.URL.RawQuery = "/login", "user=user"+string(rune('a'+i%26))
		plain.requests = append(plain.requests, request(cookie, answered(plain.handler, login)))
		taken.requests = append(taken.requests, request(cookie, answered(taken.handler, request(cookie))))
		linked.requests = append(linked.requests, request(cookie, answered(linked.handler, request(cookie))))
	}
	var times [4][]time.Duration // plain, later, linked, first
	for range rounds {
		for i, v := range []*visits{plain, taken, linked} {
			times[i] = append(times[i], v.run(each))
		}
		first := &visits{handler: start(func(*core.Config) {})}
		for _, cookie := range old {
			first.requests = append(first.requests, request(cookie))
		}
		times[3] = append(times[3], first.run(visitors))
	}
	ratio := func(i int) float64 { return float64(slices.Min(times[i])) / float64(slices.Min(times[0])) }
	t.Logf("a request of a plain session takes %v; a later one of a session that was taken over %.2f x that; a linked one %.2f x; the first one %.1f x",
		slices.Min(times[0]), ratio(1), ratio(2), ratio(3))
	if r := ratio(1); timed && r > 1.15 { // 1.02 is what is wanted: the rest is for machines
		t.Errorf("a later request takes %.2f x the time of a plain one", r)
	}
	allocations := func(v *visits) float64 {
		least := math.Inf(1)
		for range 10 { // whatever else is at work allocates as well, now and then
			least = min(least, testing.AllocsPerRun(200, func() { v.run(1) }))
		}
		return least
	}
	if got, want := allocations(taken), allocations(plain); got > want {
		t.Errorf("a later request allocates %.0f times, a plain one %.0f times", got, want)
	}
}
