package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/sessiontest"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// boundApp is an app whose sessions can be bound, on a store in memory.
func boundApp(tb testing.TB) http.Handler {
	m, err := core.New(core.Config{
		Store: memorystore.New(memorystore.Options{}), Secrets: []string{secret}, Logger: slog.New(slog.DiscardHandler),
		Cookie: core.Cookie{Secure: core.SecureAlways}, IsHTTPS: core.AlwaysHTTPS, Bind: &core.Bind{Grace: time.Second},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if r.URL.Path == "/login" {
			if err := s.SignIn(r.Context(), "ann"); err != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		} else if s.User() != "ann" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = w.Write(okBody)
	}))
}

// cookieOfLogin signs in and returns all cookies of the browser.
func cookieOfLogin(tb testing.TB, h http.Handler, plain bool) string {
	b := sessiontest.NewBrowser(sessiontest.Serve(h))
	b.Plain = plain
	res, err := b.Get("https://app.test/login")
	if err != nil || res.StatusCode != http.StatusOK || b.IsBound("https://app.test/") == plain {
		tb.Fatalf("login: %v, bound: %v", err, b.IsBound("https://app.test/"))
	}
	_ = res.Body.Close()
	var pairs []string
	for _, c := range b.Cookies("https://app.test/") {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

// BenchmarkBound is what a request of a bound session costs, and one of a plain session of
// the same app: through net/http's interfaces, and over a connection to a server of
// net/http. They are measured in turn, a hundred requests each, and the ratio is that of
// processor time:
//
//	go test -run - -bench Bound -benchtime 1s -count 5
func BenchmarkBound(b *testing.B) {
	h := boundApp(b)
	plain, bound := cookieOfLogin(b, h, true), cookieOfLogin(b, h, false)
	time.Sleep(1100 * time.Millisecond) // the grace
	b.Run("interfaces", func(b *testing.B) {
		v := newHTTPVisitor(h)
		pair(b, func(cookie string) int { return v.send() }, func(cookie string) { v.ask("/", cookie) }, plain, bound)
	})
	b.Run("a connection", func(b *testing.B) {
		srv := httptest.NewServer(h)
		defer srv.Close()
		send := func(cookie string) int {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, srv.URL, http.NoBody)
			if err != nil {
				b.Fatal(err)
			}
			r.Header.Set("Cookie", cookie)
			res, err := srv.Client().Do(r)
			if err != nil {
				b.Fatal(err)
			}
			defer res.Body.Close()
			_, _ = io.Copy(io.Discard, res.Body)
			return res.StatusCode
		}
		pair(b, send, func(string) {}, plain, bound)
	})
}

// pair sends requests with one cookie and the other in turn.
func pair(b *testing.B, send func(cookie string) int, ask func(cookie string), plain, bound string) {
	const turn = 100
	var spent [2]time.Duration
	for b.Loop() {
		for i, cookie := range []string{plain, bound} {
			ask(cookie)
			before := processorTime()
			for range turn {
				if status := send(cookie); status != http.StatusOK {
					b.Fatalf("it answers %d", status)
				}
			}
			spent[i] += processorTime() - before
		}
	}
	b.ReportMetric(float64(spent[0].Nanoseconds())/float64(b.N*turn), "plain-cpu-ns")
	b.ReportMetric(float64(spent[1].Nanoseconds())/float64(b.N*turn), "bound-cpu-ns")
	b.ReportMetric(float64(spent[1])/float64(spent[0]), "ratio")
}

// BenchmarkRefresh is what a proof costs the server: the request that asks for a challenge
// and the one with the signature, which the client makes outside of what is measured.
func BenchmarkRefresh(b *testing.B) {
	for name, rsa := range map[string]bool{"ES256": false, "RS256": true} {
		b.Run(name, func(b *testing.B) {
			h := boundApp(b)
			var spent time.Duration
			browser := sessiontest.NewBrowser(sessiontest.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				before := processorTime()
				h.ServeHTTP(w, r)
				if strings.HasSuffix(r.URL.Path, "/bind") && r.Header.Get("Sec-Secure-Session-Id") != "" {
					spent += processorTime() - before
				}
			})))
			now := time.Now()
			browser.RSA, browser.Now = rsa, func() time.Time { return now }
			if res, err := browser.Get("https://app.test/login"); err != nil || res.StatusCode != http.StatusOK {
				b.Fatal(err)
			}
			for b.Loop() {
				now = now.Add(10 * time.Minute) // in the browser alone: its cookie has ended, and it may sign again
				if res, err := browser.Get("https://app.test/"); err != nil || res.StatusCode != http.StatusOK {
					b.Fatalf("%v, %q", err, browser.History()[len(browser.History())-1])
				}
			}
			b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-us/refresh")
		})
	}
}
