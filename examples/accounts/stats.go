package main

import (
	"context"
	"fmt"
	"slices"
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
	lastCount = 12
)

// A bar is what happened in a minute, or whatever the width is.
type bar struct {
	number             int64 // of the bar, counted from 1970
	signIns, conflicts int
	load, commit       timing
}

type timing struct {
	count    int
	sum, max time.Duration
}

func (t *timing) add(d time.Duration) {
	t.count, t.sum, t.max = t.count+1, t.sum+d, max(t.max, d)
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
	case core.EventReplayed: // another request was faster, and nothing was lost
		s.current().conflicts++
	}
	if e.Kind != core.EventSaved && e.Kind != core.EventReplayed {
		s.last = slices.Insert(s.last, 0, logged{e, time.Now()})
		s.last = s.last[:min(len(s.last), lastCount)]
	}
}

// Start implements core.Tracer.
func (s *stats) Start(ctx context.Context, op core.Operation) (context.Context, func(error)) {
	began := time.Now()
	return ctx, func(error) {
		took := time.Since(began)
		s.mu.Lock()
		defer s.mu.Unlock()
		switch op {
		case core.OpLoad:
			s.current().load.add(took)
		case core.OpCommit:
			s.current().commit.add(took)
		}
	}
}

// A report is what the operator's page shows.
type report struct {
	SignIns, Conflicts int
	Span               string
	Charts             []chart
	Events             []logged
}

// A chart is an SVG of barCount bars, chartHeight high.
type chart struct {
	Title, Summary string
	Columns        []column
}

type column struct {
	X, Y, Height float64 // of the bar
	Peak         float64 // y of the mark above it; 0 for none
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
	events := slices.Clone(s.last)
	s.mu.Unlock()

	r := report{Span: span(barCount * s.width), Events: events}
	var load, commit timing
	for _, b := range bars {
		r.SignIns += b.signIns
		r.Conflicts += b.conflicts
		for _, t := range []struct{ of, all *timing }{{&b.load, &load}, {&b.commit, &commit}} {
			t.all.count, t.all.sum, t.all.max = t.all.count+t.of.count, t.all.sum+t.of.sum, max(t.all.max, t.of.max)
		}
	}
	r.Charts = []chart{
		s.countChart("Sign-ins", bars, func(b bar) int { return b.signIns }),
		s.countChart("Conflicts", bars, func(b bar) int { return b.conflicts }),
		s.timeChart("Load time", bars, load, func(b bar) timing { return b.load }),
		s.timeChart("Commit time", bars, commit, func(b bar) timing { return b.commit }),
	}
	return r
}

func (s *stats) countChart(title string, bars []bar, of func(bar) int) chart {
	most, sum := 1, 0
	for _, b := range bars {
		most, sum = max(most, of(b)), sum+of(b)
	}
	c := chart{Title: title, Summary: fmt.Sprintf("%d in all, peak %d", sum, most)}
	if sum == 0 {
		c.Summary = "none"
	}
	for i, b := range bars {
		c.Columns = append(c.Columns, s.column(i, float64(of(b))/float64(most), 0, fmt.Sprint(of(b))))
	}
	return c
}

func (s *stats) timeChart(title string, bars []bar, all timing, of func(bar) timing) chart {
	c := chart{Title: title, Summary: "none"}
	if all.count > 0 {
		c.Summary = fmt.Sprintf("mean %s, slowest %s", millis(all.sum/time.Duration(all.count)), millis(all.max))
	}
	for i, b := range bars {
		t := of(b)
		if t.count == 0 {
			c.Columns = append(c.Columns, s.column(i, 0, 0, "none"))
			continue
		}
		mean, most := t.sum/time.Duration(t.count), float64(all.max)
		c.Columns = append(c.Columns, s.column(i, float64(mean)/most, float64(t.max)/most, millis(mean)+" on average, at most "+millis(t.max)))
	}
	return c
}

// column places a bar; its height and that of its mark are parts of the chart's.
func (s *stats) column(i int, height, peak float64, label string) column {
	const room = chartHeight - 2
	c := column{X: float64(i * columnWidth), Height: height * room, Label: label}
	c.Y = chartHeight - c.Height
	if peak > 0 {
		c.Peak = chartHeight - peak*room
	}
	return c
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
