package core

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/roster"
)

// AtUserLimit is what [Session.SignIn] does when a user has as many sessions as
// Config.MaxSessionsPerUser allows, or 1000 where that is not set.
type AtUserLimit int

const (
	// DropLeastRecentlyUsed ends the session that was not used for the longest
	// time, to the precision of Config.TouchInterval.
	DropLeastRecentlyUsed AtUserLimit = iota
	// DropOldest ends the session that signed in first.
	DropOldest
	// RefuseNew lets the sign-in fail with [ErrTooManySessions]. A user who lost
	// a device has to wait for the idle timeout, or for somebody to call
	// [Manager.RevokeUser].
	RefuseNew
)

func (a AtUserLimit) String() string {
	return valueName("AtUserLimit", int(a), "drop the least recently used", "drop the oldest", "refuse new ones")
}

// An Info describes a session to the user whose it is, or to an operator. It holds
// nothing that leads into the session.
type Info struct {
	Handle    string    // for [Manager.Revoke]; the same as that session's [Session.Handle]
	Current   bool      // it is the session of the request that the context belongs to
	CreatedAt time.Time // when the user signed in; zero where an Express app did that
	LastSeen  time.Time // the last activity, to the precision of Config.TouchInterval
	ExpiresAt time.Time // when it ends if there is no more activity
	Bound     bool      // it is bound to its browser, see [Bind]

	// As of the sign-in, and empty where an Express app did that; Device and Network
	// also where [Manager.Load] did, which has no request.
	Methods []string     // what SignIn was given
	Device  string       // what the browser said that it is (User-Agent), up to 200 bytes
	Network netip.Prefix // the client's: the first 24 bits of an IPv4 address, 48 of IPv6; not valid where a proxy does not tell
}

// errNoUsers says that the store keeps no lists.
var errNoUsers = fmt.Errorf("cloakroom: store keeps no lists of users' sessions: %w", errors.ErrUnsupported)

// Sessions walks the live sessions of a user, the one that signed in last first.
// It costs one round trip for the list and one for every 50 sessions, and reads
// past the cache of the store. The error matches [errors.ErrUnsupported] where the
// store is no [store.UserIndexer].
//
// With Config.AbsoluteTimeout, a session that will end by it within the idle
// timeout may have been active later than LastSeen says.
func (m *Manager) Sessions(ctx context.Context, user string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := m.listSessions(ctx, user, func(i Info) bool { return yield(i, nil) }); err != nil {
			yield(Info{}, err)
		}
	}
}

// listSessions calls yield with the live sessions of a user.
func (m *Manager) listSessions(ctx context.Context, user string, yield func(Info) bool) (err error) {
	if err := m.canList(user); err != nil {
		return err
	}
	current := m.current(ctx)
	op := new(operation)
	traced := op.trace(ctx, m, OpList)
	err = errPanicked // unless the rest returns
	defer func() { op.end(err) }()
	list, err := m.lists.loadLimited(traced, m.listKey(user))
	if err != nil {
		return err
	}
	var (
		sessions = list.Live()
		seen     = make(map[string]bool, len(sessions))
		dead     = make(map[string]bool)
	)
	slices.Reverse(sessions)
	for batch := range slices.Chunk(sessions, lookBatch) {
		looks, err := m.lookLimited(traced, user, batch)
		if err != nil {
			return err
		}
		for _, e := range batch {
			look, lives := looks[e.Key]
			if !lives {
				dead[e.Key] = true
			}
			if !lives || look.Strayed || seen[e.Handle] {
				continue
			}
			seen[e.Handle] = true
			if !yield(m.info(user, e, look, current)) {
				return nil
			}
		}
	}
	if len(seen) < len(list.Sessions) {
		m.tidyList(traced, user, list, dead)
	}
	return nil
}

// A current is what a list of sessions has to know of the session of the request that asks
// for it.
type current struct {
	handle    string
	extending record.Lifespan // what it is being given beside the handler, if anything
}

// current returns the session of the request that ctx belongs to, the zero value for none.
func (m *Manager) current(ctx context.Context) (c current) {
	x := exchangeOf(ctx).of(m)
	if x == nil || !x.isReady() {
		return c
	}
	s := x.session.Load()
	if s == nil || !s.lock() {
		return c
	}
	defer x.unlock()
	if base := s.base; base != nil {
		c.handle = m.handleIn(base)
		if s.extending != nil {
			c.extending = m.lifespan(base)
		}
	}
	return c
}

// info describes a session of a user that was found.
func (m *Manager) info(user string, e roster.Entry, r look, c current) Info {
	now := m.cfg.Now()
	i := Info{Handle: e.Handle, LastSeen: r.LastSeen, ExpiresAt: now.Add(r.doc.Record.TTL)}
	if i.Current = e.Handle == c.handle; i.Current && c.extending.Idle > 0 {
		i.LastSeen, i.ExpiresAt = now, now.Add(c.extending.Left(now))
	}
	_, _, i.Bound = boundSince(r.doc)
	if in, ok := signedInOf(r.doc); ok && in.Name == user && !in.Peer {
		i.CreatedAt, i.Methods, i.Device = r.doc.Meta.Created.Time(), in.By, in.Device
		i.Network, _ = netip.ParsePrefix(in.Net) // the zero value, which is not valid, for none
	}
	return i
}

// tidyList drops the entries of sessions that are dead, and ends what somebody
// else left ending. Where that fails, the next one does it.
func (m *Manager) tidyList(ctx context.Context, user string, list *userList, dead map[string]bool) {
	op := m.untraced(ctx)
	var err error
	defer func() { op.end(err) }()
	_, err = m.lists.edit(op, m.listKey(user), list, func(l *roster.List) (bool, error) {
		before := len(l.Sessions)
		ended, _ := m.endSome(op, l.Unfinished())
		l.Finish(m.cfg.Now(), roster.Among(ended))
		l.Drop(func(e roster.Entry) bool { return e.State == roster.Live && dead[e.Key] })
		return len(ended) > 0 || len(l.Sessions) < before, nil
	})
}

// canList returns why there can be no list of a user, or nil.
func (m *Manager) canList(user string) error {
	if m.lists == nil {
		return errNoUsers
	}
	if !validUser(user) {
		return ErrInvalidUser
	}
	return nil
}

// loadLimited is load within Config.StoreTimeout, and lookLimited is look: a walk over the
// sessions of a user takes as long as its caller does, and each of its calls no longer than that.
func (u *userLists) loadLimited(ctx context.Context, key string) (*userList, error) {
	limit := u.m.limit(ctx)
	defer limit.stop()
	return u.load(limit, key)
}

func (m *Manager) lookLimited(ctx context.Context, user string, sessions []roster.Entry) (map[string]look, error) {
	limit := m.limit(ctx)
	defer limit.stop()
	return m.look(limit, user, sessions)
}
