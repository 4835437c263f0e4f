package interop

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
)

// TestTheSessionsOfAUserWhomExpressSignedIn has people sign in at Express, and one
// here. Their sessions are listed and ended here, by what Config.UserKey names.
func TestTheSessionsOfAUserWhomExpressSignedIn(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		there := start(t, express, db, settings{})
		for _, tt := range []struct {
			name, key, user string
			method, path    string // signs in at Express
			body            string
			reads           string // where Express says who it is
			nobody          int    // status where it is nobody
			before, after   string // what it says of who signed in there, and here
		}{
			{"passport", "passport.user", "7", "POST", "/passport/login/7", "", "/passport/user", http.StatusOK, `{"id":"7"}`, `{"id":"7"}`},
			{"a string", "userId", "bob", "PUT", "/set/userId", `"bob"`, "/get/userId", http.StatusNotFound, `"bob"`, `"bob"`},
			{"a number", "userId", "42", "PUT", "/set/userId", `42`, "/get/userId", http.StatusNotFound, `42`, `"42"`},
			{"a number in an object", "account.id", "43", "PUT", "/set/account", `{"id":43}`, "/get/account", http.StatusNotFound, `{"id":43}`, `{"id":"43"}`},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				m, here := withUsers(t, db, tt.key)
				list := func(want int) (all []core.Info) {
					t.Helper()
					for info, err := range m.Sessions(t.Context(), tt.user) {
						if err != nil {
							t.Fatal(err)
						}
						all = append(all, info)
					}
					if len(all) != want {
						t.Fatalf("%d sessions are listed, want %d", len(all), want)
					}
					return all
				}
				isIn := func(v *visitor, says string) {
					t.Helper()
					if got := v.must(there, "GET", tt.reads, ""); got != says {
						t.Errorf("at Express it is %s, want %s", got, says)
					}
					if got := v.must(here, "GET", "/who", ""); got != tt.user {
						t.Errorf("here it is %q, want %q", got, tt.user)
					}
				}
				isOut := func(v *visitor) {
					t.Helper()
					if r := v.do(there, "GET", tt.reads, ""); r.status != tt.nobody || r.status == http.StatusOK && r.body != "null" {
						t.Errorf("at Express it is %s, status %d", r.body, r.status)
					}
				}

				one, two, signedIn := newVisitor(t), newVisitor(t), newVisitor(t)
				for i, v := range []*visitor{one, two} {
					v.must(there, tt.method, tt.path, tt.body)
					list(i) // nobody came here with it
					isIn(v, tt.before)
					list(i + 1)
				}
				signedIn.must(here, "POST", "/signin?user="+tt.user, "")
				isIn(signedIn, tt.after)
				all := list(3) // the last one first
				if all[0].CreatedAt.IsZero() || !all[1].CreatedAt.IsZero() {
					t.Errorf("who signed in here did so at %v, at Express at %v", all[0].CreatedAt, all[1].CreatedAt)
				}
				if err := m.Revoke(t.Context(), tt.user, all[2].Handle); err != nil {
					t.Fatal(err)
				}
				isOut(one)
				isIn(two, tt.before)
				if err := m.RevokeUser(t.Context(), tt.user); err != nil {
					t.Fatal(err)
				}
				isOut(two)
				isOut(signedIn)
				list(0)
			})
		}
	})
}

// withUsers is a small app with that Config.UserKey.
func withUsers(t testing.TB, db database, key string) (*core.Manager, side) {
	t.Helper()
	s := settings{}.on(db)
	store, closeStore, err := openStore(t.Context(), s.Store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeStore)
	cfg := s.config(store)
	cfg.UserKey = key
	m, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if r.URL.Path == "/signin" {
			if err := s.SignIn(r.Context(), r.FormValue("user")); err != nil {
				http.Error(w, err.Error(), core.HTTPStatus(err))
				return
			}
		}
		_, _ = io.WriteString(w, s.User())
	})))
	t.Cleanup(server.Close)
	return m, side{name: "Go", url: server.URL, manager: m}
}
