package sessiontest_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/sessiontest"
)

// A peer is a server that a test writes the answers of, and that notes what it was asked.
type peer struct {
	t       testing.TB
	now     time.Time
	browser *sessiontest.Browser
	cookie  string // the bound one
	refresh func(w http.ResponseWriter, r *http.Request)

	mu   sync.Mutex
	seen []*http.Request
}

const peerCookie = "id=1; Path=/; Secure; HttpOnly; SameSite=Lax"

func newPeer(t testing.TB) *peer {
	p := &peer{t: t, now: time.Unix(1_800_000_000, 0), cookie: "bound=fresh; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"}
	p.browser = sessiontest.NewBrowser(sessiontest.Serve(http.HandlerFunc(p.serve)))
	p.browser.Now = func() time.Time { return p.now }
	p.refresh = p.ordinary
	return p
}

func (p *peer) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen = append(p.seen, r)
	p.mu.Unlock()
	switch r.URL.Path {
	case "/login":
		w.Header().Add("Set-Cookie", peerCookie)
		w.Header().Set("Secure-Session-Registration", `(ES256 RS256);path="/reg";challenge="first"`)
		http.Redirect(w, r, "/page", http.StatusSeeOther)
	case "/reg":
		p.bound(w)
	case "/refresh":
		p.refresh(w, r)
	case "/prove":
		if !strings.Contains(r.Header.Get("Cookie"), "fresh") {
			w.Header().Add("Set-Cookie", "bound=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
			http.Redirect(w, r, "/prove", http.StatusTemporaryRedirect)
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	default:
		_, _ = fmt.Fprint(w, r.Header.Get("Cookie"), r.Header.Get("Secure-Session-Skipped"))
	}
}

// ordinary asks for a proof, and takes any.
func (p *peer) ordinary(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Secure-Session-Response") == "" {
		w.Header().Set("Secure-Session-Challenge", `"next";id="s1"`)
		w.WriteHeader(http.StatusForbidden)
		return
	}
	p.bound(w)
}

// bound answers with the cookie and the instructions.
func (p *peer) bound(w http.ResponseWriter) {
	w.Header().Add("Set-Cookie", p.cookie)
	_, _ = fmt.Fprint(w, `{"session_identifier":"s1","refresh_url":"/refresh","scope":{"include_site":false,"scope_specification":[{"type":"exclude","domain":"*","path":"/static"}]},`+
		`"credentials":[{"type":"cookie","name":"bound","attributes":"Path=/; Secure; HttpOnly; SameSite=Lax"}],"allowed_refresh_initiators":["*"]}`)
}

// get opens a page and returns what it says.
func (p *peer) get(path string, edit ...func(*http.Request)) string {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "https://app.test"+path, http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range edit {
		e(r)
	}
	res, err := p.browser.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body)
}

// did checks the history, and that from here on.
func (p *peer) did(from int, want ...string) {
	p.t.Helper()
	if got := p.browser.History()[from:]; !slices.Equal(got, want) {
		p.t.Errorf("the browser did %q, want %q", got, want)
	}
}

// fromElsewhere makes it a request to which another site led.
func fromElsewhere(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }

func TestABrowserBindsASessionAndRefreshesIt(t *testing.T) {
	p := newPeer(t)
	if got := p.get("/login"); got != "id=1" {
		t.Errorf("the page behind the login got %q", got)
	}
	p.did(0, "registration: 200")
	if got := p.get("/page"); got != "id=1; bound=fresh" {
		t.Errorf("the next page got %q", got)
	}
	p.now = p.now.Add(10 * time.Minute)
	if got := p.get("/static/x"); got != "id=1" {
		t.Errorf("an excluded path got %q", got)
	}
	if got := p.get("/page"); got != "id=1; bound=fresh" {
		t.Errorf("ten minutes later: %q", got)
	}
	p.did(1, "refresh: 403", "refresh with proof: 200")
	for _, r := range p.seen {
		if strings.HasPrefix(r.URL.Path, "/re") && (r.Method != http.MethodPost || r.ContentLength != 0 || r.Header.Get("Origin") != "https://app.test" || r.Header.Get("Sec-Fetch-Site") != "same-origin") {
			t.Errorf("%s %s, %v", r.Method, r.URL.Path, r.Header)
		}
	}
}

