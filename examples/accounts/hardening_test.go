package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What somebody tries who knows a password that was changed, wants to know who has an
// account, or wants nobody to get in.

func TestSignUpDoesNotTellWhichAddressesHaveAnAccount(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		s.browser(t).signUp("ann")
		page := func(email string) string {
			r := s.browser(t).post("/signup", "name", "Eve", "email", email).at(200, "/signup")
			return strings.ReplaceAll(r.body, email, "EMAIL")
		}
		if taken, free := page("ann@example.com"), page("bob@example.com"); taken != free {
			t.Errorf("the pages differ:\n%s\n%s", taken, free)
		}
		if mail := s.lastMail(t, "ann@example.com"); !strings.Contains(mail, "You have an account already") || linkTo.MatchString(mail) {
			t.Errorf("the mail to whoever has an account: %s", mail)
		}
		s.browser(t).logIn("ann", secret)
	})
}

func TestAnAccountIsThatOfWhoeverReadsTheMail(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		b := s.browser(t)
		b.asksFor("Ann", "ann@example.com", "")
		b.post("/login", "email", "ann@example.com", "password", secret).at(401, "/login") // there is no account yet
		token := linkTo.FindStringSubmatch(s.lastMail(t, "ann@example.com"))[2]

		text, signature, _ := strings.Cut(token, ".")
		for what, forged := range map[string]string{
			"none": "", "no token": "x", "no signature": text, "an empty signature": text + ".", "no text": "." + signature,
			"another text": "e30." + signature, "another signature": text + "." + text,
		} {
			b.get("/signup/confirm?token=" + forged).isProblem(410)
			if r := b.post("/signup/confirm", "token", forged, "password", secret); r.status != 410 {
				t.Errorf("a link with %s: %d", what, r.status)
			}
		}
		b.post("/signup/confirm", "token", token, "password", "seven77").at(422, "/signup/confirm").says("at least 8")
		b.confirms("ann@example.com").at(200, "/").says("Welcome, Ann")
		again := s.browser(t)
		again.post("/signup/confirm", "token", token, "password", "battery staple").at(200, "/login").saysNot(`id="user"`)
		again.logInAs("Ann", "ann@example.com", secret) // the password is as it was

		b.asksFor("Bob", "bob@example.com", "")
		s.later.Add(int64(time.Hour))
		b.get("/signup/confirm?token=" + linkTo.FindStringSubmatch(s.lastMail(t, "bob@example.com"))[2]).isProblem(410)
	})
}

func (b *browser) logInAs(name, email, password string) {
	b.t.Helper()
	b.post("/login", "email", email, "password", password).at(200, "/").says("Hello, " + name)
}

func TestTheAdminHasToReadTheMailToo(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		s.app.users = &memoryUsers{admin: "boss@example.com"}
		mallory := s.browser(t)
		mallory.asksFor("Boss", "boss@example.com", "/admin")
		mallory.get("/admin").isProblem(401)
		mallory.signUp("mallory")
		mallory.get("/admin").isProblem(403)
		boss := s.browser(t)
		boss.confirms("boss@example.com").at(200, "/admin")
	})
}

// usersWith are accounts to which something happens after the password was read for a
// login: n counts how often ByID was asked.
type usersWith struct {
	users
	n    int
	then func(n int)
}

func (u *usersWith) ByID(ctx context.Context, id string) (user, error) {
	found, err := u.users.ByID(ctx, id)
	u.n++
	u.then(u.n)
	return found, err
}

