package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cloakroom-go/cloakroom/cmd/cloakroom/internal/target"
	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// How sessions are shown.

// A session is one as it is printed. What is not known is left out.
type session struct {
	Handle  string     `json:"handle"`
	User    string     `json:"user,omitempty"`
	Created *time.Time `json:"createdAt,omitempty"`
	Seen    *time.Time `json:"lastSeen,omitempty"`
	Expires *time.Time `json:"expiresAt,omitempty"`
	Bytes   int        `json:"bytes,omitempty"`
	Methods []string   `json:"methods,omitempty"`
	Device  string     `json:"device,omitempty"`
	Network string     `json:"network,omitempty"`
	Express bool       `json:"express,omitempty"` // an Express app made it
}

// at returns a time as it is printed: none for the zero one.
func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

func value(t *time.Time) (v time.Time) {
	if t != nil {
		v = *t
	}
	return v
}

func (c *command) newList() *cobra.Command {
	var user string
	var most int
	cmd := &cobra.Command{
		Use: "list", Short: "List the sessions, or those of a user", Args: cobra.NoArgs,
		Long: `Lists all sessions as they come, in bounded memory; or with --user those of a user, the one
that signed in last first, which asks for that user's list and nothing else.

--idle-timeout says what the apps have for Config.IdleTimeout: by that it is known when a
session of a user was seen last.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := named(cmd, user); err != nil {
				return err
			}
			t, m, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer t.Close()
			if user != "" {
				return c.listUser(cmd.Context(), m, user, most)
			}
			defer c.sparingly()()
			return c.listAll(cmd.Context(), t, m, most)
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "list the sessions of this user")
	cmd.Flags().IntVar(&most, "limit", 0, "stop after so many; 0: all")
	cmd.Flags().DurationVar(&c.idle, "idle-timeout", 0, "the apps' Config.IdleTimeout")
	return cmd
}

// named refuses a --user without a name: a script whose variable is empty means nobody, and
// not everybody.
func named(cmd *cobra.Command, user string) error {
	if user == "" && cmd.Flags().Changed("user") {
		return usagef("--user is empty")
	}
	return nil
}

func (c *command) listUser(ctx context.Context, m *core.Manager, user string, most int) error {
	now, n := c.now(), 0
	t := &table{}
	if !c.json {
		t = c.table("HANDLE", "SIGNED IN", "LAST SEEN", "EXPIRES", "HOW", "NETWORK", "DEVICE")
	}
	for info, err := range m.Sessions(ctx, user) {
		if err != nil {
			return err
		}
		n++
		s := session{
			Handle: info.Handle, User: user, Created: at(info.CreatedAt), Expires: at(info.ExpiresAt),
			Methods: info.Methods, Device: info.Device, Express: info.CreatedAt.IsZero(),
		}
		if c.idle > 0 {
			s.Seen = at(info.LastSeen)
		}
		if info.Network.IsValid() {
			s.Network = info.Network.String()
		}
		if c.json {
			if err := c.printJSON(s); err != nil {
				return err
			}
		} else {
			t.row(s.Handle, ago(value(s.Created), now), ago(value(s.Seen), now), in(value(s.Expires), now), strings.Join(s.Methods, ","), s.Network, s.Device)
		}
		if n == most {
			break
		}
	}
	if n == 0 {
		c.hint("no session of that user is listed under this name of the cookie: is --cookie what the apps have?")
	}
	if c.json {
		return nil
	}
	return t.end()
}

// hint says something to a person that is no result.
func (c *command) hint(format string, args ...any) {
	_, _ = fmt.Fprintf(c.err, "cloakroom: "+format+"\n", args...)
}

func (c *command) listAll(ctx context.Context, t *target.Target, m *core.Manager, most int) error {
	now, n := c.now(), 0
	out := &table{}
	if !c.json {
		out = c.table("HANDLE", "USER", "BEGAN", "EXPIRES", "SIZE", "MADE BY")
	}
	for s, err := range c.described(ctx, t, m) {
		if err != nil {
			return err
		}
		if c.json {
			if err := c.printJSON(s); err != nil {
				return err
			}
		} else {
			by := "Cloakroom"
			if s.Express {
				by = "Express"
			}
			out.row(s.Handle, s.User, ago(value(s.Created), now), in(value(s.Expires), now), size(int64(s.Bytes)), by)
		}
		if n++; n == most {
			break
		}
	}
	if !c.json {
		if err := out.end(); err != nil {
			return err
		}
	}
	return c.unread(ctx, m, sampled)
}

// sampled is how many records tell whether all keys were given.
const sampled = 2000

// unread says what a walk leaves out for want of a key: of up to most records, 0 for all.
func (c *command) unread(ctx context.Context, m *core.Manager, most int) error {
	survey, err := m.Survey(ctx, most)
	if err != nil {
		return err
	}
	s := survey.Sessions
	if s.Unsealed > 0 {
		c.hint("%d of %d sessions that were looked at are left out: they are not sealed, though there is a key, and count as gone", s.Unsealed, s.Looked)
	}
	if s.UnknownKey > 0 {
		c.hint("%d of %d sessions that were looked at are left out: they are sealed under a key that was not given: %s", s.UnknownKey, s.Looked, giveKeys)
		return errFound
	}
	return nil
}

// described walks all sessions, and asks for the lives of some of them at a time.
func (c *command) described(ctx context.Context, t *target.Target, m *core.Manager) iter.Seq2[session, error] {
	const together = 256
	return func(yield func(session, error) bool) {
		ids, batch := make([]string, 0, together), make([]session, 0, together)
		flush := func() bool {
			recs, err := t.Store.Inspect(ctx, ids)
			if err != nil {
				yield(session{}, err)
				return false
			}
			found := make(map[string]store.Record, len(recs))
			for _, rec := range recs {
				found[rec.ID] = rec
			}
			now := c.now()
			for i, s := range batch {
				rec, lives := found[ids[i]]
				if !lives { // it has ended meanwhile
					continue
				}
				s.Bytes = len(rec.Data)
				if rec.TTL < endless {
					s.Expires = at(now.Add(rec.TTL))
				}
				if !yield(s, nil) {
					return false
				}
			}
			ids, batch = ids[:0], batch[:0]
			return true
		}
		for s, err := range m.All(ctx) {
			if err != nil {
				yield(session{}, err)
				return
			}
			ids = append(ids, s.ID())
			batch = append(batch, session{Handle: s.Handle(), User: s.User(), Created: at(s.CreatedAt()), Express: s.CreatedAt().IsZero()})
			if len(ids) == together && !flush() {
				return
			}
		}
		flush()
	}
}

// endless is a life that no session has but one that somebody made without an end.
const endless = 50 * 365 * 24 * time.Hour

func (c *command) newUsers() *cobra.Command {
	var most int
	cmd := &cobra.Command{
		Use: "users", Short: "List who has sessions, and how many", Args: cobra.NoArgs,
		Long: `Walks all sessions and counts those of each user, the one with most first. It takes memory
for each user, some 150 bytes.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, m, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer t.Close()
			if err := c.users(cmd.Context(), m, most); err != nil {
				return err
			}
			return c.unread(cmd.Context(), m, sampled)
		},
	}
	cmd.Flags().IntVar(&most, "limit", 0, "print so many; 0: all")
	return cmd
}

