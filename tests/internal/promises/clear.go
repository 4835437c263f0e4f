package promises

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// An interruption is what ends a Clear at one of its commands: a fault, after which the
// server refuses all that follow. Somebody signs in just before it.
type interruption struct {
	name   string
	fault  faultproxy.Fault
	goesOn bool // nothing is refused
}

var interruptions = []interruption{
	{"refused", faultproxy.RefusedBefore, false},
	{"cut after", faultproxy.CutAfter, false},
	{"late", faultproxy.Late, false},
	{"nothing but a sign-in", faultproxy.None, true},
}

// ClearInterrupted interrupts Manager.Clear at each of its commands. Whoever has a
// session then is in the list of their user, so that RevokeUser ends all there is; and
// Clear ends well when it is called again. In the store is nothing that is not the test's.
func ClearInterrupted(t *testing.T, open func(t *testing.T) *Network) {
	for _, i := range interruptions {
		t.Run(i.name, func(t *testing.T) {
			t.Parallel()
			n := open(t)
			n.t = t
			n.serveCalmly(t)
			m := ManagerOn(t, core.Config{Store: n.Through})
			at := 0
			for n.clearInterrupted(m, i, at) {
				at++
			}
			if at < 6 { // the lists, the sessions, and the lists again
				t.Errorf("Clear sent %d commands", at)
			}
			t.Logf("interrupted at %d commands", at)
		})
	}
}

// clearInterrupted has some users sign in and interrupts Clear at a command. It reports
// whether Clear came as far as that.
func (n *Network) clearInterrupted(m *core.Manager, i interruption, at int) (reached bool) {
	n.t.Helper()
	when := fmt.Sprintf("%s at command %d", i.name, at)
	users := []string{rand.Text(), rand.Text()}
	var before, since []*userVisit
	for _, user := range slices.Concat(users, users) {
		before = append(before, n.entered(user))
	}
	var mu sync.Mutex // commands are sent several at once
	seen := 0
	n.Proxy.On(func(c faultproxy.Command) faultproxy.Fault {
		if slices.Contains([]string{"HELLO", "CLIENT", "PING"}, strings.ToUpper(c.Name())) {
			return faultproxy.None // what a client sends by itself
		}
		mu.Lock()
		defer mu.Unlock()
		seen++
		switch {
		case seen <= at, seen > at+1 && i.goesOn:
			return faultproxy.None
		case seen > at+1:
			return faultproxy.RefusedBefore
		}
		since = append(since, n.entered(users[0]))
		return i.fault
	})
	ctx, cancel := context.WithTimeout(n.t.Context(), 2*servers.Patience)
	defer cancel()
	err := m.Clear(ctx)
	n.Proxy.On(nil)
	reached = seen > at
	since = append(since, n.entered(users[1]))
	n.Proxy.ReleaseLate()
	all := slices.Concat(before, since)
	switch {
	case err == nil:
		for _, v := range before {
			v.who(v.mine, "")
		}
	case i.goesOn || !reached:
		n.t.Errorf("%s: Clear: %v", when, err)
	}
	for _, v := range all {
		v.isListed()
	}
	for _, user := range users {
		NewBrowser().Must(n.t, n.calm+"/revoke-user?user="+user)
	}
	for _, v := range all {
		v.who(v.mine, "")
	}
	n.holds(State{})
	n.entered(users[0])
	if err := m.Clear(ctx); err != nil {
		n.t.Errorf("%s: Clear, called again: %v", when, err)
	}
	n.holds(State{})
	if err := n.Direct.(store.UserIndexer).UserIndex().(store.Clearer).Clear(ctx); err != nil { // what says for an hour who was revoked
		n.t.Fatal(err)
	}
	if n.t.Failed() {
		n.t.Fatalf("that was: %s", when)
	}
	return reached
}

// entered returns a visit of a user who signs in past what goes wrong.
func (n *Network) entered(user string) *userVisit {
	n.t.Helper()
	v := &userVisit{n: n, user: user, mine: NewBrowser()}
	if a := v.mine.Get(n.calm + "/signin?user=" + user); a.Err != nil || a.Status != http.StatusOK {
		n.t.Errorf("/signin: %v", a)
	}
	return v
}

// isListed checks that the session is listed, if it lives.
func (v *userVisit) isListed() {
	v.n.t.Helper()
	switch a := v.mine.As().Get(v.n.calm + "/who"); {
	case a.Says("user="):
	case !a.Says("user=" + v.user):
		v.n.t.Errorf("/who: %v", a)
	case !slices.ContainsFunc(v.devices(v.mine), func(info core.Info) bool { return info.Current }):
		v.n.t.Error("a session lives that is not listed")
	}
}
