package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cloakroom-go/cloakroom/cmd/cloakroom/internal/doctor"
	"github.com/cloakroom-go/cloakroom/cmd/cloakroom/internal/target"
)

func (c *command) newDoctor() *cobra.Command {
	var (
		o     doctor.Options
		ids   string
		quiet bool
	)
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong with the server and the records", Args: cobra.NoArgs,
		Long: `Looks at the server (version, eviction, memory, persistence, indexes, what removes expired
sessions, the clock), at what the user may do, and at the records: whether they are sealed
under the keys given, whether ids are hashed, whether another program writes there. Each
finding says what to do. It exits with 3 where there is something to do.

It writes two records of its own into the store, which live ten seconds at most, and removes
them: that is how it knows what the user may do. With --read-only it does not.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch ids {
			case "hashed", "plain", "":
				o.HashIDs, o.PlainIDs = ids == "hashed", ids == "plain"
			default:
				return usagef("--ids is hashed or plain, not %q", ids)
			}
			t, err := c.openURL(cmd.Context(), c.url(), target.Options{})
			switch {
			case err != nil && (cmd.Context().Err() != nil || errors.As(err, new(usageError)) || errors.Is(err, target.ErrURL)):
				return err
			case err != nil:
				return c.tell([]doctor.Finding{doctor.Unreachable(say(err))}, quiet)
			}
			defer t.Close()
			m, err := c.manager(t, nil)
			if err != nil {
				return err
			}
			o.Now = c.now
			p := c.progress("looking", -1)
			findings := doctor.Examine(cmd.Context(), t, m, o)
			p.end()
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			return c.tell(findings, quiet)
		},
	}
	cmd.Flags().IntVar(&o.Sample, "sample", 2000, "how many records to look at; 0 for all")
	cmd.Flags().BoolVar(&o.ReadOnly, "read-only", false, "write nothing")
	cmd.Flags().StringVar(&ids, "ids", "", `what the apps have for Config.HashIDs: "hashed" or "plain"`)
	cmd.Flags().BoolVar(&quiet, "quiet", false, "print only what there is something to do about")
	return cmd
}

// tell prints findings, the worst first as they come.
func (c *command) tell(findings []doctor.Finding, quiet bool) error {
	bad := 0
	for _, f := range findings {
		if f.Level == doctor.Warning || f.Level == doctor.Failure {
			bad++
		}
	}
	for _, level := range []doctor.Level{doctor.Failure, doctor.Warning, doctor.Note, doctor.OK} {
		for _, f := range findings {
			f.Says = plain(f.Says)
			if f.Level != level || quiet && (level == doctor.OK || level == doctor.Note) {
				continue
			}
			if c.json {
				if err := c.printJSON(f); err != nil {
					return err
				}
				continue
			}
			c.printf("%-5s %-15s %s\n", strings.ToUpper(string(f.Level)), f.Check, printable(f.Says))
			if f.Do != "" {
				c.printf("%-5s %-15s -> %s\n", "", "", printable(f.Do))
			}
		}
	}
	if bad > 0 {
		return errFound
	}
	return nil
}
