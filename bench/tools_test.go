package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
)

// The tools have to be right, too.

func TestWrongAnswersAreNoticed(t *testing.T) {
	right := func() *app { return floorApp(&mapRecords{records: make(map[string][]byte)}, nothing) }
	// Each is a floor, but for one path.
	for name, wrong := range map[string]func(a *app, w http.ResponseWriter, r *http.Request) bool{
		"nothing is answered": func(_ *app, w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Path == pathNothing
		},
		"everybody is alice": func(_ *app, w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Path == pathRead && answer(w, true) == nil
		},
		"the counter stands still": func(_ *app, w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Path == pathCount && answer(w, true) == nil
		},
		"a login changes nothing": func(_ *app, w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Path == pathLogin && answer(w, true) == nil
		},
		"a login leaves the old session": func(a *app, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != pathLogin {
				return false
			}
			r.Header.Del("Cookie")
			r.URL.Path = pathMake
			a.handler.ServeHTTP(w, r)
			return true
		},
		"forged cookies are taken": func(a *app, w http.ResponseWriter, r *http.Request) bool {
			id, found := strings.CutPrefix(r.Header.Get("Cookie"), start)
			if found && len(id) > idLength {
				r.Header.Set("Cookie", strings.Split(newTickets(secret).cookie(id[:idLength]), ";")[0])
			}
			return false
		},
		"no session is made": func(_ *app, w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Path == pathMake && answer(w, true) == nil
		},
	} {
		a := right()
		broken := &app{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !wrong(a, w, r) {
				a.handler.ServeHTTP(w, r)
			}
		})}
		if err := check(subject{store: memory}, broken, workloads[0]); err == nil {
			t.Errorf("%s: was not noticed", name)
		}
	}
	if err := check(subject{store: memory}, right(), workloads[0]); err != nil {
		t.Errorf("the floor is right, and yet: %v", err)
	}
}

func TestRequestsThatFailWhileMeasuredAreNoticed(t *testing.T) {
	e := newGin()
	n := 0
	e.GET(pathRead, func(c *gin.Context) { n++; _ = answer(c.Writer, n != 70) })
	b, err := newBench(subject{store: noStore}, &app{handler: e}, workload{path: pathRead}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.slice(50); err != nil {
		t.Error(err)
	}
	if _, err := b.slice(50); err == nil {
		t.Error("the 70th request failed, and nobody noticed")
	}
}

func TestLostIncrementsAreNoticed(t *testing.T) {
	a := floorApp(&mapRecords{records: make(map[string][]byte)}, nothing)
	n := 0
	forgetful := &app{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n++; r.URL.Path == pathCount && n == 30 {
			_ = answer(w, true)
			return
		}
		a.handler.ServeHTTP(w, r)
	})}
	b, err := newBench(subject{store: memory}, forgetful, workload{path: pathCount}, 1)
	if err == nil {
		_, err = b.slice(50)
	}
	if err != nil {
		t.Fatal(err)
	}
	if b.finish() == nil {
		t.Error("49 of 50 requests were counted, and nobody noticed")
	}
}

func TestRoundTripsOfTheFloor(t *testing.T) {
	s := testServers(t)
	for _, sub := range floorSubjects() {
		if sub.store != valkeyS && sub.store != mongoS && sub.store != postgresS {
			continue
		}
		t.Run(sub.store, func(t *testing.T) {
			if !s.has(sub.store) {
				t.Skip("NO SERVER, so this was not tested")
			}
			want := map[string]int{"W1": 0, "W2": 0, "W3": 1, "W4": 2, "W5 4 KB": 1, "W5 64 KB": 1, "W6": 2}
			if sub.store != valkeyS { // makes the next and removes the old one, one after the other
				want["W6"] = 3
			}
			got, err := countTrips(t.Context(), s, sub, workloads, want)
			if err != nil {
				t.Fatal(err)
			}
			for name, n := range want {
				if got[name].trips != n {
					t.Errorf("%s: %d round trips, want %d", name, got[name].trips, n)
				}
				if sub.store != valkeyS && got[name].commands != n {
					t.Errorf("%s: %d commands, want %d", name, got[name].commands, n)
				}
			}
		})
	}
}

