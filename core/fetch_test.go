package core_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
)

// ask does a request with these headers, as "name: value", and what do does in its handler.
func (st *stage) ask(method, cookie string, do func(s *core.Session, h http.Header), headers ...string) *http.Response {
	st.t.Helper()
	st.handler = func(w http.ResponseWriter, r *http.Request) { do(core.FromContext(r.Context()), w.Header()) }
	r, err := http.NewRequestWithContext(st.t.Context(), method, st.server.URL, http.NoBody)
	if err != nil {
		st.t.Fatal(err)
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		st.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp
}

// A customer who pays at another site, which leads back with a POST, stays logged in: the
// browser withholds the cookie there, and a new one would take its place.
func TestNoNewCookieReplacesOneThatWasWithheld(t *testing.T) {
	t.Parallel()
	const (
		crossSite = "Sec-Fetch-Site: cross-site"
		navigates = "Sec-Fetch-Mode: navigate"
	)
	flash := func(s *core.Session, _ http.Header) { s.Flash("info", "Thank you.") }
	for name, tt := range map[string]struct {
		cookie  core.Cookie
		method  string
		do      func(s *core.Session, h http.Header)
		headers []string
		sets    bool
	}{
		"a POST from another site":                    {core.Cookie{}, "POST", flash, []string{crossSite, navigates}, false},
		"the same without the attribute SameSite":     {core.Cookie{SameSite: http.SameSiteDefaultMode}, "POST", flash, []string{crossSite, navigates}, false},
		"a link on another site":                      {core.Cookie{}, "GET", flash, []string{crossSite, navigates}, true},
		"a link on another site with SameSite=Strict": {core.Cookie{SameSite: http.SameSiteStrictMode}, "GET", flash, []string{crossSite, navigates}, false},
		"a POST from a page of our own":               {core.Cookie{}, "POST", flash, []string{"Sec-Fetch-Site: same-origin", navigates}, true},
		"a POST by a script on another site":          {core.Cookie{}, "POST", flash, []string{crossSite, "Sec-Fetch-Mode: cors"}, true},
		"a POST of a client that is no browser":       {core.Cookie{}, "POST", flash, nil, true},
		"Save asks for a session": {core.Cookie{}, "POST", func(s *core.Session, _ http.Header) {
			s.Set("state", 1)
			if err := s.Save(context.Background()); err != nil {
				t.Error(err)
			}
		}, []string{crossSite, navigates}, true},
		"Regenerate asks for a session": {core.Cookie{}, "POST", func(s *core.Session, _ http.Header) {
			_ = s.Regenerate()
			s.Set("state", 1)
		}, []string{crossSite, navigates}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, core.Config{Cookie: tt.cookie})
			for range 2 {
				resp := st.ask(tt.method, "", tt.do, tt.headers...)
				if sets := resp.Header.Get("Set-Cookie") != ""; resp.StatusCode != http.StatusOK || sets != tt.sets {
					t.Errorf("status %d, sets a cookie: %v, want %v", resp.StatusCode, sets, tt.sets)
				}
			}
			if told := st.log.lines("another site led the browser here"); len(told) > 1 || (len(told) == 1) == tt.sets {
				t.Errorf("the log has %q", told)
			}
		})
	}
	t.Run("with its cookie it goes on", func(t *testing.T) {
		t.Parallel()
		st := newStage(t, core.Config{})
		cookie := st.signIn()
		st.ask("POST", cookie, flash, crossSite, navigates)
		st.visit(cookie, func(s *core.Session) {
			if got := s.Flashes("info"); !slices.Equal(got, []string{"Thank you."}) {
				t.Errorf("the next page shows %q", got)
			}
		})
	})
}

// What a browser keeps, it shows to whoever goes back after a logout.
func TestAPageOfAUserIsKeptNowhere(t *testing.T) {
	t.Parallel()
	read := func(s *core.Session, _ http.Header) { s.Get("n") }
	for name, tt := range map[string]struct {
		config    core.Config
		anonymous bool
		do        func(s *core.Session, h http.Header)
		want      string
	}{
		"a page that shows the session": {do: read, want: "no-store"},
		"one that asks for nothing":     {do: nil, want: ""},
		"an anonymous session":          {anonymous: true, do: read, want: ""},
		"a handler that chose otherwise": {do: func(s *core.Session, h http.Header) {
			s.Get("n")
			h.Set("Cache-Control", "private, max-age=60")
		}, want: "private, max-age=60"},
		"a change":                     {do: func(s *core.Session, _ http.Header) { s.Set("n", 2) }, want: "no-store"},
		"a logout":                     {do: func(s *core.Session, _ http.Header) { _ = s.SignOut(context.Background()) }, want: "private, no-cache"},
		"handlers that are left to it": {config: core.Config{LeaveCacheControl: true}, do: read, want: ""},
		"the cookie of a user that handlers are left to": {
			config: core.Config{LeaveCacheControl: true}, do: func(s *core.Session, _ http.Header) { _ = s.Renew() }, want: "private, no-cache",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.config.Store = newUserStore()
			st := newStage(t, tt.config)
			resp := st.ask("POST", "", func(s *core.Session, _ http.Header) {
				s.Set("n", 1)
				if !tt.anonymous {
					if err := s.SignIn(context.Background(), "ada"); err != nil {
						t.Error(err)
					}
				}
			})
			if got := resp.Header.Get("Cache-Control"); !tt.anonymous && !tt.config.LeaveCacheControl && got != "no-store" {
				t.Errorf("the login has Cache-Control %q", got)
			}
			cookie, _, _ := strings.Cut(resp.Header.Get("Set-Cookie"), ";")
			if tt.do == nil {
				st.handler = nil
			}
			resp = st.page(cookie, tt.do)
			if got := strings.Join(resp.Header["Cache-Control"], " and "); got != tt.want {
				t.Errorf("Cache-Control is %q, want %q", got, tt.want)
			}
		})
	}
}

