package core

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"
)

// AtUserLimit is what [Session.SignIn] does when a user has as many sessions as
// Config.MaxSessionsPerUser allows.
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
	switch a {
	case DropLeastRecentlyUsed:
		return "drop the least recently used"
	case DropOldest:
		return "drop the oldest"
	case RefuseNew:
		return "refuse new ones"
	}
	return fmt.Sprintf("AtUserLimit(%d)", int(a))
}

// An Info describes a session to the user whose it is, or to an operator. It holds
// nothing that leads into the session.
type Info struct {
	Handle    string    // for [Manager.Revoke]; the same as that session's [Session.Handle]
	Current   bool      // it is the session of the request that the context belongs to
	CreatedAt time.Time // when the user signed in; zero where an Express app did that
	LastSeen  time.Time // the last activity, to the precision of Config.TouchInterval
	ExpiresAt time.Time // when it ends if there is no more activity

	// As of the sign-in, and empty where an Express app did that; Device and Network
	// also where [Manager.Load] did, which has no request.
	Methods []string     // what SignIn was given
	Device  string       // what the browser said that it is (User-Agent), up to 200 bytes
	Network netip.Prefix // the client's: the first 24 bits of an IPv4 address, 48 of IPv6
}

// errNoUsers says that the store keeps no lists.
var errNoUsers = fmt.Errorf("cloakroom: store keeps no lists of users' sessions: %w", errors.ErrUnsupported)

// Sessions walks the live sessions of a user, the one that signed in last first.
// It costs one round trip for the list and one for every 50 sessions, and reads
// past the cache of the store. The error matches [errors.ErrUnsupported] where the
// store is no [UserIndexer].
//
// With Config.AbsoluteTimeout, a session that will end by it within the idle
// timeout may have been active later than LastSeen says.
func (m *Manager) Sessions(ctx context.Context, user string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := m.sessions(ctx, user, func(i Info) bool { return yield(i, nil) }); err != nil {
			yield(Info{}, err)
		}
	}
}

func (m *Manager) sessions(ctx context.Context, user string, yield func(Info) bool) (err error) {
	if err := m.canList(user); err != nil {
		return err
	}
	current := m.current(ctx)
	traced, end := m.begin(ctx, OpList)
	list, err := m.lists.loadLimited(traced, m.listKey(user))
	if err != nil {
		end(err)
		return err
	}
	var (
		sessions = list.live()
		seen     []string
		dead     = make(map[string]bool)
	)
	slices.Reverse(sessions)
	for batch := range slices.Chunk(sessions, lookBatch) {
		records, err := m.lookLimited(traced, user, batch)
		if err != nil {
			end(err)
			return err
		}
		for _, e := range batch {
			r, lives := records[e.Key]
			if dead[e.Key] = !lives; !lives || r.strayed || slices.Contains(seen, e.Handle) {
				continue
			}
			seen = append(seen, e.Handle)
			if !yield(m.info(e, r, current)) {
				end(nil)
				return nil
			}
		}
	}
	if len(seen) < len(list.Sessions) {
		m.tidyList(traced, user, list, dead)
	}
	end(nil)
	return nil
}

// A current is the session of a request.
type current struct {
	handle    string
	extending lifespan // what it is being given beside the handler, if anything
}

func (m *Manager) current(ctx context.Context) (c current) {
	x := exchangeOf(ctx).of(m)
	if x == nil || !x.ready.Load() {
		return c
	}
	s := x.session.Load()
	if s == nil || !s.lock() {
		return c
	}
	defer x.mu.Unlock()
	if base := s.base; base != nil {
		c.handle = m.handleIn(base)
		if s.touching != nil {
			c.extending = m.lifespan(base)
		}
	}
	return c
}

func (m *Manager) info(e listEntry, r looked, c current) Info {
	now := m.cfg.Now()
	i := Info{Handle: e.Handle, LastSeen: r.lastSeen, ExpiresAt: now.Add(r.left)}
	if i.Current = e.Handle == c.handle; i.Current && c.extending.idle > 0 {
		i.LastSeen, i.ExpiresAt = now, now.Add(c.extending.from(now))
	}
	if in, ok := r.doc.signedIn(); ok && in.Name == m.userOf(r.doc) && !in.Peer {
		i.CreatedAt, i.Methods, i.Device = r.doc.meta.created.time(), in.By, in.Device
		i.Network, _ = netip.ParsePrefix(in.Net) // the zero value, which is not valid, for none
	}
	return i
}

