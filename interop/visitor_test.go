package interop

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// Figures that are printed when the tests are over.
var figures struct {
	operations, pairs, rounds, statements atomic.Int64
}

// A visitor is a browser. To its cookie jar all sides are one host, as behind
// the proxy of a migration.
type visitor struct {
	t      testing.TB
	jar    *cookiejar.Jar
	header http.Header // of every request
}

var transport = &http.Transport{MaxIdleConnsPerHost: 100, IdleConnTimeout: patience, DisableCompression: true}

func newVisitor(t testing.TB) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, jar: jar, header: http.Header{}}
}

// A reply is what a side answered.
type reply struct {
	status int
	body   string
	header http.Header
}

// do sends a request and keeps the cookies that it may bring.
func (v *visitor) do(s side, method, path, body string) reply {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	for name, values := range v.header {
		r.Header[name] = values
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Transport: transport, Jar: v.jar, Timeout: patience}
	res, err := client.Do(r)
	if err != nil {
		v.t.Fatalf("%s %s on %s: %v", method, path, s.name, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatalf("%s %s on %s: %v", method, path, s.name, err)
	}
	figures.operations.Add(1)
	return reply{res.StatusCode, string(text), res.Header}
}

// must is do for a request that succeeds. It returns the body.
func (v *visitor) must(s side, method, path, body string) string {
	v.t.Helper()
	r := v.do(s, method, path, body)
	if r.status != http.StatusOK && r.status != http.StatusNoContent {
		v.t.Fatalf("%s %s on %s: status %d: %s", method, path, s.name, r.status, r.body)
	}
	return r.body
}

func (v *visitor) set(s side, key, value string) { v.t.Helper(); v.must(s, "PUT", "/set/"+key, value) }

// get returns the JSON of a key, or an empty string where there is none.
func (v *visitor) get(s side, key string) string {
	v.t.Helper()
	r := v.do(s, "GET", "/get/"+url.PathEscape(key), "")
	switch r.status {
	case http.StatusOK:
		return r.body
	case http.StatusNotFound:
		return ""
	}
	v.t.Fatalf("GET %s on %s: status %d: %s", key, s.name, r.status, r.body)
	return ""
}

// expect checks the JSON of a key; empty: there is none.
func (v *visitor) expect(s side, key, want string) {
	v.t.Helper()
	if got := v.get(s, key); got != want {
		v.t.Errorf("%s: %s is %q, want %q", s.name, key, got, want)
	}
}

// id returns the id of the session as a side sees it.
func (v *visitor) id(s side) (id string) {
	v.t.Helper()
	if err := json.Unmarshal([]byte(v.must(s, "GET", "/id", "")), &id); err != nil {
		v.t.Fatal(err)
	}
	return id
}

// cookie returns the value of the session cookie, or an empty string.
func (v *visitor) cookie() string {
	for _, c := range v.jar.Cookies(site) {
		if c.Name == "connect.sid" {
			return c.Value
		}
	}
	return ""
}

// again returns another visitor with the cookie that v has now: a second tab, or
// a thief.
func (v *visitor) again() *visitor {
	v.t.Helper()
	other := newVisitor(v.t)
	if c := v.cookie(); c != "" {
		other.jar.SetCookies(site, []*http.Cookie{{Name: "connect.sid", Value: c, Path: "/"}})
	}
	return other
}

var site = &url.URL{Scheme: "http", Host: "127.0.0.1", Path: "/"}