func (c *command) users(ctx context.Context, m *core.Manager, most int) error {
	type stat struct {
		sessions int
		newest   time.Time
	}
	users, anonymous, walked := make(map[string]stat), 0, 0
	p := c.progress("walking", -1)
	defer p.end()
	for s, err := range m.All(ctx) {
		if err != nil {
			return err
		}
		walked++
		p.set(walked)
		user := s.User()
		if user == "" {
			anonymous++
			continue
		}
		u := users[strings.Clone(user)]
		u.sessions++
		if began := s.CreatedAt(); began.After(u.newest) {
			u.newest = began
		}
		users[strings.Clone(user)] = u
	}
	p.end()
	names := slices.SortedFunc(maps.Keys(users), func(a, b string) int {
		return cmp.Or(cmp.Compare(users[b].sessions, users[a].sessions), cmp.Compare(a, b))
	})
	if most > 0 && len(names) > most {
		names = names[:most]
	}
	if c.json {
		for _, name := range names {
			line := struct {
				User     string     `json:"user"`
				Sessions int        `json:"sessions"`
				Newest   *time.Time `json:"newest,omitempty"`
			}{name, users[name].sessions, at(users[name].newest)}
			if err := c.printJSON(line); err != nil {
				return err
			}
		}
		return nil
	}
	now, t := c.now(), c.table("USER", "SESSIONS", "NEWEST")
	for _, name := range names {
		t.row(name, fmt.Sprint(users[name].sessions), ago(users[name].newest, now))
	}
	if err := t.end(); err != nil {
		return err
	}
	c.hint("%d users; %d sessions of nobody", len(users), anonymous)
	return nil
}

