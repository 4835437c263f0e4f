// Package sessions has the functions of github.com/gin-contrib/sessions on Cloakroom, so
// that an app moves by another import and another store, and its handlers stay as they
// are:
//
//	store := sessions.NewStore(sessions.Config{
//		Store:       memorystore.New(memorystore.Options{}), // where sessions are from now on
//		Secrets:     []string{os.Getenv("SESSION_SECRET")},
//		Predecessor: sessions.Predecessor{Until: time.Date(2030, 3, 1, 0, 0, 0, 0, time.UTC)},
//	}, []byte("secret")) // what cookie.NewStore was given
//	r.Use(sessions.Sessions("mysession", store))
//
// Values keep their types, as there: what encoding/json has no type for is stored with
// the name of its type, or by encoding/gob, for which an app registers its types by
// gob.Register as before. Texts, bools, ints and numbers with a fraction are plain JSON,
// which [core.Key] reads too, so that handlers can move to it one by one.
//
// What differs, on purpose:
//
//   - Changes are stored when the response begins, also without Save; Save stores them at
//     once, and returns the error of the store.
//   - Clear and a negative MaxAge end the session, as [core.Session.SignOut] does. What is
//     set afterwards is in a new session.
//   - A session has an id on the server, which has to change at a login: handlers that log
//     somebody in call SignIn or Renew of ginsession.Get(c). Set alone keeps the id.
//   - An old cookie of [NewStore]'s key pairs is nobody's, as far as is known here: a copy of
//     it begins a session again after a logout, until Predecessor.Until. With a
//     Predecessor.Source that says User it does not.
//   - Of the Options that a handler sets, MaxAge alone counts. The others are those of the
//     store. HttpOnly is always set, Secure whenever the request came over HTTPS, and
//     SameSite is Lax unless the store's Options say something else.
//   - Without a MaxAge in the store's Options the cookie is for as long as the browser runs,
//     and the session ends by Config.IdleTimeout.
//   - Two requests that change the session at the same time both count.
//   - A session that cannot be loaded is an error page, and no empty session.
//   - Outside of the Path of the cookie there is no session: what a handler calls there
//     panics and says so, also in one that would only set a session, such as a login page
//     beside the Path.
package sessions

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/ginsession"
	"github.com/cloakroom-go/cloakroom/internal/facade"
)

// DefaultKey is where a [gin.Context] has the session, or all of them by their names.
const DefaultKey = "github.com/gin-contrib/sessions"

// flashes is the key of flashes without a name.
const flashes = "_flash"

// The types of package core that the settings name.
type (
	// Config is [core.Config].
	Config = core.Config
	// Predecessor is [core.Predecessor].
	Predecessor = core.Predecessor
)

// Options are the attributes of a cookie. MaxAge is in seconds.
type Options struct {
	Path, Domain     string
	MaxAge           int
	Secure, HttpOnly bool //nolint:staticcheck // the name that it has there
	SameSite         http.SameSite
}

// A Store is what [Sessions] is given; [NewStore] makes one, and so do the packages
// cookie and redis beside this one.
type Store interface {
	// Options sets the attributes of the cookies. Secure is set whenever the request came
	// over HTTPS, and HttpOnly always, whatever they say here. Call it before Sessions.
	Options(Options)

	// Config sets the rest. Config.Store, if nil, is the one that the store was made with,
	// and so is Predecessor.Source: a takeover.Gorilla with User alone, for instance, has
	// the former store's keys, records and names of cookies. Call it before Sessions.
	Config(Config)

	manager(name string) *core.Manager
}

// A SessionStore is a session's name and where it is kept.
type SessionStore struct {
	Name  string
	Store Store
}

type store struct{ *facade.Store }

// NewStore returns a Store by a Config. keyPairs are the keys that the former store was
// given: its sessions are taken over until Config.Predecessor.Until. Without a Source
// those are that it kept in cookies. For those in Redis, files or a database Source is a
// takeover.Gorilla with their Records; what it has no Name, KeyPairs, Path and Domain
// for is as the store has it. Without keyPairs and a Source nothing is taken over.
// Cookie.Name is the name that [Sessions] is given, in place of the former cookie, so
// that old instances have to be gone.
//
// A Config that is wrong makes Sessions panic.
func NewStore(cfg Config, keyPairs ...[]byte) Store {
	return store{facade.NewStore(cfg, keyPairs)}
}

// Options implements [Store].
func (s store) Options(o Options) { s.SetCookie(facade.Cookie(o)) }

// Config implements [Store].
func (s store) Config(cfg Config) { s.SetConfig(cfg) }

func (s store) manager(name string) *core.Manager { return s.Manager(name) }

