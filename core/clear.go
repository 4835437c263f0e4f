package core

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/cloakroom-go/cloakroom/core/internal/async"
	"github.com/cloakroom-go/cloakroom/core/internal/roster"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// Clear ends all sessions, and then removes the lists of whose they were. A session
// of somebody who signs in meanwhile may remain, and is listed. Where Clear fails,
// some sessions may have ended, and those that live are listed as before: call it again.
//
// A list is left to its end where somebody signs in meanwhile, where it says that a
// revocation was made within the last hour, and where the store cannot walk its
// lists. The error matches [errors.ErrUnsupported] where the store cannot clear.
func (m *Manager) Clear(ctx context.Context) error {
	clearer, ok := m.cfg.Store.(store.Clearer)
	if !ok {
		return fmt.Errorf("cloakroom: store cannot clear: %w", errors.ErrUnsupported)
	}
	before, err := m.lists.seen(ctx)
	if err != nil {
		return err
	}
	if err := m.sessions.Call(ctx, "clear").End(clearer.Clear(ctx)); err != nil {
		return err
	}
	m.sessions.Forget()
	return m.lists.removeUnchanged(ctx, before)
}

// A digest stands for a list as it is stored.
type digest [16]byte

// digestOf returns the digest of a list. Lists of all users are walked, so what is
// remembered of each is small.
func digestOf(rec store.Record) (d digest) {
	h := sha256.New()
	_, _ = h.Write([]byte(rec.ID + "\x00"))
	_, _ = h.Write(rec.Data)
	copy(d[:], h.Sum(nil))
	return d
}

// walkable returns the store of the lists as one that can be walked and cleared
// one by one, or nil.
func (u *userLists) walkable() interface {
	store.Lister
	store.Remover
} {
	if u == nil {
		return nil
	}
	index, _ := u.vault.Store.(interface {
		store.Lister
		store.Remover
	})
	return index
}

// seen returns which lists there are.
func (u *userLists) seen(ctx context.Context) (map[digest]bool, error) {
	index := u.walkable()
	if index == nil {
		return nil, nil
	}
	lists := make(map[digest]bool)
	for rec, err := range index.All(ctx) {
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			return nil, nil
		case err != nil:
			return nil, u.vault.Check(ctx, "list", err)
		}
		lists[digestOf(rec)] = true
	}
	return lists, nil
}

// removeUnchanged removes the lists that are what they were before all sessions
// ended: a session is stored before it is listed, so that all that such a list names
// has ended, whether or not it can be decoded.
func (u *userLists) removeUnchanged(ctx context.Context, before map[digest]bool) error {
	if len(before) == 0 {
		return nil
	}
	index := u.walkable()
	var batch []store.Record
	remove := func() error {
		calls := make([]func() error, len(batch))
		for i, rec := range batch {
			calls[i] = func() error { return u.vault.Call(ctx, "remove").End(index.Remove(ctx, rec)) }
		}
		batch = batch[:0]
		for _, err := range async.Together(calls...) {
			switch {
			case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrConflict), errors.Is(err, errors.ErrUnsupported):
			case err != nil:
				return err
			}
		}
		return nil
	}
	for rec, err := range index.All(ctx) {
		if err != nil {
			return u.vault.Check(ctx, "list", err)
		}
		if !before[digestOf(rec)] || u.lingers(rec) {
			continue
		}
		if batch = append(batch, rec); len(batch) == endBatch {
			if err := remove(); err != nil {
				return err
			}
		}
	}
	return remove()
}

// lingers reports whether a list says something that is needed also when none of its
// sessions lives.
func (u *userLists) lingers(rec store.Record) bool {
	doc, err := u.vault.Read(rec, 0)
	if err != nil {
		return false
	}
	l, ok := roster.Decode(doc.Text, doc.Members())
	return ok && l.Linger(u.m.cfg.Now()) > 0
}
