package core

import (
	"context"
	"fmt"
	"time"
)

// A SignInAttempt is a sign-in of a user who has still to show that it is them.
// [Session.BeginSignIn] makes it. It belongs to its request, and prints nothing of
// the user.
type SignInAttempt struct {
	*attempt // a pointer, so that no verb of package fmt follows it
}

// An attempt is what a SignInAttempt is made of. A sign-in that is based on it fails where
// the list, or the epoch, tells of a revocation since.
type attempt struct {
	s     *Session
	user  string
	began time.Time
	list  *userList // the list of the user's sessions when the attempt began
	epoch string    // the epoch of the user then, with Config.Sealed
}

// BeginSignIn is for whoever checks a password, or anything else that can change. Call it
// before you read what you check by, and sign in with the attempt that it returns. That
// fails at the commit with [ErrRevoked] where [Manager.RevokeUser] or
// [Manager.RevokeOthers] was called for the user since BeginSignIn returned:
//
//	account, err := accounts.ByEmail(ctx, email)     // who it would be
//	attempt, err := s.BeginSignIn(ctx, account.ID)   // before the password is read
//	account, err = accounts.ByID(ctx, account.ID)    // the password as it is now
//	if !account.Check(password) { ... }
//	err = attempt.SignIn(ctx, "password")
//
// Where a change of the password is stored first, and then ends the user's sessions by
// one of these calls, no login by the former password survives it, in any process, however
// long its check takes and whatever the clocks say. Without it, a login that has read the
// former password, and calls [Session.SignIn] after the sessions were ended, ends well.
//
// It waits for one round trip, for the list of the user's sessions, which SignIn alone
// loads beside the handler's work. An attempt is good for an hour. BeginSignIn changes
// nothing in the session: an attempt that you give up leaves nothing.
//
// It returns [ErrInvalidUser] for a name that SignIn refuses, a [store.Error] where the
// list cannot be loaded, and an error that matches [errors.ErrUnsupported] where the store
// is no [store.UserIndexer], or Config.Sealed has no Ends: there the sessions of a user cannot be ended either, and
// SignIn will do.
func (s *Session) BeginSignIn(ctx context.Context, user string) (*SignInAttempt, error) {
	m := s.x.m
	if m.ends != nil {
		return s.beginSealedSignIn(ctx, user)
	}
	if err := m.canList(user); err != nil {
		return nil, err
	}
	began := m.cfg.Now()
	limit := m.limit(ctx)
	defer limit.stop()
	list, err := m.lists.loadOrClear(limit, m.listKey(user))
	if err != nil {
		return nil, err
	}
	return &SignInAttempt{&attempt{s: s, user: user, began: began, list: list}}, nil
}

// SignIn is [Session.SignIn] for the user that the attempt was begun for.
func (a *SignInAttempt) SignIn(ctx context.Context, methods ...string) error {
	return a.s.signIn(ctx, a.user, methods, a.attempt)
}

// String describes the attempt without the user.
func (a SignInAttempt) String() string { return "SignInAttempt" }

// Format implements [fmt.Formatter]: no verb prints more than String.
func (a SignInAttempt) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(a.String())) }

// beginSealedSignIn is BeginSignIn with Config.Sealed.
func (s *Session) beginSealedSignIn(ctx context.Context, user string) (*SignInAttempt, error) {
	m := s.x.m
	if err := m.ends.canEnd(user); err != nil {
		return nil, err
	}
	began := m.cfg.Now()
	limit := m.limit(ctx)
	defer limit.stop()
	epoch, err := m.ends.epoch(limit, user)
	if err != nil {
		return nil, err
	}
	return &SignInAttempt{&attempt{s: s, user: user, began: began, epoch: epoch}}, nil
}
