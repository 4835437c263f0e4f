// Package facade is what the packages share that have the functions of another library on
// Cloakroom: how values keep their types, and how a store of that library becomes a
// Config.
package facade

import (
	"cmp"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/takeover"
)

// Cookie is the attributes of a cookie as gorilla/sessions has them. MaxAge is in seconds.
type Cookie struct {
	Path, Domain     string
	MaxAge           int
	Secure, HttpOnly bool //nolint:staticcheck // the name that it has there
	SameSite         http.SameSite
}

// A Store makes a Manager for each name of a cookie. It may be used by several goroutines.
type Store struct {
	mu       sync.Mutex
	made     core.Config // what it was made with
	cfg      core.Config
	keyPairs [][]byte
	cookie   Cookie
	managers map[string]*core.Manager
}

// NewStore returns a Store by a Config, whose keys are those of the former store.
func NewStore(cfg core.Config, keyPairs [][]byte) *Store {
	return &Store{made: cfg, cfg: cfg, keyPairs: keyPairs, managers: make(map[string]*core.Manager)}
}

// Format keeps a Store from printing secrets and keys.
func (s *Store) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("Store")) }

// SetCookie sets the attributes of the cookies.
func (s *Store) SetCookie(c Cookie) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cookie = c
}

// SetConfig sets the rest. Config.Store is, where it is nil, what the Store was made with.
func (s *Store) SetConfig(cfg core.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cfg.Store == nil {
		cfg.Store = s.made.Store
	}
	s.cfg = cfg
}

// Manager returns the Manager for the sessions of a name. It panics where the Config is
// wrong.
func (s *Store) Manager(name string) *core.Manager {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.managers[name]; m != nil {
		return m
	}
	cfg, c := s.cfg, s.cookie
	cfg.Cookie.Name = name
	if c != (Cookie{}) {
		cfg.Cookie.Path, cfg.Cookie.Domain = c.Path, c.Domain
		cfg.Cookie.MaxAge = max(0, time.Duration(c.MaxAge)*time.Second)
		cfg.Cookie.SameSite = c.SameSite
	}
	cfg.Predecessor.Source = nil
	if source := s.source(name); source != nil {
		cfg.Predecessor.Source = typed{source}
	}
	m, err := core.New(cfg)
	if err != nil {
		panic(err)
	}
	s.managers[name] = m
	return m
}

// source returns what finds the sessions of that name which the former store made, or
// nil. What a [takeover.Gorilla] does not say is as the store has it.
func (s *Store) source(name string) predecessor.Source {
	given, made := s.cfg.Predecessor.Source, s.made.Predecessor.Source
	if given == nil {
		given = made
	}
	g, ok := gorillaOf(given)
	if given != nil && !ok {
		return given
	}
	if former, ok := gorillaOf(made); ok && g.Records == nil {
		g.Records, g.Unsigned = former.Records, former.Unsigned
	}
	if len(g.KeyPairs) == 0 {
		g.KeyPairs = s.keyPairs
	}
	if len(g.KeyPairs) == 0 {
		return nil
	}
	g.Name = cmp.Or(g.Name, name)
	g.Path, g.Domain = cmp.Or(g.Path, s.cookie.Path), cmp.Or(g.Domain, s.cookie.Domain)
	return g
}

// gorillaOf returns a source that is a [takeover.Gorilla], or a pointer to one, which is as
// good a source.
func gorillaOf(source predecessor.Source) (takeover.Gorilla, bool) {
	if g, ok := source.(*takeover.Gorilla); ok && g != nil {
		return *g, true
	}
	g, ok := source.(takeover.Gorilla)
	return g, ok
}
