package promises

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// userRoutes are what an app does with the sessions of its users.
func userRoutes(m *core.Manager) []adaptertest.Route {
	answer := func(path string, do func(c *adaptertest.Context) (any, error)) adaptertest.Route {
		return At(path, func(c *adaptertest.Context) error {
			text, err := do(c)
			if err != nil {
				return fail(c, err)
			}
			return Say(c, text)
		})
	}
	return []adaptertest.Route{
		answer("/signin", func(c *adaptertest.Context) (any, error) {
			name := c.Request.FormValue("user")
			if name == "" {
				name = rand.Text()
			}
			return "hello", c.Get().SignIn(c.Request.Context(), name, "password")
		}),
		answer("/signin-again", func(c *adaptertest.Context) (any, error) {
			return "hello", c.Get().SignIn(c.Request.Context(), c.Get().User())
		}),
		answer("/who", func(c *adaptertest.Context) (any, error) { return "user=" + c.Get().User(), nil }),
		answer("/signout", func(c *adaptertest.Context) (any, error) { return "bye", c.Get().SignOut(c.Request.Context()) }),
		answer("/spend", func(c *adaptertest.Context) (any, error) {
			return "spent", c.Get().RequireRecentSignIn(c.Request.Context(), time.Hour)
		}),
		answer("/devices", func(c *adaptertest.Context) (any, error) {
			var all []core.Info
			for info, err := range m.Sessions(c.Request.Context(), c.Get().User()) {
				if err != nil {
					return nil, err
				}
				all = append(all, info)
			}
			text, err := json.Marshal(all)
			return string(text), err
		}),
		answer("/revoke", func(c *adaptertest.Context) (any, error) {
			return "done", m.Revoke(c.Request.Context(), c.Request.FormValue("user"), c.Request.FormValue("handle"))
		}),
		answer("/revoke-user", func(c *adaptertest.Context) (any, error) {
			name := c.Request.FormValue("user")
			if name == "" {
				name = c.Get().User()
			}
			return "done", m.RevokeUser(c.Request.Context(), name)
		}),
		answer("/revoke-others", func(c *adaptertest.Context) (any, error) {
			return "done", m.RevokeOthers(c.Request.Context(), c.Get())
		}),
	}
}

// Users tests what is promised about the sessions of a user with three processes
// of one app, each by another framework, on one server. stale tells that a process
// may go on reading for a while what another one ended.
func Users(t *testing.T, s Setup, stale bool) {
	ask := "?fresh"
	if !stale {
		ask = ""
	}
	users(t, s, ask, StartThree)
}

// UsersWithin is Users for a store that lives in one process: the three are three
// managers there.
func UsersWithin(t *testing.T, st store.Store) {
	users(t, Setup{}, "", func(t *testing.T, s Setup) []*Process {
		return three(s, func(s Setup) *Process {
			app, err := s.serve(st, nil)
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(app)
			t.Cleanup(server.Close)
			return &Process{server.URL}
		})
	})
}

func users(t *testing.T, s Setup, ask string, start func(*testing.T, Setup) []*Process) {
	all := start(t, s)
	t.Run("log out everywhere", func(t *testing.T) { revokeUser(t, all, ask) })
	t.Run("log out everywhere under logins", func(t *testing.T) { revokeUnderLogins(t, all, ask, false) })
	t.Run("log out everywhere else", func(t *testing.T) { revokeOthers(t, all, ask) })
	t.Run("log out everywhere else under logins", func(t *testing.T) { revokeUnderLogins(t, all, ask, true) })
	t.Run("log out everywhere under logins by a former password", func(t *testing.T) { revokeUnderAttempts(t, all, ask) })
	t.Run("devices", func(t *testing.T) { devices(t, all, ask) })
	t.Run("log one device out while it changes its id", func(t *testing.T) { revokeUnderRenewals(t, all, ask) })
	t.Run("RequireRecentSignIn sees a revocation at once", func(t *testing.T) { fresh(t, all) })
	for _, at := range []core.AtUserLimit{core.DropLeastRecentlyUsed, core.DropOldest, core.RefuseNew} {
		s.MaxSessionsPerUser, s.AtUserLimit = 3, at
		t.Run("at most three, "+at.String(), func(t *testing.T) { limit(t, start(t, s), s, ask) })
	}
}

