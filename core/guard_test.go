package core_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

// behind answers a request through a Guard.
func behind(g *core.Guard) http.HandlerFunc {
	return g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "for "+core.FromContext(r.Context()).User())
	})).ServeHTTP
}

// header sets headers of a request, given in pairs.
func header(pairs ...string) func(*http.Request) {
	return func(r *http.Request) {
		for i := 0; i < len(pairs); i += 2 {
			r.Header.Set(pairs[i], pairs[i+1])
		}
	}
}

const acceptPage = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func TestAGuardLetsUsersThroughAndLeadsBrowsersToTheSignInPage(t *testing.T) {
	t.Parallel()
	st, _ := newUserStage(t, core.Config{})
	page := core.SignInPage{Path: "/login"}
	member, visitor := st.logIn("", "ada"), st.signIn()
	for _, tt := range []struct {
		name   string
		page   core.SignInPage
		cookie string
		edit   func(*http.Request)
		status int
		to     string
	}{
		{"a user", page, member, header("Accept", acceptPage), 200, ""},
		{"a user's program", page, member, header(), 200, ""},
		{"a page", page, "", header("Accept", acceptPage, "Sec-Fetch-Mode", "navigate"), 303, "/login?return_to=%2F"},
		{"a page, with a session of nobody", page, visitor, header("Accept", acceptPage), 303, "/login?return_to=%2F"},
		{"a page, by a browser that says nothing of how", page, "", header("Accept", acceptPage), 303, "/login?return_to=%2F"},
		{"a page among others that are accepted", page, "", header("Accept", "application/json, TEXT/HTML;q=0.1"), 303, "/login?return_to=%2F"},
		{"a sign-in page with a query", core.SignInPage{Path: "/login?lang=de"}, "", header("Accept", acceptPage), 303, "/login?lang=de&return_to=%2F"},
		{"no sign-in page", core.SignInPage{}, "", header("Accept", acceptPage), 401, ""},
		{"a client that accepts anything", page, "", header("Accept", "*/*"), 401, ""},
		{"a client that says nothing", page, "", header(), 401, ""},
		{"a client that wants JSON", page, "", header("Accept", "application/json"), 401, ""},
		{"fetch", page, "", header("Accept", acceptPage, "Sec-Fetch-Mode", "cors"), 401, ""},
		{"fetch of the same origin", page, "", header("Accept", acceptPage, "Sec-Fetch-Mode", "same-origin"), 401, ""},
		{"XMLHttpRequest by a library", page, "", header("Accept", acceptPage, "X-Requested-With", "XMLHttpRequest"), 401, ""},
		{"what the app calls an API", core.SignInPage{Path: "/login", IsAPI: func(*http.Request) bool { return true }}, "", header("Accept", acceptPage), 401, ""},
		{"what the app calls a page", core.SignInPage{Path: "/login", IsAPI: func(*http.Request) bool { return false }}, "", header(), 303, "/login?return_to=%2F"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := st.request(tt.cookie, behind(core.RequireUser(tt.page)), tt.edit)
			if a.status != tt.status || a.header.Get("Location") != tt.to {
				t.Errorf("status %d, Location %q; want %d, %q", a.status, a.header.Get("Location"), tt.status, tt.to)
			}
			if through := a.body == "for ada"; through != (tt.status == 200) {
				t.Errorf("the body is %q", a.body)
			}
			if tt.status != 200 && a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control is %q", a.header.Get("Cache-Control"))
			}
			if a.setCookie != "" {
				t.Error("a session was made of it")
			}
		})
	}
}

// A client that has its session by a header is a program, and told how to get in.
func TestAGuardTellsAClientWithAHeaderToSendAToken(t *testing.T) {
	t.Parallel()
	st, _ := newUserStage(t, core.Config{Header: &core.Header{}})
	for _, tt := range []struct {
		name, credentials, challenge, to string
		status                           int
	}{
		{"no token", "Bearer", "Bearer", "", 401},
		{"a token that leads nowhere", "Bearer s:unknown-unknown-unknown.c2lnbmF0dXJl", `Bearer error="invalid_token"`, "", 401},
		{"a token of somebody else's", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "", "/login?return_to=%2F", 303},
		{"no header", "", "", "/login?return_to=%2F", 303},
	} {
		a := st.request("", behind(core.RequireUser(core.SignInPage{Path: "/login"})), header("Accept", acceptPage, "Authorization", tt.credentials))
		if a.status != tt.status || a.header.Get("WWW-Authenticate") != tt.challenge || a.header.Get("Location") != tt.to {
			t.Errorf("%s: status %d, challenge %q, Location %q", tt.name, a.status, a.header.Get("WWW-Authenticate"), a.header.Get("Location"))
		}
	}
}

