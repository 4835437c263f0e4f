package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/cloakroom-go/cloakroom/core"
)

func (c *command) newReseal() *cobra.Command {
	return &cobra.Command{
		Use: "reseal", Short: "Seal everything anew, under the first key", Args: cobra.NoArgs,
		Long: `Seals anew, under the first of the keys given, what another of them has sealed: sessions and
lists of users' sessions. It runs beside the apps, ends no session and loses no change; run
it again where it was interrupted. Give the keys as the apps have them: the new one first.

Before: the new key is the first on every instance. After: the old ones can be taken out.
docs/keys.md is the guide. It exits with 3 where something is left that no key opens.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if keys, err := c.secrets(c.sealKeys, "CLOAKROOM_SEAL_KEYS"); err != nil || len(keys) == 0 {
				return cmp.Or(err, usagef("under which key? %s, the new one first", giveKeys))
			}
			t, m, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer t.Close()
			return c.reseal(cmd.Context(), m)
		},
	}
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
			c.printf(", %d cannot be opened with the keys given", done.Unreadable)
		}
		c.printf("\n")
	}
	if err == nil && done.Unreadable > 0 {
		err = errFound
	}
	return err
}
