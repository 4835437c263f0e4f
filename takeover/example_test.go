package takeover_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/takeover"
)

// The settings are what gin-contrib's store was made with: cookie.NewStore([]byte("..."))
// and sessions.Sessions("mysession", store).
func ExampleGorilla() {
	before := takeover.Gorilla{
		Name:     "mysession",
		KeyPairs: [][]byte{[]byte("open-hash-key-of-a-test")},
		User: func(values map[string]any) string {
			user, _ := values["user"].(string)
			return user
		},
	}
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.AddCookie(&http.Cookie{Name: "mysession", Value: "forged"})
	_, err := before.Find(r.Context(), r)
	fmt.Println(errors.Is(err, predecessor.ErrNone))
	// Output: true
}

// A client of Redis, as far as this needs it.
type redisClient map[string]string

func (c redisClient) Get(_ context.Context, key string) (value string, ok bool, err error) {
	value, ok = c[key]
	return value, ok, nil
}

func (c redisClient) Del(_ context.Context, key string) error {
	delete(c, key)
	return nil
}

// inRedis are the records of gin-contrib's redis store, by any client.
type inRedis struct {
	client redisClient
	prefix string
}

// Record implements [takeover.Records].
func (r inRedis) Record(ctx context.Context, id string) (takeover.Record, error) {
	value, ok, err := r.client.Get(ctx, r.prefix+id)
	if !ok && err == nil {
		err = predecessor.ErrNone
	}
	return takeover.Record{Data: []byte(value)}, err
}

// Delete implements [takeover.Records].
func (r inRedis) Delete(ctx context.Context, id string) error {
	return r.client.Del(ctx, r.prefix+id)
}

// Records are what an app writes for the store that it has.
func ExampleRecords() {
	before := takeover.Gorilla{
		Name:     "mysession",
		KeyPairs: [][]byte{[]byte("open-hash-key-of-a-test")},
		Records:  inRedis{redisClient{"session_X": "..."}, "session_"},
		Unsigned: true, // what is in Redis has no signature
	}
	fmt.Println(before)
	// Output: Gorilla("mysession")
}

func ExampleFiles() {
	before := takeover.Gorilla{
		Name:     "mysession",
		KeyPairs: [][]byte{[]byte("open-hash-key-of-a-test")},
		Records:  takeover.Files("/var/lib/shop/sessions"),
	}
	fmt.Println(before)
	// Output: Gorilla("mysession")
}

func ExampleSQL() {
	records := takeover.SQL{
		DB:     nil, // the app's *sql.DB
		Select: "SELECT data FROM sessions WHERE id = $1 AND expires_at > now()",
		Remove: "DELETE FROM sessions WHERE id = $1",
	}
	fmt.Println(records)
	// Output: SQL("SELECT data FROM sessions WHERE id = $1 AND expires_at > now(); DELETE FROM sessions WHERE id = $1")
}

func ExampleSCS() {
	before := takeover.SCS{Records: inRedis{redisClient{}, "scs:session:"}}
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.AddCookie(&http.Cookie{Name: "session", Value: "B5mF9Xzegsqv_YqpZbTw00E-lmqLvP6XR272Eh3FAqA"})
	_, err := before.Find(r.Context(), r)
	fmt.Println(err)
	// Output: cloakroom: no session of the former library
}

func ExampleFiber() {
	before := takeover.Fiber{Records: inRedis{redisClient{}, ""}}
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.AddCookie(&http.Cookie{Name: "session_id", Value: "uNiylkDxV_sZoEsi-9o6i-RYVBCQcW6zo4eXLL0O1kQ"})
	_, err := before.Find(r.Context(), r)
	fmt.Println(err)
	// Output: cloakroom: no session of the former library
}

// These are cookies that cookie-session has set.
func ExampleCookieSession() {
	before := takeover.CookieSession{Name: "shop", Keys: []string{"open-key-of-a-test-2"}}
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.AddCookie(&http.Cookie{Name: "shop", Value: "eyJ2aWV3cyI6MX0="})
	r.AddCookie(&http.Cookie{Name: "shop.sig", Value: "TMFJ7MLFg-UQxQoq88AhfAyOjE4"})
	s, err := before.Find(r.Context(), r)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Values["views"])
	// Output: 1
}