// signIn is a browser with a session of a user.
func signIn(t *testing.T, p *Process, name string) *Browser {
	t.Helper()
	b := NewBrowser()
	b.Begin(t, p.URL+"/signin?user="+name)
	return b
}

func revokeUser(t *testing.T, all []*Process, ask string) {
	ann, bob := rand.Text(), rand.Text()
	var browsers []*Browser
	for i := range 6 {
		b := signIn(t, all[i%len(all)], ann)
		for _, p := range all { // so that all processes know it
			b.Expect(t, p.URL+"/who", "user="+ann)
		}
		browsers = append(browsers, b)
	}
	browsers[0].Must(t, all[1].URL+"/login") // which renews it
	other := signIn(t, all[0], bob)
	NewBrowser().Must(t, all[2].URL+"/revoke-user?user="+ann)
	for i, b := range browsers {
		for _, p := range all {
			if a := b.As().Get(p.URL + "/who" + ask); !a.Says("user=") {
				t.Errorf("session %d at its next click: %v, want 200 \"user=\", no cookie", i, a)
			}
		}
	}
	other.Expect(t, all[2].URL+"/who"+ask, "user="+bob)
}

// revokeUnderLogins ends all sessions of a user, or all but one, while others begin.
// Whoever was told before the call that they are signed in must be out when it
// returns, and the one must not.
func revokeUnderLogins(t *testing.T, all []*Process, ask string, butOne bool) {
	const rounds, clients, each = 4, 24, 3
	ann := rand.Text()
	one := signIn(t, all[0], ann)
	revoke := func(p *Process) {
		if !butOne {
			NewBrowser().Must(t, p.URL+"/revoke-user?user="+ann)
			return
		}
		one.Must(t, p.URL+"/revoke-others")
		for _, p := range all {
			one.Expect(t, p.URL+"/who"+ask, "user="+ann)
		}
	}
	type login struct {
		answer  Answer
		browser *Browser
		ended   time.Time
	}
	var (
		mu     sync.Mutex
		logins []login
	)
	took := func() []login {
		mu.Lock()
		defer mu.Unlock()
		return append([]login(nil), logins...)
	}
	checked, failed := 0, 0
	for round := range rounds {
		before := len(took())
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				for n := range each {
					b := NewBrowser()
					if n%2 == 0 {
						b.Must(t, all[i%len(all)].URL+"/count")
					}
					l := login{browser: b}
					l.answer = b.Get(all[(i+n)%len(all)].URL + "/signin?user=" + ann)
					l.ended = time.Now()
					if a := l.answer; a.Err != nil || a.Status != http.StatusOK && !a.Refused(http.StatusConflict) {
						t.Errorf("a login under a revocation: %v, want 200 or 409", a)
					}
					mu.Lock()
					logins = append(logins, l)
					mu.Unlock()
				}
			})
		}
		Eventually(t, "some have signed in", func() bool { return len(took()) >= before+clients })
		called := time.Now()
		revoke(all[round%len(all)])
		for _, l := range took()[before:] {
			if l.ended.After(called) || l.answer.Status != http.StatusOK {
				continue
			}
			checked++
			if a := l.browser.As().Get(all[checked%len(all)].URL + "/who" + ask); !a.Says("user=") {
				t.Errorf("a session lives whose sign-in was answered %v before the revocation: %v", called.Sub(l.ended), a)
			}
		}
		wg.Wait()
	}
	revoke(all[0])
	for i, l := range took() {
		if l.answer.Status == http.StatusConflict {
			failed++
		}
		if a := l.browser.As().Get(all[i%len(all)].URL + "/who" + ask); !a.Says("user=") {
			t.Errorf("a session lives when all have signed in and were revoked: %v", a)
		}
	}
	t.Logf("%d logins in %d processes, %d of them beaten by one of %d revocations; %d were checked while others signed in", len(logins), len(all), failed, rounds, checked)
}

