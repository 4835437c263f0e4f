package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

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
	if err := os.WriteFile(filepath.Join(dir, keptUsers), []byte("no accounts"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openUsers(dir, ""); err == nil {
		t.Error("a damaged file is no error")
	}
}
