package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"
)

// A user has an account.
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
	SetPassword(ctx context.Context, id, hashed string) error
	All(ctx context.Context) ([]user, error) // the oldest first
}

var (
	errTaken  = errors.New("there is an account with that email already")
	errNoUser = errors.New("no such user")
)

type memoryUsers struct {
	admin string // email; empty means the first one
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
	m.all = append(m.all, u)
	return u, nil
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

func (m *memoryUsers) SetPassword(_ context.Context, id, hashed string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.all, func(u user) bool { return u.ID == id })
	if i < 0 {
		return errNoUser
	}
	m.all[i].Password = hashed
	return nil
}

func (m *memoryUsers) All(context.Context) ([]user, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.all), nil
}

// argon2id with what OWASP recommends at least: 19 MiB, 2 passes, 1 lane.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonLanes  = 1
	argonFormat = "$argon2id$v=19$m=19456,t=2,p=1$"
)

// hashing has room for as many as hash at once: each takes 19 MiB and a processor.
var hashing = make(chan struct{}, runtime.GOMAXPROCS(0))

func argon(password string, salt []byte) []byte {
	hashing <- struct{}{}
	defer func() { <-hashing }()
	return argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, 32)
}

// hashPassword returns what to keep of a password: the parameters, a salt and the
// hash, in the usual format.
func hashPassword(password string) string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // it never fails
	b64 := base64.RawStdEncoding
	return argonFormat + b64.EncodeToString(salt) + "$" + b64.EncodeToString(argon(password, salt))
}

// checkPassword tells whether a password is the one that was hashed.
func checkPassword(password, hashed string) bool {
	b64 := base64.RawStdEncoding
	rest, ok := strings.CutPrefix(hashed, argonFormat)
	saltText, hashText, _ := strings.Cut(rest, "$")
	salt, err1 := b64.DecodeString(saltText)
	hash, err2 := b64.DecodeString(hashText)
	if !ok || err1 != nil || err2 != nil {
		return false
	}
	return subtle.ConstantTimeCompare(argon(password, salt), hash) == 1
}

// nobodysPassword is compared with where there is no such account, so that the time
// that it takes does not tell.
var nobodysPassword = sync.OnceValue(func() string { return hashPassword(rand.Text()) })
