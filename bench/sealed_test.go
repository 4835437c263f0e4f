package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/sessions"

	"github.com/cloakroom-go/cloakroom/core"
)

// BenchmarkSealed compares sessions that are sealed in their cookies with those of
// gorilla's cookie store with a block key, which are encrypted too: what a request costs
// that reads one, and one that reads and changes it, through net/http's interfaces and over
// a connection. The visitor sends the cookie that it got last, as a browser does. Beside
// them is a handler with a cookie that is as long as ours and costs nothing, which is
// what the server takes by itself. They are measured in turn, a hundred requests each, by
// the processor time of the process, over a connection with that of the client in it. Of
// 20,000 sessions in turn none is remembered when it comes again:
//
//	go test -run - -bench Sealed -benchtime 200x -count 5
func BenchmarkSealed(b *testing.B) {
	held := make([]byte, appHeap) // else the collector runs all the time
	for _, way := range []string{"interfaces", "connection", "interfaces, of 20,000"} {
		for _, path := range []string{"/read", "/change"} {
			for _, bytes := range []int{100, 1000} {
				b.Run(benchName(way)+path+"-"+strconv.Itoa(bytes), func(b *testing.B) {
					sides := []*sealedSide{{name: "free", handler: freeHandler(bytes)}, {name: "cloakroom", handler: sealedHandler(b)}, {name: "gorilla", handler: gorillaHandler()}}
					for _, s := range sides {
						s.begin(b, way == "connection", bytes)
						if way == "interfaces, of 20,000" {
							s.crowd(b, 20_000)
						}
					}
					for b.Loop() {
						for _, s := range sides {
							s.turn(b, path)
						}
					}
					free, ours, theirs := sides[0].spent, sides[1].spent, sides[2].spent
					for _, s := range sides {
						b.ReportMetric(float64(s.spent.Nanoseconds())/float64(b.N*sealedTurn), s.name+"-cpu-ns")
					}
					b.ReportMetric(float64(theirs)/float64(ours), "ratio")
					b.ReportMetric(float64(theirs)/float64(free), "ratio-of-free")
					b.ReportMetric(float64(theirs-free)/float64(ours-free), "ratio-above-free")
				})
			}
		}
	}
	runtime.KeepAlive(held)
}

// sealedTurn is how many requests a side sends before it is the turn of the next one.
const sealedTurn = 100

// A sealedSide is one of those that BenchmarkSealed compares.
type sealedSide struct {
	name    string
	handler http.Handler
	visitor visitor
	make    string // the path that makes a session
	cookie  []byte
	spent   time.Duration

	others [][]byte // the cookies of other visitors, who come before this one comes again
	next   int
}

// crowd makes the session one of many.
func (s *sealedSide) crowd(b *testing.B, many int) {
	for len(s.others) < many-1 {
		s.others = append(s.others, s.cookie)
		s.cookie = nil
		s.send(b, s.make)
	}
}

// begin makes a session of about so many bytes.
func (s *sealedSide) begin(b *testing.B, connected bool, bytes int) {
	s.visitor = newHTTPVisitor(s.handler)
	if connected {
		srv := httptest.NewServer(s.handler)
		b.Cleanup(srv.Close)
		s.visitor = newRemoteVisitor(srv.Listener.Addr().String())
	}
	s.make = "/make?bytes=" + strconv.Itoa(bytes)
	s.send(b, s.make)
	for range 3 { // what comes again is remembered from the second time on
		s.send(b, "/change")
	}
}

// send sends a request with the cookie that came last.
func (s *sealedSide) send(b *testing.B, path string) {
	before := len(s.cookie)
	s.visitor.ask(path, string(s.cookie))
	if status := s.visitor.send(); status != http.StatusOK {
		b.Fatalf("%s: %s answers %d %q", s.name, path, status, s.visitor.body())
	}
	s.cookie = s.visitor.setCookie(s.cookie)
	set := len(s.cookie) > before
	if set != (path != "/read") {
		b.Fatalf("%s: %s sets a cookie: %v", s.name, path, set)
	}
	if set {
		s.cookie = append(s.cookie[:0], s.cookie[before:]...)
	}
}

// turn sends sealedTurn requests, and notes what they cost.
func (s *sealedSide) turn(b *testing.B, path string) {
	before := processorTime() // of the whole process, so that what the machine does beside it does not count
	for range sealedTurn {
		s.send(b, path)
		if s.others != nil {
			s.next = (s.next + 1) % len(s.others)
			s.cookie, s.others[s.next] = s.others[s.next], s.cookie
		}
	}
	s.spent += processorTime() - before
}

// freeHandler is the app with a cookie that nobody makes or reads.
func freeHandler(bytes int) http.Handler {
	const fields = 240 // of a record that are not the app's, with the id and the host, and what sealing adds
	line := cookieName + "=1." + strings.Repeat("A", (bytes+fields)*4/3) + "; Path=/; HttpOnly; SameSite=Lax"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/read" {
			w.Header().Set("Set-Cookie", line)
		}
		_, _ = w.Write(okBody)
	})
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
			return
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
