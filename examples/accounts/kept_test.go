package main

import (
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestWhoIsLoggedInIsSoAfterARestart has two processes, as far as they have something in
// common: the folder.
func TestWhoIsLoggedInIsSoAfterARestart(t *testing.T) {
	dir := t.TempDir()
	start := func(s *site) (stop func()) {
		kept, err := secretIn(dir)
		if err != nil {
			t.Fatal(err)
		}
		users, err := openUsers(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		store, closeStore, err := openStore(t.Context(), "sqlite:"+filepath.Join(dir, keptSessions))
		if err != nil {
			t.Fatal(err)
		}
		if s.app, err = newApp(store, settings{idle: time.Hour, fresh: time.Minute, bar: time.Minute, secret: kept, users: users, mail: s}); err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(s.app.protect(newGin(s.app)))
		s.url, s.app.url = server.URL, server.URL
		stop = sync.OnceFunc(func() {
			server.Close()
			if err := closeStore(); err != nil {
				t.Error(err)
			}
		})
		t.Cleanup(stop)
		return stop
	}
	var s site
	stop := start(&s)
	ann := s.browser(t).signUp("ann")
	ann.post("/cart", "item", "coat").at(200, "/")
	stop()

	start(&s)
	ann.get("/profile").at(200, "/profile").says("ann@example.com")
	ann.get("/cart").at(200, "/cart").says("Wool coat")
	ann.post("/logout").at(200, "/")
	s.browser(t).logIn("ann", secret)
}

func TestAccountsAndSecretAreKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	secret, err := secretIn(dir)
	if err != nil || len(secret) < 32 {
		t.Fatalf("a secret of %d bytes, %v", len(secret), err)
	}
	before, err := openUsers(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	ann, err := before.Add(t.Context(), user{Email: "ann@example.com", Name: "Ann", Password: "first"})
	if err != nil {
		t.Fatal(err)
	}
	if err := before.SetPassword(t.Context(), ann.ID, "first", "second"); err != nil {
		t.Fatal(err)
	}

	if again, err := secretIn(dir); err != nil || again != secret {
		t.Errorf("the secret is another after a restart (%v)", err)
	}
	after, err := openUsers(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := after.ByID(t.Context(), ann.ID); err != nil || got.Email != ann.Email || got.Password != "second" || !got.Admin {
		t.Errorf("after a restart: %+v, %v", got, err)
	}
	if _, err := after.Add(t.Context(), user{Email: "ann@example.com"}); !errors.Is(err, errTaken) {
		t.Errorf("a second account with the email: %v, want errTaken", err)
	}
	for _, name := range []string{keptSecret, keptUsers} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, want the mode 0600 (%v)", name, info, err)
		}
	}

	// What cannot be kept is not done either: the sessions would not be ended for it.
	if err := os.Mkdir(filepath.Join(dir, keptUsers+".new"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := after.SetPassword(t.Context(), ann.ID, "second", "third"); err == nil {
		t.Error("a password that cannot be kept is no error")
	}
	if got, err := after.ByID(t.Context(), ann.ID); err != nil || got.Password != "second" {
		t.Errorf("after a change that could not be kept: %+v, %v", got, err)
	}
	if _, err := after.Add(t.Context(), user{Email: "bob@example.com"}); err == nil {
		t.Error("an account that cannot be kept is no error")
	}
	if _, err := after.ByEmail(t.Context(), "bob@example.com"); !errors.Is(err, errNoUser) {
		t.Errorf("an account that could not be kept: %v, want errNoUser", err)
	}

	if err := os.WriteFile(filepath.Join(dir, keptUsers), []byte("no accounts"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openUsers(dir, ""); err == nil {
		t.Error("a damaged file is no error")
	}
}
