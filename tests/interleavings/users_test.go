package interleavings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
)

// This file is about the sessions of a user, in a store that keeps lists of them.
// What a sign-in does is in the model, as a renewal. Ending all sessions of a user
// takes several calls, in between of which some have ended and some have not, so
// what comes of it is judged by what must not be.

// ends are those that end sessions of a user.
var ends = []op{
	{
		name: "revoke user", ends: true,
		outside: func(c *cast, ctx context.Context) error { return c.admin.RevokeUser(ctx, ann) },
	},
	{
		name: "revoke others", ends: true,
		outside: func(c *cast, ctx context.Context) error { return c.admin.RevokeOthers(ctx, c.elsewhere) },
	},
}

// byPassword is a login of a new visitor, who shows first who it is. Where ann's sessions
// are ended, her password was changed just before that.
var byPassword = op{
	name: "sign in by a password", late: true,
	handle: func(ctx context.Context, s *core.Session, who int) (any, error) {
		attempt, err := s.BeginSignIn(ctx, ann)
		if err != nil {
			return nil, err
		}
		ctx.Value(loginKey{}).(login).readPassword()
		user.Set(s, name(who))
		return "ok", attempt.SignIn(ctx)
	},
	spec: []step{startWithout, look, signsIn, arrive},
}

// withoutAttempt is such a login that forgets what it should be based on. The change of
// the password can escape it.
var withoutAttempt = op{
	name: "sign in by a password, without an attempt", late: true,
	handle: func(ctx context.Context, s *core.Session, who int) (any, error) {
		ctx.Value(loginKey{}).(login).readPassword()
		return signInAs(ctx, s, who)
	},
	spec: byPassword.spec,
}

type loginKey struct{}

// A login is what a request knows of ann's password.
type login struct {
	c   *cast
	ctx context.Context
	who int
}

// readPassword reads the password, and compares it with what the request brought
// when the gate lets it.
func (l login) readPassword() {
	l.c.note(func() { l.c.former[l.who] = !l.c.changed })
	l.c.gate.wait(l.ctx, "checks", nil)()
}

// unlisted are those whose list the store refuses to have changed. They leave the
// session that was there as it was.
var unlisted = []op{
	{
		name:    "sign in, the list refused",
		handle:  signInAs,
		refused: "list create, list update",
		spec:    []step{start, look, fails, arrive},
	},
	{
		name:    "renew, the list refused",
		handle:  renewAs,
		refused: "list create, list update",
		spec:    []step{start, look, failsToList, arrive},
	},
}

func (p play) ends() bool { return p.first.ends || p.second.ends }

// judgeEnd tells what is wrong where the second one ended the sessions of ann:
// nothing that was hers before may live on, whatever the first one did and when.
func (r result) judgeEnd() error {
	o, x := r.outcome, r.outcome.answers[0]
	switch status := o.answers[1].status; {
	case status == http.StatusOK:
	case r.play.first.expires && status == http.StatusConflict: // so did the session that asks
	case r.play.first.ends && status == http.StatusConflict: // that one was first
	default:
		return fmt.Errorf("it was answered %d", status)
	}
	for id, rec := range o.stored {
		switch {
		case rec.life != live:
		case rec.data.old != "":
			return errors.New("a session of hers lives on")
		case o.former[0] && x.cookie == sets+setCookie(id):
			return errors.New("a login by the former password lives")
		case x.cookie != sets+setCookie(id):
			return errors.New("a session lives that nobody has")
		}
	}
	if r.play.second.name == "revoke others" && r.play.first.isRequest() && !o.other {
		return errors.New("the session that asked has ended")
	}
	if r.play.second.name == "revoke user" && o.other {
		return errors.New("her other session lives on")
	}
	if !r.play.first.isRequest() {
		return nil
	}
	refused := x.status == http.StatusServiceUnavailable && r.play.first.refused != ""
	switch {
	case x.status != http.StatusOK && (x.status != http.StatusConflict && !refused || x.cookie >= sets):
		return errors.New("that is no answer")
	case o.order != secondFirst || refused:
	case x.status != http.StatusOK:
		return errors.New("who comes later is a new visitor, and gets an answer")
	case x.cookie >= sets && o.stored[x.cookie-sets].life != live:
		return errors.New("what was begun later has ended as well")
	}
	return nil
}

