package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// results is all that was measured. What is nil was left out.
type results struct {
	short   bool
	machine []fact

	serial, parallel *table // in memory
	valkey           *table
}

func (r *results) write(dir string) error {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	p("# What sessions cost")
	p("")
	p("Measured by `make bench`, which writes this page. How it is done is said below each table.")
	if r.short {
		p("")
		p("**This is the short form: it shows that everything works. Its times are not worth quoting.**")
	}
	p("")
	p("| | |\n|---|---|")
	for _, f := range r.machine {
		p("| %s | %s |", f.what, f.value)
	}
	p("")
	p("The requests:")
	p("")
	for _, w := range workloads {
		p("- **%s**: %s", w.name, w.what)
	}
	p("")
	p("## In memory, one request after the other")
	p("")
	r.serial.write(p)
	p("## In memory, on all cores")
	p("")
	r.parallel.write(p)
	if r.valkey != nil {
		p("## Valkey, %d clients at the same time", clients)
		p("")
		r.valkey.write(p)
	}
	return os.WriteFile(filepath.Join(dir, "RESULTS.md"), []byte(b.String()), 0o644)
}

func (t *table) write(p func(string, ...any)) {
	head := "| |"
	for _, w := range workloads {
		head += " " + w.name + " |"
	}
	p("%s", head)
	p("|---|%s", strings.Repeat("---:|", len(workloads)))
	for _, s := range t.subjects {
		row := "| " + s.row() + " |"
		for _, w := range workloads {
			cell := "-"
			if b := t.of(s, w.name); b != nil {
				cell = fmt.Sprintf("%s ±%.0f%%, %d", thousands(median(b.took).Nanoseconds()), 100*spread(b.took), b.allocs)
			}
			row += " " + cell + " |"
		}
		p("%s", row)
	}
	p("")
	p("Times the floor:")
	p("")
	p("%s", head)
	p("|---|%s", strings.Repeat("---:|", len(workloads)))
	for _, s := range t.subjects {
		if s.store == noStore || s.library == floorLibrary {
			continue
		}
		row := "| " + s.row() + " |"
		for _, w := range workloads {
			cell := "-"
			b, floor := t.of(s, w.name), t.find(floorLibrary, onGin, floorStore(s.store), w.name)
			if b != nil && floor != nil {
				cell = fmt.Sprintf("%.1f", ratio(b.took, floor.took))
			}
			row += " " + cell + " |"
		}
		p("%s", row)
	}
	p("")
}

// row is what a subject is called in a table.
func (s subject) row() string {
	name := s.name()
	if s.store == cached {
		name += ", client-side cache"
	}
	return name
}

// floorStore is where the floor keeps what others keep there.
func floorStore(store string) string {
	if store == cookie {
		return memory
	}
	return store
}

func itoa(n int) string { return strconv.Itoa(n) }

// thousands writes 12345 as 12,345.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