// tidyList drops the entries of sessions that are dead, and ends what somebody
// else left ending. Where that fails, the next one does it.
func (m *Manager) tidyList(ctx context.Context, user string, list *userList, dead map[string]bool) {
	limit := m.detach(ctx)
	defer limit.stop()
	_, _ = m.lists.edit(limit, m.listKey(user), list, func(l *userList) (bool, error) {
		before := len(l.Sessions)
		left := l.revoke(func(listEntry) bool { return false })
		if err := m.end(limit, left); err != nil {
			return false, err
		}
		l.ended(m.cfg.Now(), func(listEntry) bool { return true })
		l.drop(func(e listEntry) bool { return e.State == live && dead[e.Key] })
		return len(left) > 0 || len(l.Sessions) < before, nil
	})
}

// Revoke ends one session of a user, by its handle. It returns [ErrNotFound] where
// the user has no session with that handle, whoever else has. When it returns nil,
// the session lives no more, in no process, and under no id that it gets from a
// Renew or a SignIn that was under way. With a store that reads from a cache, other
// processes see it when that store says.
//
// The session of the request that ctx belongs to ends as by RevokeUser.
//
// It costs four round trips, and one more with Config.Observer, which is told what
// has ended. The error matches [errors.ErrUnsupported] where the store is no
// [UserIndexer].
func (m *Manager) Revoke(ctx context.Context, user, handle string) error {
	return m.revoke(ctx, user, CauseOne, func(l *userList) ([]listEntry, error) {
		of := func(e listEntry) bool { return e.Handle == handle }
		if handle == "" || !slices.ContainsFunc(l.Sessions, of) {
			return nil, ErrNotFound
		}
		return l.revoke(of), nil
	})
}

// RevokeUser ends all sessions of a user: "log me out everywhere", a password that
// was reset, an account that was closed. When it returns nil, no session lives
// whose SignIn was acknowledged before the call, in any process; and a SignIn that
// was called before fails with [ErrRevoked] at its commit, where the clocks of the
// two processes agree so far, or else counts as one that came after. With a store
// that reads from a cache, other processes see it when that store says;
// [Session.RequireFresh] sees it at once.
//
// Where the session of the request that ctx belongs to is among them, and the handler
// has changed nothing in it yet, it is then as after [Session.SignOut]: empty, and
// SignIn makes it one of that user again. [Manager.RevokeOthers] spares it.
//
// Users belong to Config.Name: a job that ends the sessions of a web app, or lists
// them, needs a Manager with the same Name, SealKeys and UserKey. With another Name
// it finds none, which is no error.
//
// It costs four round trips, and one more for every 16 sessions beyond the first
// 16. With Config.Observer, which is told what has ended, it costs one more for
// every 50. Where it fails, some sessions may have ended; call it again. The error
// matches [errors.ErrUnsupported] where the store is no [UserIndexer].
func (m *Manager) RevokeUser(ctx context.Context, user string) error {
	return m.revoke(ctx, user, CauseUser, func(l *userList) ([]listEntry, error) {
		l.raise(m.cfg.Now())
		return l.revoke(func(listEntry) bool { return true }), nil
	})
}

