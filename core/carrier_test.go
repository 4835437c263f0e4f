package core_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/predecessor"
)

// asBearer sends a request with a token, or without any where that is empty.
func (st *stage) asBearer(token string, fn func(w http.ResponseWriter, r *http.Request)) *http.Response {
	st.t.Helper()
	st.handler = fn
	r, err := http.NewRequestWithContext(st.t.Context(), http.MethodGet, st.server.URL, nil)
	if err != nil {
		st.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := st.server.Client().Do(r)
	if err != nil {
		st.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res
}

func TestATokenIsThereOnceTheSessionIsStored(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Header: &core.Header{}})
	var token string
	expect := func(s *core.Session, when string, there bool) {
		t.Helper()
		got, err := s.Token()
		if there != (err == nil) || !there && (got != "" || !errors.Is(err, core.ErrNotStored)) {
			t.Errorf("%s: a token: %t, %v", when, got != "", err)
		}
		token = got
	}
	save := func(s *core.Session) {
		t.Helper()
		if err := s.Save(t.Context()); err != nil {
			t.Error(err)
		}
	}
	res := st.asBearer("", func(_ http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		expect(s, "new", false)
		s.Set("user", "ada")
		expect(s, "changed", false)
		save(s)
		expect(s, "saved", true)
		if err := s.SignIn(r.Context(), "ada"); err != nil {
			t.Error(err)
		}
		expect(s, "signed in", false)
		save(s)
		expect(s, "signed in and saved", true)
	})
	if got := res.Header.Get("Session-Token"); got != token || got == "" {
		t.Error("the header has another token than the session")
	}
	st.asBearer(token, func(_ http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		expect(s, "loaded", true)
		if s.User() != "ada" || s.CarriedBy() != core.CarrierHeader {
			t.Errorf("the token leads to %v, carried by %v", s, s.CarriedBy())
		}
		if err := s.SignOut(r.Context()); err != nil {
			t.Error(err)
		}
		expect(s, "signed out", false)
	})
}

// A session that was stored and ended by one request leaves no token behind, nor what
// was said of one.
func TestAResponseHasTheLastTokenAndNoOther(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Header: &core.Header{}})
	res := st.asBearer("", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		s.Set("n", 1)
		if _, err := s.UpgradeHeader(r.Context()); err != nil {
			t.Error(err)
		}
		if h, err := s.UpgradeHeader(r.Context()); err != nil || h.Get("Session-Token") == "" || h.Get("Set-Cookie") != "" {
			t.Errorf("the headers of an upgrade: %d, %v", len(h), err)
		}
		if err := s.Destroy(r.Context()); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusOK)
	})
	if tokens := res.Header["Session-Token"]; len(tokens) != 0 {
		t.Errorf("a session that began and ended in one request gives %d tokens", len(tokens))
	}
}

// Standards: ASVS-7.4.2
func TestTheVerbsOfUsersHoldForTokens(t *testing.T) {
	t.Parallel()
	st, _ := newUserStage(t, core.Config{Header: &core.Header{}, MaxSessionsPerUser: 2, IdleTimeout: time.Hour, AbsoluteTimeout: 2 * time.Hour})
	signIn := func() string {
		t.Helper()
		res := st.asBearer("", func(_ http.ResponseWriter, r *http.Request) {
			if err := core.FromContext(r.Context()).SignIn(r.Context(), "ada"); err != nil {
				t.Error(err)
			}
		})
		return res.Header.Get("Session-Token")
	}
	lives := func(token string) (is bool) {
		t.Helper()
		st.asBearer(token, func(_ http.ResponseWriter, r *http.Request) { is = core.FromContext(r.Context()).User() == "ada" })
		return is
	}
	first, second, third := signIn(), signIn(), signIn()
	if lives(first) || !lives(second) || !lives(third) {
		t.Error("a limit of two did not end the first of three")
	}
	n := 0
	for _, err := range st.Sessions(t.Context(), "ada") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d sessions are listed, want 2", n)
	}
	st.clock.advance(50 * time.Minute)
	if !lives(second) {
		t.Error("a session ended before its idle timeout")
	}
	st.clock.advance(50 * time.Minute)
	if !lives(second) || lives(third) {
		t.Error("the idle timeout does not go by activity")
	}
	if err := st.RevokeUser(t.Context(), "ada"); err != nil || lives(second) {
		t.Errorf("RevokeUser left a token of use (%v)", err)
	}
	last := signIn()
	st.clock.advance(50 * time.Minute)
	lives(last)
	st.clock.advance(50 * time.Minute)
	lives(last)
	st.clock.advance(20 * time.Minute)
	if lives(last) {
		t.Error("a session outlived its absolute timeout")
	}
}