// page does a request whose handler does not ask for the session where do is nil.
func (st *stage) page(cookie string, do func(s *core.Session, h http.Header)) *http.Response {
	if do != nil {
		return st.ask(http.MethodGet, cookie, do)
	}
	st.handler = func(http.ResponseWriter, *http.Request) {}
	r, err := http.NewRequestWithContext(st.t.Context(), http.MethodGet, st.server.URL, http.NoBody)
	if err != nil {
		st.t.Fatal(err)
	}
	r.Header.Set("Cookie", cookie)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		st.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

// Pages that were fetched ahead for one user must not be shown when another is, or
// nobody.
func TestWhoSignsInOrOutDropsWhatWasFetchedAhead(t *testing.T) {
	t.Parallel()
	const ahead = `"prefetchCache", "prerenderCache"`
	st := newStage(t, core.Config{Store: newUserStore()})
	login := func() (*http.Response, string) {
		resp := st.ask("POST", "", func(s *core.Session, _ http.Header) {
			if err := s.SignIn(context.Background(), "ada"); err != nil {
				t.Error(err)
			}
		})
		cookie, _, _ := strings.Cut(resp.Header.Get("Set-Cookie"), ";")
		return resp, cookie
	}
	resp, _ := login()
	if got := resp.Header["Clear-Site-Data"]; !slices.Equal(got, []string{ahead}) {
		t.Errorf("SignIn: Clear-Site-Data is %q", got)
	}
	for name, tt := range map[string]struct {
		do   func(s *core.Session, h http.Header)
		want []string
	}{
		"a page":  {func(s *core.Session, _ http.Header) { s.Set("n", 1) }, nil},
		"SignOut": {func(s *core.Session, _ http.Header) { _ = s.SignOut(context.Background()) }, []string{ahead}},
		"Destroy": {func(s *core.Session, _ http.Header) { _ = s.Destroy(context.Background()) }, []string{ahead}},
		"SignOut and a message": {func(s *core.Session, _ http.Header) {
			_ = s.SignOut(context.Background())
			s.Flash("info", "Goodbye.")
		}, []string{ahead}},
		"SignOut beside what the app clears": {func(s *core.Session, h http.Header) {
			h.Set("Clear-Site-Data", `"cache"`)
			_ = s.SignOut(context.Background())
		}, []string{`"cache"`, ahead}},
	} {
		_, cookie := login()
		resp := st.ask("POST", cookie, tt.do)
		if got := resp.Header["Clear-Site-Data"]; !slices.Equal(got, tt.want) {
			t.Errorf("%s: Clear-Site-Data is %q, want %q", name, got, tt.want)
		}
	}
	resp = st.ask("POST", "", func(s *core.Session, _ http.Header) { _ = s.SignOut(context.Background()) })
	if got := resp.Header["Clear-Site-Data"]; got != nil {
		t.Errorf("nobody was logged out, and Clear-Site-Data is %q", got)
	}
}

// A message is for the page that is really opened.
func TestAPageThatIsFetchedAheadTakesNoFlashes(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	st.visit(cookie, func(s *core.Session) { s.Flash("info", "Saved.") })
	for _, purpose := range []string{"prefetch", "prefetch;prerender"} {
		st.ask(http.MethodGet, cookie, func(s *core.Session, _ http.Header) {
			if got := s.Flashes("info"); got != nil {
				t.Errorf("%s: it shows %q", purpose, got)
			}
		}, "Sec-Purpose: "+purpose)
	}
	st.visit(cookie, func(s *core.Session) {
		if got := s.Flashes("info"); !slices.Equal(got, []string{"Saved."}) {
			t.Errorf("the page that is opened shows %q", got)
		}
	})
}
