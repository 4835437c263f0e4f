package predecessor_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
)

// table is a Source for sessions that an app kept in a table of its own.
type table map[string]string // users by token

// CookieNames implements [predecessor.Source].
func (t table) CookieNames() []string { return []string{"token"} }

// Find implements [predecessor.Source].
func (t table) Find(_ context.Context, r *http.Request) (predecessor.Session, error) {
	c, err := r.Cookie("token")
	if err != nil {
		return predecessor.Session{}, predecessor.ErrNone
	}
	user, ok := t[c.Value]
	if !ok {
		return predecessor.Session{}, predecessor.ErrNone
	}
	return predecessor.Session{
		Key: []byte(c.Value), Version: []byte(user), Stored: true, User: user, Values: map[string]any{"user": user},
	}, nil
}

// Forget implements [predecessor.Source].
func (t table) Forget(_ context.Context, r *http.Request) ([]*http.Cookie, error) {
	cookies := r.CookiesNamed("token")
	if len(cookies) == 0 {
		return nil, nil
	}
	delete(t, cookies[0].Value)
	return []*http.Cookie{{Name: "token", Path: "/", MaxAge: -1}}, nil
}

func ExampleSource() {
	var source predecessor.Source = table{"a-token-that-nobody-can-guess": "bob"}
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.AddCookie(&http.Cookie{Name: "token", Value: "a-token-that-nobody-can-guess"})
	s, err := source.Find(r.Context(), r)
	fmt.Println(s, s.User, err)
	// Output: Session of a predecessor bob <nil>
}
