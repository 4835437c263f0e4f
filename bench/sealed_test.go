package main

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"

	gorilla "github.com/gorilla/sessions"

	"github.com/cloakroom-go/cloakroom/core"
)

// BenchmarkSealed compares sessions that are sealed in their cookies with those of
// gorilla's cookie store with a block key, which are encrypted too: what a request costs
// that reads one, and one that reads and changes it. Both go through net/http's
// interfaces, without a network:
//
//	go test -run - -bench Sealed -benchtime 1s -count 5
func BenchmarkSealed(b *testing.B) {
	for _, bytes := range []int{100, 1000} {
		for library, handler := range map[string]http.Handler{
			"Cloakroom": sealedHandler(b),
			"gorilla":   gorillaHandler(),
		} {
			v := newHTTPVisitor(handler)
			v.ask("/make?bytes="+strconv.Itoa(bytes), "")
			if status := v.send(); status != http.StatusOK {
				b.Fatalf("%s: /make answers %d", library, status)
			}
			cookie := string(v.setCookie(nil))
			for _, path := range []string{"/read", "/change"} {
				b.Run(library+path+"-"+strconv.Itoa(bytes), func(b *testing.B) {
					v.ask(path, cookie)
					b.ReportAllocs()
					before := processorTime()
					for b.Loop() {
						if status := v.send(); status != http.StatusOK {
							b.Fatalf("%s answers %d", path, status)
						}
					}
					cpu := processorTime() - before // of the whole process, so that what the machine does beside it does not count
					b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "cpu-ns/op")
					if sets := len(v.setCookie(nil)) > 0; sets != (path == "/change") {
						b.Fatalf("%s sets a cookie: %v", path, sets)
					}
					b.ReportMetric(float64(len(cookie)), "bytes/cookie")
				})
			}
		}
	}
}

// dataOf returns a string that makes a session of about so many bytes of JSON, with its
// key and a counter.
func dataOf(r *http.Request) string {
	n, _ := strconv.Atoi(r.URL.Query().Get("bytes"))
	return strings.Repeat("some text ", n/10)[:n-len(`{"data":"","n":1000}`)]
}

const sealedData core.Key[string] = "data"

// sealedHandler is the app with Cloakroom.
func sealedHandler(b *testing.B) http.Handler {
	m, err := core.New(core.Config{Sealed: new(core.SealedCookie), Secrets: []string{secret}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	return m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if r.URL.Path == "/make" {
			sealedData.Set(s, dataOf(r))
			countOf.Set(s, countFrom)
		} else if sealedData.Get(s) == "" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		if r.URL.Path == "/change" {
			countOf.Update(s, func(n int) int { return n + 1 })
		}
		_, _ = w.Write(okBody)
	}))
}

// gorillaHandler is the same with gorilla/sessions.
func gorillaHandler() http.Handler {
	store := gorilla.NewCookieStore([]byte(secret), []byte(secret)[:32])
	store.Options = &plainEcho
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := store.Get(r, cookieName)
		if r.URL.Path == "/make" {
			s.Values["data"], s.Values[countKey] = dataOf(r), countFrom
			err = s.Save(r, w)
		} else if s.Values["data"] == nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if r.URL.Path == "/change" {
			s.Values[countKey] = s.Values[countKey].(int) + 1
			err = s.Save(r, w)
		}
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write(okBody)
	})
}