func TestTheSignInPageIsToldWhereToReturn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, prefix, method, target, referer, want string
	}{
		{"a page", "", "GET", "/orders?page=2&q=a%26b", "", "/orders?page=2&q=a%26b"},
		{"HEAD", "", "HEAD", "/orders", "", "/orders"},
		{"behind a proxy that strips a prefix", "/app", "GET", "/orders", "", "/app/orders"},
		{"a POST returns to the page with the form", "", "POST", "/orders/7/cancel", "http://shop.example/orders/7?x=1", "/orders/7?x=1"},
		{"a POST from another site", "", "POST", "/orders", "http://evil.example/orders", ""},
		{"a POST from who knows where", "", "POST", "/orders", "", ""},
		{"a POST from what is no URL", "", "POST", "/orders", "http://shop.example:x/%", ""},
		{"a POST by the sign-in page", "", "POST", "/orders", "http://shop.example/login?x=1", ""},
		{"a target with two slashes", "", "GET", "//evil.example/", "", ""},
		{"a target with a backslash", "", "GET", "/%5Cevil.example/", "", ""},
		{"a target that is too long", "", "GET", "/" + strings.Repeat("a", 2048), "", ""},
		{"a target as to a proxy", "", "GET", "http://shop.example/orders", "", "/orders"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st := newStage(t, core.Config{StrippedPrefix: tt.prefix})
			r := httptest.NewRequestWithContext(t.Context(), tt.method, tt.target, http.NoBody)
			r.Host = "shop.example"
			r.Header.Set("Accept", acceptPage)
			r.Header.Set("Referer", tt.referer)
			w := httptest.NewRecorder()
			st.Handler(http.StripPrefix("/", behind(core.RequireUser(core.SignInPage{Path: "/login"})))).ServeHTTP(w, r) // a router may change the URL
			want := "/login"
			if tt.want != "" {
				want += "?return_to=" + url.QueryEscape(tt.want)
			}
			if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != want {
				t.Errorf("%d to %q, want 303 to %q", w.Code, got, want)
			}
		})
	}
}

func TestAGuardAroundItsOwnSignInPageDoesNotLeadInACircle(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/login?return_to=%2Forders", http.NoBody)
	r.Header.Set("Accept", acceptPage)
	w := httptest.NewRecorder()
	st.Handler(behind(core.RequireUser(core.SignInPage{Path: "/login?lang=de"}))).ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("status %d, want 401", w.Code)
	}
}

func TestAGuardDemandsARecentSignIn(t *testing.T) {
	t.Parallel()
	st, _ := newUserStage(t, core.Config{})
	page := core.SignInPage{Path: "/login"}
	recent := behind(core.RequireRecentSignIn(10*time.Minute, page))
	cookie := st.logIn("", "ada")
	if a := st.request(cookie, recent, header("Accept", acceptPage)); a.status != http.StatusOK {
		t.Errorf("at once: status %d", a.status)
	}
	st.clock.advance(10 * time.Minute)
	if a := st.request(cookie, recent, header("Accept", acceptPage)); a.status != http.StatusSeeOther || a.header.Get("Location") != "/login?return_to=%2F" {
		t.Errorf("later: %d to %q", a.status, a.header.Get("Location"))
	}
	if a := st.request(cookie, recent); a.status != http.StatusUnauthorized {
		t.Errorf("a program, later: status %d", a.status)
	}
	if a := st.request("", recent); a.status != http.StatusUnauthorized {
		t.Errorf("nobody: status %d", a.status)
	}
	cookie = st.logIn(cookie, "ada")
	if a := st.request(cookie, recent); a.status != http.StatusOK {
		t.Errorf("after another sign-in: status %d", a.status)
	}
}

// Whatever goes wrong, nobody is let through, and an outage does not look like a logout.
func TestAGuardThatCannotTellLetsNobodyThrough(t *testing.T) {
	t.Parallel()
	t.Run("an outage", func(t *testing.T) {
		t.Parallel()
		st := newStage(t, core.Config{})
		cookie := st.logIn("", "ada")
		guarded := behind(core.RequireRecentSignIn(time.Hour, core.SignInPage{Path: "/login"}))
		a := st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
			st.store.failWith("load", errRefused)
			guarded(w, r)
		}, header("Accept", acceptPage))
		if a.status != http.StatusServiceUnavailable || a.header.Get("Location") != "" {
			t.Errorf("%d to %q, want 503", a.status, a.header.Get("Location"))
		}
	})
	t.Run("an outage, with Lazy", func(t *testing.T) {
		t.Parallel()
		st := newStage(t, core.Config{Lazy: true})
		cookie := st.signIn()
		st.store.failWith("load", errRefused)
		a := st.request(cookie, behind(core.RequireUser(core.SignInPage{Path: "/login"})), header("Accept", acceptPage))
		if a.status != http.StatusServiceUnavailable || a.header.Get("Location") != "" {
			t.Errorf("%d to %q, want 503", a.status, a.header.Get("Location"))
		}
	})
	t.Run("no middleware", func(t *testing.T) {
		t.Parallel()
		defer func() {
			if err, ok := recover().(error); !ok || !errors.Is(err, core.ErrNoSession) {
				t.Errorf("a Guard without the middleware panics with %v", err)
			}
		}()
		behind(core.RequireUser(core.SignInPage{}))(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/", http.NoBody))
	})
}

