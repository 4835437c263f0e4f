package main

import (
	"github.com/spf13/cobra"
)

func (c *command) newCount() *cobra.Command {
	return &cobra.Command{
		Use: "count", Short: "Count the sessions", Args: cobra.NoArgs,
		Long: `Counts the sessions, with those whose ids were renewed within the last minute counted
twice. The server walks all of them: a second or two for a million.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, m, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer t.Close()
			defer c.sparingly()()
			p := c.progress("counting", -1)
			n, err := m.Count(cmd.Context())
			p.end()
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(map[string]int{"sessions": n})
			}
			c.printf("%d\n", n)
			return nil
		},
	}
}
