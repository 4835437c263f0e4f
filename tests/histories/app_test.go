package histories

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/internal/suite"
)

const (
	count  core.Key[int] = "count"
	number core.Key[int] = "number"
	ticket core.Key[int] = "ticket"
)

const storeTimeout = time.Second

// outcomeHeader tells in an error page whether the request may have changed
// something all the same.
const outcomeHeader = "Outcome"

// errorHeader tells which error it was.
const errorHeader = "Error"

// A doubt is whether a write of a request met an outcome that was not known at
// first.
type doubt struct{ atomic.Bool }

type doubtKey struct{}

// observer notes doubts.
type observer struct{}

func (observer) Observe(ctx context.Context, e core.Event) {
	var failure *store.Error
	if errors.As(e.Err, &failure) && failure.Outcome == store.OutcomeUnknown && failure.Verb != "load" && failure.Verb != "touch" {
		ctx.Value(doubtKey{}).(*doubt).Store(true)
	}
}

// newApp returns an app. Its handlers do what the model says; where there is no
// session they answer 401.
func newApp(st store.Store) (http.Handler, error) {
	m, err := core.New(core.Config{
		Store: st, Secrets: suite.Hide("one secret for all the processes of a test"), StoreTimeout: storeTimeout,
		ErrorHandler: refuse,
		Observer:     observer{},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	handle := func(k kind, do func(s *core.Session, r *http.Request, arg int) error) {
		mux.Handle("/"+k.String(), m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := core.FromContext(r.Context())
			if s.Status() != core.StatusLoaded {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			arg, _ := strconv.Atoi(r.FormValue("arg"))
			if err := do(s, r, arg); err != nil {
				s.Discard() // or the commit stores what Save could not
				refuse(w, r, err)
				return
			}
			_ = json.NewEncoder(w).Encode(values{count.Get(s), number.Get(s), ticket.Get(s)})
		})))
	}
	handle(read, func(*core.Session, *http.Request, int) error { return nil })
	handle(increment, func(s *core.Session, r *http.Request, _ int) error {
		count.Update(s, func(n int) int { return n + 1 })
		return s.Save(r.Context()) // so that the answer has what is stored
	})
	handle(set, func(s *core.Session, _ *http.Request, arg int) error { number.Set(s, arg); return nil })
	handle(put, func(s *core.Session, _ *http.Request, arg int) error { ticket.Set(s, arg); return nil })
	handle(renew, func(s *core.Session, _ *http.Request, _ int) error { return s.Renew() })
	handle(regenerate, func(s *core.Session, _ *http.Request, _ int) error { return s.Regenerate() })
	handle(destroy, func(s *core.Session, r *http.Request, _ int) error { return s.Destroy(r.Context()) })
	mux.Handle("/take", m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if s.Status() != core.StatusLoaded {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		n, err := ticket.Take(r.Context(), s)
		if err != nil && !errors.Is(err, core.ErrAbsent) {
			refuse(w, r, err)
			return
		}
		_ = json.NewEncoder(w).Encode(values{Ticket: n})
	})))
	mux.Handle("/signin", m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context()) // of whatever status: a login page asks for none
		if err := s.SignIn(r.Context(), r.FormValue("user")); err != nil {
			refuse(w, r, err)
		}
	})))
	mux.Handle("/begin", m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		count.Set(core.FromContext(r.Context()), 0)
	})))
	mux.HandleFunc("/revoke", func(w http.ResponseWriter, r *http.Request) {
		err := m.Edit(r.Context(), r.FormValue("id"), func(s *core.Session) error { return s.Destroy(r.Context()) })
		switch {
		case errors.Is(err, store.ErrNotFound):
			w.WriteHeader(http.StatusUnauthorized)
		case err != nil:
			refuse(w, r, err)
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), doubtKey{}, new(doubt))))
	}), nil
}

// refuse answers with the status of an error, and tells what the error says about
// what was done.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	var failure *store.Error
	unknown := false
	switch {
	case errors.Is(err, core.ErrSessionGone): // it may have been done before it ended
		unknown = r.Context().Value(doubtKey{}).(*doubt).Load()
	case errors.Is(err, core.ErrUnknownOutcome), r.URL.Path == "/destroy": // which is tried twice
		unknown = true
	case !errors.As(err, &failure), failure.Verb == "load", failure.Verb == "touch":
	default:
		unknown = failure.Outcome == store.OutcomeUnknown
	}
	if unknown {
		w.Header().Set(outcomeHeader, "unknown")
	}
	w.Header().Set(errorHeader, err.Error())
	w.WriteHeader(core.HTTPStatus(err))
}