// Standards: ASVS-7.4.3
func TestALoginThatIsUnderWayDoesNotSurviveAPasswordChangeOrARevocation(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		real := s.app.users
		for i, c := range []struct {
			what  string
			after int  // how many looks at the account
			sets  bool // a new password
			want  int
		}{
			{"the password is changed while its hash is computed", 1, true, 401},
			{"the password is changed after the second look", 2, true, 409},
			{"the user is logged out everywhere while the hash is computed", 1, false, 409},
		} {
			name := fmt.Sprint("user", i)
			s.browser(t).signUp(name)
			u := must(real.ByEmail(t.Context(), name+"@example.com"))
			s.app.users = &usersWith{users: real, then: func(n int) {
				if n != c.after {
					return
				}
				if c.sets {
					if err := real.SetPassword(t.Context(), u.ID, u.Password, hashPassword("battery staple")); err != nil {
						t.Error(err)
					}
				}
				if err := s.app.sessions.RevokeUser(t.Context(), u.ID); err != nil {
					t.Error(err)
				}
			}}
			mallory := s.browser(t)
			if r := mallory.post("/login", "email", u.Email, "password", secret); r.status != c.want {
				t.Errorf("%s: %d, want %d", c.what, r.status, c.want)
			}
			s.app.users = real
			mallory.get("/profile").isProblem(401)
		}
	})
}

func must(u user, err error) user {
	if err != nil {
		panic(err)
	}
	return u
}

func TestWhoeverKnowsAFormerPasswordCannotChangeIt(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		mallory := s.browser(t).signUp("ann")
		real := s.app.users
		owners := hashPassword("the owner's new one")
		s.app.users = &changedMeanwhile{real, owners}
		mallory.post("/password", "current", secret, "new", "battery staple").at(422, "/password").says("not your current password")
		if u := must(real.ByEmail(t.Context(), "ann@example.com")); u.Password != owners {
			t.Error("the owner's change is overwritten")
		}
	})
}

// changedMeanwhile are accounts in which the owner is a moment faster.
type changedMeanwhile struct {
	users
	owners string
}

func (c *changedMeanwhile) SetPassword(ctx context.Context, id, was, hashed string) error {
	if err := c.users.SetPassword(ctx, id, was, c.owners); err != nil {
		return err
	}
	return c.users.SetPassword(ctx, id, was, hashed)
}

func TestEndingDevicesNeedsARecentLogin(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		laptop, phone := s.browser(t).signUp("ann"), s.browser(t).logIn("ann", secret)
		others, _ := laptop.devices()
		s.later.Add(int64(11 * time.Minute))
		for _, r := range []reply{
			laptop.post("/devices/end", "handle", others[0]),
			laptop.post("/devices/end-others"),
			laptop.post("/devices/end", "handle", "somebody else's"),
		} {
			r.isProblem(401).says("Log in again")
		}
		laptop.postFrom("/devices", "/devices/end", "handle", others[0]).at(200, "/login?return_to=%2Fdevices").says("logged in for a while")
		laptop.postFrom("/admin", "/admin/end-user", "email", "ann@example.com").at(200, "/login?return_to=%2Fadmin")
		phone.get("/profile").at(200, "/profile")
		laptop.post("/login", "email", "ann@example.com", "password", secret, "return_to", "/devices").at(200, "/devices")
		laptop.post("/devices/end", "handle", others[0]).at(200, "/devices").says("That device is logged out")
		phone.get("/profile").isProblem(401)

		s.later.Add(int64(11 * time.Minute))
		_, current := laptop.devices()
		if page := laptop.get("/devices"); !regexp.MustCompile(`action="/logout"><button class="end quiet" name="handle" value="` + current + `"`).MatchString(page.body) {
			t.Error("its own session a device cannot end without another login")
		}
	})
}

// Whoever knows a password can log in so often that its owner is logged out. The owner
// sees that.
func TestManyLoginsDoNotEvictTheOwnerSilently(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		owner := s.browser(t).signUp("ann")
		owner.get("/devices").saysNot(`id="evicted"`)
		for range mostDevices {
			s.browser(t).logIn("ann", secret)
		}
		owner.get("/devices").isProblem(401)
		owner.logIn("ann", secret).get("/").saysNot("to make room")
		page := owner.get("/devices").at(200, "/devices").says(`id="evicted"`, "more than 10 log-ins", "change it")
		page.says("on 2 devices", "just now")

		told := s.browser(t)
		told.post("/login", "email", "ann@example.com", "password", secret).at(200, "/").says("You were logged out on a device, to make room for another")
		s.browser(t).signUp("bob").get("/devices").saysNot(`id="evicted"`)
	})
}