// revokeUnderAttempts ends all sessions of a user whose password was changed, under
// logins in all processes that have read the former one and go on when that is done, or
// at the same time. None of them may be in afterwards, and whoever begins then is.
func revokeUnderAttempts(t *testing.T, all []*Process, ask string) {
	const logins = 24
	for _, racing := range []bool{false, true} {
		ann := rand.Text()
		signIn(t, all[0], ann).Must(t, all[1].URL+"/who")
		var (
			answers  [logins]Answer
			browsers [logins]*Browser
			wg       sync.WaitGroup
		)
		for i := range logins {
			browsers[i] = NewBrowser()
			if i%2 == 0 {
				browsers[i].Must(t, all[i%len(all)].URL+"/count")
			}
			wg.Go(func() { answers[i] = browsers[i].Get(all[i%len(all)].URL + "/hold-signin?user=" + ann) })
		}
		Eventually(t, "all have read the password", func() bool { return held(t, all) == logins })
		if racing {
			wg.Go(func() { release(t, all) })
		}
		NewBrowser().Must(t, all[2].URL+"/revoke-user?user="+ann)
		if !racing {
			release(t, all)
		}
		wg.Wait()
		for i, a := range answers {
			if !a.Refused(http.StatusConflict) && (!racing || a.Err != nil || a.Status != http.StatusOK) {
				t.Errorf("a login by a former password: %v, want 409, or 200 where it was faster than the revocation", a)
			}
			if a := browsers[i].As().Get(all[(i+1)%len(all)].URL + "/who" + ask); !a.Says("user=") {
				t.Errorf("a login by a former password lives: %v", a)
			}
		}
		next := NewBrowser()
		var a Answer
		wg.Go(func() { a = next.Get(all[1].URL + "/hold-signin?user=" + ann) })
		Eventually(t, "it has read the new password", func() bool { return held(t, all) == 1 })
		release(t, all)
		wg.Wait()
		if a.Err != nil || a.Status != http.StatusOK {
			t.Errorf("a login that began afterwards: %v", a)
		}
		next.Expect(t, all[0].URL+"/who"+ask, "user="+ann)
	}
}

func revokeOthers(t *testing.T, all []*Process, ask string) {
	ann := rand.Text()
	mine := signIn(t, all[0], ann)
	var others []*Browser
	for i := range 5 {
		others = append(others, signIn(t, all[i%len(all)], ann))
	}
	mine.Must(t, all[1].URL+"/revoke-others")
	for i, b := range others {
		if a := b.As().Get(all[i%len(all)].URL + "/who" + ask); !a.Says("user=") {
			t.Errorf("another session: %v", a)
		}
	}
	for _, p := range all {
		mine.Expect(t, p.URL+"/who"+ask, "user="+ann)
	}
}

func devices(t *testing.T, all []*Process, ask string) {
	ann := rand.Text()
	var browsers []*Browser
	for i := range 3 {
		browsers = append(browsers, signIn(t, all[i], ann))
	}
	list := func(b *Browser, p *Process) (infos []core.Info) {
		t.Helper()
		a := b.As().Get(p.URL + "/devices")
		if err := json.Unmarshal([]byte(a.Text), &infos); err != nil || a.Status != http.StatusOK {
			t.Fatalf("/devices: %v", a)
		}
		return infos
	}
	for i, b := range browsers {
		for _, p := range all {
			infos := list(b, p)
			if len(infos) != len(browsers) {
				t.Fatalf("%d devices, want %d", len(infos), len(browsers))
			}
			for place, info := range infos {
				if want := place == len(browsers)-1-i; info.Current != want {
					t.Errorf("device %d of browser %d is the current one: %v", place, i, info.Current)
				}
				if ago := time.Since(info.LastSeen); ago < -time.Minute || ago > time.Minute {
					t.Errorf("last seen %v ago", ago)
				}
				if len(info.Methods) != 1 || info.Network.String() != "127.0.0.0/24" {
					t.Errorf("device %+v", info)
				}
			}
		}
	}
	handle := list(browsers[0], all[1])[1].Handle // of the second
	if a := NewBrowser().Get(all[0].URL + "/revoke?user=" + rand.Text() + "&handle=" + handle); a.Status != core.HTTPStatus(store.ErrNotFound) {
		t.Errorf("/revoke for another user: %v", a)
	}
	browsers[1].Expect(t, all[1].URL+"/who"+ask, "user="+ann)
	browsers[0].Must(t, all[2].URL+"/revoke?user="+ann+"&handle="+handle)
	for i, b := range browsers {
		want := "user=" + ann
		if i == 1 {
			want = "user="
		}
		for _, p := range all {
			b.As().Expect(t, p.URL+"/who"+ask, want)
		}
	}
}

