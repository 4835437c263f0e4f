package main

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/cloakroom-go/cloakroom/cmd/cloakroom/internal/target"
	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// How sessions are ended. All of it goes through the users' lists, as in the apps, so that
// a login that is under way does not come through, and open streams learn of it.

// ended counts the sessions that a Manager has ended.
type ended struct{ n atomic.Int64 }

// Observe implements [core.Observer].
func (e *ended) Observe(_ context.Context, event core.Event) {
	if event.Kind == core.EventRevoked || event.Kind == core.EventDestroyed {
		e.n.Add(1)
	}
}

// ending opens the store for a command that ends sessions.
func (c *command) ending(ctx context.Context) (*target.Target, *core.Manager, *ended, error) {
	t, err := c.openURL(ctx, c.url(), target.Options{})
	if err != nil {
		return nil, nil, nil, err
	}
	e := new(ended)
	m, err := c.manager(t, e)
	if err != nil {
		t.Close()
		return nil, nil, nil, err
	}
	return t, m, e, nil
}

// tellEnded prints how many sessions have ended.
func (c *command) tellEnded(e *ended) error {
	n := e.n.Load()
	if c.json {
		return c.printJSON(map[string]int64{"ended": n})
	}
	what := "sessions have"
	if n == 1 {
		what = "session has"
	}
	c.printf("%d %s ended\n", n, what)
	return nil
}

func (c *command) newRevoke() *cobra.Command {
	var user string
	cmd := &cobra.Command{
		Use: "revoke HANDLE", Short: "End one session", Args: cobra.ExactArgs(1),
		Long: `Ends a session, at once and in every process: no request that is under way brings it back.

With --user it goes by that user's list. Without, it walks all sessions to find the one: also
one of nobody, or one that is in no list.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, m, e, err := c.ending(cmd.Context())
			if err != nil {
				return err
			}
			defer t.Close()
			if err := c.revoke(cmd.Context(), m, user, args[0]); err != nil {
				return err
			}
			return c.tellEnded(e)
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "whose session it is")
	return cmd
}

func (c *command) revoke(ctx context.Context, m *core.Manager, user, handle string) error {
	if user != "" {
		return m.Revoke(ctx, user, handle)
	}
	s, err := c.find(ctx, m, handle)
	if err != nil {
		return err
	}
	if user = s.User(); user != "" {
		if err := m.Revoke(ctx, user, handle); !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return destroy(ctx, s)
}

// destroy ends a session that was found by a walk.
func destroy(ctx context.Context, s *core.Session) error {
	err := s.Destroy(ctx)
	if errors.Is(err, core.ErrSessionGone) {
		return errRenewed
	}
	return err
}

func (c *command) newRevokeUser() *cobra.Command {
	var walk bool
	cmd := &cobra.Command{
		Use: "revoke-user USER", Short: "End all sessions of a user", Args: cobra.ExactArgs(1),
		Long: `Ends all sessions of a user, at once and in every process: "log this user out now". A login
that is under way fails. If a password was stolen, change it first.

With --walk it also walks all sessions, and ends those of the user that are in no list: those
whose list was lost, and those that an Express app made and that no request brought to a Go
app since. With --user-key it always does.

When it fails halfway, no login comes through any more, and the next call does what is left.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, m, e, err := c.ending(cmd.Context())
			if err != nil {
				return err
			}
			defer t.Close()
			if err := m.RevokeUser(cmd.Context(), args[0]); err != nil {
				return err
			}
			if walk || c.userKey != "" {
				err = c.endUnlisted(cmd.Context(), m, args[0])
			} else if e.n.Load() == 0 {
				c.hint("no session of that user was listed under this name of the cookie: is --cookie what the apps have?")
			}
			if err != nil {
				return err
			}
			return c.tellEnded(e)
		},
	}
	cmd.Flags().BoolVar(&walk, "walk", false, "walk all sessions too, for those that are in no list")
	return cmd
}

// endUnlisted ends the sessions of a user that are in no list.
func (c *command) endUnlisted(ctx context.Context, m *core.Manager, user string) (err error) {
	p, walked := c.progress("walking", -1), 0
	defer p.end()
	for s, failed := range m.All(ctx) {
		if failed != nil {
			return failed
		}
		walked++
		p.set(walked)
		if s.User() == user {
			err = errors.Join(err, destroy(ctx, s))
		}
	}
	return err
}
