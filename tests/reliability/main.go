// Reliability keeps docs/reliability.md true: it writes the fault matrix into it
// from what the tests of the stores check, and looks whether the tests that it
// names are there.
//
// Run from anywhere in the repository, with -write it brings the document up to
// date; without, it reports whether it is. The tests of this package tell, too.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
)

func main() {
	write := flag.Bool("write", false, "write the document instead of comparing with it")
	flag.Parse()
	if err := run(*write); err != nil {
		fmt.Fprintln(os.Stderr, "reliability:", err)
		os.Exit(1)
	}
}

const (
	document = "docs/reliability.md"
	begin    = "<!-- The matrix: made by make docs. -->\n"
	end      = "<!-- The end of the matrix. -->\n"
)

func run(write bool) error {
	out, err := exec.Command("go", "env", "GOWORK").Output()
	work := strings.TrimSpace(string(out))
	if err != nil || work == "" || work == "off" {
		return errors.Join(errors.New("not in the workspace of the repository"), err)
	}
	top := filepath.Dir(work)
	path := filepath.Join(top, filepath.FromSlash(document))
	have, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	want, err := withMatrix(string(have))
	if err != nil {
		return err
	}
	if write {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			return err
		}
	} else if want != string(have) {
		return errors.New(document + " is out of date: run `make docs`")
	}
	return checkLinks(want, filepath.Dir(path))
}

// withMatrix returns the document with the matrix in its place.
func withMatrix(text string) (string, error) {
	before, rest, found := strings.Cut(text, begin)
	_, after, foundEnd := strings.Cut(rest, end)
	if !found || !foundEnd {
		return "", fmt.Errorf("%s has no place for the matrix, between %q and %q", document, begin, end)
	}
	cells, faults := promises.Cells()
	return fmt.Sprintf("%s%s\n%d faults; %d combinations of a fault, a command and a store.\n\n%s\n%s%s", before, begin, faults, cells, promises.Table(), end, after), nil
}

var (
	link = regexp.MustCompile(`\[([^\]]+)\]\(([^)#]+)[^)]*\)`)
	name = regexp.MustCompile("^`((?:Test|Fuzz)\\w*)`$")
)

// checkLinks tells which links lead nowhere: to a file that is not there, or that
// has no test of that name.
func checkLinks(text, dir string) error {
	var errs []error
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		if strings.HasPrefix(m[2], "https:") {
			continue
		}
		path := filepath.Join(dir, filepath.FromSlash(m[2]))
		if _, err := os.Stat(path); err != nil {
			errs = append(errs, fmt.Errorf("%s links to %s, which is not there", document, m[2]))
			continue
		}
		if test := name.FindStringSubmatch(m[1]); test != nil {
			source, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(source), "func "+test[1]+"(") {
				errs = append(errs, fmt.Errorf("%s names %s, which is not in %s", document, test[1], m[2]))
			}
		}
	}
	return errors.Join(errs...)
}
