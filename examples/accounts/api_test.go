package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A program is a client of the API: it has no cookies, and keeps the last token.
type program struct {
	t     *testing.T
	site  *site
	token string
	said  http.Header // of the last answer
}

// do returns the status and body of an answer.
func (p *program) do(method, path, body string) (int, string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.site.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if tokens, told := res.Header["Session-Token"]; told {
		p.token = tokens[0]
	}
	p.said = res.Header
	if len(res.Cookies()) > 0 {
		p.t.Errorf("%s %s sets a cookie", method, path)
	}
	return res.StatusCode, string(text)
}

// expect checks status and body of an answer.
func (p *program) expect(method, path, body string, status int, text string) {
	p.t.Helper()
	if got, said := p.do(method, path, body); got != status || !strings.Contains(said, text) {
		p.t.Fatalf("%s %s: %d %s, want %d and %q", method, path, got, said, status, text)
	}
}

const annSignsIn = `{"email": "ann@example.com", "password": "correct horse"}`

func TestAProgramSignsInAndOut(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		s.browser(t).signUp("ann")
		p := &program{t: t, site: s}
		p.expect("GET", "/api/me", "", http.StatusUnauthorized, `"title":"Log in first"`)
		if got := p.said.Get("WWW-Authenticate"); got != "Bearer" || p.said.Get("Content-Type") != "application/problem+json" {
			t.Errorf("401 with WWW-Authenticate %q and %q", got, p.said.Get("Content-Type"))
		}
		p.expect("POST", "/api/session", "no JSON", http.StatusBadRequest, "has to be JSON")
		p.expect("POST", "/api/session", `{"email": "ann@example.com", "password": "wrong"}`, http.StatusUnauthorized, "do not go together")
		if p.token != "" {
			t.Error("a login that failed gave a token")
		}
		p.expect("POST", "/api/session", annSignsIn, http.StatusOK, `"name":"ann"`)
		if p.token == "" || p.said.Get("Cache-Control") != "private, no-store" {
			t.Fatalf("a login gave the token %t, and Cache-Control %q", p.token != "", p.said.Get("Cache-Control"))
		}
		p.expect("GET", "/api/me", "", http.StatusOK, `"email":"ann@example.com"`)
		used := p.token
		p.expect("DELETE", "/api/session", "", http.StatusNoContent, "")
		if p.token != "" {
			t.Error("the logout left the token")
		}
		p.token = used
		p.expect("GET", "/api/me", "", http.StatusUnauthorized, "Log in first")
		if got := p.said.Get("WWW-Authenticate"); got != `Bearer error="invalid_token"` {
			t.Errorf("a token that has ended: WWW-Authenticate %q", got)
		}
	})
}

func TestAProgramAndABrowserAreDevicesOfOneUser(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		b := s.browser(t)
		b.signUp("ann")
		p := &program{t: t, site: s}
		p.expect("POST", "/api/session", annSignsIn, http.StatusOK, "")
		_, text := p.do("GET", "/api/devices", "")
		var devices []apiDevice
		if err := json.Unmarshal([]byte(text), &devices); err != nil || len(devices) != 2 || !devices[0].Current || devices[1].Current {
			t.Fatalf("devices: %s, %v", text, err)
		}
		p.expect("DELETE", "/api/devices/nobodys", "", http.StatusNotFound, "No such device")
		s.later.Add(int64(11 * time.Minute))
		p.expect("DELETE", "/api/devices/"+devices[1].Handle, "", http.StatusUnauthorized, "Log in again")
		p.expect("POST", "/api/session", annSignsIn, http.StatusOK, "")
		p.expect("DELETE", "/api/devices/"+devices[1].Handle, "", http.StatusNoContent, "")
		if r := b.get("/profile"); r.status != http.StatusUnauthorized {
			t.Errorf("the browser is still signed in: %d", r.status)
		}
		p.expect("DELETE", "/api/devices/"+devices[0].Handle, "", http.StatusNoContent, "")
		if p.token != "" {
			t.Error("a program that ended its own session kept the token")
		}
	})
}

// The cookie of a browser is worth nothing to the API, whoever makes the browser ask.
func TestTheAPIGoesByNoCookie(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		b := s.browser(t)
		b.signUp("ann")
		if r := b.do("GET", "/api/me", nil); r.status != http.StatusUnauthorized {
			t.Errorf("GET: %d", r.status)
		}
		if r := b.do("DELETE", "/api/session", nil, "Sec-Fetch-Site", "cross-site", "Origin", "https://elsewhere.example"); r.status != http.StatusNoContent {
			t.Errorf("DELETE by another site: %d", r.status)
		}
		if r := b.get("/profile"); r.status != http.StatusOK {
			t.Errorf("the browser is not signed in any more: %d", r.status)
		}
	})
}
