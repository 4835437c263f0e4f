// Package session has the functions of github.com/labstack/echo-contrib/session on
// Cloakroom, and the types of gorilla/sessions that its handlers use, so that an app with
// Echo v4 moves by another import and another store, and its handlers stay as they are:
//
//	store := session.NewStore(session.Config{
//		Store:       memorystore.New(memorystore.Options{}), // where sessions are from now on
//		Secrets:     []string{os.Getenv("SESSION_SECRET")},
//		Predecessor: session.Predecessor{Until: time.Date(2030, 3, 1, 0, 0, 0, 0, time.UTC)},
//	}, []byte("secret")) // what sessions.NewCookieStore was given
//	e.Use(session.Middleware(store))
//
// Values keep their types, as there: what encoding/json has no type for is stored with
// the name of its type, or by encoding/gob, for which an app registers its types by
// gob.Register as before. Texts, bools, ints and numbers with a fraction are plain JSON,
// which [core.Key] reads too, so that handlers can move to it one by one:
// echosession.Get(c) is the session of the last name that [Middleware] was given.
//
// What differs, on purpose:
//
//   - The names of the sessions are said to Middleware, where there are others than
//     "session".
//   - Save stores what has changed since Get, and leaves alone what others changed
//     meanwhile. What is not saved is lost, as there.
//   - Save with a negative MaxAge, or without any value where there were some other than
//     flashes that were shown, ends the session, as [core.Session.SignOut] does. What is saved
//     afterwards is in a new one.
//   - A session has an id on the server, which has to change at a login: handlers that log
//     somebody in call SignIn or Renew of echosession.Get(c). Save alone keeps the id.
//   - An old cookie is nobody's unless a Predecessor.Source says User: a copy of it begins
//     a session again after a logout, until Predecessor.Until.
//   - Of the Options that a handler sets, MaxAge alone counts. The others are those of the
//     store. HttpOnly is always set, Secure whenever the request came over HTTPS, and
//     SameSite is Lax unless the store's Options say something else.
//   - A session that cannot be loaded is an error page, and no empty session.
//   - Outside of the Path of the cookie there is no session: [Get] returns an error, also of
//     a handler that would only set one, such as a login page beside the Path.
package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/echosession"
	"github.com/cloakroom-go/cloakroom/internal/facade"
)

// DefaultName is the name of the session that [Middleware] has without another one.
const DefaultName = "session"

// flashes is the key of flashes without a name.
const flashes = "_flash"

// otherKey is what the names of values begin with whose keys are no strings.
const otherKey = "$key:"

// contextKey is where an [echo.Context] has the sessions.
const contextKey = "_session_store"

// ErrNotMounted says that a session has no [Middleware], or not by that name.
var ErrNotMounted = errors.New("cloakroom: no such session: give its name to session.Middleware, and mount that")

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

// A Store is what [Middleware] is given; [NewStore] makes one. It prints no secrets.
type Store struct {
	// Options, if not nil, are the attributes of the cookies. Secure is set whenever the
	// request came over HTTPS, and HttpOnly always, whatever they say. Set them before
	// Middleware.
	Options *Options

	inner *facade.Store
}

// NewStore returns a Store by a Config. keyPairs are the keys that the former store was
// given: its sessions are taken over until Config.Predecessor.Until. Without a Source
// those are that it kept in cookies; a Source that is a takeover.Gorilla without Name,
// KeyPairs, Path or Domain has them of the Store. Without keyPairs and a Source nothing
// is taken over. Each cookie keeps its name, so that old instances have to be gone.
//
// A Config that is wrong makes Middleware panic.
func NewStore(cfg Config, keyPairs ...[]byte) *Store {
	return &Store{inner: facade.NewStore(cfg, keyPairs)}
}

// Format keeps a Store from printing secrets and keys.
func (*Store) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("Store")) }

// A Session is the session of a request, which belongs to one goroutine. It is read by
// [Get], and changed by Save alone.
type Session struct {
	// ID is what the cookie carries, a secret; empty for a new session.
	ID string

	// Values are what it holds, each of the type that was set.
	Values map[any]any

	// Options are a copy of the store's. A handler sets MaxAge for how long the session
	// lives from Save on: a negative one ends it, and 0 changes nothing.
	Options *Options

	// IsNew says that the visitor had no session.
	IsNew bool

	name   string
	m      *core.Manager
	loaded map[string]json.RawMessage // what Values were made of
	shown  map[string]bool            // of these, what Flashes has removed
	maxAge int                        // of Options, when they were read
	err    error                      // of a value that cannot be read
}

// sessions are those of a request.
type sessions struct {
	managers map[string]*core.Manager
	options  *Options
	read     map[string]*Session
}

// Middleware returns the middleware for sessions of these names, which their cookies
// have; without any, for [DefaultName].
func Middleware(store *Store, names ...string) echo.MiddlewareFunc {
	if o := store.Options; o != nil {
		store.inner.SetCookie(facade.Cookie(*o))
	}
	if len(names) == 0 {
		names = []string{DefaultName}
	}
	managers := make(map[string]*core.Manager)
	for _, name := range names {
		managers[name] = store.inner.Manager(name)
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		handler := func(c echo.Context) error {
			c.Set(contextKey, &sessions{managers, store.Options, make(map[string]*Session)})
			return next(c)
		}
		for _, name := range slices.Backward(names) {
			handler = echosession.Use(managers[name])(handler)
		}
		return handler
	}
}

