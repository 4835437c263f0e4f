package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cloakroom-go/cloakroom/cmd/cloakroom/internal/target"
	"github.com/cloakroom-go/cloakroom/core"
)

// A command is what the subcommands have in common: the global flags, and where to print.
type command struct {
	world

	store    string
	cookie   string
	userKey  string
	express  bool
	sealKeys string // a file
	retired  string // a file
	timeout  time.Duration
	idle     time.Duration // the apps' Config.IdleTimeout; 0: not said
	json     bool

	keyed bool // there are seal keys
}

const long = `cloakroom looks after the sessions that apps keep with Cloakroom.

It works on any store, beside the apps that use it:
` + target.Forms + `

Name the store by CLOAKROOM_STORE: what stands behind --store is seen by everybody on the
machine, password and all. Users belong to the name of the cookie (--cookie), and where an
Express app says who they are, to --user-key: give what the apps have.

Where records are sealed (Config.SealKeys), it needs the keys to tell whose sessions they
are: in CLOAKROOM_SEAL_KEYS with a comma between two, or one a line in a file (--seal-keys).
It needs no signing secret (Config.Secrets), and does not want one.

It prints no id of a session. HANDLE is what Session.Handle returns: nobody gets at a
session by it.

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 doctor or verification found something, or
sessions are sealed under a key that was not given; 4 no such session; 130 interrupted.`

func newRoot(w world) *cobra.Command {
	c := &command{world: w}
	root := &cobra.Command{
		Use: "cloakroom", Short: "Looks after the sessions of apps with Cloakroom", Long: long,
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(w.in)
	root.SetOut(w.out)
	root.SetErr(w.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usagef("%w; see %s -h", err, cmd.CommandPath()) })
	flags := root.PersistentFlags()
	flags.StringVar(&c.store, "store", "", "the URL of the store (better: CLOAKROOM_STORE)")
	flags.StringVar(&c.cookie, "cookie", "", `the apps' Cookie.Name (default "sid"; "connect.sid" with --express)`)
	flags.StringVar(&c.userKey, "user-key", "", "the apps' Config.UserKey")
	flags.BoolVar(&c.express, "express", false, "the apps have Config.ShareWithExpress")
	flags.StringVar(&c.sealKeys, "seal-keys", "", "a file with the apps' Config.SealKeys, one a line (or CLOAKROOM_SEAL_KEYS)")
	flags.StringVar(&c.retired, "retired-seal-keys", "", "the same for Config.RetiredSealKeys (or CLOAKROOM_RETIRED_SEAL_KEYS)")
	flags.DurationVar(&c.timeout, "timeout", 30*time.Second, "how long to wait for an answer; a walk of all sessions has no limit")
	flags.BoolVar(&c.json, "json", false, "JSON for scripts: one object, or one a line where there may be many")
	root.AddCommand(
		c.newCount(), c.newUsers(), c.newList(), c.newShow(), c.newRevoke(), c.newRevokeUser(),
		c.newDoctor(), c.newReseal(), c.newCopy(), c.newWatch(), c.newSecret(),
	)
	for _, cmd := range append(root.Commands(), root) {
		args := cmd.Args
		cmd.Args = func(cmd *cobra.Command, given []string) error {
			if err := args(cmd, given); err != nil {
				if cmd.HasParent() {
					return usagef("%w; usage: %s", err, cmd.UseLine())
				}
				return usagef("%w; see cloakroom -h", err)
			}
			return nil
		}
	}
	return root
}

// open opens the store, and makes a Manager on it that has the apps' settings.
func (c *command) open(ctx context.Context) (*target.Target, *core.Manager, error) {
	t, err := c.openURL(ctx, c.url(), target.Options{})
	if err != nil {
		return nil, nil, err
	}
	m, err := c.manager(t, nil)
	if err != nil {
		t.Close()
		return nil, nil, err
	}
	return t, m, nil
}

func (c *command) url() string {
	if c.store != "" {
		return c.store
	}
	return c.getenv("CLOAKROOM_STORE")
}

func (c *command) openURL(ctx context.Context, url string, o target.Options) (*target.Target, error) {
	if url == "" {
		return nil, usagef("which store? Set CLOAKROOM_STORE, or --store. What there is:\n%s", target.Forms)
	}
	if c.timeout < time.Millisecond {
		return nil, usagef("--timeout is %v: at least 1ms", c.timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return target.Open(ctx, url, o)
}

// manager returns a Manager on a store. It takes the keys of records as they are, hashed
// or not, so that it need not know whether Config.HashIDs is set.
func (c *command) manager(t *target.Target, observer core.Observer) (*core.Manager, error) {
	keys, err := c.secrets(c.sealKeys, "CLOAKROOM_SEAL_KEYS")
	if err != nil {
		return nil, err
	}
	c.keyed = len(keys) > 0
	retired, err := c.secrets(c.retired, "CLOAKROOM_RETIRED_SEAL_KEYS")
	if err != nil {
		return nil, err
	}
	return core.New(core.Config{
		Store:           t.Store,
		Secrets:         []string{rand.Text() + rand.Text()}, // signs nothing, and is forgotten
		Cookie:          core.Cookie{Name: c.cookie},
		UserKey:         c.userKey,
		IdleTimeout:     c.idle,
		SealKeys:        keys,
		RetiredSealKeys: retired,
		// Express cannot read what is sealed. A store that has both is for doctor to find.
		ShareWithExpress: c.express && len(keys) == 0,
		StoreTimeout:     c.timeout,
		Observer:         observer,
		Logger:           slog.New(slog.DiscardHandler), // what it would say is in the results
	})
}

// secrets reads keys from a file, one a line, or from the environment.
func (c *command) secrets(file, variable string) (keys []string, err error) {
	text := strings.ReplaceAll(c.getenv(variable), ",", "\n")
	if file != "" {
		content, err := os.ReadFile(file) //nolint:gosec // the operator's choice
		if err != nil {
			return nil, usageError{err}
		}
		text = string(content)
	}
	for line := range strings.Lines(text) {
		if key := strings.TrimRight(line, "\r\n"); key != "" { // a space may belong to it
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// walkLimit is how much memory a walk may take before the collector does more for less. A
// million sessions in Valkey need all of it, for what a SCAN repeats.
const walkLimit = 30 << 20

// sparingly keeps the memory of a walk small, until the function that it returns is called.
func (c *command) sparingly() (end func()) {
	if c.getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	before := debug.SetMemoryLimit(walkLimit)
	return func() { debug.SetMemoryLimit(before) }
}