func TestManagerLoadGivesAContextInWhichTheSessionIsFound(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Header: &core.Header{}})
	callee := func(ctx context.Context) string { return core.FromContext(ctx).User() } // of a handler of gRPC, or a queue's

	type key struct{}
	s, err := st.Load(context.WithValue(t.Context(), key{}, "kept"), "")
	if err != nil {
		t.Fatal(err)
	}
	if got := callee(s.Context()); got != "" || s.Context().Value(key{}) != "kept" {
		t.Errorf("an empty session is found as %q's, with the value %v", got, s.Context().Value(key{}))
	}
	if err := s.SignIn(s.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Commit(t.Context(), s, true); err != nil {
		t.Fatal(err)
	}
	token, err := s.Token()
	if err != nil {
		t.Fatal(err)
	}
	s, err = st.Load(t.Context(), token)
	if err != nil || callee(s.Context()) != "ada" || st.FromContext(s.Context()) != s {
		t.Errorf("the token leads to %v, %v", s, err)
	}
	other := newStage(t, core.Config{})
	outside, err := other.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if s, err = st.Load(outside.Context(), token); err != nil || other.FromContext(s.Context()) != outside || st.FromContext(s.Context()) != s {
		t.Errorf("inside of the context of another Manager: %v, %v", s, err)
	}
	if s, err = st.Load(t.Context(), "eyJhbGciOiJub25lIn0.e30."); err != nil || callee(s.Context()) != "" {
		t.Errorf("a foreign token leads to %v, %v", s, err)
	}
}

func TestA401OfTheErrorPageSaysHowToSignIn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header *core.Header
		want   string
	}{{nil, ""}, {&core.Header{}, "Bearer"}, {&core.Header{Request: "X-Auth-Token"}, ""}} {
		st := newStage(t, core.Config{Header: c.header})
		res := st.asBearer("", func(w http.ResponseWriter, r *http.Request) { st.Fail(w, r, core.ErrSignInTooOld) })
		if got := res.Header.Get("WWW-Authenticate"); res.StatusCode != http.StatusUnauthorized || got != c.want {
			t.Errorf("%v: %d, WWW-Authenticate %q, want %q", c.header, res.StatusCode, got, c.want)
		}
	}
}

func TestHeadersThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header core.Header
		field  string
	}{
		{core.Header{Request: "Auth Token"}, "Header.Request"},
		{core.Header{Request: "cookie"}, "Header.Request"},
		{core.Header{Response: "Token:"}, "Header.Response"},
		{core.Header{Response: "set-cookie"}, "Header.Response"},
		{core.Header{Response: "Vary"}, "Header.Response"},
	} {
		var cfgErr *core.ConfigError
		if _, err := core.New(core.Config{Store: sessions, Secrets: exampleSecrets, Header: &c.header}); !errors.As(err, &cfgErr) || cfgErr.Field != c.field {
			t.Errorf("%+v: %v", c.header, err)
		}
	}
}

func TestTheHeadersInForce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header *core.Header
		want   string
	}{
		{nil, "none"},
		{&core.Header{}, "Authorization, Session-Token"},
		{&core.Header{Request: "authorization"}, "Authorization, Session-Token"},
		{&core.Header{Request: "x-auth-token"}, "X-Auth-Token, X-Auth-Token"},
		{&core.Header{Response: "set-auth-token"}, "Authorization, Set-Auth-Token"},
	} {
		m, err := core.New(core.Config{Store: sessions, Secrets: exampleSecrets, Header: c.header})
		if err != nil {
			t.Fatal(err)
		}
		cfg := m.Config()
		if got := cfg.Header.String(); got != c.want || !strings.Contains(fmt.Sprintf("%+v", cfg), c.want) {
			t.Errorf("the headers are %q, want %q", got, c.want)
		}
	}
	if got := core.CarrierCookie.String() + core.CarrierHeader.String() + core.Carrier(7).String(); got != "cookieheaderCarrier(7)" {
		t.Error(got)
	}
}