func TestWhatEndsABindingAndWhatDoesNot(t *testing.T) {
	for _, tt := range []struct {
		name  string
		serve func(w http.ResponseWriter)
		lives bool
		got   string
	}{
		{"401", func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) }, false, "id=1"},
		{"403 without a challenge", func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }, false, "id=1"},
		{"404", func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }, false, "id=1"},
		{"429", func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) }, false, "id=1"},
		{"500", func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }, true, `id=1server_error;session_identifier="s1"`},
		{"503", func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }, true, `id=1server_error;session_identifier="s1"`},
		{"it does not go on", func(w http.ResponseWriter) { _, _ = fmt.Fprint(w, `{"session_identifier":"s1","continue":false}`) }, false, "id=1"},
		{"another identifier", func(w http.ResponseWriter) {
			_, _ = fmt.Fprint(w, `{"session_identifier":"s2","refresh_url":"/refresh","credentials":[{"type":"cookie","name":"bound","attributes":"Path=/; Secure; HttpOnly; SameSite=Lax"}]}`)
		}, false, "id=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t)
			p.get("/login")
			p.browser.ExpireBound()
			p.refresh = func(w http.ResponseWriter, _ *http.Request) { tt.serve(w) }
			if got := p.get("/page"); got != tt.got {
				t.Errorf("the request goes out as %q, want %q", got, tt.got)
			}
			if got := p.browser.IsBound("https://app.test/"); got != tt.lives {
				t.Errorf("the binding lives: %v", got)
			}
			p.refresh = p.ordinary
			if got := strings.HasSuffix(p.get("/page"), "bound=fresh"); got != tt.lives {
				t.Errorf("the next request is proven: %v", got)
			}
		})
	}
}

func TestABrowserSignsSixTimesInNineMinutes(t *testing.T) {
	p := newPeer(t)
	p.get("/login")
	for range 5 {
		p.browser.ExpireBound()
		if got := p.get("/page"); got != "id=1; bound=fresh" {
			t.Fatalf("within the quota: %q", got)
		}
	}
	p.browser.ExpireBound()
	if got := p.get("/page"); got != `id=1quota_exceeded;session_identifier="s1"` {
		t.Errorf("beyond the quota: %q", got)
	}
	p.now = p.now.Add(9 * time.Minute)
	if got := p.get("/page"); got != "id=1; bound=fresh" {
		t.Errorf("nine minutes later: %q", got)
	}
}

func TestAProofComesAgainWhereTheServerSaysNothing(t *testing.T) {
	p := newPeer(t)
	p.get("/login")
	var proofs []string
	p.refresh = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Secure-Session-Response") == "" {
			p.ordinary(w, r)
			return
		}
		proofs = append(proofs, r.Header.Get("Secure-Session-Response"))
		w.Header().Add("Set-Cookie", "bound=fresh; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600")
	}
	for range 10 { // more than the quota
		p.browser.ExpireBound()
		p.get("/page")
	}
	if len(proofs) != 10 || proofs[0] != proofs[9] {
		t.Errorf("%d proofs, the same: %v", len(proofs), len(proofs) == 10 && proofs[0] == proofs[9])
	}
}

func TestALinkFromAnotherSiteRefreshesWithoutCookies(t *testing.T) {
	p := newPeer(t)
	p.get("/login")
	p.browser.ExpireBound()
	p.seen = nil
	if got := p.get("/page", fromElsewhere); got != "id=1; bound=fresh" {
		t.Errorf("the page gets %q", got)
	}
	if got := p.seen[0]; got.URL.Path != "/refresh" || got.Header.Get("Cookie") != "" {
		t.Errorf("%s has the cookies %q", got.URL.Path, got.Header.Get("Cookie"))
	}
}

func TestACookieOfOtherAttributesIsNone(t *testing.T) {
	p := newPeer(t)
	p.get("/login")
	p.browser.ExpireBound()
	p.refresh = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Secure-Session-Response") == "" {
			p.ordinary(w, r)
			return
		}
		p.cookie = "bound=fresh; Path=/; Secure; SameSite=Lax; Max-Age=600"
		p.bound(w)
	}
	p.get("/page")
	before := len(p.browser.History())
	p.get("/page")
	p.did(before, "refresh: 403", "refresh with proof: 200")
}

