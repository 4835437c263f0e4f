package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/cloakroom-go/cloakroom/cmd/cloakroom/internal/target"
	"github.com/cloakroom-go/cloakroom/cmd/cloakroom/internal/transfer"
)

// A copying is a run of copy.
type copying struct {
	to      string
	journal string
	passes  int
	follow  bool
}

func (c *command) newCopy() *cobra.Command {
	var o copying
	cmd := &cobra.Command{
		Use: "copy --to URL", Short: "Copy the sessions to another store, while the apps go on", Args: cobra.NoArgs,
		Long: `Copies sessions and users' lists from the store to the one that CLOAKROOM_TO or --to names.
Tables, indexes or the file are made there where they are missing. Records are copied as they
are, sealed or not, with the life that is left to them: no key is needed.

It goes over both stores again and again, until a pass finds no session that was begun,
changed or ended since the pass before: what happens while it runs is not lost. With --follow
it goes on until you interrupt it, and then makes a last pass. So to move:

  1. cloakroom copy --follow, until a pass takes as long as you can do without the apps
  2. stop the apps; interrupt the copy, whose last pass tells whether the two are alike
  3. start the apps on the new store

It changes in the target only what it has put there itself, and nobody has changed since.
What that is, it notes in a journal (--journal), in hashes. So it can be interrupted and
run again at any time. Remove the journal when the move is done.

It exits with 3 where the two were not alike in the last pass.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.copy(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.to, "to", "", "the URL of the target (better: CLOAKROOM_TO)")
	cmd.Flags().StringVar(&o.journal, "journal", "", "the file of the journal (default: one in the user's cache, by the two stores)")
	cmd.Flags().IntVar(&o.passes, "passes", 10, "how many passes to make at most, without --follow")
	cmd.Flags().BoolVar(&o.follow, "follow", false, "go on until interrupted")
	return cmd
}

func (c *command) copy(ctx context.Context, o copying) error {
	if o.to == "" {
		o.to = c.getenv("CLOAKROOM_TO")
	}
	if o.to == "" {
		return usagef("where to? Set CLOAKROOM_TO, or --to. What there is:\n%s", target.Forms)
	}
	if o.passes < 1 {
		return usagef("--passes is %d: at least one is needed", o.passes)
	}
	from, err := c.openURL(ctx, c.url(), target.Options{})
	if err != nil {
		return err
	}
	defer from.Close()
	if err := from.Store.Ping(ctx); err != nil {
		return err
	}
	to, err := c.openURL(ctx, o.to, target.Options{Create: true})
	if err != nil {
		return fmt.Errorf("the target: %w", err)
	}
	defer to.Close()
	if name(from) == name(to) {
		return usagef("the store and the target are the same")
	}
	journal, err := openJournal(o.journal, from, to)
	if err != nil {
		return err
	}
	run := &transfer.Copy{Parts: parts(from, to), Journal: journal, Now: c.now}
	return errors.Join(c.passes(ctx, run, from, o), journal.Close())
}

// name tells stores from one another.
func name(t *target.Target) string {
	return t.Kind + " " + t.Where + " " + t.Prefix + " " + t.Table
}

func openJournal(file string, from, to *target.Target) (*transfer.Journal, error) {
	if file == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, usagef("there is no folder for the journal: set --journal: %w", err)
		}
		folder := filepath.Join(cache, "cloakroom")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
		sum := sha256.Sum256([]byte(name(from) + "\x00" + name(to)))
		file = filepath.Join(folder, "copy-"+hex.EncodeToString(sum[:6])+".journal")
	}
	return transfer.OpenJournal(file)
}

// parts returns what is copied: sessions before the lists that name them, as the apps do.
func parts(from, to *target.Target) []transfer.Part {
	return []transfer.Part{
		{Name: "sessions", From: from.Store, To: to.Store},
		{Name: "lists", From: side(from), To: side(to)},
	}
}

// side returns the lists of a store. Those of every store here can be walked.
func side(t *target.Target) transfer.Side { return t.Store.UserIndex().(transfer.Side) }

// betweenPasses is how long a copy that follows the source rests.
const betweenPasses = time.Second

// passes makes passes until there is nothing left to do, or whoever waits has had enough.
func (c *command) passes(ctx context.Context, run *transfer.Copy, from *target.Target, o copying) error {
	for n := 1; ; n++ {
		last := false
		if o.follow && ctx.Err() != nil { // what was asked for: one more, which nothing interrupts
			last = true
			c.hint("the last pass; interrupt it once more to give up")
			ctx = context.WithoutCancel(ctx)
		}
		began := c.now()
		pass, err := c.pass(ctx, run, from, n)
		switch {
		case err != nil && o.follow && ctx.Err() != nil && !last:
			continue
		case err != nil:
			return err
		}
		done := pass.Changes() == 0 && !o.follow || n == o.passes && !o.follow || last
		if err := c.tellPass(pass, n, c.now().Sub(began), done); err != nil || done {
			return err
		}
		if o.follow {
			select {
			case <-time.After(betweenPasses):
			case <-ctx.Done():
			}
		}
	}
}

func (c *command) pass(ctx context.Context, run *transfer.Copy, from *target.Target, n int) (transfer.Pass, error) {
	total, err := from.Store.Count(ctx)
	if err != nil {
		return transfer.Pass{}, err
	}
	p := c.progress(fmt.Sprintf("pass %d", n), max(total, 1))
	defer p.end()
	run.Progress = func(looked int) { p.set(min(looked, total)) } // the lists come on top
	return run.Run(ctx)
}

// tellPass prints what a pass has done, and after the last one whether the two are alike.
func (c *command) tellPass(p transfer.Pass, n int, took time.Duration, last bool) error {
	alike := p.Changes() == 0 && p.Foreign == 0
	if c.json {
		line := struct {
			Pass     int     `json:"pass"`
			Seconds  float64 `json:"seconds"`
			Looked   int     `json:"looked"`
			Copied   int     `json:"copied"`
			Updated  int     `json:"updated"`
			Extended int     `json:"extended"`
			Removed  int     `json:"removed"`
			Foreign  int     `json:"foreign"`
			Alike    bool    `json:"alike"`
			Last     bool    `json:"last"`
		}{n, took.Seconds(), p.Looked, p.Copied, p.Updated, p.Extended, p.Removed, p.Foreign, alike, last}
		if err := c.printJSON(line); err != nil {
			return err
		}
	} else {
		c.printf("pass %d, %.1fs: %d records; %d copied, %d updated, %d extended, %d removed\n",
			n, took.Seconds(), p.Looked, p.Copied, p.Updated, p.Extended, p.Removed)
		if p.Foreign > 0 {
			c.printf("  %d in the target are not from a copy, or were changed or ended there since: they were left alone\n", p.Foreign)
		}
	}
	switch {
	case !last:
		return nil
	case alike:
		c.verdict("verified: all %d records are in the target as they are in the source, and no others", p.Looked)
		return nil
	case p.Foreign > 0:
		c.verdict("not verified: the target has other records. Is it in use by an app, or is it not the right one?")
	default:
		c.verdict("not verified: the source was changed during the last pass. Stop the apps, and run it again")
	}
	return errFound
}

func (c *command) verdict(format string, args ...any) {
	if !c.json {
		c.printf(format+"\n", args...)
	}
}