func TestNobodyWithATokenTakesOverTheSessionOfAPredecessor(t *testing.T) {
	t.Parallel()
	asked := false
	st := newStage(t, core.Config{Header: &core.Header{}, Predecessor: core.Predecessor{
		Until: time.Now().Add(24 * 365 * 100 * time.Hour), Source: askedSource{&asked},
	}})
	st.asBearer("", func(_ http.ResponseWriter, r *http.Request) { core.FromContext(r.Context()).User() })
	if asked {
		t.Error("the predecessor is asked for a client without cookies")
	}
	st.visit("old=1", nil)
	if !asked {
		t.Error("the predecessor is not asked for a browser")
	}
}

// A client without cookies: it sends the last token that it was told, and nothing else.
func ExampleHeader() {
	m := must(core.Config{Store: sessions, Secrets: exampleSecrets, Header: &core.Header{}})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).SignIn(r.Context(), "bob"); err != nil {
			http.Error(w, "Login failed.", core.HTTPStatus(err))
		}
	})
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if s.User() == "" {
			w.Header().Set("WWW-Authenticate", s.Challenge())
			http.Error(w, "Log in first.", http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, "You are %s, by %s.\n", s.User(), s.CarriedBy())
	})
	server := httptest.NewServer(m.Handler(mux))
	defer server.Close()

	token := "" // in an app: kept in a file, or in the system's keychain
	call := func(method, path string) {
		r, _ := http.NewRequestWithContext(context.Background(), method, server.URL+path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer res.Body.Close()
		if told := res.Header.Values("Session-Token"); len(told) > 0 {
			token = told[0] // empty when the session has ended
		}
		body, _ := io.ReadAll(res.Body)
		fmt.Printf("%d %q %q\n", res.StatusCode, res.Header.Get("WWW-Authenticate"), strings.TrimSpace(string(body)))
	}
	call("GET", "/me")
	call("POST", "/login")
	call("GET", "/me")

	// Output:
	// 401 "Bearer" "Log in first."
	// 200 "" ""
	// 200 "" "You are bob, by header."
}

// The token in the body of the response, for clients that cannot read its headers.
func ExampleSession_Token() {
	m := must(core.Config{Store: sessions, Secrets: exampleSecrets, Header: &core.Header{Only: core.AlwaysHeader}})
	login := func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		err := s.SignIn(r.Context(), "bob")
		if err == nil {
			err = s.Save(r.Context()) // under its new id, which the token is for
		}
		token, tokenErr := s.Token()
		if err = errors.Join(err, tokenErr); err != nil {
			http.Error(w, "Login failed.", core.HTTPStatus(err))
			return
		}
		fmt.Fprintf(w, `{"token": %q}`, token)
	}
	answer := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(login)).ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/login", nil))
	fmt.Println(strings.Contains(answer.Body.String(), answer.Header().Get("Session-Token")))

	// Output:
	// true
}

// A handler that is none of net/http's: of gRPC, or of a queue, with the token in the
// metadata of the call.
func ExampleSession_Context() {
	m := must(core.Config{Store: sessions, Secrets: exampleSecrets, Header: &core.Header{}})
	handle := func(ctx context.Context) string { // finds the session where handlers of net/http find it
		return "user " + core.FromContext(ctx).User()
	}
	intercept := func(ctx context.Context, token string) (answer, newToken string, err error) {
		s, err := m.Load(ctx, token)
		if err != nil {
			return "", "", err
		}
		answer = handle(s.Context())
		if _, err := m.Commit(ctx, s, true); err != nil {
			return "", "", err
		}
		if now, err := s.Token(); err == nil && now != token {
			newToken = now
		}
		return answer, newToken, nil
	}

	s, _ := m.Load(context.Background(), "") // a login, elsewhere
	_ = s.SignIn(context.Background(), "bob")
	_, _ = m.Commit(context.Background(), s, true)
	token, _ := s.Token()

	fmt.Println(intercept(context.Background(), token))

	// Output:
	// user bob  <nil>
}

