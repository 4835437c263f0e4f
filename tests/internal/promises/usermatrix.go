package promises

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
)

// A UserSubject is a store with the commands by which it looks after the lists of
// users' sessions. An empty one is a command that the store has not.
type UserSubject struct {
	Load, Create, Update, Delete, Inspect string
	LoadsBefore                           int // commands of that name that load the session, where Inspect is one of these
	IsOfList                              func(faultproxy.Command) bool
}

// A userTrouble is a command of a call about a user that a fault happens to.
type userTrouble struct {
	name    string
	call    userCall
	command string
	ofList  bool
	nth     int
	write   bool
	late    bool // the answer does not depend on it: what is missing is done later
	again   bool // it is a read that is made again, so that the answer may be 200 though it was refused
}

// A userCall is what a visitor asks for, who has a session already. The user has
// another device, if other is set. In a path, {user} stands for the user, and {other}
// for the handle of that device.
type userCall struct {
	path  string
	begin string
	other bool
	// holds checks what has to be true after an answer of 200.
	holds func(v *userVisit)
}

// A userVisit is one strike: who the user is, and who has a session of theirs.
type userVisit struct {
	n           *Network
	user        string
	handle      string // of the other device
	mine, other *Browser
}

// filled returns a path with what its names stand for.
func (v *userVisit) filled(path string) string {
	return strings.NewReplacer("{user}", v.user, "{other}", v.handle).Replace(path)
}

// who checks whose session a browser has.
func (v *userVisit) who(b *Browser, user string) {
	v.n.t.Helper()
	if b == nil {
		return
	}
	if a := b.As().Get(v.n.calm + "/who"); a.Err != nil || a.Status != http.StatusOK || a.Text != "user="+user {
		v.n.t.Errorf("/who: %v, want 200 user=%q", a, user)
	}
}

// devices returns the sessions that the user sees.
func (v *userVisit) devices(b *Browser) (all []core.Info) {
	v.n.t.Helper()
	a := b.As().Get(v.n.calm + "/devices")
	if err := json.Unmarshal([]byte(a.Text), &all); err != nil || a.Status != http.StatusOK {
		v.n.t.Fatalf("/devices: %v", a)
	}
	return all
}

// sees checks that the user sees so many sessions from a browser.
func (v *userVisit) sees(b *Browser, devices int) {
	v.n.t.Helper()
	if got := len(v.devices(b)); got != devices {
		v.n.t.Errorf("%d devices are listed, want %d", got, devices)
	}
}

var (
	firstSignIn = userCall{path: "/signin?user={user}", begin: "/count", holds: func(v *userVisit) {
		v.who(v.mine, v.user)
		v.sees(v.mine, 1)
	}}
	anotherSignIn = userCall{path: "/signin?user={user}", begin: "/count", other: true, holds: func(v *userVisit) {
		v.who(v.mine, v.user)
		v.who(v.other, v.user)
		v.sees(v.mine, 2)
	}}
	renewal = userCall{path: "/login", begin: "/signin?user={user}", other: true, holds: func(v *userVisit) {
		v.who(v.mine, v.user)
		v.sees(v.mine, 2)
	}}
	listing = userCall{path: "/devices", begin: "/signin?user={user}", other: true, holds: func(v *userVisit) {
		v.sees(v.mine, 2)
	}}
	eviction = userCall{path: "/alone/signin?user={user}", begin: "/count", other: true, holds: func(v *userVisit) {
		v.who(v.mine, v.user)
		v.who(v.other, "")
		v.sees(v.mine, 1)
	}}
	revokingOne = userCall{path: "/revoke?user={user}&handle={other}", begin: "/signin?user={user}", other: true, holds: func(v *userVisit) {
		v.who(v.other, "")
		v.who(v.mine, v.user)
		v.sees(v.mine, 1)
	}}
	revokingAll = userCall{path: "/revoke-user?user={user}", begin: "/signin?user={user}", other: true, holds: func(v *userVisit) {
		v.who(v.mine, "")
		v.who(v.other, "")
	}}
	revokingOthers = userCall{path: "/revoke-others", begin: "/signin?user={user}", other: true, holds: func(v *userVisit) {
		v.who(v.other, "")
		v.who(v.mine, v.user)
		v.sees(v.mine, 1)
	}}
)

// troubles returns what can go wrong with the calls about users.
func (s UserSubject) troubles() (all []userTrouble) {
	list := func(name string, call userCall, command string, nth int, late bool) {
		all = append(all, userTrouble{name: name, call: call, command: command, ofList: true, nth: nth, write: command != s.Load, late: late})
	}
	session := func(name string, call userCall, command string, nth int, write bool) {
		all = append(all, userTrouble{name: name, call: call, command: command, nth: nth, write: write})
	}
	list("first sign-in, load", firstSignIn, s.Load, 0, false)
	list("first sign-in, create", firstSignIn, s.Create, 0, false)
	list("sign-in, load", anotherSignIn, s.Load, 0, false)
	list("sign-in, update", anotherSignIn, s.Update, 0, false)
	list("renewal, load", renewal, s.Load, 0, false)
	list("renewal, update", renewal, s.Update, 0, false)
	list("devices, load", listing, s.Load, 0, false)
	session("devices, inspect", listing, s.Inspect, s.LoadsBefore, false)
	list("eviction, mark", eviction, s.Update, 0, false)
	all = append(all, userTrouble{name: "eviction, inspect", call: eviction, command: s.Inspect, nth: s.LoadsBefore, again: true})
	session("eviction, delete", eviction, s.Delete, 0, true)
	for name, call := range map[string]userCall{"revoke one": revokingOne, "revoke user": revokingAll, "revoke others": revokingOthers} {
		list(name+", load", call, s.Load, 0, false)
		list(name+", mark", call, s.Update, 0, false)
		session(name+", delete", call, s.Delete, 0, true)
		list(name+", note", call, s.Update, 1, true)
	}
	slices.SortStableFunc(all, func(a, b userTrouble) int { return strings.Compare(a.name, b.name) })
	return all
}