// Get returns the session of that name: the same one for all calls of a request. The
// error matches [ErrNotMounted] where [Middleware] does not have it, and [core.ErrNoSession]
// where that leaves the request alone: outside of the Path of the cookie, and where
// Config.Skip says so.
func Get(name string, c echo.Context) (*Session, error) {
	all, ok := c.Get(contextKey).(*sessions)
	if !ok || all.managers[name] == nil {
		return nil, ErrNotMounted
	}
	s := all.read[name]
	if s == nil {
		from, err := sessionOf(c.Request().Context(), all.managers[name])
		if err != nil {
			return nil, err
		}
		s = &Session{name: name, m: all.managers[name], Options: new(Options)}
		if all.options != nil {
			*s.Options = *all.options
		}
		s.maxAge = s.Options.MaxAge
		s.read(from)
		all.read[name] = s
	}
	return s, nil
}

// sessionOf returns the session of a request, or why Middleware left that alone. Where the
// session cannot be loaded, with Config.Lazy, the panic goes on: the error page follows.
func sessionOf(ctx context.Context, m *core.Manager) (s *core.Session, err error) {
	defer func() {
		v := recover()
		if why, _ := v.(error); errors.Is(why, core.ErrNoSession) {
			err = why
		} else if v != nil {
			panic(v)
		}
	}()
	return m.FromContext(ctx), nil
}

// read makes Values of what the session holds.
func (s *Session) read(from *core.Session) {
	s.Values, s.loaded, s.shown = make(map[any]any), make(map[string]json.RawMessage), make(map[string]bool)
	for name := range from.Keys() {
		raw, err := core.Key[json.RawMessage](name).Lookup(from)
		if err != nil {
			continue
		}
		key, err := keyOf(name)
		if err == nil {
			s.Values[key], err = facade.Decode(raw)
		}
		if err != nil { // it stays as it is, and Save says so
			delete(s.Values, key)
			s.err = err
			continue
		}
		s.loaded[name] = raw
	}
	if s.IsNew = from.Status() == core.StatusNew; len(s.loaded) > 0 {
		s.ID = from.ID()
	}
}

// Name returns the name of the session.
func (s *Session) Name() string { return s.name }

// AddFlash adds a message, under the key "_flash" or one of its own.
func (s *Session) AddFlash(value any, vars ...string) {
	key := flashKey(vars)
	all, _ := s.Values[key].([]any)
	s.Values[key] = append(slices.Clip(all), value)
}

// Flashes returns these messages and removes them.
func (s *Session) Flashes(vars ...string) []any {
	key := flashKey(vars)
	all, ok := s.Values[key].([]any)
	if ok {
		delete(s.Values, key)
		s.shown[key] = true
	}
	return all
}

func flashKey(vars []string) string {
	if len(vars) > 0 {
		return vars[0]
	}
	return flashes
}

// Save stores what has changed since [Get], at once. It returns what went wrong, also
// with a value that could not be read. The response is not used: its cookie is set where
// it is written.
func (s *Session) Save(r *http.Request, _ http.ResponseWriter) error {
	var (
		ctx = r.Context()
		to  = s.m.FromContext(ctx)
		age = s.maxAge
	)
	if s.Options != nil {
		age = s.Options.MaxAge
	}
	if age < 0 || s.isCleared() {
		return s.end(ctx, to)
	}
	now, err := s.changes()
	if err != nil {
		return err
	}
	for name := range s.loaded {
		if _, kept := now[name]; !kept {
			to.Delete(name)
			delete(s.loaded, name)
		}
	}
	for name, raw := range now {
		if raw != nil {
			to.Set(name, raw)
			s.loaded[name] = raw
		}
	}
	if age != s.maxAge && age > 0 {
		if err := to.SetMaxAge(time.Duration(age) * time.Second); err != nil {
			return err
		}
		s.maxAge = age
	}
	if err := to.Save(ctx); err != nil {
		return err
	}
	if len(now) > 0 {
		s.ID = to.ID()
	}
	return s.err
}

// isCleared reports whether the handler has removed all values. Messages that were shown
// are no values of a user: SignIn leaves none, and to show one is no logout.
func (s *Session) isCleared() bool {
	if len(s.Values) > 0 || s.err != nil {
		return false
	}
	for name := range s.loaded {
		if !s.shown[name] {
			return true
		}
	}
	return false
}

// end ends the session.
func (s *Session) end(ctx context.Context, to *core.Session) error {
	if err := to.SignOut(ctx); err != nil {
		return err
	}
	clear(s.Values)
	clear(s.loaded)
	s.ID, s.err = "", nil
	return nil
}

// changes returns the names of what Values hold, each with what is new about it, or nil.
func (s *Session) changes() (map[string]json.RawMessage, error) {
	now := make(map[string]json.RawMessage, len(s.Values))
	for key, value := range s.Values {
		name, err := nameOf(key)
		if err != nil {
			return nil, err
		}
		if raw, ok := s.loaded[name]; ok {
			if was, err := facade.Decode(raw); err == nil && reflect.DeepEqual(was, value) {
				now[name] = nil
				continue
			}
		}
		if now[name], err = facade.Encode(value); err != nil {
			return nil, err
		}
	}
	return now, nil
}

// nameOf returns the name of a key: a string is its own.
func nameOf(key any) (string, error) {
	if name, ok := key.(string); ok && !strings.HasPrefix(name, otherKey) {
		return name, nil
	}
	raw, err := facade.Encode(key)
	return otherKey + string(raw), err
}

// keyOf returns the key that a name stands for.
func keyOf(name string) (any, error) {
	raw, other := strings.CutPrefix(name, otherKey)
	if !other {
		return name, nil
	}
	key, err := facade.Decode(json.RawMessage(raw))
	if err == nil && (key == nil || !reflect.TypeOf(key).Comparable()) {
		err = facade.ErrUnreadable
	}
	return key, err
}
