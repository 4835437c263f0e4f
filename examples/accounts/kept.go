package main

import (
	"context"
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

// fileUsers are memoryUsers that are written to a file whenever they change.
type fileUsers struct {
	memoryUsers

	name string
}

func openUsers(dir, admin string) (*fileUsers, error) {
	u := &fileUsers{memoryUsers: memoryUsers{admin: admin}, name: filepath.Join(dir, keptUsers)}
	text, err := os.ReadFile(u.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return u, nil
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(text, &u.all); err != nil {
		return nil, fmt.Errorf("%s holds no accounts: remove it, or choose another folder with -data", u.name)
	}
	return u, nil
}

func (u *fileUsers) Add(ctx context.Context, added user) (user, error) {
	added, err := u.memoryUsers.Add(ctx, added)
	if err == nil {
		err = u.save()
	}
	return added, err
}

func (u *fileUsers) SetPassword(ctx context.Context, id, was, hashed string) error {
	if err := u.memoryUsers.SetPassword(ctx, id, was, hashed); err != nil {
		return err
	}
	return u.save()
}

// save puts a new file in the place of the old one, so that there is always a whole one.
func (u *fileUsers) save() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	text, err := json.Marshal(u.all)
	if err == nil {
		err = os.WriteFile(u.name+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(u.name+".new", u.name)
	}
	return err
}
