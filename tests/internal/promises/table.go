package promises

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Table returns what Matrix checks, in Markdown: for each fault, and each command of
// each store, what may become of the request. Faults, and stores, of which the same
// is true stand together.
func Table() string {
	var names []string  // of faults
	var blocks []string // what is true of them
	for _, f := range faults {
		rows := f.rows()
		i := slices.Index(blocks, rows)
		if i < 0 {
			names, blocks = append(names, f.name), append(blocks, rows)
			continue
		}
		names[i] += "; " + f.name
	}
	var b strings.Builder
	b.WriteString("| fault | command | when | store | answer | counter | records | time |\n|---|---|---|---|---|---|---|---|\n")
	for i, rows := range blocks {
		name := "**" + names[i] + "**"
		for row := range strings.Lines(rows) {
			fmt.Fprintf(&b, "| %s | %s", name, row)
			name = ""
		}
	}
	return b.String()
}

// Cells returns how many faults of commands of stores there are, and how many
// faults.
func Cells() (cells, kinds int) {
	for _, s := range Subjects() {
		for _, tr := range s.Troubles {
			for _, f := range faults {
				if f.fits(tr) {
					cells++
				}
			}
		}
	}
	return cells, len(faults)
}

// commands are what a store is sent, and when, in the order of the table.
var commands = []struct{ name, when string }{
	{"load", "begin"},
	{"load, in the handler", "handler"},
	{"create", "commit"},
	{"update", "commit"},
	{"update of a large record", "commit"},
	{"replace", "commit"},
	{"replace, its begin", "commit"},
	{"replace, the next", "commit"},
	{"replace, the old", "commit"},
	{"replace, its commit", "commit"},
	{"delete, the tombstone", "handler; commit"},
	{"delete", "handler; commit"},
	{"touch", "beside the handler"},
}

// rows returns what is true of a fault.
func (f fault) rows() string {
	var b strings.Builder
	for _, command := range commands {
		var (
			subjects = Subjects()
			stores   []string // by what is true of them
			truths   []string
		)
		for _, s := range subjects {
			at := slices.IndexFunc(s.Troubles, func(tr Trouble) bool { return tr.Name == command.name && f.fits(tr) })
			if at < 0 {
				continue
			}
			truth := describe(fates(s.Troubles[at], f))
			if i := slices.Index(truths, truth); i >= 0 {
				stores[i] += ", " + s.Name
			} else {
				stores, truths = append(stores, s.Name), append(truths, truth)
			}
		}
		for i, truth := range truths {
			if strings.Count(stores[i], ", ") == len(subjects)-1 {
				stores[i] = "all"
			}
			fmt.Fprintf(&b, "%s | %s | %s | %s |\n", command.name, command.when, stores[i], truth)
		}
	}
	return b.String()
}

// describe returns what may become of a request.
func describe(all []fate) string {
	var columns [4][]string
	for _, f := range all {
		most := seconds(f.most)
		if f.most == soon {
			most = "less than `StoreTimeout`"
		}
		time := "up to " + most
		switch {
		case f.least > 0:
			time = seconds(f.least) + " to " + most
		case f.most == soon:
			time = most
		}
		records := strconv.Itoa(f.stored.Live)
		if f.stored.Retired > 0 {
			records += fmt.Sprintf(", %d retired", f.stored.Retired)
		}
		for i, text := range []string{strconv.Itoa(f.status), f.stored.Count, records, time} {
			if !slices.Contains(columns[i], text) {
				columns[i] = append(columns[i], text)
			}
		}
	}
	var cells []string
	for _, c := range columns {
		cells = append(cells, strings.Join(c, " or "))
	}
	return strings.Join(cells, " | ")
}

func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
}
