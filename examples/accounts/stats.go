package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

// stats counts what happens to sessions, for the operator's page. It is a
// core.Tracer: an Observer that also sees how long operations take. An app with
// OpenTelemetry has all of that from the module otelsession.
type stats struct {
	width time.Duration // of a bar
	mu    sync.Mutex
	bars  [barCount]bar // a ring: the bar of a moment is at its number modulo barCount
	last  []logged      // the last events, the newest first
}

const (
	barCount  = 60
	lastCount = 200
)

// A bar is what happened in a minute, or whatever the width is.
type bar struct {
	number                   int64 // of the bar, counted from 1970
	signIns, ends, conflicts int
	load, commit             timing
}

type timing struct {
	count    int
	sum, max time.Duration
}

// took is the timing of one operation.
func took(d time.Duration) timing { return timing{1, d, d} }

func (t *timing) add(other timing) {
	t.count, t.sum, t.max = t.count+other.count, t.sum+other.sum, max(t.max, other.max)
}

func (t timing) mean() time.Duration { return t.sum / time.Duration(max(t.count, 1)) }

func (t timing) String() string {
	if t.count == 0 {
		return "none"
	}
	return "mean " + millis(t.mean()) + ", slowest " + millis(t.max)
}

// A logged event is one of the operator's list.
type logged struct {
	core.Event
	At time.Time
}

func newStats(width time.Duration) *stats { return &stats{width: max(width, time.Second)} }

// current returns the bar of this moment. mu is held.
func (s *stats) current() *bar {
	number := time.Now().UnixNano() / int64(s.width)
	b := &s.bars[number%barCount]
	if b.number != number {
		*b = bar{number: number} // it held what was barCount bars ago
	}
	return b
}

// Observe implements core.Observer.
func (s *stats) Observe(_ context.Context, e core.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Kind {
	case core.EventSignedIn:
		s.current().signIns++
	case core.EventDestroyed, core.EventRevoked:
		s.current().ends++
	case core.EventReplayed: // another request was faster, and nothing was lost
		s.current().conflicts++
	}
	switch e.Kind {
	case core.EventSaved, core.EventReplayed, core.EventExtended, core.EventRefreshed: // all the time, where all is well
	default:
		s.last = slices.Insert(s.last, 0, logged{e, time.Now()})
		s.last = s.last[:min(len(s.last), lastCount)]
	}
}

// Start implements core.Tracer.
func (s *stats) Start(ctx context.Context, op core.Operation) (context.Context, func(error)) {
	began := time.Now()
	return ctx, func(error) {
		t := took(time.Since(began))
		s.mu.Lock()
		defer s.mu.Unlock()
		switch op {
		case core.OpLoad:
			s.current().load.add(t)
		case core.OpCommit:
			s.current().commit.add(t)
		}
	}
}

// A report is what the operator's page shows.
type report struct {
	SignIns, Ends, Conflicts int
	Span                     string
	Charts                   []chart
}

// A chart is an SVG of barCount bars, chartHeight high.
type chart struct {
	Title, Summary string
	Columns        []column
}

type column struct {
	X, Y, Height float64
	Label        string
}

const (
	chartHeight = 60
	columnWidth = 4
)

func (s *stats) report() report {
	s.mu.Lock()
	last := s.current().number
	bars := make([]bar, barCount) // the oldest first
	for i := range bars {
		number := last - barCount + 1 + int64(i)
		if b := s.bars[number%barCount]; b.number == number {
			bars[i] = b
		}
	}
	s.mu.Unlock()

	r := report{Span: span(barCount * s.width)}
	var load, commit timing
	for _, b := range bars {
		r.SignIns += b.signIns
		r.Ends += b.ends
		r.Conflicts += b.conflicts
		load.add(b.load)
		commit.add(b.commit)
	}
	r.Charts = []chart{
		countChart("Log-ins", bars, func(b bar) int { return b.signIns }),
		countChart("Conflicts", bars, func(b bar) int { return b.conflicts }),
		timeChart("Load time", load, bars, func(b bar) timing { return b.load }),
		timeChart("Commit time", commit, bars, func(b bar) timing { return b.commit }),
	}
	return r
}

// events returns the last events of those that are wanted, the newest first.
func (s *stats) events(most int, wanted func(core.Event) bool) []logged {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []logged
	for _, e := range s.last {
		if len(found) < most && wanted(e.Event) {
			found = append(found, e)
		}
	}
	return found
}

// An eventLine is what the operator reads.
type eventLine struct {
	At         time.Time
	Kind       core.EventKind
	Who, Story string
}

// eventKinds are the events that the operator can look for.
var eventKinds = []core.EventKind{
	core.EventCreated, core.EventRenewed, core.EventSignedIn, core.EventDestroyed, core.EventRevoked, core.EventLimit,
	core.EventExpired, core.EventUnknown, core.EventForged, core.EventGone, core.EventDropped, core.EventStoreError, core.EventOutage,
	core.EventBound, core.EventRefused,
}

