package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/sessiontest"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// An attempt is somebody who asks the app over HTTPS: a browser, or a thief.
type attempt struct {
	t  *testing.T
	do func(*http.Request) (*http.Response, error)
}

func (a attempt) send(method, path string, form url.Values, header ...string) reply {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, "https://shop.test"+path, strings.NewReader(form.Encode()))
	if err != nil {
		a.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := a.do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return reply{a.t, res.Request.URL.RequestURI(), res.StatusCode, res.Header, html.UnescapeString(string(body))}
}

// Over HTTPS the app locks sessions to browsers that can do that, says so on the page of the
// devices, and takes a copy of the cookies for nobody's.
func TestACopyOfTheCookiesOfALockedDeviceIsNobodys(t *testing.T) {
	for name, mount := range frameworks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var later atomic.Int64
			now := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
			s := &site{store: memorystore.New(memorystore.Options{}), url: "https://shop.test"}
			t.Cleanup(func() { _ = s.store.Close() })
			var err error
			s.app, err = newApp(s.store, settings{idle: time.Hour, secret: strings.Repeat("s", 32), mail: s, https: true, now: now, url: s.url})
			if err != nil {
				t.Fatal(err)
			}
			app := sessiontest.Serve(s.app.protect(mount(s.app)))
			enter := func(b *sessiontest.Browser) attempt {
				b.Now = now
				return attempt{t, b.Do}
			}
			chromium, plain := sessiontest.NewBrowser(app), sessiontest.NewBrowser(app)
			plain.Plain = true

			ann := enter(chromium)
			ann.send("POST", "/signup", url.Values{"name": {"ann"}, "email": {"ann@example.com"}}).at(200, "/signup")
			link := regexp.MustCompile(`/signup/confirm\?token=([^ \n]+)`).FindStringSubmatch(s.lastMail(t, "ann@example.com"))
			ann.send("POST", "/signup/confirm", url.Values{"token": {link[1]}, "password": {secret}}).at(200, "/")
			enter(plain).send("POST", "/login", url.Values{"email": {"ann@example.com"}, "password": {secret}}).at(200, "/")
			if got := chromium.History(); !slices.Equal(got, []string{"registration: 200"}) {
				t.Fatalf("the browser did %q", got)
			}
			if got := plain.History(); len(got) != 0 {
				t.Fatalf("a browser that cannot do it did %q", got)
			}
			page := ann.send("GET", "/devices", nil).at(200, "/devices").says("This device is locked to its browser")
			if n := strings.Count(page.body, `class="locked"`); n != 1 {
				t.Errorf("%d devices are locked, want 1 of 2", n)
			}
			enter(plain).send("GET", "/devices", nil).says("Locked to its browser").saysNot("This device is locked")
			ann.send("GET", "/admin", nil).says("Locked to its browser", "Was locked to its browser")

			// The thief has what a copy of the cookies is.
			later.Add(int64(2 * time.Minute))
			var id string
			var all []string
			for _, c := range chromium.Cookies(s.url) {
				all = append(all, c.Name+"="+c.Value)
				if c.Name == "__Host-sid" {
					id = all[len(all)-1]
				}
			}
			if len(all) != 2 || id == "" {
				t.Fatalf("the browser has %d cookies", len(all))
			}
			thief := attempt{t, app.RoundTrip}
			thief.send("GET", "/devices", nil, "Cookie", id).isProblem(401)
			thief.send("POST", "/cart", url.Values{"item": {"coat"}}, "Cookie", id).isProblem(401).says("Log in on this device")
			if n := strings.Count(thief.send("GET", "/devices", nil, "Cookie", strings.Join(all, "; ")).at(200, "/devices").body, `class="locked"`); n != 1 {
				t.Errorf("all cookies, at once: %d devices are shown as locked", n)
			}
			later.Add(int64(12 * time.Minute))
			thief.send("GET", "/devices", nil, "Cookie", strings.Join(all, "; ")).isProblem(401)
			ann.send("GET", "/devices", nil).at(200, "/devices").says("This device is locked to its browser")
			if got := chromium.History()[1:]; !slices.Equal(got, []string{"refresh: 403", "refresh with proof: 200"}) {
				t.Errorf("the browser did %q", got)
			}
			ann.send("POST", "/cart", url.Values{"item": {"coat"}}).at(200, "/").says("Added Wool coat")

			// A login there is one of its own, and its end, too.
			copied := enter(chromium.Copy())
			later.Add(int64(12 * time.Minute))
			copied.send("POST", "/login", url.Values{"email": {"ann@example.com"}, "password": {secret}}).at(200, "/").says("Hello, ann")
			copied.send("POST", "/logout", nil).at(200, "/").says("You are logged out")
			ann.send("GET", "/devices", nil).at(200, "/devices")
		})
	}
}

func TestTheCertificateIsKeptAndIsForLocalhost(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	first, err := certificateFor("", "", true, dir, now)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(first.Leaf)
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if _, err := first.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: trusted, CurrentTime: now}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	file := filepath.Join(dir, keptCertificate)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the key: %v, %v", info, err)
	}
	again, err := certificateFor("", "", true, dir, now)
	if err != nil || !again.Leaf.Equal(first.Leaf) {
		t.Errorf("the second start has another certificate: %v", err)
	}
	pin := sha256.Sum256(first.Leaf.RawSubjectPublicKeyInfo)
	if flags := strings.Join(browserFlags(first), "\n"); !strings.Contains(flags, base64.StdEncoding.EncodeToString(pin[:])) {
		t.Errorf("the flags do not name the certificate: %s", flags)
	}
	later, err := certificateFor("", "", true, dir, now.Add(certificateLife+time.Hour))
	if err != nil || later.Leaf.Equal(first.Leaf) {
		t.Errorf("a certificate that has ended is used: %v", err)
	}
	passing, err := certificateFor("", "", true, "", now)
	if err != nil || passing.Leaf.Equal(later.Leaf) {
		t.Errorf("without a folder: %v", err)
	}
	if none, err := certificateFor("", "", false, dir, now); none != nil || err != nil {
		t.Errorf("without -tls: %v, %v", none, err)
	}
	if _, err := certificateFor("cert.pem", "key.pem", true, dir, now); err == nil {
		t.Error("-tls together with -cert is taken")
	}
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := certificateFor("", "", true, dir, now); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("a file with something else: %v", err)
	}
}

func TestWhereABrowserFindsTheApp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for _, tt := range []struct {
		https, ownName bool
		want           string
	}{
		{false, false, "http://127.0.0.1:" + port},
		{true, false, "https://127.0.0.1:" + port},
		{true, true, "https://localhost:" + port},
	} {
		if got := addressOf(listener, tt.https, tt.ownName); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}