// A Session is the session of a request.
type Session interface {
	// ID returns what the cookie carries: a secret.
	ID() string
	// Get returns the value of a key, of the type that was set, or nil.
	Get(key any) any
	// Set sets a key. Keys are strings; others are known by their type and what they
	// print as.
	Set(key, val any)
	// Delete removes a key.
	Delete(key any)
	// Clear ends the session; what is set afterwards is in a new one.
	Clear()
	// AddFlash adds a message, under the key "_flash" or one of its own.
	AddFlash(value any, vars ...string)
	// Flashes returns these messages and removes them.
	Flashes(vars ...string) []any
	// Options sets for how long the session lives, in seconds. A negative MaxAge ends
	// it, and 0 changes nothing.
	Options(Options)
	// Save stores the changes at once. It returns what went wrong with them.
	Save() error
}

// Sessions returns the middleware for sessions of that name, which their cookie has.
func Sessions(name string, store Store) gin.HandlerFunc {
	m := store.manager(name)
	use := ginsession.Use(m)
	return func(c *gin.Context) {
		c.Set(DefaultKey, Session(&session{m: m, c: c}))
		use(c)
	}
}

// SessionsMany returns the middleware for several sessions in one store.
//
//nolint:revive // the name that it has there
func SessionsMany(names []string, store Store) gin.HandlerFunc {
	all := make([]SessionStore, len(names))
	for i, name := range names {
		all[i] = SessionStore{name, store}
	}
	return SessionsManyStores(all)
}

// SessionsManyStores returns the middleware for several sessions, each in its store.
//
//nolint:revive // the name that it has there
func SessionsManyStores(sessionStores []SessionStore) gin.HandlerFunc {
	managers := make([]*core.Manager, len(sessionStores))
	for i, s := range sessionStores {
		managers[i] = s.Store.manager(s.Name)
	}
	use := ginsession.UseAll(managers...)
	return func(c *gin.Context) {
		all := make(map[string]Session, len(managers))
		for i, m := range managers {
			all[sessionStores[i].Name] = &session{m: m, c: c}
		}
		c.Set(DefaultKey, all)
		use(c)
	}
}

// Default returns the session of a request, behind [Sessions].
func Default(c *gin.Context) Session { return c.MustGet(DefaultKey).(Session) }

// DefaultMany returns the session of that name, behind [SessionsMany] and
// [SessionsManyStores].
func DefaultMany(c *gin.Context, name string) Session {
	return c.MustGet(DefaultKey).(map[string]Session)[name]
}

// session is one of a request. It belongs to one goroutine, as in gin-contrib.
type session struct {
	m       *core.Manager
	c       *gin.Context
	written bool  // there is something to save
	err     error // of what was done since the last Save
}

func (s *session) of() *core.Session    { return s.m.FromContext(s.ctx()) }
func (s *session) ctx() context.Context { return s.c.Request.Context() }

func (s *session) ID() string { return s.of().ID() }

func (s *session) Get(key any) any {
	raw, err := core.Key[json.RawMessage](nameOf(key)).Lookup(s.of())
	if err != nil {
		return nil
	}
	v, err := facade.Decode(raw)
	if err != nil {
		s.note(err)
		return nil
	}
	return v
}

func (s *session) Set(key, val any) {
	s.written = true
	raw, err := facade.Encode(val)
	if err != nil {
		s.note(err)
		return
	}
	s.of().Set(nameOf(key), raw)
}

func (s *session) Delete(key any) {
	s.written = true
	s.of().Delete(nameOf(key))
}

func (s *session) Clear() { s.end() }

// end ends the session.
func (s *session) end() {
	s.written = false
	s.note(s.of().SignOut(s.ctx()))
}

func (s *session) AddFlash(value any, vars ...string) {
	s.written = true
	raw, err := facade.Encode(value)
	if err != nil {
		s.note(err)
		return
	}
	core.Key[json.RawMessage](flashKey(vars)).Update(s.of(), func(stored json.RawMessage) json.RawMessage {
		return facade.AppendTo(stored, raw)
	})
}

func (s *session) Flashes(vars ...string) []any {
	all, _ := s.Get(flashKey(vars)).([]any)
	if all != nil {
		s.Delete(flashKey(vars))
	}
	return all
}

func flashKey(vars []string) string {
	if len(vars) > 0 {
		return vars[0]
	}
	return flashes
}

func (s *session) Options(o Options) {
	switch {
	case o.MaxAge < 0:
		s.end()
	case o.MaxAge > 0:
		s.written = true
		s.note(s.of().SetMaxAge(time.Duration(o.MaxAge) * time.Second))
	}
}

func (s *session) Save() error {
	err := s.err
	s.err = nil
	if err == nil && s.written {
		err = s.of().Save(s.ctx())
	}
	s.written = false
	return err
}

// note keeps the first error for Save.
func (s *session) note(err error) {
	if s.err == nil {
		s.err = err
	}
}

// nameOf returns the name of a key.
func nameOf(key any) string {
	if name, ok := key.(string); ok {
		return name
	}
	return fmt.Sprintf("%T:%v", key, key)
}
