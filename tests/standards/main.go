// Standards writes docs/security.md: what OWASP ASVS, NIST SP 800-63B and OWASP's
// testing guide ask of sessions, how Cloakroom meets it, and which tests show
// that. The requirements stand in this package, the tests say themselves which of
// them they show:
//
//	// Standards: ASVS-7.2.4, NIST-5.1-issue
//	func TestNoIDIsOfUseAfterAnyChangeOfRights(t *testing.T) {
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
	"strings"
)

func main() {
	write := flag.Bool("write", false, "write the document instead of comparing with it")
	flag.Parse()
	if err := run(*write); err != nil {
		fmt.Fprintln(os.Stderr, "standards:", err)
		os.Exit(1)
	}
}

const document = "docs/security.md"

func run(write bool) error {
	top, err := repository()
	if err != nil {
		return err
	}
	tests, err := find(top)
	if err != nil {
		return err
	}
	text, err := render(tests)
	if err != nil {
		return err
	}
	path := filepath.Join(top, filepath.FromSlash(document))
	if write {
		return os.WriteFile(path, []byte(text), 0o644)
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != text {
		return errors.New(document + " is out of date: run `make docs`")
	}
	return nil
}

// repository returns the directory of the repository.
func repository() (string, error) {
	out, err := exec.Command("go", "env", "GOWORK").Output()
	work := strings.TrimSpace(string(out))
	if err != nil || work == "" || work == "off" {
		return "", errors.Join(errors.New("not in the workspace of the repository"), err)
	}
	return filepath.Dir(work), nil
}
