package histories

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"

	"github.com/cloakroom-go/cloakroom/core/store"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// brokenStores break the contract of store.Store in one way each.
var brokenStores = map[string]func(*memorystore.Store) store.Store{
	"the last writer wins":                        func(s *memorystore.Store) store.Store { return lastWins{slow(s)} },
	"a write is acknowledged unseen":              func(s *memorystore.Store) store.Store { return acknowledges{slow(s)} },
	"what is gone is written again":               func(s *memorystore.Store) store.Store { return revives{slow(s)} },
	"reads are behind":                            func(s *memorystore.Store) store.Store { return &behind{Store: slow(s)} },
	"a delete is done later":                      func(s *memorystore.Store) store.Store { return &postpones{Store: slow(s)} },
	"a lost reply is no lost command":             func(s *memorystore.Store) store.Store { return guesses{slow(s)} },
	"a session is deleted whatever it is by then": func(s *memorystore.Store) store.Store { return removesAny{slow(s)} },
}

// brokenApps answer what their sessions did not do, or do not do what they could.
var brokenApps = map[string]func(app http.Handler) http.Handler{
	"a logout that ended nothing is acknowledged": func(app http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/destroy" || answer(app, r, "/read").Code == http.StatusOK {
				app.ServeHTTP(w, r)
			}
		})
	},
	"who comes with a retired id cannot sign in": func(app http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/signin" && answer(app, r, "/read").Code != http.StatusOK {
				w.WriteHeader(http.StatusConflict)
				return
			}
			app.ServeHTTP(w, r)
		})
	},
	"who signs in beside a session gets what it holds": func(app http.Handler) http.Handler {
		var last sync.Map // by user: the cookie of the session that was made last
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user := r.FormValue("user")
			if cookie, ok := last.Load(user); ok && user != "" && answer(app, r, "/read").Code != http.StatusOK {
				r = r.Clone(r.Context())
				r.Header.Set("Cookie", cookie.(string))
			}
			res := httptest.NewRecorder()
			app.ServeHTTP(res, r)
			if cookie := cookieIn(res.Header()); user != "" && cookie != "" {
				last.Store(user, cookie)
			}
			for name, values := range res.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(res.Code)
			_, _ = w.Write(res.Body.Bytes())
		})
	},
}

// answer asks an app for something else, with the cookie of a request.
func answer(app http.Handler, r *http.Request, path string) *httptest.ResponseRecorder {
	other := httptest.NewRequest(http.MethodGet, path, nil)
	other.Header = r.Header.Clone()
	res := httptest.NewRecorder()
	app.ServeHTTP(res, other)
	return res
}

// slow makes requests overlap. It has the five verbs only.
func slow(s *memorystore.Store) store.Store { return flaky{s, new(atomic.Int64), 1 << 40} }

type lastWins struct{ store.Store }

func (s lastWins) Update(ctx context.Context, old, next store.Record) error {
	for {
		err := s.Store.Update(ctx, old, next)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if old, err = s.Load(ctx, next.ID); err != nil {
			return err
		}
		old.ID = next.ID
	}
}

type acknowledges struct{ store.Store }

func (s acknowledges) Update(ctx context.Context, old, next store.Record) error {
	if rand.IntN(50) == 0 {
		return nil
	}
	return s.Store.Update(ctx, old, next)
}

type revives struct{ store.Store }

func (s revives) Update(ctx context.Context, old, next store.Record) error {
	err := s.Store.Update(ctx, old, next)
	if errors.Is(err, store.ErrNotFound) {
		return s.Create(ctx, next)
	}
	return err
}

// behind loads what was there one write before, now and then.
type behind struct {
	store.Store
	before sync.Map
}

func (s *behind) Update(ctx context.Context, old, next store.Record) error {
	err := s.Store.Update(ctx, old, next)
	if err == nil {
		s.before.Store(old.ID, old)
	}
	return err
}

func (s *behind) Load(ctx context.Context, id string) (store.Record, error) {
	if rec, ok := s.before.Load(id); ok && rand.IntN(10) == 0 {
		return rec.(store.Record), nil
	}
	return s.Store.Load(ctx, id)
}

// postpones deletes after the fifth load from then.
type postpones struct {
	store.Store
	mu    sync.Mutex
	later map[string]int
}

func (s *postpones) Remove(_ context.Context, old store.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.later == nil {
		s.later = make(map[string]int)
	}
	s.later[old.ID] = 5
	return nil
}

func (s *postpones) Load(ctx context.Context, id string) (store.Record, error) {
	s.mu.Lock()
	n, ok := s.later[id]
	if ok {
		s.later[id] = n - 1
	}
	s.mu.Unlock()
	if ok && n == 0 {
		_ = s.Delete(ctx, id)
	}
	return s.Store.Load(ctx, id)
}

// guesses says that a write was not applied when its reply was lost.
type guesses struct{ store.Store }

func (s guesses) Update(ctx context.Context, old, next store.Record) error {
	err := s.Store.Update(ctx, old, next)
	if err == nil && rand.IntN(50) == 0 {
		return &store.Error{Store: "guesses", Verb: "update", Outcome: store.OutcomeNotApplied, Err: errNetwork}
	}
	return err
}

// removesAny deletes also what took the place of a session.
type removesAny struct{ store.Store }

func (s removesAny) Remove(ctx context.Context, old store.Record) error { return s.Delete(ctx, old.ID) }
