package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// earlier is the commit whose build today's is compared with, from before sessions that come
// back at once were remembered.
const earlier = "24f9669"

// A turn is a kind of work for both builds, and what today's may take of the time of the
// earlier one.
type turn struct {
	kind   string // what turns/main.go calls it
	n      int    // times in a slice
	most   float64
	valkey bool
	usual  bool // an app does it all the time

	now, then []time.Duration // of one, by round
}

var turns = []turn{
	{kind: "read", usual: true, n: 20_000, most: 0.6},
	{kind: "change", usual: true, n: 10_000, most: 0.75},
	{kind: "read 64 KB", n: 2_000, most: 0.1},
	{kind: "first sign-in", usual: true, n: 1_000, most: 0.55},
	{kind: "hundredth sign-in", n: 20, most: 0.4},
	{kind: "sessions", n: 5, most: 0.4},
	{kind: "revocation", n: 1, most: 0.4},
	{kind: "Valkey read", n: 200 * clients, most: 0.6, usual: true, valkey: true},
	{kind: "Valkey change", n: 200 * clients, most: 0.72, usual: true, valkey: true},
}

// turnNames say what the kinds are.
var turnNames = map[string]string{
	"read": "net/http, in memory, a read", "change": "net/http, in memory, a change", "read 64 KB": "net/http, in memory, a read of 64 KB",
	"first sign-in": "in memory, first sign-in of a user", "hundredth sign-in": "in memory, hundredth sign-in of a user",
	"sessions": "in memory, `Sessions` of a user with 999", "revocation": "in memory, `RevokeUser` with 999 sessions",
	"Valkey read": "Valkey as `Open` has it, 64 clients, a read", "Valkey change": "Valkey as `Open` has it, 64 clients, a change",
}

// builds is today's build beside the earlier one.
type builds []turn

// compareBuilds lets two processes take turns, one of each build.
func compareBuilds(ctx context.Context, s *servers, o options) (b builds, err error) {
	dir, err := os.MkdirTemp("", "cloakroom-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	o.progress("the build of %s", earlier)
	now, then := filepath.Join(dir, "now"), filepath.Join(dir, "then")
	if err := compile(ctx, ".", now); err != nil {
		return nil, err
	}
	if err := checkOut(ctx, dir); err != nil {
		return nil, err
	}
	if err := compile(ctx, filepath.Join(dir, "tree", "bench"), then); err != nil {
		return nil, err
	}
	return takeTurns(ctx, s, o, "beside the build of "+earlier, now, then)
}

// takeTurns lets a process of each of two builds do what is in turns.
func takeTurns(ctx context.Context, s *servers, o options, what, now, then string) (b builds, err error) {
	today, err := startBuild(ctx, s, now)
	if err != nil {
		return nil, err
	}
	defer today.close()
	before, err := startBuild(ctx, s, then)
	if err != nil {
		return nil, err
	}
	defer before.close()
	for _, t := range turns {
		if !t.valkey || s.valkey != "" {
			b = append(b, t)
		}
	}
	for round := range o.rounds {
		o.progress("%s: round %d of %d", what, round+1, o.rounds)
		for i := range b {
			if err := b[i].take(today, before, round%2 == 0); err != nil {
				return nil, fmt.Errorf("%s: %w", b[i].kind, err)
			}
		}
	}
	return b, ctx.Err()
}

// take measures one slice of each build.
func (t *turn) take(today, before *buildProcess, first bool) error {
	one := func(p *buildProcess, to *[]time.Duration) error {
		took, err := p.measure(t.kind, t.n)
		*to = append(*to, took)
		return err
	}
	if first {
		return errors.Join(one(today, &t.now), one(before, &t.then))
	}
	return errors.Join(one(before, &t.then), one(today, &t.now))
}

// checkOut puts the earlier commit into a folder, with today's program to measure it.
func checkOut(ctx context.Context, dir string) error {
	tree := filepath.Join(dir, "tree")
	program := filepath.Join(tree, "bench", "turns")
	archive := filepath.Join(dir, "tree.tar")
	if err := os.MkdirAll(program, 0o700); err != nil {
		return err
	}
	for _, command := range [][]string{
		{"git", "-C", "..", "archive", "--output", archive, earlier},
		{"tar", "-x", "-f", archive, "-C", tree},
	} {
		if err := quiet(exec.CommandContext(ctx, command[0], command[1:]...)); err != nil {
			return err
		}
	}
	for _, name := range []string{"main.go", "visitor.go"} {
		source, err := os.ReadFile(filepath.Join("turns", name))
		if err != nil {
			return err
		}
		source = bytes.ReplaceAll(source, []byte("memorystore.New(memorystore.Options{})"), []byte("memorystore.New()"))
		if err := os.WriteFile(filepath.Join(program, name), source, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// compile builds the program turns of a tree.
func compile(ctx context.Context, bench, to string, flags ...string) error {
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-trimpath"}, flags...), "-o", to, "./turns")...)
	cmd.Dir = bench
	return quiet(cmd)
}

// quiet runs a command, and says what it said where it fails.
func quiet(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Args[0], err, out)
	}
	return nil
}

// A buildProcess answers what turns/main.go answers.
type buildProcess struct {
	in    io.WriteCloser
	out   *bufio.Scanner
	close func()
}

func startBuild(ctx context.Context, s *servers, program string, args ...string) (*buildProcess, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "VALKEY_ADDR="+s.valkey)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &buildProcess{in, bufio.NewScanner(out), func() {
		_ = in.Close() // which ends it
		_ = cmd.Wait()
	}}, cmd.Start()
}

func (p *buildProcess) measure(kind string, n int) (time.Duration, error) {
	if _, err := fmt.Fprintf(p.in, "%d %s\n", n, kind); err != nil {
		return 0, err
	}
	if !p.out.Scan() {
		return 0, errors.Join(errors.New("the process has ended"), p.out.Err())
	}
	took, err := strconv.Atoi(strings.TrimSpace(p.out.Text()))
	return time.Duration(took), err
}

// say implements part.
func (b builds) say(p *page) {
	p.say("## Beside the build of %s\n", earlier)
	p.say("Processor time in microseconds, in two processes that take turns: what is here, and what was there before sessions that come")
	p.say("back at once were remembered. Sending a request and answering it is in both.\n")
	p.head("", "now", "then", "ratio")
	for _, t := range b {
		p.row(turnNames[t.kind], microseconds(t.now), microseconds(t.then), fmt.Sprintf("%.2f", ratio(t.now, t.then)))
	}
	p.say("")
}

// targets implements part.
func (b builds) targets() (list []target) {
	for _, t := range b {
		times := ratio(t.now, t.then)
		list = append(list, target{
			turnNames[t.kind], fmt.Sprintf("at most %v x the processor time of %s", t.most, earlier), fmt.Sprintf("%.2f x", times), times <= t.most,
		})
	}
	return list
}

// microseconds writes a median.
func microseconds(all []time.Duration) string {
	return fmt.Sprintf("%.1f ±%.0f%%", float64(median(all))/1e3, 100*spread(all))
}
