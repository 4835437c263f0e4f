package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What is kept in a folder over a restart, by -data. An app that is deployed has its
// accounts in a database, and its secret from where secrets are.
const (
	keptSessions = "sessions.db"
	keptUsers    = "users.json"
	keptSecret   = "secret"
)

// secretIn returns the secret in a folder, which it makes where there is none: for the
// user of this process alone.
func secretIn(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	name := filepath.Join(dir, keptSecret)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte(rand.Text() + rand.Text())
		err = os.WriteFile(name, text, 0o600)
	}
	return strings.TrimSpace(string(text)), err
}

// openUsers returns the accounts in a folder, which are written there whenever they change.
func openUsers(dir, admin string) (*memoryUsers, error) {
	name := filepath.Join(dir, keptUsers)
	u := &memoryUsers{admin: admin, keep: func(all []user) error { return keepUsers(name, all) }}
	text, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return u, nil
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(text, &u.all); err != nil {
		return nil, fmt.Errorf("%s holds no accounts: remove it, or choose another folder with -data", name)
	}
	return u, nil
}

// keepUsers puts a new file in the place of the old one, so that there is always a whole one.
func keepUsers(name string, all []user) error {
	text, err := json.Marshal(all)
	if err == nil {
		err = os.WriteFile(name+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	return err
}