var stories = map[core.EventKind]string{
	core.EventCreated:    "A session began",
	core.EventRenewed:    "The session got a new id",
	core.EventSignedIn:   "Logged in",
	core.EventDestroyed:  "Logged out",
	core.EventRevoked:    "Was logged out",
	core.EventLimit:      "Had as many devices as a user may have",
	core.EventExpired:    "Came back too late",
	core.EventUnknown:    "Sent the cookie of a session that has ended",
	core.EventForged:     "Sent a cookie that is not from here",
	core.EventGone:       "The session ended under a request",
	core.EventDropped:    "A change came too late to be stored",
	core.EventStoreError: "The storage failed",
	core.EventOutage:     "Something could not be done because the storage failed",
	core.EventBound:      "Was locked to its browser",
	core.EventRefused:    "Was refused, being locked to its browser",
}

var causes = map[core.Cause]string{
	core.CauseIdle:         "was away for too long",
	core.CauseAbsolute:     "the session was too old",
	core.CauseRevokeOthers: "everywhere else",
	core.CauseRevokeUser:   "everywhere",
	core.CauseLimit:        "to make room for another device",
	core.CauseUnproven:     "a cookie came without the proof",
	core.CauseForged:       "a proof was not of its key",
	core.CauseBound:        "there was another key",
}

// told puts events into words. people are the names of users, by their ids.
func told(events []logged, people map[string]string) []eventLine {
	var lines []eventLine
	for _, e := range events {
		line := eventLine{e.At, e.Kind, people[e.User], cmp.Or(stories[e.Kind], string(e.Kind))}
		switch {
		case strings.HasPrefix(e.User, showUser):
			line.Who = "The show"
		case e.User == "":
			line.Who = "A visitor"
		case line.Who == "":
			line.Who = "A closed account"
		}
		if by := people[e.By]; by != "" && e.By != e.User {
			line.Story += " by " + by
		}
		if why := causes[e.Cause]; why != "" {
			line.Story += ": " + why
		}
		if e.Handle != "" {
			line.Story += fmt.Sprintf(" (session %.6s)", e.Handle)
		}
		lines = append(lines, line)
	}
	return lines
}

func countChart(title string, bars []bar, of func(bar) int) chart {
	counts, sum := make([]float64, len(bars)), 0
	for i, b := range bars {
		counts[i], sum = float64(of(b)), sum+of(b)
	}
	c := chart{Title: title, Summary: "none"}
	if sum > 0 {
		c.Summary = fmt.Sprintf("%d in all, peak %.0f", sum, slices.Max(counts))
	}
	c.draw(counts, func(i int) string { return fmt.Sprint(of(bars[i])) })
	return c
}

func timeChart(title string, all timing, bars []bar, of func(bar) timing) chart {
	means := make([]float64, len(bars))
	for i, b := range bars {
		means[i] = float64(of(b).mean())
	}
	c := chart{Title: title, Summary: all.String()}
	c.draw(means, func(i int) string { return of(bars[i]).String() })
	return c
}

// draw makes a column of each value, the largest as high as the chart.
func (c *chart) draw(values []float64, label func(i int) string) {
	largest := max(slices.Max(values), 1)
	for i, v := range values {
		height := v / largest * chartHeight
		c.Columns = append(c.Columns, column{float64(i * columnWidth), chartHeight - height, height, label(i)})
	}
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// span names what all the bars stand for.
func span(d time.Duration) string {
	if d%time.Minute == 0 && d > time.Minute {
		return count(int(d/time.Minute), "minute")
	}
	return count(int(d/time.Second), "second")
}

// evictions keeps how often users were logged out on a device because they logged in on
// too many: somebody who knows a password could log its owner out by that, who has to
// see it. An app with more than one process has this in its database.
type evictions struct {
	now func() time.Time
	mu  sync.Mutex
	all map[string]eviction // by the id of the user
}

// An eviction is what happened to one user.
type eviction struct {
	Count int
	Last  time.Time
}

func newEvictions(now func() time.Time) *evictions {
	return &evictions{now: now, all: make(map[string]eviction)}
}

// Observe implements core.Observer.
func (e *evictions) Observe(_ context.Context, event core.Event) {
	if event.Kind != core.EventRevoked || event.Cause != core.CauseLimit {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all[event.User] = eviction{e.all[event.User].Count + 1, e.now()}
}

func (e *evictions) of(user string) (eviction, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	found, ok := e.all[user]
	return found, ok
}

// isRecent reports whether the user should hear of it when they log in.
func (e eviction) isRecent(now time.Time) bool { return now.Sub(e.Last) < 24*time.Hour }