func TestTheServerWaitsForNobodyWithoutALimit(t *testing.T) {
	s := newServer(http.NotFoundHandler())
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 {
		t.Errorf("the limits are %v, %v, %v and %v", s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout)
	}
	if s.WriteTimeout < s.ReadTimeout+longestWait {
		t.Error("an answer may be cut off that waits for a hash")
	}
}

func TestAFullQueueForHashesIsSaidAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		ann := s.browser(t).signUp("ann")
		q := s.app.hashes
		fill := func(clients ...string) (empty func()) {
			for _, client := range clients {
				if err := q.enter(client); err != nil {
					t.Fatal(err)
				}
			}
			return func() {
				for _, client := range clients {
					q.leave(client)
				}
			}
		}
		refused := func(status int) {
			t.Helper()
			for _, r := range []reply{
				ann.post("/login", "email", "ann@example.com", "password", secret),
				ann.post("/login", "email", "nobody@example.com", "password", secret),
				ann.post("/password", "current", secret, "new", "battery staple"),
			} {
				if r.isProblem(status).header.Get("Retry-After") == "" {
					t.Errorf("%s does not say when to try again", r.path)
				}
			}
		}
		empty := fill(strings.Split(strings.Repeat(" 127.0.0.1", mostOfOne)[1:], " ")...)
		refused(429)
		empty()
		var others []string
		for i := range mostHashes {
			others = append(others, fmt.Sprint("client ", i))
		}
		empty = fill(others...)
		refused(503)
		empty()
		ann.logIn("ann", secret)
	})
}

// Logins whose clients have hung up do not hold up another one.
func TestAbandonedLoginsLeaveTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newHashQueue()
		for range cap(q.slots) { // all processors are busy
			q.slots <- struct{}{}
		}
		abandoned, hangUp := context.WithCancel(t.Context())
		errs := make(chan error, mostHashes)
		for i := range mostHashes {
			go func() {
				errs <- q.do(abandoned, fmt.Sprint(i), func() { t.Error("a hash is computed for nobody") })
			}()
		}
		synctest.Wait()
		if err := q.do(t.Context(), "real", nil); !errors.Is(err, errBusy) {
			t.Errorf("while the queue is full: %v, want errBusy", err)
		}
		hangUp()
		for range mostHashes {
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Errorf("an abandoned login: %v", err)
			}
		}
		<-q.slots
		computed := false
		if err := q.do(t.Context(), "real", func() { computed = true }); err != nil || !computed {
			t.Errorf("the next login: computed %v, %v", computed, err)
		}
		if q.all != 0 || len(q.each) != 0 {
			t.Errorf("%d are in the queue, of %d clients", q.all, len(q.each))
		}
	})
}

func TestNobodyWaitsForAHashForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newHashQueue()
		for range cap(q.slots) {
			q.slots <- struct{}{}
		}
		began := time.Now()
		if err := q.do(t.Context(), "ann", nil); !errors.Is(err, errBusy) || time.Since(began) != longestWait {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestAsManyHashesAreComputedAtOnceAsThereAreProcessors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newHashQueue()
		var wg sync.WaitGroup
		var mu sync.Mutex
		at, most := 0, 0
		for i := range mostHashes {
			wg.Go(func() {
				err := q.do(t.Context(), fmt.Sprint(i), func() {
					mu.Lock()
					at++
					most = max(most, at)
					mu.Unlock()
					time.Sleep(time.Millisecond)
					mu.Lock()
					at--
					mu.Unlock()
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most != min(runtime.GOMAXPROCS(0), mostHashes) {
			t.Errorf("%d at once", most)
		}
	})
}

func TestWhoIsOneClient(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:1234": "192.0.2.1", "[::ffff:192.0.2.1]:1": "192.0.2.1",
		"[2001:db8:1:2:3::4]:1": "2001:db8:1:2::/64", "[fe80::1%eth0]:1": "fe80::/64", "@": "", "": "",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = addr
		if got := clientOf(r); got != want {
			t.Errorf("%q is %q, want %q", addr, got, want)
		}
	}
}
