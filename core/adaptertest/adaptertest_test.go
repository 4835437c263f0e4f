package adaptertest_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
)

func TestNetHTTP(t *testing.T) {
	adaptertest.Run(t, adaptertest.NetHTTP(), nil)
}

func TestNetHTTPWithSealedCookies(t *testing.T) {
	adaptertest.RunSealed(t, adaptertest.NetHTTP())
}

// TestOwnFramework runs what the Example shows.
func TestOwnFramework(t *testing.T) {
	adaptertest.Run(t, adaptertest.Framework{Serve: serveOwn, Except: map[string]string{
		"G1: 64 clients x 50 increments over 3 processes on one session are 3200": "takes long; TestNetHTTP does it",
	}}, nil)
}

// framework is net/http with an adapter.
func framework(handler func(*core.Manager, http.Handler) http.Handler) adaptertest.Framework {
	return adaptertest.Framework{Serve: func(_ testing.TB, app adaptertest.App) http.Handler {
		return adaptertest.ServeNetHTTP(app, handler)
	}}
}

// TestBrokenAdapters proves that an adapter with a mistake fails the scenarios
// that are about it.
func TestBrokenAdapters(t *testing.T) {
	for _, b := range brokenAdapters {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			const patience = time.Second // with an adapter that never gets it right
			a := sound()
			b.smash(a)
			failures := adaptertest.Failures(t, framework(a.handler), patience, b.fails)
			for _, name := range b.fails {
				if !slices.Contains(adaptertest.Scenarios(), name) {
					t.Errorf("there is no scenario %q", name)
				} else if message, ok := failures[name]; ok {
					t.Logf("%s: %s", name, message)
				} else {
					t.Errorf("scenario %q passes", name)
				}
			}
		})
	}
}

// TestSoundAdapter sees to it that the recorder used there finds no fault with
// an adapter that is right.
func TestSoundAdapter(t *testing.T) {
	names := slices.DeleteFunc(adaptertest.Scenarios(), func(name string) bool {
		return strings.HasPrefix(name, "a file") || strings.Contains(name, "every kind")
	})
	for name, message := range adaptertest.Failures(t, framework(sound().handler), time.Minute, names) {
		t.Errorf("%s: %s", name, message)
	}
}

func TestScenariosHaveNamesOfTheirOwn(t *testing.T) {
	names := adaptertest.Scenarios()
	slices.Sort(names)
	if unique := slices.Compact(slices.Clone(names)); len(unique) != len(names) {
		t.Errorf("%d scenarios have %d names", len(names), len(unique))
	}
	const least = 90
	if len(names) < least {
		t.Errorf("there are %d scenarios, want at least %d", len(names), least)
	}
}

func TestWhatIsAboutCookiesAloneIsAScenario(t *testing.T) {
	for _, name := range adaptertest.OnlyCookies {
		if !slices.Contains(adaptertest.Scenarios(), name) || slices.Contains(adaptertest.Scenarios(), "by header: "+name) {
			t.Errorf("%q is no scenario, or one that is run by header", name)
		}
	}
}

// Standards: WSTG-SESS-02
func TestEverySetCookieIsChecked(t *testing.T) {
	long := strings.Repeat("a", 4096)
	for _, tc := range []struct {
		line   string
		secure bool
		wrong  string // part of what is said; empty: it is right
	}{
		{"sid=s%3Aabc.def; Path=/; HttpOnly; SameSite=Lax", false, ""},
		{"sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly", false, ""},
		{"sid=x; Domain=example.com; Path=/app; HttpOnly; Secure; Partitioned; Priority=High; SameSite=None", true, ""},
		{"__Host-sid=x; Path=/; Secure", true, ""},
		{"__Secure-sid=x; Path=/app; Secure", true, ""},
		{`sid="x"; Path=/`, false, ""},
		{"sid", false, "no name"},
		{"=x", false, "token"},
		{"s id=x", false, "token"},
		{"sid=a b", false, "not allowed"},
		{"sid=a,b", false, "not allowed"},
		{"sid=a\x00b", false, "not allowed"},
		{"sid=ä", false, "not allowed"},
		{"sid=" + long, false, "4096"},
		{"sid=x; Path=/; Path=/app", false, "twice"},
		{"sid=x;Path=/", false, "not allowed"},
		{"sid=x; path=/", false, "no attribute"},
		{"sid=x; Path=app", false, "Path"},
		{"sid=x; Path=", false, "Path"},
		{"sid=x; Path=/" + long, false, "1024"},
		{"sid=x; Domain=.example.com", false, "Domain"},
		{"sid=x; Domain=", false, "Domain"},
		{"sid=x; Max-Age=-1", false, "Max-Age"},
		{"sid=x; Max-Age=1.5", false, "Max-Age"},
		{"sid=x; Max-Age=99999999", false, "Max-Age"},
		{"sid=x; Expires=0", false, "Expires"},
		{"sid=x; Expires=Thu, 01-Jan-1970 00:00:00 GMT", false, "Expires"},
		{"sid=x; Secure=true", true, "value"},
		{"sid=x; HttpOnly=", false, "value"},
		{"sid=x; Secure", false, "connection"},
		{"sid=x; SameSite=none; Secure", true, "SameSite"},
		{"sid=x; SameSite=None", true, "SameSite=None"},
		{"sid=x; Partitioned", true, "Partitioned"},
		{"sid=x; Priority=high", false, "Priority"},
		{"__Host-sid=x; Path=/", true, "prefix"},
		{"__Host-sid=x; Path=/app; Secure", true, "prefix"},
		{"__Host-sid=x; Secure", true, "prefix"},
		{"__Host-sid=x; Path=/; Domain=example.com; Secure", true, "prefix"},
		{"__host-sid=x; Path=/", true, "prefix"},
		{"__Secure-sid=x; Path=/", true, "prefix"},
		{"__Http-sid=x; Path=/app; Domain=example.com; HttpOnly; Secure", true, ""},
		{"__Host-Http-sid=x; Path=/; HttpOnly; Secure", true, ""},
		{"__Http-sid=x; Path=/; HttpOnly", true, "prefix"},
		{"__HTTP-sid=x; Path=/; Secure", true, "prefix"},
		{"__Host-Http-sid=x; Path=/; Secure", true, "prefix"},
		{"__Host-Http-sid=x; Path=/app; HttpOnly; Secure", true, "prefix"},
		{"sid=x; Partitioned; Secure; SameSite=Lax", true, "Partitioned"},
	} {
		err := adaptertest.CheckSetCookie(tc.line, tc.secure)
		switch {
		case tc.wrong == "" && err != nil:
			t.Errorf("%.60s: %v, want no error", tc.line, err)
		case tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong)):
			t.Errorf("%.60s: %v, want an error that says %q", tc.line, err, tc.wrong)
		}
	}
}