// revokeUnderRenewals ends a session by its handle while its browser gets one new id
// after another, from all processes.
func revokeUnderRenewals(t *testing.T, all []*Process, ask string) {
	renewed := 0
	for round := range 10 {
		ann := rand.Text()
		mine := signIn(t, all[round%len(all)], ann)
		var handle string
		var infos []core.Info
		a := mine.Get(all[0].URL + "/devices")
		if err := json.Unmarshal([]byte(a.Text), &infos); err != nil || len(infos) != 1 {
			t.Fatalf("/devices: %v", a)
		}
		handle = infos[0].Handle
		var (
			stop  = make(chan struct{})
			ready = make(chan struct{})
			wg    sync.WaitGroup
		)
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if a := mine.Get(all[n%len(all)].URL + "/login"); a.Err != nil || a.Status != http.StatusOK && !a.Refused(http.StatusConflict) {
					t.Errorf("a renewal under a revocation: %v, want 200 or 409", a)
				}
				renewed++
				if n == 2 {
					close(ready)
				}
			}
		})
		<-ready
		NewBrowser().Must(t, all[(round+1)%len(all)].URL+"/revoke?user="+ann+"&handle="+handle)
		close(stop)
		wg.Wait()
		for _, p := range all {
			mine.As().Expect(t, p.URL+"/who"+ask, "user=")
		}
	}
	t.Logf("%d renewals under 10 revocations", renewed)
}

func fresh(t *testing.T, all []*Process) {
	for range 10 {
		ann := rand.Text()
		b := signIn(t, all[0], ann)
		for _, p := range all { // so that it is in every cache there is
			b.Expect(t, p.URL+"/who", "user="+ann)
			b.Expect(t, p.URL+"/spend", "spent")
		}
		NewBrowser().Must(t, all[1].URL+"/revoke-user?user="+ann)
		for _, p := range all {
			a := b.As().Get(p.URL + "/spend")
			if !a.Refused(http.StatusConflict) && !a.Refused(http.StatusUnauthorized) {
				t.Errorf("/spend after a revocation: %v, want 409 or 401", a)
			}
		}
	}
}

// limit has a hundred browsers sign in at once.
func limit(t *testing.T, all []*Process, s Setup, ask string) {
	const clients = 100
	ann := rand.Text()
	var (
		answers  [clients]Answer
		browsers [clients]*Browser
	)
	InParallel(clients, func(i int) {
		browsers[i] = NewBrowser()
		answers[i] = browsers[i].Get(all[i%len(all)].URL + "/signin?user=" + ann)
	})
	in, lives := 0, 0
	for i, a := range answers {
		switch {
		case a.Err == nil && a.Status == http.StatusOK:
			in++
			if browsers[i].Get(all[(i+1)%len(all)].URL + "/who" + ask).Says("user=" + ann) {
				lives++
			}
		case s.AtUserLimit != core.RefuseNew || !a.Refused(http.StatusForbidden):
			t.Errorf("a login: %v", a)
		}
	}
	if lives != s.MaxSessionsPerUser {
		t.Errorf("%d sessions live, want %d", lives, s.MaxSessionsPerUser)
	}
	t.Logf("of %d logins at once %d were let in, and %d sessions live", clients, in, lives)
}

// userTrips are what requests wait for that are about users.
var userTrips = []roundTrip{
	{"sign-in without a session", "", "/signin", false, 2},
	{"sign-in", "/count", "/signin", false, 4},
	{"sign-in again", "/signin", "/signin-again", false, 4},
	{"new id of a user's session", "/signin", "/login", false, 4},
	{"reads, of a user", "/signin", "/read", false, 1},
	{"reads, of a user, extension is due", "/signin", "/read", true, 1},
	{"changes, of a user", "/signin", "/count", false, 2},
	{"logout of a user", "/signin", "/signout", false, 2},
	{"RequireRecentSignIn", "/signin", "/spend", false, 2},
	{"lists the user's sessions", "/signin", "/devices", false, 3},
	{"ends the user's sessions", "/signin", "/revoke-user", false, 5},
}
