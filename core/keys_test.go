package core_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

var oldKey, newKey = strings.Repeat("the old key ", 4), strings.Repeat("the new key ", 4)

// A fleet is the instances of an app on one store, under one clock.
type fleet struct {
	*userStore
	t     *testing.T
	first *stage
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	first, backing := newUserStage(t, core.Config{SealKeys: []string{oldKey}})
	return &fleet{backing, t, first}
}

// deploy returns an instance with other settings.
func (f *fleet) deploy(cfg core.Config) *stage {
	f.t.Helper()
	cfg.Store = f.userStore
	next := newStage(f.t, cfg)
	next.clock.follow(f.first.clock)
	return next
}

// rotate goes through what docs/keys.md says, with an app that is in use: no step
// of it ends a session, whichever instance serves it. It returns the cookies of a phone
// that was sealed anew, and of a tablet that was not.
func (f *fleet) rotate() (phone, tablet string) {
	f.t.Helper()
	phone, tablet = f.first.logIn("", "ada"), f.first.logIn("", "ada")
	knows, seals := f.deploy(core.Config{SealKeys: []string{oldKey, newKey}}), f.deploy(core.Config{SealKeys: []string{newKey, oldKey}})
	seals.visit(phone, func(s *core.Session) { s.Set("n", 1) })
	for _, instance := range []*stage{knows, seals} {
		for _, cookie := range []string{phone, tablet} {
			if user := instance.userOf(cookie); user != "ada" {
				f.t.Errorf("during the rotation the user is %q", user)
			}
		}
	}
	return phone, tablet
}

// Standards: ASVS-11.1.1, ASVS-13.1.4
func TestAKeyIsRotatedAndWaitedFor(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	phone, tablet := f.rotate()
	resaving := f.deploy(core.Config{SealKeys: []string{newKey, oldKey}, Resave: true})
	for range 2 * 5 { // for as long as a list may live: four idle timeouts and a day
		f.first.clock.advance(12 * time.Hour)
		if user := resaving.userOf(tablet); user != "ada" {
			t.Errorf("while one waits, the user is %q", user)
		}
	}
	st := f.deploy(core.Config{SealKeys: []string{newKey}})
	if st.userOf(tablet) != "ada" || st.userOf(phone) != "" {
		t.Error("who was here all the time is gone, or who was not is here")
	}
	if all := st.listOf("ada"); len(all) != 1 {
		t.Errorf("%d sessions are listed, want 1", len(all))
	}
	st.logIn("", "ada")
	if n := st.events.count(core.EventKeyRetired) + st.events.count(core.EventStoreError); n != 0 {
		t.Errorf("%d events of a key that is gone", n)
	}
}

// A key that others know is retired at once: what it sealed counts as gone, and
// nobody gets an error page for it.
//
// Standards: ASVS-11.1.1, ASVS-13.1.4
func TestAKeyIsRotatedAndRetired(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]string{"with another one in its place": {newKey}, "with none in its place": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			phone, tablet := f.rotate()
			laptop := f.first.logIn("", "ada") // of an instance that the rotation has not reached
			var counted counts
			st := f.deploy(core.Config{SealKeys: keys, RetiredSealKeys: []string{oldKey}, Observer: &counted})
			if keys == nil {
				phone = "" // what is sealed under the new key is another matter
			} else if user := st.userOf(phone); user != "ada" {
				t.Errorf("who was sealed anew is %q", user)
			}
			for range 2 {
				for _, cookie := range []string{tablet, laptop} {
					if user := st.userOf(cookie); user != "" { // and the answer is 200
						t.Errorf("who was not sealed anew is %q", user)
					}
				}
			}
			if !slices.Equal(counted.of(core.EventKeyRetired), []int{1, 2}) || st.log.count("RetiredSealKeys") != 1 {
				t.Errorf("%v was told, and %d lines were logged", counted.of(core.EventKeyRetired), st.log.count("RetiredSealKeys"))
			}
			// The list was written by that instance, under the old key.
			if err := st.RevokeUser(t.Context(), "ada"); err != nil || phone != "" && st.userOf(phone) != "" {
				t.Errorf("RevokeUser: %v", err)
			}
			for _, cookie := range []string{tablet, ""} {
				if user := st.userOf(st.logIn(cookie, "ada")); user != "ada" {
					t.Errorf("after a login the user is %q", user)
				}
			}
			if all := st.listOf("ada"); len(all) != 2 {
				t.Errorf("%d sessions are listed, want 2", len(all))
			}
		})
	}
}

// A login is the first that comes upon a list under a retired key.
func TestALoginGoesOnWithTheListUnderARetiredKey(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	phone, _ := f.rotate()
	st := f.deploy(core.Config{SealKeys: []string{newKey}, RetiredSealKeys: []string{oldKey}})
	st.logIn("", "ada")
	if all := st.listOf("ada"); len(all) != 2 {
		t.Errorf("%d sessions are listed, want 2: the phone and the one that came", len(all))
	}
	if err := f.deploy(core.Config{SealKeys: []string{newKey}}).RevokeUser(t.Context(), "ada"); err != nil || st.userOf(phone) != "" {
		t.Errorf("the list is not sealed anew: %v", err)
	}
}

// A key that was taken out by mistake ends nothing.
func TestAKeyThatIsMissingIsAnErrorOfTheSetup(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	_, tablet := f.rotate()
	st := f.deploy(core.Config{SealKeys: []string{newKey}, RetiredSealKeys: []string{strings.Repeat("another key ", 4)}})
	if a := st.request(tablet, func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }); a.status != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", a.status)
	}
	if err := st.RevokeUser(t.Context(), "bob"); err != nil {
		t.Errorf("of a user whose list is not concerned: %v", err)
	}
	if _, err := walk(st.Sessions(t.Context(), "ada")); !errors.Is(err, core.ErrUnknownSealKey) {
		t.Errorf("of the list: %v", err)
	}
	if user := f.deploy(core.Config{SealKeys: []string{newKey, oldKey}}).userOf(tablet); user != "ada" {
		t.Errorf("with the key again the user is %q", user)
	}
}

// counts are the counts of events.
type counts struct {
	mu     sync.Mutex
	events []core.Event
}

func (c *counts) Observe(_ context.Context, e core.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
}

func (c *counts) of(kind core.EventKind) (all []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		if e.Kind == kind {
			all = append(all, e.Count)
		}
	}
	return all
}
