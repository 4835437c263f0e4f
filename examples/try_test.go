package examples

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// patience is the end of all waiting for what comes soon.
const patience = time.Minute

// eventually waits until what the test looks for is so.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// commands are the lines that a program tells its reader to type: those below its first
// paragraph.
func (p *process) commands(t *testing.T) []string {
	t.Helper()
	lines := ""
	eventually(t, func() error {
		var some bool
		if _, lines, some = strings.Cut(p.said.String(), "\n\n"); !some {
			return fmt.Errorf("the program says nothing to try: %q", p.said.String())
		}
		return nil
	})
	var commands []string
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			commands = append(commands, line)
		}
	}
	return commands
}

// A typist types commands into one shell, in a folder of its own.
type typist struct {
	t   *testing.T
	dir string
	end []func() // waits until these have ended by themselves
}

func newTypist(t *testing.T) *typist {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("the examples are tried with curl: install it")
	}
	return &typist{t: t, dir: t.TempDir()}
}

// typeAll types commands, each of which has to do what the comment beside it says. What ends
// in an ampersand has to say that and then to end by itself, once all others were typed.
func (ty *typist) typeAll(commands []string) {
	ty.t.Helper()
	for _, line := range commands {
		if err := ty.do(line); err != nil {
			ty.t.Fatal(err)
		}
	}
	for _, ended := range ty.end {
		ended()
	}
}

// do types one line, and tells whether it did what the comment beside it says.
func (ty *typist) do(line string) error {
	ty.t.Helper()
	command, want, commented := strings.Cut(line, " # ")
	if strings.HasPrefix(line, "curl") != commented {
		return fmt.Errorf("it is not said what to expect of %q", line)
	}
	want = strings.TrimSpace(want)
	command = strings.TrimSpace(command)
	if command, ok := strings.CutSuffix(command, "&"); ok {
		ty.begin(command, want)
		return nil
	}
	cmd := exec.CommandContext(ty.t.Context(), "sh", "-c", command)
	var out bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = ty.dir, &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, out.String())
	}
	if !strings.Contains(out.String(), want) {
		return fmt.Errorf("%s\nsays:\n%s\nwant: %s", command, out.String(), want)
	}
	return nil
}

// begin types a command that goes on while others are typed, and waits until it says what is
// wanted.
func (ty *typist) begin(command, want string) {
	ty.t.Helper()
	ctx, cancel := context.WithTimeout(ty.t.Context(), patience)
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+command)
	out := new(output)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ty.dir, out, out
	if err := cmd.Start(); err != nil {
		cancel()
		ty.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ty.t.Cleanup(cancel)
	eventually(ty.t, func() error {
		if !strings.Contains(out.String(), want) {
			return fmt.Errorf("%s\nsays:\n%s\nwant: %s", command, out, want)
		}
		return nil
	})
	select {
	case err := <-ended:
		ty.t.Fatalf("%s\nhas ended too soon: %v", command, err)
	default:
	}
	ty.end = append(ty.end, func() {
		if err := <-ended; err != nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			ty.t.Errorf("%s\nhas not ended by itself: %v", command, err)
		}
	})
}

// What an example tells its reader to type does what stands beside it.
func TestTheExamplesDoWhatTheySay(t *testing.T) {
	for _, program := range []string{"cors", "csrf", "devices", "event-stream", "handler-tests", "sign-in", "spa"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			newTypist(t).typeAll(run(t, program, nil).commands(t))
		})
	}
}
