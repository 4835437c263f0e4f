package main

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cloakroom-go/cloakroom/cmd/cloakroom/internal/target"
	"github.com/cloakroom-go/cloakroom/core"
)

func (c *command) newWatch() *cobra.Command {
	var every time.Duration
	var rounds int
	cmd := &cobra.Command{
		Use: "watch", Short: "Show live how many sessions begin, sign in, change and end", Args: cobra.NoArgs,
		Long: `Walks all sessions again and again, and shows what became of them in between: how many
there are, began, signed in, were changed, and ended.

That is what a store can tell. A session that began and ended between two walks is not seen;
one whose id was renewed is one that ended and one that began, unless it is a user's. Requests
that waited for one another (conflicts), round trips, and how long they take are known to the
apps alone: Config.Observer and the module otelsession tell them. Of Valkey, the commands that
the server did each second are shown, of all its clients.

A walk of a million sessions takes some seconds of the server's time, and 50 bytes a session
here: take a longer --every then.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < 100*time.Millisecond {
				return usagef("--every is %v: at least 100ms", every)
			}
			t, m, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer t.Close()
			return c.watch(cmd.Context(), t, m, every, rounds)
		},
	}
	cmd.Flags().DurationVar(&every, "every", 2*time.Second, "how long to wait between two walks")
	cmd.Flags().IntVar(&rounds, "rounds", 0, "stop after so many; 0: when interrupted")
	return cmd
}

// A sighting is what is known of a session: hashes, so that a million take little room.
type sighting struct {
	content uint64
	user    bool
}

// A view is all sessions at one time.
type view map[uint64]sighting

// A change is what became of the sessions between two views.
type change struct {
	At       time.Time `json:"at"`
	Sessions int       `json:"sessions"`
	Users    int       `json:"users"` // sessions of users
	Began    int       `json:"began"`
	SignedIn int       `json:"signedIn"`
	Changed  int       `json:"changed"`
	Ended    int       `json:"ended"`
	Commands float64   `json:"commandsPerSecond,omitempty"` // of Valkey
}

// since tells what became of the sessions.
func (v view) since(before view) (d change) {
	d.Sessions = len(v)
	for handle, now := range v {
		if now.user {
			d.Users++
		}
		was, known := before[handle]
		switch {
		case !known && now.user: // a session of a user has a handle that stays, and gets it by signing in
			d.Began++
			d.SignedIn++
		case !known:
			d.Began++
		case was.content != now.content:
			d.Changed++
		}
	}
	for handle := range before {
		if _, lives := v[handle]; !lives {
			d.Ended++
		}
	}
	return d
}

func look(ctx context.Context, m *core.Manager, seed maphash.Seed, size int) (view, error) {
	v := make(view, size)
	for s, err := range m.All(ctx) {
		if err != nil {
			return nil, err
		}
		var h maphash.Hash
		h.SetSeed(seed)
		for key := range s.Keys() {
			_, _ = h.WriteString(key)
			if raw, err := rawValue(s, key); err == nil {
				_, _ = h.Write(raw)
			}
		}
		v[maphash.String(seed, s.Handle())] = sighting{content: h.Sum64(), user: s.User() != ""}
	}
	return v, nil
}

func (c *command) watch(ctx context.Context, t *target.Target, m *core.Manager, every time.Duration, rounds int) error {
	seed := maphash.MakeSeed()
	before, err := look(ctx, m, seed, 0)
	if err == nil {
		err = c.unread(ctx, m, sampled)
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // as it is asked to
	}
	if err != nil && !errors.Is(err, errFound) {
		return err
	}
	screen := newScreen(c, t)
	commands, at := served(ctx, t), c.now()
	for n := 0; rounds == 0 || n < rounds; n++ {
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return nil // as it is asked to
		}
		now, err := look(ctx, m, seed, len(before))
		if ctx.Err() != nil {
			return nil //nolint:nilerr // as it is asked to
		}
		if err != nil {
			return err
		}
		d := now.since(before)
		d.At = c.now()
		done := served(ctx, t)
		if commands > 0 && done > commands { // else it was not told, or the server has begun to count anew
			d.Commands = float64(done-commands) / d.At.Sub(at).Seconds()
		}
		before, commands, at = now, done, d.At
		if err := screen.show(d); err != nil {
			return err
		}
	}
	return nil
}

// served returns how many commands the servers of Valkey have done, or 0 where they do not
// say.
func served(ctx context.Context, t *target.Target) (n int64) {
	if t.Valkey == nil {
		return 0
	}
	for _, node := range t.Valkey.Nodes() {
		info, err := node.Do(ctx, node.B().Info().Section("stats").Build()).ToString()
		if err != nil {
			return 0
		}
		for line := range strings.Lines(info) {
			var some int64
			if _, err := fmt.Sscanf(line, "total_commands_processed:%d", &some); err == nil {
				n += some
			}
		}
	}
	return n
}

// A screen shows changes: the last ones in place where that is a terminal, else one a line.
type screen struct {
	c     *command
	title string
	live  bool
	last  []change
	lines int
}

// screenful is how many changes are shown at once.
const screenful = 15

func newScreen(c *command, t *target.Target) *screen {
	return &screen{c: c, title: t.Kind + " " + t.Where, live: isTerminal(c.out) && !c.json}
}

const watchRow = "%-9s %9s %9s %8s %9s %8s %8s %10s\n"

func head() string {
	return fmt.Sprintf(watchRow, "TIME", "SESSIONS", "OF USERS", "BEGAN", "SIGNED IN", "CHANGED", "ENDED", "COMMANDS/S")
}

func (d change) row() string {
	commands := "-"
	if d.Commands > 0 {
		commands = fmt.Sprintf("%.0f", d.Commands)
	}
	return fmt.Sprintf(watchRow, d.At.Format(time.TimeOnly), fmt.Sprint(d.Sessions), fmt.Sprint(d.Users),
		fmt.Sprint(d.Began), fmt.Sprint(d.SignedIn), fmt.Sprint(d.Changed), fmt.Sprint(d.Ended), commands)
}

func (s *screen) show(d change) error {
	if s.c.json {
		return s.c.printJSON(d)
	}
	if !s.live {
		if s.lines == 0 {
			s.c.printf("%s", head())
		}
		s.lines++
		s.c.printf("%s", d.row())
		return nil
	}
	if s.last = append(s.last, d); len(s.last) > screenful {
		s.last = s.last[1:]
	}
	var out strings.Builder
	if s.lines > 0 {
		fmt.Fprintf(&out, "\x1b[%dA\x1b[J", s.lines) // back to the first line, and clear what is below
	}
	out.WriteString(printable(s.title) + "; conflicts and round trips are known to the apps alone. Ctrl-C ends\n" + head())
	for _, d := range s.last {
		out.WriteString(d.row())
	}
	s.lines = 2 + len(s.last)
	s.c.printf("%s", out.String())
	return nil
}