// What is stored after a logout has a token of its own.
func TestWhatIsStoredAfterALogoutHasAToken(t *testing.T) {
	now := time.Now()
	m := instance(t, newTellingStore(), func(c *core.Config) {
		c.Header = &core.Header{}
		c.Now = func() time.Time { return now }
	})
	token := begin(t, m)
	s := resume(t, m, token)
	if err := s.Rotate(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Commit(t.Context(), s, true); err != nil {
		t.Fatal(err)
	}
	late := resume(t, m, token) // led to the session
	if err := late.SignOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	late.Set("message", "bye")
	if err := late.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := late.Token()
	if err != nil {
		t.Fatal("stored, and no token: ", err)
	}
	if resume(t, m, got).Status() != core.StatusLoaded {
		t.Error("worthless")
	}
}

// A browser cannot put a token into the request of a WebSocket or an EventSource. A page
// that has one asks for a key that is good for one such request, within half a minute, and
// puts that into the address.
func ExampleManager_Load_oneTimeKey() {
	const ticketFor core.Key[string] = "token"

	m := must(core.Config{Store: sessions, Secrets: exampleSecrets, Header: &core.Header{Only: core.AlwaysHeader}})
	keySecrets := []string{"another secret, of 32 random bytes or more"} // so that no key is a session, and no token a key
	keys := must(core.Config{Store: sessions, Secrets: keySecrets, IdleTimeout: 30 * time.Second, AbsoluteTimeout: 30 * time.Second})

	newKey := func(r *http.Request) (string, error) { // for POST /stream-key, with the token in the header
		token, err := m.FromContext(r.Context()).Token()
		if err != nil {
			return "", err
		}
		one, err := keys.Load(r.Context(), "")
		if err != nil {
			return "", err
		}
		ticketFor.Set(one, token)
		if _, err := keys.Commit(r.Context(), one, true); err != nil {
			return "", err
		}
		return one.Token()
	}
	open := func(r *http.Request) (*core.Session, error) { // for GET /stream?key=..., without any header
		one, err := keys.Load(r.Context(), r.FormValue("key"))
		if err != nil {
			return nil, err
		}
		token, err := ticketFor.Take(r.Context(), one) // exactly one request in the world gets it
		if err != nil {
			return nil, err
		}
		return m.Load(r.Context(), token)
	}

	var token, key string
	server := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		switch r.URL.Path {
		case "/login":
			err = core.FromContext(r.Context()).SignIn(r.Context(), "bob")
		case "/stream-key":
			key, err = newKey(r)
		case "/stream":
			var s *core.Session
			if s, err = open(r); err == nil {
				fmt.Println("a stream for", s.User()) // which asks s.Check now and then whether the session lives
			}
		}
		if err != nil {
			fmt.Println(errors.Is(err, core.ErrAbsent), err)
		}
	}))
	call := func(path string) {
		r, w := httptest.NewRequest(http.MethodPost, path, nil), httptest.NewRecorder()
		r.Header.Set("Authorization", "Bearer "+token)
		server.ServeHTTP(w, r)
		if told := w.Header().Get("Session-Token"); told != "" {
			token = told
		}
	}
	call("/login")
	call("/stream-key")
	call("/stream?key=" + url.QueryEscape(key))
	call("/stream?key=" + url.QueryEscape(key))

	// Output:
	// a stream for bob
	// true cloakroom: session has no such key
}

// An askedSource notes that it was asked.
type askedSource struct{ asked *bool }

func (s askedSource) CookieNames() []string { return []string{"old"} }

func (s askedSource) Find(context.Context, *http.Request) (predecessor.Session, error) {
	*s.asked = true
	return predecessor.Session{}, predecessor.ErrNone
}

func (s askedSource) Forget(context.Context, *http.Request) ([]*http.Cookie, error) { return nil, nil }
