package ticket_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
)

// The law: a session is found below the cookie's path as browsers match it (RFC
// 6265 section 5.1.4), whatever the request line says.
func FuzzCookiePath(f *testing.F) {
	for _, seed := range [][2]string{
		{"/app", "/app"},
		{"/app/", "/app"},
		{"/application", "/app"},
		{"/app?x=/", "/app"},
		{"http://example.com/app", "/app"},
		{"http://example.com", "/app"},
		{"*", "/app"},
		{"", "/app"},
		{"/app%2Fx", "/app"},
		{"//app", "/app"},
		{"/app/..", "/app/"},
		{"/a://b/app", "/app"},
		{"?://", "/"},
		{"/APP", "/app"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, uri, cookiePath string) {
		if !strings.HasPrefix(cookiePath, "/") { // refused by New
			return
		}
		r := &http.Request{RequestURI: uri, URL: &url.URL{Path: uri}}
		path := ticket.RequestPath(r)
		want := path == cookiePath || cookiePath == "/" ||
			strings.HasPrefix(path, cookiePath) && (strings.HasSuffix(cookiePath, "/") || strings.HasPrefix(path[len(cookiePath):], "/"))
		if got := ticket.PathMatches(path, cookiePath); got != want {
			t.Errorf("%q (path %q) below %q: %v, want %v", uri, path, cookiePath, got, want)
		}
		if strings.HasPrefix(uri, "/") {
			if asked, _, _ := strings.Cut(uri, "?"); path != asked {
				t.Errorf("%q: the path is %q", uri, path)
			}
		}
	})
}
