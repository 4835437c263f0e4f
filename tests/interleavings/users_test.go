package interleavings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
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
	switch {
	case x.status != http.StatusOK && (x.status != http.StatusConflict || x.cookie >= sets):
		return errors.New("that is no answer")
	case o.order != secondFirst:
	case x.status != http.StatusOK:
		return errors.New("who comes later is a new visitor, and gets an answer")
	case x.cookie >= sets && o.stored[x.cookie-sets].life != live:
		return errors.New("what was begun later has ended as well")
	}
	return nil
}

// otherBrowser has ann sign in somewhere else, with nothing left of former casts.
func (c *cast) otherBrowser(ctx context.Context) error {
	if err := c.inner.(core.UserIndexer).UserIndex().(core.Clearer).Clear(ctx); err != nil {
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

// checkList tells whether the list of ann shows her sessions that live, and no
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
// with everything else in every order, on stores that keep lists. By default it is a
// part of that.
//
// Standards: ASVS-7.4.2, ASVS-7.4.3
func TestEveryOrderWithAUser(t *testing.T) {
	long := soak.For(t) > 0
	others := slices.Concat(ops, ends)
	if !long {
		others = slices.DeleteFunc(others, func(o op) bool { return o.name != "update" && o.name != "sign in" })
	}
	var plays []play
	for _, o := range others {
		for _, last := range slices.Concat(ops, ends) {
			switch {
			case o.ends && !last.ends, !long && last.name == o.name: // it is there the other way round, or takes too long
			case last.ends, last.name == "sign in", long && last.name == "renew":
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