// UserMatrix does to the lists of users' sessions, and to what ends them, what may
// happen to a write: it is lost before or after the server sees it, arrives late, is
// refused, or hangs. An answer of 200 is true, one of 503 brings no cookie and leaves
// what can be done again, and whatever happened, no session is left that nobody can
// revoke.
func UserMatrix(t *testing.T, open func(t *testing.T) *Network, of UserSubject) {
	t.Helper()
	happens := []string{"cut before", "cut after", "late", "refused", "hole before", "hole after", "down"}
	for _, tr := range of.troubles() {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			n := open(t)
			n.ofList = of.IsOfList
			n.serveCalmly(t)
			n.Proxy.On(n.ask)
			for _, timeout := range []time.Duration{ample, silence} {
				n.serve(t, timeout)
				for _, f := range faults {
					hangs := f.kind == silent || f.kind == down
					if !slices.Contains(happens, f.name) || hangs != (timeout == silence) || f.kind == late && !tr.write {
						continue
					}
					t.Run(f.name, func(t *testing.T) {
						n.t = t
						n.userCell(tr, f)
					})
				}
			}
		})
	}
}

// userCell makes a fault happen to a command of a call about a user.
func (n *Network) userCell(tr userTrouble, f fault) {
	n.t.Helper()
	for tries := attempts; tries > 0; tries-- {
		v := n.visitOf(tr)
		path := v.filled(tr.call.path)
		before := v.mine.As()
		a, took, struck := n.strikeAt(Trouble{Command: tr.command, Nth: tr.nth}, tr.ofList, f, v.mine, path)
		if !struck {
			continue // a connection that the last fault has spoiled
		}
		n.Proxy.Cut() // what hangs
		undone := f.kind == refused || tr.write && f.wire == faultproxy.StallBefore
		lied := a.Status == http.StatusOK && !tr.late && !tr.again && undone
		gaveUp := a.Status != http.StatusOK && tr.late && f.kind != down // which concerns other commands, too
		if (lied || gaveUp) && tries > 1 {
			continue // what a request before had sent again may have met it, or another command of this one
		}
		switch {
		case a.Err != nil || a.Status != http.StatusOK && a.Status != http.StatusServiceUnavailable:
			n.t.Errorf("%s: %v (%v)", path, a, n.last())
		case lied:
			n.t.Errorf("%s: 200, though the store did not do it", path)
		case gaveUp:
			n.t.Errorf("%s: %v (%v), want 200: what is missing is done by whoever comes next", path, a, n.last())
		}
		if f.kind == refused && took > time.Second+busy || took > 6*silence+ample+busy {
			n.t.Errorf("%s took %v", path, took)
		}
		if a.Status == http.StatusServiceUnavailable {
			n.failed(v, tr, a, before, path)
		}
		tr.call.holds(v)
		n.nothingIsLeft(v, before)
		return
	}
	n.t.Fatalf("%s: no %s was sent", tr.name, tr.command)
}

// visitOf begins a visit of a new user.
func (n *Network) visitOf(tr userTrouble) *userVisit {
	n.t.Helper()
	v := &userVisit{n: n, user: rand.Text(), mine: NewBrowser()}
	if tr.call.other {
		v.other = NewBrowser()
		v.other.Must(n.t, n.calm+"/signin?user="+v.user)
		v.handle = v.devices(v.other)[0].Handle
	}
	v.mine.Must(n.t, n.calm+v.filled(tr.call.begin))
	return v
}

// failed checks what has to be true of an answer of 503: it brings no cookie of a
// session, deletes none of one that lives, and the same can be asked for again.
func (n *Network) failed(v *userVisit, tr userTrouble, a Answer, before *Browser, path string) {
	n.t.Helper()
	switch {
	case a.Cookie == nil && v.mine.Cookie == before.Cookie:
	case a.Cookie != nil && a.Cookie.MaxAge < 0: // a revocation that came as far as the session that asks
		v.who(before, "")
	default:
		n.t.Errorf("%s: 503 brings a cookie", path)
	}
	if strings.HasPrefix(tr.name, "renewal") && v.mine.As().Get(n.calm+"/who").Text != "user="+v.user {
		// The old id was given up, which is known afterwards: who asks again is a new visitor.
		v.mine.Must(n.t, n.calm+"/signin?user="+v.user)
		return
	}
	v.mine.Must(n.t, n.calm+path) // asked for again
}

// nothingIsLeft checks that a revocation ends whatever anybody has a cookie of.
func (n *Network) nothingIsLeft(v *userVisit, before *Browser) {
	n.t.Helper()
	NewBrowser().Must(n.t, n.calm+"/revoke-user?user="+v.user)
	for _, b := range []*Browser{v.mine, v.other, before} {
		v.who(b, "")
	}
}
