package sessions_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
	sessions "github.com/cloakroom-go/cloakroom/gincontrib"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// A jsonSource is a former store whose records are JSON, as package takeover reads it.
type jsonSource string

func (jsonSource) CookieNames() []string { return []string{"old"} }

func (j jsonSource) Find(context.Context, *http.Request) (s predecessor.Session, err error) {
	d := json.NewDecoder(strings.NewReader(string(j)))
	d.UseNumber()
	s.Key, s.Stored = []byte("key"), true
	return s, d.Decode(&s.Values)
}

func (jsonSource) Forget(context.Context, *http.Request) ([]*http.Cookie, error) { return nil, nil }

// An oldVisitor has the cookie of the former library.
type oldVisitor struct{ http.RoundTripper }

func (v oldVisitor) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Add("Cookie", "old=1")
	return v.RoundTripper.RoundTrip(r)
}

func TestNumbersOfJSONComeOverAsTheyWere(t *testing.T) {
	memory := memorystore.New(memorystore.Options{})
	t.Cleanup(func() { _ = memory.Close() })
	a := newApp(t, sessions.Sessions("mysession", sessions.NewStore(sessions.Config{
		Store: memory, Secrets: []string{"a secret of more than thirty-two bytes"},
		Predecessor: sessions.Predecessor{Until: time.Now().Add(time.Hour), Source: jsonSource(`{"id":7,"profile":{"age":7,"none":null}}`)},
	})))
	a.client.Transport = oldVisitor{a.client.Transport}
	a.session(func(s sessions.Session) {
		if id, ok := s.Get("id").(float64); !ok || id != 7 {
			t.Errorf("id is %#v", s.Get("id"))
		}
		if m, ok := s.Get("profile").(map[string]any); !ok || m["age"] != 7.0 {
			t.Errorf("profile is %#v", s.Get("profile"))
		}
	})
}

func TestTextsThatAreNoUTF8StayWhatTheyAre(t *testing.T) {
	a := newApp(t, sessions.Sessions("mysession", newStore(t)))
	a.session(func(s sessions.Session) { s.Set("uuid", "\xff\xfe\x01") })
	a.session(func(s sessions.Session) {
		if got := s.Get("uuid"); got != "\xff\xfe\x01" {
			t.Errorf("it is %q", got)
		}
	})
}