func TestAnErrorHandlerAnswersWhatAGuardRefuses(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
		w.WriteHeader(core.HTTPStatus(err))
		_, _ = io.WriteString(w, "sorry")
	}})
	a := st.request("", behind(core.RequireUser(core.SignInPage{Path: "/login"})))
	if a.status != http.StatusUnauthorized || a.body != "sorry" {
		t.Errorf("%d %q", a.status, a.body)
	}
}

func TestAGuardThatCannotWorkIsNotMade(t *testing.T) {
	t.Parallel()
	for name, guard := range map[string]func(){
		"a page of another site":   func() { core.RequireUser(core.SignInPage{Path: "https://login.example/"}) },
		"a page that is relative":  func() { core.RequireUser(core.SignInPage{Path: "login"}) },
		"a page of who knows whom": func() { core.RequireUser(core.SignInPage{Path: "//login"}) },
		"seconds for a duration":   func() { core.RequireRecentSignIn(600, core.SignInPage{}) },
		"a page for nobody":        func() { core.RequireRecentSignIn(0, core.SignInPage{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("it is made all the same")
				}
			}()
			guard()
		})
	}
}

// Each of these was an open redirect somewhere, or is one spelling further.
func TestAReturnPathNeverLeadsToAnotherSite(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"", "orders", "?x", "#x", "https://evil.example/", "HTTPS://evil.example/", "https:evil.example", "https:/evil.example", "javascript:alert(1)",
		"//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example", "/\\/evil.example", "/x//evil.example",
		"/%2Fevil.example", "/%2fevil.example", "/%5Cevil.example", "/%5c%5cevil.example", "/%252Fevil.example", "/%25252Fevil.example", "/%255Cevil.example",
		"/.//evil.example", "/..//evil.example", "/x/../evil", "/./evil", "/%2e%2e/evil", "/%2e%2e%2fevil", "/x/..", "/.", "/%252e%252e/x",
		"/\t/evil.example", "/\n/evil.example", "/\r\nLocation: https://evil.example", "/%09/evil.example", "/%0d%0aX: y", "/%0A/x", "/%00", "/x\x00", "/x\x7f", "/%7f",
		" /evil.example", "/ /evil.example", "/evil.example ", "\t//evil.example", "/é", "/\u2028", "/\u2215/evil.example", "/\xff",
		"/%zz", "/%", "http://shop.example@evil.example/", "/x?\n", "/" + strings.Repeat("a", 2048),
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/login?"+url.Values{"return_to": {path}}.Encode(), http.NoBody)
		if got := core.ReturnPath(r, "/home"); got != "/home" {
			t.Errorf("%q is returned to, as %q", path, got)
		}
	}
	for _, path := range []string{
		"/", "/orders", "/orders/", "/orders?page=2&q=a+b%26c", "/orders?next=https://other.example//x/../y", "/a%20b", "/caf%C3%A9", "/100%25", "/x#part", "/.well-known/x", "/a..b", "/...", "/~ada", "/@x:80/", "/" + strings.Repeat("a", 2047),
	} {
		query := httptest.NewRequestWithContext(t.Context(), "GET", "/login?"+url.Values{"return_to": {path}}.Encode(), http.NoBody)
		form := httptest.NewRequestWithContext(t.Context(), "POST", "/login", strings.NewReader(url.Values{"return_to": {path}}.Encode()))
		form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, r := range []*http.Request{query, form} {
			if got := core.ReturnPath(r, "/home"); got != path {
				t.Errorf("%s: %q is not returned to, but %q", r.Method, path, got)
			}
		}
	}
}