// otherBrowser has ann sign in somewhere else, with nothing left of former casts.
func (c *cast) otherBrowser(ctx context.Context) error {
	if err := c.inner.(store.UserIndexer).UserIndex().(store.Clearer).Clear(ctx); err != nil {
		return err
	}
	if !c.ops[0].ends && !c.ops[1].ends {
		return nil
	}
	w := ask(ctx, c.other, "", func(ctx context.Context, s *core.Session, _ int) (any, error) { return "ok", s.SignIn(ctx, ann) })
	var err error
	if c.elsewhere, err = c.admin.Load(ctx, valueIn(cookieOf(w))); err == nil && c.elsewhere.User() != ann {
		err = errors.New("nobody is signed in elsewhere")
	}
	return err
}

// checkList reports whether the list of ann shows her sessions that live, and no
// others.
func (c *cast) checkList() error {
	ctx := context.Background()
	live, listed := make(map[string]bool), make(map[string]bool)
	for rec, err := range c.inner.All(ctx) {
		if err != nil {
			return err
		}
		var r struct {
			Cloakroom struct {
				Retired json.RawMessage
				User    struct{ Name, Handle string }
			} `json:"__cloakroom"`
		}
		if err := json.Unmarshal(rec.Data, &r); err != nil {
			return err
		}
		if r.Cloakroom.Retired == nil && r.Cloakroom.User.Name == ann {
			live[r.Cloakroom.User.Handle] = true
		}
	}
	for info, err := range c.admin.Sessions(ctx, ann) {
		if err != nil {
			return err
		}
		listed[info.Handle] = true
	}
	if !maps.Equal(live, listed) {
		return fmt.Errorf("%d sessions of hers live and %d are listed", len(live), len(listed))
	}
	return nil
}

// TestEveryOrderWithAUser performs what signs in, and what ends sessions of a user,
// with everything else in every order, on stores that keep lists, also where these
// refuse something. By default it is a part of that.
//
// Standards: ASVS-7.4.2, ASVS-7.4.3
func TestEveryOrderWithAUser(t *testing.T) {
	long := soak.For(t) > 0
	all := slices.Concat(ops, unlisted, ends, []op{byPassword})
	others := all
	if !long {
		few := []string{"update", "sign in", "sign in by a password", "sign in, the list refused", "renew, the list refused", "destroy"}
		others = slices.DeleteFunc(slices.Clone(all), func(o op) bool { return !slices.Contains(few, o.name) })
	}
	var plays []play
	for _, o := range others {
		for _, last := range all {
			switch {
			case o.ends && !last.ends, !long && last.name == o.name: // it is there the other way round, or takes too long
			case last.ends, last.name == "sign in", last.refused != "" && o.name == "update", long && last.name == "renew":
				plays = append(plays, play{o, last})
			}
		}
	}
	began, sum := time.Now(), new(attained)
	t.Run("settings", func(t *testing.T) {
		for _, s := range every() {
			// With one process, where nothing is apart, or with an extension that
			// is due, there are more orders than anybody waits for.
			if s.users = true; s.timing != recent || s.processes == 1 || !long && s.kind != full {
				continue
			}
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel()
				orders := 0
				everyOrder(t, s, plays, memory, apartIn(s), func(r result) bool {
					if r.err != nil {
						r.fail(t)
						return false
					}
					orders++
					sum.note(r, s)
					return true
				})
				t.Logf("%d pairs in %d orders", len(plays), orders)
			})
		}
	})
	t.Logf("%d pairs with the sessions of a user: %d orders of up to %d things each in %v; nothing that was ended lived on, and each list was complete",
		len(plays), sum.orders, sum.longest, time.Since(began).Round(time.Millisecond))
}

// TestALoginWithoutAnAttemptIsFound shows that this test can fail.
func TestALoginWithoutAnAttemptIsFound(t *testing.T) {
	for _, end := range ends {
		t.Run(end.name, func(t *testing.T) {
			t.Parallel()
			orders, found := 0, ""
			s := setting{kind: full, processes: 2, users: true}
			everyOrder(t, s, []play{{withoutAttempt, end}}, memory, apartIn(s), func(r result) bool {
				orders++
				if r.err != nil {
					found = fmt.Sprintf("%v: %v", r.order, r.err)
				}
				return r.err == nil
			})
			if !strings.Contains(found, "former password") {
				t.Fatalf("not found in %d orders, but %q", orders, found)
			}
			t.Logf("found in order %d: %s", orders, found)
		})
	}
}
