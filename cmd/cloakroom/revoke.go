package main

import (
	"cmp"
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
	if err == nil {
		err = c.fits(ctx, m)
	}
	if err != nil {
		t.Close()
		return nil, nil, nil, err
	}
	return t, m, e, nil
}

// fits refuses keys that are not the apps'. What is written without a key, or under another
// one, the apps cannot read: the user could not log in, or would not be logged out.
func (c *command) fits(ctx context.Context, m *core.Manager) error {
	const most = 200
	s, err := m.Survey(ctx, most)
	if err != nil {
		return nil //nolint:nilerr // what was asked for may work where no walk does
	}
	unknown := s.Sessions.UnknownKey + s.Lists.UnknownKey
	unsealed := s.Sessions.Unsealed + s.Lists.Unsealed
	switch {
	case unknown > 0 && !c.keyed:
		return usagef("the apps seal what they store, and no key was given: %s", giveKeys)
	case unknown+unsealed > 0 && s.Sessions.Readable+s.Lists.Readable == 0:
		return usagef("nothing was looked at that is sealed under the keys given: %s", giveKeys)
	}
	return nil
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
			if err := named(cmd, user); err != nil {
				return err
			}
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
		err := m.Revoke(ctx, user, handle)
		if errors.Is(err, store.ErrNotFound) {
			c.hint("that handle is not in the list of that user; without --user, all sessions are looked at")
		}
		return err
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
			if args[0] == "" {
				return usagef("USER is empty")
			}
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
				c.hint("no session of that user was listed under this name of the cookie: is --cookie what the apps have? --walk looks at every session")
			}
			if err != nil && !errors.Is(err, errFound) {
				return err
			}
			return cmp.Or(c.tellEnded(e), err)
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
	p.end()
	if err != nil {
		return err
	}
	return c.unread(ctx, m, 0) // all of them: what is left out may be this user's
}
