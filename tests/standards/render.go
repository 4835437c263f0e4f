package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// How a requirement is met.
type how string

const (
	byDefault how = "default" // nothing has to be set or called
	byOption  how = "option"  // by a setting
	byCall    how = "call"    // by a call that the app makes where it is due
	byApp     how = "app"     // outside of what a session library can do
)

// A requirement is one of a standard, in our words.
type requirement struct {
	id    string // as in the tags of tests
	short string // what it asks for
	how   how
	text  string // what Cloakroom does, and what is left to do
}

// A standard is a part of a document.
type standard struct {
	title, about string
	requirements []requirement
}

// render returns the document. It fails where a requirement that Cloakroom meets
// has no test, or a test names a requirement that there is not.
func render(tests []test) (string, error) {
	var (
		b      strings.Builder
		errs   []error
		byTag  = make(map[string][]test)
		byName = make(map[string][]test)
	)
	for _, t := range tests {
		byName[t.name] = append(byName[t.name], t)
		for _, tag := range t.tags {
			byTag[tag] = append(byTag[tag], t)
		}
	}
	b.WriteString(introduction)
	for _, s := range standards {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| | asks for | how | Cloakroom | tests |\n|---|---|---|---|---|\n", s.title, s.about)
		for _, r := range s.requirements {
			shown := byTag[r.id]
			if len(shown) == 0 && r.how != byApp {
				errs = append(errs, fmt.Errorf("%s has no test", r.id))
			}
			delete(byTag, r.id)
			_, number, _ := strings.Cut(r.id, "-")
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", number, r.short, r.how, r.text, links(shown))
		}
	}
	for tag := range byTag {
		errs = append(errs, fmt.Errorf("%s names %s, which is no requirement", byTag[tag][0].name, tag))
	}

	b.WriteString(aboutVulnerabilities)
	for _, v := range vulnerabilities {
		var shown []test
		for _, name := range v.tests {
			found := byName[name]
			if len(found) == 0 {
				errs = append(errs, fmt.Errorf("%s names %s, which does not exist", v.number, name))
			}
			shown = append(shown, found...)
		}
		if (v.why == "") == (len(v.tests) == 0) {
			errs = append(errs, fmt.Errorf("%s needs either tests or a reason why there are none", v.number))
		}
		text := v.why
		if text == "" {
			text = links(shown)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", v.number, v.mistake, v.advisories, text)
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return b.String(), errors.Join(errs...)
}

// links names tests, each with a link to its file.
func links(tests []test) string {
	var all []string
	for _, t := range tests {
		name := "`" + t.name + "`"
		if suite, scenario, ok := strings.Cut(t.name, ": "); ok {
			name = suite + ": " + strings.ReplaceAll(scenario, "|", `\|`)
		}
		all = append(all, fmt.Sprintf("[%s](../%s)", name, t.file))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}
