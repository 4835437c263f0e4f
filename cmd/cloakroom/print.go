package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// How results are printed: tables for people, JSON for scripts, and progress where somebody
// looks at it.

// An output remembers that something could not be printed: half a list is not to be taken
// for a whole one.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// printJSON prints an object on a line of its own.
func (c *command) printJSON(v any) error { return json.NewEncoder(c.out).Encode(v) }

func (c *command) printf(format string, args ...any) { _, _ = fmt.Fprintf(c.out, format, args...) }

// A table is printed some rows at a time, so that one of a million rows needs no memory.
type table struct {
	w    *tabwriter.Writer
	rows int
}

// rowsAtOnce is how many rows are as wide as the widest of them.
const rowsAtOnce = 200

func (c *command) table(head ...string) *table {
	t := &table{w: tabwriter.NewWriter(c.out, 10, 8, 2, ' ', 0)}
	t.row(head...)
	return t
}

func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	_, _ = fmt.Fprintln(t.w, strings.Join(cells, "\t"))
	if t.rows++; t.rows%rowsAtOnce == 0 {
		_ = t.w.Flush()
	}
}

func (t *table) end() error { return t.w.Flush() }

// printable returns a text without what a terminal would take for a command: names of
// users and browsers are what visitors say.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// ago and in say how far away a time is.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return rough(now.Sub(t)) + " ago"
}

func in(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return "in " + rough(t.Sub(now))
}

// rough says how long something takes, in one unit.
func rough(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/day)
}

// size says how many bytes something has.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// isTerminal reports whether somebody looks at what is printed there.
func isTerminal(w io.Writer) bool {
	if o, wrapped := w.(*output); wrapped {
		w = o.Writer
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) //nolint:gosec // it was an int before
}

// A progress shows how far something has come, on the standard error and only where that is
// a terminal.
type progress struct{ bar *progressbar.ProgressBar }

// progress begins to show something that takes that many steps, -1 where nobody knows.
func (c *command) progress(what string, steps int) *progress {
	if !isTerminal(c.err) {
		return &progress{}
	}
	bar := progressbar.NewOptions(steps,
		progressbar.OptionSetWriter(c.err),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetWidth(20),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionUseANSICodes(true),
	)
	_ = bar.RenderBlank()
	return &progress{bar}
}

func (p *progress) set(n int) {
	if p.bar != nil {
		_ = p.bar.Set(n)
	}
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
