package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/cloakroom-go/cloakroom/core"
)

func (c *command) newReseal() *cobra.Command {
	unused := false
	cmd := &cobra.Command{
		Use: "reseal", Short: "Seal everything anew, under the first key", Args: cobra.NoArgs,
		Long: `Seals anew, under the first of the keys given, what another of them has sealed: sessions and
lists of users' sessions. It runs beside the apps, ends no session and loses no change; run
it again where it was interrupted. Give the keys as the apps have them: the new one first.

Before: the new key is the first on every instance: one that does not have it fails with what
is sealed under it. Where nothing is sealed under it yet, no instance has it, and reseal
refuses; with --unused-key it does not ask: no app runs, or none has written anything since.
After: the old ones can be taken out. docs/keys.md is the guide. It exits with 3 where something is left that no key opens.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if keys, err := c.secrets(c.sealKeys, "CLOAKROOM_SEAL_KEYS"); err != nil || len(keys) == 0 {
				return cmp.Or(err, usagef("under which key? %s, the new one first", giveKeys))
			}
			t, m, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer t.Close()
			if !unused {
				if err := inUse(cmd.Context(), m); err != nil {
					return err
				}
			}
			return c.reseal(cmd.Context(), m)
		},
	}
	cmd.Flags().BoolVar(&unused, "unused-key", false, "also where nothing is sealed under the first key yet")
	return cmd
}

// errUnused says that no app seals under the first of the keys.
var errUnused = errors.New("nothing is sealed under the first of the keys yet, so no app that runs has it in front: give it to every instance first, " +
	"and seal anew when they run, or they fail with what is sealed here (docs/keys.md has the steps); where no app runs, use --unused-key")

// inUse returns errUnused where something is to be sealed anew, and nothing shows that the
// apps know the first key.
func inUse(ctx context.Context, m *core.Manager) error {
	s, err := m.Survey(ctx, 0)
	readable, former := s.Sessions.Readable+s.Lists.Readable, s.Sessions.FormerKey+s.Lists.FormerKey
	if err == nil && former > 0 && former == readable {
		return errUnused
	}
	return err
}

func (c *command) reseal(ctx context.Context, m *core.Manager) error {
	total, err := m.Count(ctx)
	if err != nil {
		return err
	}
	p := c.progress("sealing", max(total, 1))
	defer p.end()
	var done core.Resealed
	for r, err := range m.Reseal(ctx) {
		if err != nil {
			return err
		}
		done = r
		p.set(min(r.Looked, total)) // the lists come on top
	}
	p.end()
	if c.json {
		err = c.printJSON(map[string]int{"looked": done.Looked, "sealed": done.Written, "retired": done.Retired, "unreadable": done.Unreadable})
	} else {
		c.printf("%d records were looked at, %d were sealed anew", done.Looked, done.Written)
		if done.Retired > 0 {
			c.printf(", %d are under a retired key and count as gone", done.Retired)
		}
		if done.Unreadable > 0 {
			c.printf(", %d cannot be opened with the keys given, or are not sealed at all: doctor tells which", done.Unreadable)
		}
		c.printf("\n")
	}
	if err == nil && done.Unreadable > 0 {
		err = errFound
	}
	return err
}
