package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal returns both ends of a terminal: where a program prints, and what somebody sees.
func terminal(t *testing.T) (program, seen *os.File) {
	t.Helper()
	seen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("NOT TESTED: there are no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = seen.Close() })
	if err := unix.IoctlSetPointerInt(int(seen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(seen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return program, seen
}

// inTerminal runs the command in a terminal, and returns what is seen.
func inTerminal(t *testing.T, env map[string]string, args ...string) (code int, text string) {
	t.Helper()
	program, seen := terminal(t)
	all := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(seen) // ends with an error when the other end is closed
		all <- string(text)
	}()
	code = run(t.Context(), args, world{in: program, out: program, err: program, now: time.Now, getenv: func(name string) string { return env[name] }})
	_ = program.Close()
	return code, <-all
}

func TestInATerminal(t *testing.T) {
	t.Parallel()
	m := newMove(t, kinds["sqlite"](t), kinds["sqlite"](t))
	from := open(t, m["CLOAKROOM_STORE"])
	for range 50 {
		create(t, from, unique(), `{"cookie":{}}`)
	}
	code, text := inTerminal(t, m, "copy", "--journal", m["JOURNAL"])
	if code != exitOK || !strings.Contains(text, "pass 1 ") || !strings.Contains(text, "/50") || !strings.Contains(text, "verified: all 50 records") {
		t.Errorf("exit code %d, and one sees %q", code, text)
	}
	code, text = inTerminal(t, m, "watch", "--every", "100ms", "--rounds", "3")
	if code != exitOK || strings.Count(text, "SIGNED IN") != 3 || strings.Count(text, "\x1b[J") != 2 {
		t.Errorf("exit code %d, and one sees %q", code, text)
	}
	if r := operate(t, m, "users"); strings.Contains(r.err, "\x1b") || strings.Contains(r.err, "\r") {
		t.Errorf("where nobody looks, there is %q", r.err)
	}
}