func (c *command) newShow() *cobra.Command {
	var values bool
	cmd := &cobra.Command{
		Use: "show HANDLE", Short: "Show what a session holds: names and sizes", Args: cobra.ExactArgs(1),
		Long: `Shows what the app keeps in a session: the name and the size of each value, and with --values
the values themselves, which may be what its visitor would not want you to see.

To find the session it walks all of them: some seconds for a million.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, m, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer t.Close()
			s, err := c.find(cmd.Context(), m, args[0])
			if err != nil {
				return err
			}
			return c.show(cmd.Context(), s, values)
		},
	}
	cmd.Flags().BoolVar(&values, "values", false, "print the values too")
	return cmd
}

// A heldValue is a value in a session as it is printed.
type heldValue struct {
	Key   string          `json:"key"`
	Bytes int             `json:"bytes"`
	Value json.RawMessage `json:"value,omitempty"`
}

// rawValue returns the JSON of a value.
func rawValue(s *core.Session, key string) (json.RawMessage, error) {
	return core.Key[json.RawMessage](key).Lookup(s)
}

func (c *command) show(ctx context.Context, s *core.Session, values bool) error {
	all := []heldValue{} // in JSON none are [], and not null
	for key := range s.Keys() {
		raw, err := rawValue(s, key)
		if err != nil {
			return err
		}
		held := heldValue{Key: key, Bytes: len(raw)}
		if values {
			held.Value = raw
		}
		all = append(all, held)
	}
	about := struct {
		session
		Values []heldValue `json:"values"`
	}{session{
		Handle: s.Handle(), User: s.User(), Created: at(s.CreatedAt()),
		Methods: s.AuthenticatedBy(), Express: s.CreatedAt().IsZero(),
	}, all}
	if expiry, err := s.ExpiresAt(ctx); err == nil && expiry.Idle.Sub(c.now()) < endless {
		about.Expires = at(expiry.Idle)
	}
	if c.json {
		return c.printJSON(about)
	}
	now := c.now()
	for _, line := range [][2]string{
		{"handle", about.Handle},
		{"user", about.User},
		{"signed in by", strings.Join(about.Methods, ", ")},
		{"began", ago(value(about.Created), now)},
		{"expires", in(value(about.Expires), now)},
		{"made by", map[bool]string{true: "Express"}[about.Express]},
	} {
		if line[1] != "" {
			c.printf("%-13s %s\n", line[0], printable(line[1]))
		}
	}
	c.printf("\n")
	head := []string{"KEY", "SIZE"}
	if values {
		head = append(head, "VALUE")
	}
	t := c.table(head...)
	for _, v := range all {
		row := []string{v.Key, size(int64(v.Bytes))}
		if values {
			row = append(row, string(v.Value))
		}
		t.row(row...)
	}
	return t.end()
}

// find walks the sessions until it has the one with a handle.
func (c *command) find(ctx context.Context, m *core.Manager, handle string) (*core.Session, error) {
	p, walked := c.progress("looking for the session", -1), 0
	defer p.end()
	for s, err := range m.All(ctx) {
		if err != nil {
			return nil, err
		}
		walked++
		p.set(walked)
		if s.Handle() == handle {
			return s, nil
		}
	}
	p.end()
	if err := c.unread(ctx, m, sampled); err != nil && !errors.Is(err, errFound) {
		return nil, err
	}
	return nil, fmt.Errorf("%w with that handle", store.ErrNotFound)
}

// errRenewed says that a session got another id in the moment in which it was to be ended.
var errRenewed = errors.New("the session got another id in this moment, and may live: run the command again")