// What a browser makes of a path that is returned to is a page of the site that it is on.
func FuzzReturnPath(f *testing.F) {
	for _, path := range []string{"/orders?page=2", "//evil.example", "/%2F", "/\\x", "/x/..", "/%25252e%252e/", "https://x", "/a#b"} {
		f.Add(path)
	}
	site, err := url.Parse("https://shop.example/login")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/login", RawQuery: url.Values{"return_to": {path}}.Encode()}}
		got := core.ReturnPath(r, "")
		if got == "" {
			return
		}
		to, err := site.Parse(got)
		if got != path || err != nil || to.Scheme != site.Scheme || to.Host != site.Host || to.User != nil {
			t.Errorf("%q leads to %v, %v", path, to, err)
		}
		for decoded := got; ; { // as a proxy may have it, or several
			if strings.HasPrefix(decoded, "//") || strings.HasPrefix(decoded, "/\\") {
				t.Errorf("%q is %q to somebody", path, decoded)
			}
			once, err := url.PathUnescape(decoded)
			if err != nil || once == decoded {
				break
			}
			decoded = once
		}
	})
}

// Where a session can come in a header, a 401 says so, and whoever uses that is a program.
func TestAGuardChallengesClientsThatMayUseAHeader(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Header: &core.Header{}})
	guarded := behind(core.RequireUser(core.SignInPage{Path: "/login"}))
	for _, tt := range []struct {
		name, authorization, accept string
		status                      int
		challenge                   string
	}{
		{"a program", "", "application/json", 401, "Bearer"},
		{"a program whose token is worth nothing", "Bearer " + core.Sign("a secret of somebody else, 32 bytes or more", "an-id-of-theirs-0123456789"), "text/html", 401, `Bearer error="invalid_token"`},
		{"a browser", "", acceptPage, 303, ""},
	} {
		a := st.request("", guarded, header("Accept", tt.accept), func(r *http.Request) {
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
		})
		if got := a.header.Get("WWW-Authenticate"); a.status != tt.status || got != tt.challenge {
			t.Errorf("%s: %d, WWW-Authenticate %q; want %d, %q", tt.name, a.status, got, tt.status, tt.challenge)
		}
	}
}

// It does so too where the app writes the answer.
func TestAGuardChallengesWhereAnErrorHandlerAnswers(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Header: &core.Header{}, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
		w.WriteHeader(core.HTTPStatus(err))
	}})
	a := st.request("", behind(core.RequireUser(core.SignInPage{})))
	if got := a.header.Get("WWW-Authenticate"); a.status != http.StatusUnauthorized || got != "Bearer" {
		t.Errorf("status %d, WWW-Authenticate %q", a.status, got)
	}
	st.store.failWith("load", errors.New("down"))
	b := st.request("sid="+core.Sign(stageSecret, "some-id-of-a-session"), behind(core.RequireUser(core.SignInPage{})))
	if got := b.header.Get("WWW-Authenticate"); b.status != http.StatusServiceUnavailable || got != "" {
		t.Errorf("while the store is down: status %d, WWW-Authenticate %q", b.status, got)
	}
}

// A browser whose session was ended while it asks for a page is led to the sign-in page, as
// one that comes a moment later is.
func TestAGuardLeadsABrowserWhoseSessionJustEndedToTheSignInPage(t *testing.T) {
	t.Parallel()
	st, _ := newUserStage(t, core.Config{})
	guard := behind(core.RequireRecentSignIn(time.Hour, core.SignInPage{Path: "/login"}))
	for _, tt := range []struct {
		name, accept string
		status       int
	}{{"a browser", acceptPage, http.StatusSeeOther}, {"a program", "application/json", http.StatusUnauthorized}} {
		cookie := st.logIn("", "ada")
		a := st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
			if err := st.RevokeUser(t.Context(), "ada"); err != nil {
				t.Error(err)
			}
			guard(w, r)
		}, header("Accept", tt.accept))
		if a.status != tt.status || (a.status == http.StatusSeeOther) != strings.HasPrefix(a.header.Get("Location"), "/login") {
			t.Errorf("%s: status %d, Location %q; want %d", tt.name, a.status, a.header.Get("Location"), tt.status)
		}
	}
}

// What is not quite percent-encoded does not hide what is behind it.
func TestAnIncompleteEscapeHidesNothingInAPathToReturnTo(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/%252fevil.example%25":        "/home",
		"/%255cevil.example/%25zz":     "/home",
		"/a/%252e%252e/b%25":           "/home",
		"/100%25":                      "/100%25",
		"/100%2525/x":                  "/100%2525/x",
		"/caf%C3%A9?q=%2F%2Fa.example": "/caf%C3%A9?q=%2F%2Fa.example",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/login?return_to="+url.QueryEscape(path), http.NoBody)
		if got := core.ReturnPath(r, "/home"); got != want {
			t.Errorf("%s leads to %s", path, got)
		}
	}
}