// RevokeOthers is RevokeUser for the user of s, but for s itself: "log me out
// everywhere else". It also spares what s becomes when SignIn or Renew was called
// for it. It returns [ErrNotFresh] where nobody has signed in with s, and
// [ErrSessionGone] where s has ended. It costs one round trip more than RevokeUser.
func (m *Manager) RevokeOthers(ctx context.Context, s *Session) error {
	if !s.lock() {
		return ErrReentered
	}
	user, key, login := s.user(), s.key, s.login
	mine := s.base != nil && m.userOf(s.base) == user
	var entry listEntry
	if mine {
		entry = listEntry{Key: key, Handle: m.handleIn(s.base), Until: m.lifespan(s.base).listed(m.cfg.Now())}
	}
	s.x.mu.Unlock()
	if user == "" {
		return ErrNotFresh
	}
	if err := m.canList(user); err != nil {
		return err
	}
	if mine {
		if err := s.Check(Fresh(ctx)); err != nil {
			return err
		}
	}
	at := m.cfg.Now()
	var list *userList
	err := m.revoke(ctx, user, CauseOthers, func(l *userList) ([]listEntry, error) {
		i := l.find(key)
		switch {
		case mine && i < 0: // it is one that has not been listed yet
			l.Sessions = append(l.Sessions, entry)
		case mine && l.Sessions[i].State != live:
			return nil, ErrSessionGone
		}
		at = m.cfg.Now()
		l.raise(at)
		list = l
		return l.revoke(func(e listEntry) bool { return !mine || e.Handle != entry.Handle }), nil
	})
	if err == nil && login != nil {
		s.x.mu.Lock()
		defer s.x.mu.Unlock()
		login.since, login.at = list, at // for it, this was before
	}
	return err
}

// revoke ends what choose marks in the list of a user, and returns when it has
// ended.
func (m *Manager) revoke(ctx context.Context, user string, cause Cause, choose func(*userList) ([]listEntry, error)) (err error) {
	if err := m.canList(user); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	by, own := m.actor(ctx), exchangeOf(ctx).of(m)
	ctx, end := m.begin(ctx, OpRevoke)
	defer func() { end(err) }()
	limit := m.detach(ctx)
	defer limit.stop()
	key := m.listKey(user)
	list, err := m.lists.load(limit, key)
	if err != nil {
		return err
	}
	var left, chosen []listEntry // left: by a call that did not end well, or is under way
	list, err = m.lists.edit(limit, key, list, func(l *userList) (_ bool, err error) {
		left = l.revoke(func(listEntry) bool { return false })
		chosen, err = choose(l)
		return true, err
	})
	if err != nil {
		return err
	}
	lived := m.whichLive(limit, user, chosen)
	if err := m.end(limit, chosen); err != nil {
		return err
	}
	own.revoked(chosen)
	for _, handle := range lived {
		e := Event{Kind: EventRevoked, User: user, Handle: handle, By: by, Cause: cause}
		if cause == CauseOne && slices.ContainsFunc(left, func(l listEntry) bool { return l.Handle == handle }) {
			e.By, e.Cause = "", CauseUnfinished // another one than was asked for, or again
		}
		m.notify(ctx, e)
	}
	if len(chosen) == 0 {
		return nil
	}
	_, err = m.lists.edit(limit, key, list, func(l *userList) (bool, error) {
		l.ended(m.cfg.Now(), func(e listEntry) bool {
			return slices.ContainsFunc(chosen, func(c listEntry) bool { return c.Key == e.Key })
		})
		return true, nil
	})
	if err != nil {
		m.cfg.Logger.WarnContext(ctx, "cloakroom: sessions were revoked, but their user's list still says that they are being revoked", "error", err)
	}
	return nil
}

// whichLive returns the handles of the sessions that are live, for the Observer:
// the list has also those that ended by themselves.
func (m *Manager) whichLive(ctx context.Context, user string, sessions []listEntry) (handles []string) {
	if m.cfg.Observer == nil {
		return nil
	}
	records, _ := m.look(ctx, user, sessions) // where that fails, so will what follows
	for _, e := range sessions {
		if r, lives := records[e.Key]; lives && !r.strayed && !slices.Contains(handles, e.Handle) {
			handles = append(handles, e.Handle)
		}
	}
	return handles
}

// canList tells why there can be no list of a user.
func (m *Manager) canList(user string) error {
	if m.lists == nil {
		return errNoUsers
	}
	if !validUser(user) {
		return ErrInvalidUser
	}
	return nil
}

// loadLimited and lookLimited are load and look within Config.StoreTimeout.
func (u *userLists) loadLimited(ctx context.Context, key string) (*userList, error) {
	limit := u.m.limit(ctx)
	defer limit.stop()
	return u.load(limit, key)
}

func (m *Manager) lookLimited(ctx context.Context, user string, sessions []listEntry) (map[string]looked, error) {
	limit := m.limit(ctx)
	defer limit.stop()
	return m.look(limit, user, sessions)
}