func TestServersAreAskedOverHTTP(t *testing.T) {
	s := testServers(t)
	for _, sub := range slices.Concat(served(valkeyS), served(postgresS)) {
		if sub.library != floorLibrary && sub.library != libraryName && sub.on != onFiber && sub.on != onExpress {
			continue
		}
		t.Run(sub.where(), func(t *testing.T) {
			if !s.has(sub.store) {
				t.Skip("NO SERVER, so this was not tested")
			}
			srv, err := startServer(t.Context(), s, sub)
			if err != nil {
				t.Fatal(err)
			}
			defer srv.app.close()
			if err := srv.prepare(); err != nil {
				t.Fatal(err)
			}
			for _, w := range overHTTP {
				if err := srv.round(t.Context(), w, 50*time.Millisecond); err != nil {
					t.Errorf("%s: %v", w, err)
				}
				if l := srv.measure[w]; median(l.perSecond) <= 0 || median(l.p50) <= 0 || median(l.p99) < median(l.p50) {
					t.Errorf("%s: %v requests/s, p50 %v, p99 %v", w, l.perSecond, l.p50, l.p99)
				}
			}
			for _, r := range srv.measure["W4"].visitors {
				if err := r.counts(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestMemoryOfSessionsIsMeasured(t *testing.T) {
	const n = 5000
	k, err := measureSessions(t.Context(), subject{library: floorLibrary, on: onGin, store: memory}.id(), n)
	if err != nil {
		t.Fatal(err)
	}
	// A record, its id, and their places in the map.
	if least := float64(len(newRecord("")) + idLength); k.Bytes < least || k.Bytes > 5*least {
		t.Errorf("a session takes %.0f bytes, want %.0f and somewhat more", k.Bytes, least)
	}
}

func TestTheFloorReadsJSONAsOthersDo(t *testing.T) {
	record := []byte(`{"cookie":{"path":"/","expires":null},"s":"a \"quoted\", \\ and {[","n":-12,"list":[1,{"user":"bob"},"]"],"t":true,"user":"alice"}`)
	var all map[string]json.RawMessage
	if err := json.Unmarshal(record, &all); err != nil {
		t.Fatal(err)
	}
	for name, want := range all {
		if got := memberOf(record, name); !bytes.Equal(got, want) {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if got := memberOf(record, "nobody"); len(got) != 0 {
		t.Errorf("a name that is not there has the value %s", got)
	}
	if got, want := stringIn(record, "s"), `a "quoted", \ and {[`; got != want {
		t.Errorf("s is %q, want %q", got, want)
	}
	if got := memberOf(incremented(record, "n"), "n"); string(got) != "-11" {
		t.Errorf("n incremented is %s, want -11", got)
	}
	if got := memberOf(replaced(record, "user", `"eve"`), "user"); string(got) != `"eve"` {
		t.Errorf("user replaced is %s", got)
	}
}

func TestChartsAreXML(t *testing.T) {
	c := chart{title: "<a> & b", note: "c", panels: []string{"one", "two"}, bars: []bar{
		{"x & y", "ours", []float64{1, 2}, []string{"1", "2"}},
		{"z", "floor", []float64{0, 4}, []string{"0", "4"}},
	}}
	d := xml.NewDecoder(bytes.NewReader(c.svg()))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRatiosAreThoseOfRounds(t *testing.T) {
	// In the third round the machine had something else to do.
	a := []time.Duration{20, 22, 400, 18, 20}
	b := []time.Duration{10, 11, 200, 9, 10}
	if got := ratio(a, b); got != 2 {
		t.Errorf("the ratio is %v, want 2", got)
	}
	if got := median(a); got != 20 {
		t.Errorf("the median is %v, want 20", got)
	}
}