func TestABrowserProvesAnewWhereItIsLedToTheSamePage(t *testing.T) {
	p := newPeer(t)
	p.get("/login")
	p.browser.ExpireBound()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://app.test/prove", strings.NewReader("amount=1"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "amount=1" {
		t.Errorf("the body is %q, %v", body, err)
	}
}

func TestWithLessThanTwoMinutesLeftTheCookieIsRefreshedBesideARequest(t *testing.T) {
	p := newPeer(t)
	p.get("/login")
	p.now = p.now.Add(8*time.Minute - time.Second)
	p.get("/page")
	p.did(1)
	p.now = p.now.Add(2 * time.Second)
	if got := p.get("/page"); got != "id=1; bound=fresh" {
		t.Errorf("the page gets %q", got)
	}
	p.did(1, "refresh: 403", "refresh with proof: 200")
	p.get("/page")
	p.did(3)
}

func TestSeveralRequestsAtOnceMakeOneRefresh(t *testing.T) {
	p := newPeer(t)
	p.get("/login")
	p.browser.ExpireBound()
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { p.get("/page") })
	}
	all.Wait()
	p.did(1, "refresh: 403", "refresh with proof: 200")
}

func TestACopyHasTheCookiesAndNotTheKeys(t *testing.T) {
	p := newPeer(t)
	p.get("/login")
	thief := p.browser.Copy()
	if n := len(thief.Cookies("https://app.test/")); n != 2 || thief.IsBound("https://app.test/") {
		t.Errorf("the thief has %d cookies, and keys: %v", n, thief.IsBound("https://app.test/"))
	}
}

func TestABrowserThatKnowsNothingOfItBindsNothing(t *testing.T) {
	for _, plain := range []bool{true, false} {
		p := newPeer(t)
		p.browser.Plain = plain
		p.get("/login")
		if got := p.browser.IsBound("https://app.test/"); got == plain {
			t.Errorf("plain: %v, bound: %v", plain, got)
		}
		if p.browser.IsBound("http://app.test/") || p.browser.IsBound("https://other.test/") {
			t.Error("it is bound elsewhere, too")
		}
	}
}

func TestABrowserKeepsCookiesByTheirRules(t *testing.T) {
	var lines []string
	b := sessiontest.NewBrowser(sessiontest.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, line := range lines {
			w.Header().Add("Set-Cookie", line)
		}
		_, _ = fmt.Fprint(w, r.Header.Get("Cookie"))
	})))
	sent := func(method, target string, edit ...func(*http.Request)) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, target, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range edit {
			e(r)
		}
		res, err := b.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	lines = []string{
		"none=1; Path=/; Secure; SameSite=None", "lax=1; Path=/; SameSite=Lax", "strict=1; Path=/; SameSite=Strict", "below=1; Path=/a", "__Host-x=1; Path=/a; Secure",
		"__Host-y=1; Path=/; Secure", "__Secure-z=1; Path=/", "insecure=1; SameSite=None", "foreign=1; Domain=other.test", "site=1; Path=/; Domain=app.test", "over=1; Max-Age=0",
	}
	sent("GET", "https://www.app.test/")
	lines = nil
	for _, tt := range []struct {
		method, target, want string
		edit                 []func(*http.Request)
	}{
		{"GET", "https://www.app.test/", "none=1; lax=1; strict=1; __Host-y=1; site=1", nil},
		{"GET", "https://www.app.test/a/b", "none=1; lax=1; strict=1; below=1; __Host-y=1; site=1", nil},
		{"GET", "https://www.app.test/ab", "none=1; lax=1; strict=1; __Host-y=1; site=1", nil},
		{"GET", "http://www.app.test/", "lax=1; strict=1; site=1", nil},
		{"GET", "https://app.test/", "site=1", nil},
		{"GET", "https://www.app.test/", "none=1; lax=1; __Host-y=1; site=1", []func(*http.Request){fromElsewhere}},
		{"POST", "https://www.app.test/", "none=1", []func(*http.Request){fromElsewhere}},
	} {
		if got := sent(tt.method, tt.target, tt.edit...); got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.method, tt.target, got, tt.want)
		}
	}
}
