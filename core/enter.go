package core

import (
	"context"
	"errors"

	"github.com/cloakroom-go/cloakroom/core/internal/async"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/roster"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// An entry is the attempt to store the session under a new id and to put it into
// the list of its user, in the order that package roster tells: the record, the
// list, and the old id last. So nothing that existed dies because something new
// could not be stored. The list is loaded while the record is created.
type entry struct {
	s         *Session
	op        *operation
	before    string           // whose session it is until then, empty for nobody's
	admission roster.Admission // what the list is asked
	next      *record.Document // what is stored under the new id; nil until something is
}

// enter stores the session under a new id and puts it into the list of its user.
func (s *Session) enter(op *operation) error {
	m, before := s.x.m, s.x.m.userOf(s.base)
	if s.login != nil {
		before = s.login.was
	}
	if s.standing == state.Live {
		turn, err := s.takeTurn(op)
		if err != nil {
			return err
		}
		defer m.sessions.Leave(s.key, turn)
	}
	e := entry{s: s, op: op, before: before}
	if s.login != nil {
		e.admission.At = s.login.began
	}
	if s.user() == e.before {
		e.admission.Parent = s.key
	}
	err := s.insist(op, e.attempt)
	if err == nil {
		return nil
	}
	if e.next != nil { // no browser was given that id, and none will be
		s.nextID = ""
		m.sessions.Withdraw(op, e.next)
	}
	if errors.Is(err, ErrTooManySessions) || errors.Is(err, ErrRevoked) {
		s.forget() // the session stays what it was
	}
	return err
}

// attempt is one attempt. It is made again where another request has changed the
// session that is to get the new id.
func (e *entry) attempt() (newer *record.Document, err error) {
	s, m := e.s, e.s.x.m
	if m.userOf(s.base) != e.before { // by Express, meanwhile
		return nil, final{store.ErrConflict}
	}
	d, err := s.prepare(s.base)
	if err != nil {
		return nil, err
	}
	// The record and the list first. Where an attempt got that far, and then found the old
	// record changed, what is listed already gets the newer content.
	if e.next == nil {
		err = e.store(d)
	} else {
		err = e.update(d)
	}
	if err != nil {
		return nil, err
	}
	// The old id last: from now on nobody else can store anything under it.
	kind := EventCreated
	if s.standing == state.Live {
		kind = EventRenewed
		retired := s.retire(d)
		if newer, err = m.sessions.Update(e.op, s.base, &retired, s.x.cookie.MaxAge); err != nil {
			return newer, err
		}
	}
	s.issued(e.op, d, kind)
	return nil, nil
}

// store creates the record and puts it into the list.
func (e *entry) store(d *record.Document) error {
	s, m := e.s, e.s.x.m
	key := s.listKey()
	list := s.fetchList(e.op, key)
	if err := m.sessions.Create(e.op, d, s.shown); err != nil {
		return err
	}
	e.next = d
	since, err := list()
	if err != nil {
		return final{err}
	}
	a := &e.admission
	if a.Since = since.List; s.login != nil {
		a.Read = s.login.read
	}
	a.Entry = roster.Entry{Key: d.Record.ID, Handle: m.handleIn(d), Until: roster.ListedUntil(m.lifespan(d), m.cfg.Now())}
	if err := m.admit(e.op, s.user(), key, since, a); err != nil {
		return final{err}
	}
	return nil
}

// update puts what was made again in the place of what is stored under the new id.
func (e *entry) update(d *record.Document) error {
	_, err := e.s.x.m.sessions.Update(e.op, e.next, d, e.s.x.cookie.MaxAge)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrConflict):
		return final{ErrRevoked} // nobody else knows it but whoever revokes
	case err != nil:
		return final{err}
	}
	e.next = d
	return nil
}

// listKey returns the id of the list of the user whose session it is about to be.
func (s *Session) listKey() string {
	if s.login != nil && s.login.listKey != "" {
		return s.login.listKey
	}
	return s.x.m.listKey(s.user())
}

// fetchList returns a function that waits for the list of the user, which is under key: as of
// SignIn, or as of now for a renewal.
func (s *Session) fetchList(ctx context.Context, key string) func() (*userList, error) {
	lists, login := s.x.m.lists, s.login
	if login == nil {
		future := lists.fetch(ctx, s.x, key)
		return func() (*userList, error) { return lists.await(ctx, future) }
	}
	if login.list == nil && login.since == nil { // that of SignIn could not be loaded
		login.list, login.read = lists.fetch(ctx, s.x, key), roster.ReadLate
	}
	return func() (list *userList, err error) {
		if login.since == nil { // else it is that of a commit that failed
			login.since, err = lists.await(ctx, login.list)
			login.list = nil
		}
		return login.since, err
	}
}

// signInUnderWay returns what SignIn of this request has asked for and the commit will
// do, as far as a revocation concerns it; nil where nobody signs in.
func (s *Session) signInUnderWay(ctx context.Context) (*roster.Admission, error) {
	if s.login == nil || s.x.m.lists == nil {
		return nil, nil
	}
	since, err := s.fetchList(ctx, s.listKey())()
	if err != nil {
		return nil, err
	}
	return &roster.Admission{Since: since.List, Read: s.login.read, At: s.login.began}, nil
}

// fetch asks for a list, beside the handler of x.
func (u *userLists) fetch(ctx context.Context, x *Exchange, key string) async.Future[*userList] {
	return beside(ctx, x, func(ctx context.Context) (*userList, error) { return u.loadOrClear(ctx, key) })
}

// await returns the list when it is there.
func (u *userLists) await(ctx context.Context, list async.Future[*userList]) (*userList, error) {
	l, err := list.Await(ctx)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = u.vault.Check(ctx, "load", err)
	}
	return l, err
}
