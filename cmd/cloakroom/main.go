// Command cloakroom is for those who run apps with Cloakroom: it looks at the sessions in
// a store, ends them, checks the server, seals everything under a new key, and moves the
// sessions to another store, all of that while the apps go on.
//
//	export CLOAKROOM_STORE=valkey://127.0.0.1:6379
//	cloakroom doctor
//	cloakroom list --user ada
//	cloakroom revoke-user ada
//
// It needs no signing secret (Config.Secrets): it reads no cookie and makes none. It
// prints no id of a session, and no value out of one unless it is asked to.
// docs/operating.md is the guide.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/cloakroom-go/cloakroom/cmd/cloakroom/internal/target"
	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second one ends what the first could not
	code := run(ctx, os.Args[1:], world{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, now: time.Now,
	})
	stop()
	os.Exit(code)
}

// The exit codes.
const (
	exitOK       = 0
	exitFailed   = 1 // the store, or something else, failed
	exitUsage    = 2 // what was asked for makes no sense
	exitFound    = 3 // doctor found something to do; copy ended and the two differ; a key is missing
	exitNotFound = 4 // there is no such session
	exitStopped  = 130
)

// A world is what the command has to do with.
type world struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	now      func() time.Time
}

// errFound says that the command did what it was asked for, and that its answer is no
// good news. What there is to say is printed already.
var errFound = errors.New("something was found")

// A usageError says that what was asked for makes no sense.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run does what the arguments say, and returns the exit code.
func run(ctx context.Context, args []string, w world) int {
	out := &output{Writer: w.out}
	w.out = out
	root := newRoot(w) //nolint:contextcheck // the commands have that of ExecuteContext
	root.SetArgs(handlesLast(args))
	err := root.ExecuteContext(ctx)
	if err == nil || errors.Is(err, errFound) {
		err = cmp.Or(out.err, err)
	}
	if err != nil && !errors.Is(err, errFound) && (ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
		_, _ = fmt.Fprintln(w.err, "cloakroom:", say(err))
	}
	var (
		wrong  *core.ConfigError
		misuse usageError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFound):
		return exitFound
	case errors.Is(err, store.ErrNotFound):
		return exitNotFound
	case errors.As(err, &misuse), errors.As(err, &wrong), errors.Is(err, target.ErrURL):
		return exitUsage
	case ctx.Err() != nil:
		_, _ = fmt.Fprintln(w.err, "cloakroom: interrupted")
		return exitStopped
	}
	return exitFailed
}

// handleSize is how long a handle is.
const handleSize = 16

// handlesLast puts handles behind all flags: one of 64 begins with a dash, and would be
// taken for a flag. No flag here is as long as a handle.
func handlesLast(args []string) []string {
	var flags, handles []string
	for i, arg := range args {
		if arg == "--" {
			return append(append(flags, args[i:]...), handles...)
		}
		if len(arg) == handleSize && arg[0] == '-' && !strings.Contains(arg, "=") {
			handles = append(handles, arg)
		} else {
			flags = append(flags, arg)
		}
	}
	if len(handles) > 0 {
		flags = append(append(flags, "--"), handles...)
	}
	return flags
}

// giveKeys says how seal keys are given.
const giveKeys = "give all Config.SealKeys of the apps, in CLOAKROOM_SEAL_KEYS or --seal-keys"

// say returns the text of an error, as the operator is told of it.
func say(err error) string {
	text := plain(err.Error())
	if errors.Is(err, core.ErrUnknownSealKey) {
		text += ": " + giveKeys
	}
	return text
}

// plain returns a text without what every error of Cloakroom begins with, and so does each
// that is wrapped in it.
func plain(text string) string { return strings.ReplaceAll(text, "cloakroom: ", "") }
