package main

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"
)

// A user has an account, whose address was shown to be theirs: see signup.go.
type user struct {
	ID       string // for good, and never given to anybody else: what SignIn is told
	Email    string
	Name     string
	Password string // hashed
	Admin    bool
	Since    time.Time
}

// users are the accounts. They are no business of Cloakroom's: an app has them in
// its own database, and this one has them in memory.
type users interface {
	Add(ctx context.Context, u user) (user, error) // errTaken
	ByID(ctx context.Context, id string) (user, error)
	ByEmail(ctx context.Context, email string) (user, error)
	SetPassword(ctx context.Context, id, was, hashed string) error // errChanged where it is not what it was
	All(ctx context.Context) ([]user, error)                       // the oldest first
}

var (
	errTaken   = errors.New("there is an account with that email already")
	errNoUser  = errors.New("no such user")
	errChanged = errors.New("the password is another by now")
)

type memoryUsers struct {
	admin string                 // email; empty means the first one
	keep  func(all []user) error // keeps them elsewhere too, unless it is nil
	mu    sync.RWMutex
	all   []user
}

func (m *memoryUsers) Add(_ context.Context, u user) (user, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.all {
		if other.Email == u.Email {
			return user{}, errTaken
		}
	}
	u.ID = rand.Text() // sessions in a database outlive these accounts, and must not become those of others
	u.Since = time.Now()
	u.Admin = u.Email == m.admin || m.admin == "" && len(m.all) == 0
	if err := m.set(append(slices.Clone(m.all), u)); err != nil {
		return user{}, err
	}
	return u, nil
}

// set has these in the place of those that there are. What cannot be kept is not done.
func (m *memoryUsers) set(all []user) error {
	if m.keep != nil {
		if err := m.keep(all); err != nil {
			return err
		}
	}
	m.all = all
	return nil
}

func (m *memoryUsers) ByID(_ context.Context, id string) (user, error) {
	return m.find(func(u user) bool { return u.ID == id })
}

func (m *memoryUsers) ByEmail(_ context.Context, email string) (user, error) {
	return m.find(func(u user) bool { return u.Email == email })
}

func (m *memoryUsers) find(is func(user) bool) (user, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if i := slices.IndexFunc(m.all, is); i >= 0 {
		return m.all[i], nil
	}
	return user{}, errNoUser
}

func (m *memoryUsers) SetPassword(_ context.Context, id, was, hashed string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.all, func(u user) bool { return u.ID == id })
	if i < 0 {
		return errNoUser
	}
	if m.all[i].Password != was {
		return errChanged
	}
	all := slices.Clone(m.all)
	all[i].Password = hashed
	return m.set(all)
}

func (m *memoryUsers) All(context.Context) ([]user, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.all), nil
}
