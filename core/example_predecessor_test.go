package core_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/predecessor"
)

// tokens are sessions that an app kept in a table of its own: users by their tokens.
type tokens map[string]string

// CookieNames implements [predecessor.Source].
func (tokens) CookieNames() []string { return []string{"token"} }

// Find implements [predecessor.Source].
func (t tokens) Find(_ context.Context, r *http.Request) (predecessor.Session, error) {
	c, err := r.Cookie("token")
	if err != nil || t[c.Value] == "" {
		return predecessor.Session{}, predecessor.ErrNone
	}
	user := t[c.Value]
	return predecessor.Session{Key: []byte(c.Value), Stored: true, User: user, Values: map[string]any{"user": user}}, nil
}

// Forget implements [predecessor.Source].
func (t tokens) Forget(_ context.Context, r *http.Request) (cookies []*http.Cookie, err error) {
	for _, c := range r.CookiesNamed("token") {
		delete(t, c.Value)
		cookies = []*http.Cookie{{Name: "token", Path: "/", MaxAge: -1}}
	}
	return cookies, nil
}

// Package takeover has the sources for the formats of other libraries.
func ExamplePredecessor() {
	sessions, err := core.New(core.Config{
		Store:   newUserStore(),
		Secrets: []string{"a secret of 32 random bytes or more"},
		Predecessor: core.Predecessor{
			Source: tokens{"a-token-that-nobody-can-guess": "bob"},
			Until:  time.Now().AddDate(0, 1, 0),
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := sessions.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(core.FromContext(r.Context()).User())
	}))
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.AddCookie(&http.Cookie{Name: "token", Value: "a-token-that-nobody-can-guess"})
	handler.ServeHTTP(httptest.NewRecorder(), r)
	// Output: bob
}
