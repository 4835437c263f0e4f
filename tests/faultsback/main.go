// Faultsback shows that the tests of the repository catch what went wrong once: it
// puts faults that core and the stores had back into today's code, one at a time, and
// fails unless the test that stands for it fails. No file is changed: the compiler is
// given others in their place.
//
// Run from anywhere in the repository: all of it takes some minutes, and -only picks
// faults by a part of their description.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	only := flag.String("only", "", "put back the faults with that in their description")
	flag.Parse()
	if err := run(*only); err != nil {
		fmt.Fprintln(os.Stderr, "faultsback:", err)
		os.Exit(1)
	}
}

func run(only string) error {
	top, err := root()
	if err != nil {
		return err
	}
	missed, tried := 0, 0
	for _, f := range faults {
		if !strings.Contains(f.what, only) {
			continue
		}
		tried++
		if err := f.putBack(top); err != nil {
			missed++
			fmt.Printf("MISSED  %s\n        %v\n", f.what, err)
			continue
		}
		fmt.Printf("caught  %s\n        by %s in %s\n", f.what, f.test, f.in)
	}
	switch {
	case tried == 0:
		return fmt.Errorf("no fault is described by %q", only)
	case missed > 0:
		return fmt.Errorf("%d of %d faults were missed", missed, tried)
	}
	fmt.Printf("all %d faults were caught\n", tried)
	return nil
}

// root returns the folder of the workspace.
func root() (string, error) {
	out, err := exec.Command("go", "env", "GOWORK").Output()
	work := strings.TrimSpace(string(out))
	if err != nil || work == "" || work == "off" {
		return "", errors.Join(errors.New("not in the workspace of the repository"), err)
	}
	return filepath.Dir(work), nil
}

// apply returns the text of the file with the fault in it.
func (f fault) apply(top string) (path string, text []byte, err error) {
	path = filepath.Join(top, filepath.FromSlash(f.file))
	text, err = os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	faulty := string(text)
	for _, e := range f.edits {
		if n := strings.Count(faulty, e.now); n != 1 {
			return "", nil, fmt.Errorf("%s has this text %d times, not once: say in tests/faultsback how the fault would look today\n%s", f.file, n, e.now)
		}
		faulty = strings.Replace(faulty, e.now, e.then, 1)
	}
	return path, []byte(faulty), nil
}

// putBack returns an error unless the test passes without the fault and fails with it.
func (f fault) putBack(top string) error {
	path, text, err := f.apply(top)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "faultsback")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	faulty, overlay := filepath.Join(dir, "faulty.go"), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: faulty}})
	if err := errors.Join(err, os.WriteFile(faulty, text, 0o600), os.WriteFile(overlay, list, 0o600)); err != nil {
		return err
	}
	if out, err := f.goTest(top); err != nil {
		return fmt.Errorf("%s fails without the fault as well: %w\n%s", f.test, err, tail(out))
	}
	out, err := f.goTest(top, "-overlay", overlay)
	switch {
	case err == nil:
		return fmt.Errorf("%s in %s passes", f.test, f.in)
	case !strings.Contains(out, "--- FAIL: "+f.test): // it does not compile, or something else went wrong
		return fmt.Errorf("%s in %s does not fail, and neither does it pass: %w\n%s", f.test, f.in, err, tail(out))
	}
	return nil
}

// goTest runs the test as make test does, but without the race detector: no fault of
// these is a data race.
func (f fault) goTest(top string, more ...string) (out string, err error) {
	args := append([]string{"test", "-timeout", "5m", "-run", "^" + f.test + "$"}, more...)
	cmd := exec.Command("go", append(args, f.in)...)
	cmd.Dir = top
	printed, err := cmd.CombinedOutput()
	if strings.Contains(string(printed), "no tests to run") {
		err = cmp.Or(err, errors.New("there is no such test"))
	}
	return string(printed), err
}

// tail returns the end of what a test printed.
func tail(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
