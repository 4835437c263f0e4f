package browser

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/internal/suite"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// buildFlags are those of the program: nobody debugs it, and it looks for data races
// where the tests do.
var buildFlags = []string{"-ldflags=-s -w"}

// program is examples/accounts, built by the first test that needs it.
var program built

type built struct {
	once      sync.Once
	dir, path string
	err       error
}

func (b *built) need(t *testing.T) string {
	t.Helper()
	b.once.Do(func() {
		if b.dir, b.err = os.MkdirTemp("", "cloakroom-accounts-*"); b.err != nil { //nolint:usetesting // all tests use it
			return
		}
		b.path = filepath.Join(b.dir, "accounts")
		cmd := exec.Command("go", append(append([]string{"build", "-o", b.path}, buildFlags...), "./accounts")...)
		cmd.Dir = filepath.Join("..", "..", "examples")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.path
}

func (b *built) remove() error {
	if b.dir == "" {
		return nil
	}
	return os.RemoveAll(b.dir)
}

// An app is a process of examples/accounts.
type app struct {
	t   *testing.T
	URL string
	*servers.Process
	mails string // the file with the mails that it would send
}

// admin is the email address of the user who is an admin in every app.
const admin = "admin@example.com"

// start starts the app with more flags. It ends with the test.
func start(t *testing.T, flags ...string) *app {
	t.Helper()
	light.need(t) // before anything else, since it may skip the test
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(servers.FreePort(t)))
	a := &app{t: t, URL: "http://" + addr, mails: filepath.Join(t.TempDir(), "mails")}
	command := append([]string{program.need(t), "-addr", addr, "-admin", admin, "-mail", a.mails}, flags...)
	a.Process = servers.Run(t, addr, command...)
	t.Cleanup(a.end)
	return a
}

// startTLS is start with the certificate, for a host name that is not the
// loopback address to the browser.
func startTLS(t *testing.T, flags ...string) *app {
	t.Helper()
	c := certificate()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, text := range map[string][]byte{cert: c.cert, key: c.key} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := start(t, append(flags, "-cert", cert, "-key", key)...)
	_, port, _ := net.SplitHostPort(a.Addr)
	a.URL = "https://" + net.JoinHostPort("shop.test", port)
	return a
}

// startOwnTLS is start with -tls, and the certificate in the place of the one that the app
// would make, which Chromium would not know.
func startOwnTLS(t *testing.T, flags ...string) *app {
	t.Helper()
	c := certificate()
	dir, err := os.MkdirTemp("", "accounts-*") //nolint:usetesting // a folder of the test's would have its name, and look like an id in the log
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "localhost.pem"), slices.Concat(c.cert, c.key), 0o600); err != nil {
		t.Fatal(err)
	}
	a := start(t, append(flags, "-tls", "-data", dir, "-store", "memory")...)
	_, port, _ := net.SplitHostPort(a.Addr)
	a.URL = "https://" + net.JoinHostPort("localhost", port)
	return a
}

// end ends the app and looks at what it said.
func (a *app) end() {
	a.Stop()
	text, err := os.ReadFile(filepath.Join(a.Dir, "log"))
	if err != nil {
		a.t.Error(err)
	}
	if strings.Contains(string(text), "DATA RACE") {
		a.t.Errorf("the app has a data race:\n%s", text)
	}
	for line := range strings.Lines(string(text)) {
		if suite.Suspicious(line) && !strings.HasPrefix(line, "    --") { // flags of a browser, for -tls
			a.t.Errorf("a line of the app's log looks as if it had an id, a cookie or a record in it:\n%s", line)
		}
	}
}

// everywhere runs a test on both frameworks and on both stores: half of the tests
// have Gin with Valkey and Echo without, the others have it the other way round.
func everywhere(t *testing.T, test func(t *testing.T, a *app), flags ...string) {
	t.Parallel()
	stores := []string{"memory", "valkey"}
	if len(t.Name())%2 == 0 {
		slices.Reverse(stores)
	}
	for i, framework := range []string{"gin", "echo"} {
		t.Run(framework+" "+stores[i], func(t *testing.T) {
			t.Parallel()
			light.need(t)
			url := stores[i]
			if url == "valkey" {
				url = "valkey://" + servers.Start(t).Addr
			}
			test(t, start(t, append([]string{"-framework", framework, "-store", url}, flags...)...))
		})
	}
}

// A user of the app.
type user struct{ email, name, password string }

// someone is a user whom nobody knows yet.
func someone() user {
	return user{strings.ToLower(rand.Text()[:8]) + "@example.com", "Ann Example", "correct horse battery staple"}
}

// confirmation returns the token in the link of the last mail to an address.
func (a *app) confirmation(t *testing.T, email string) (token string) {
	t.Helper()
	text, err := os.ReadFile(a.mails)
	if err != nil {
		t.Fatal(err)
	}
	for mail := range strings.SplitSeq(string(text), "To: ") {
		if _, link, ok := strings.Cut(mail, "/signup/confirm?token="); ok && strings.HasPrefix(mail, email+"\n") {
			token, _, _ = strings.Cut(link, "\n")
		}
	}
	if token == "" {
		t.Fatalf("there is no mail with a link to %s", email)
	}
	return token
}

// signUp makes the account, by the forms, and leaves the tab signed in.
func (a *app) signUp(b *tab, u user) {
	b.t.Helper()
	b.open(a.URL + "/signup")
	b.fill("#signup-form [name=name]", u.name)
	b.fill("#signup-form [name=email]", u.email)
	b.click("#signup-form button")
	b.open(a.URL + "/signup/confirm?token=" + a.confirmation(b.t, u.email))
	b.fill("#confirm-form [name=password]", u.password)
	b.click("#confirm-form button")
	b.mustBe(u)
}

// logIn fills in the form for the login and sends it.
func (a *app) logIn(b *tab, u user) {
	b.t.Helper()
	b.open(a.URL + "/login")
	b.logIn(u)
	b.mustBe(u)
}

// logIn is for a tab that shows the form.
func (b *tab) logIn(u user) {
	b.t.Helper()
	b.fill("#login-form [name=email]", u.email)
	b.fill("#login-form [name=password]", u.password)
	b.click("#login-form button")
}

// mustBe fails the test unless the page is for a user who is signed in.
func (b *tab) mustBe(u user) {
	b.t.Helper()
	if got := b.text("#user"); got != u.name {
		b.fatalf("signed in as %q, want %q", got, u.name)
	}
}

// mustBeOut opens a page that is behind the login, and fails the test unless it
// asks for one.
func (a *app) mustBeOut(b *tab) {
	b.t.Helper()
	b.open(a.URL + "/devices")
	b.mustBeOut()
}

func (b *tab) mustBeOut() {
	b.t.Helper()
	if b.has("#user") || b.has("#devices li") || !b.has("#login-form") && b.attr("#error", "data-status") != "401" {
		b.fatalf("not signed out")
	}
}

// cookieOf returns the cookie that a browser has, as it sends it.
func (a *app) cookieOf(b *browser) string {
	b.t.Helper()
	c := b.cookie(a.URL)
	return c.Name + "=" + c.Value
}

// An answer is what the app answers to who is no browser.
type answer struct {
	status int
	header http.Header
	text   string
	cookie string // that it sets, as it is sent; "" for none
}

// send sends a request with that cookie, and a form if there is one. It follows no
// redirect.
func (a *app) send(t *testing.T, method, path, cookie string, form url.Values) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), servers.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, a.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := answer{status: resp.StatusCode, header: resp.Header, text: string(text)}
	for _, c := range resp.Cookies() {
		if c.MaxAge >= 0 {
			got.cookie = c.Name + "=" + c.Value
		}
	}
	return got
}

func (a *app) get(t *testing.T, path, cookie string) answer {
	t.Helper()
	return a.send(t, http.MethodGet, path, cookie, nil)
}

// enter signs up or logs in, by a form that is sent without a browser, and returns
// the cookie.
func (a *app) enter(t *testing.T, form string, u user) string {
	t.Helper()
	got := a.send(t, http.MethodPost, form, "", url.Values{"email": {u.email}, "name": {u.name}, "password": {u.password}})
	if form == "/signup" && got.status == http.StatusOK {
		got = a.send(t, http.MethodPost, "/signup/confirm", "", url.Values{"token": {a.confirmation(t, u.email)}, "password": {u.password}})
	}
	if got.status != http.StatusSeeOther || got.cookie == "" {
		t.Fatalf("%s: %d\n%.500s", form, got.status, got.text)
	}
	return got.cookie
}

// mustKnow fails the test unless the app takes the cookie for the user's, or for
// nobody's.
func (a *app) mustKnow(t *testing.T, cookie string, want bool) {
	t.Helper()
	if got := a.get(t, "/devices", cookie); (got.status == http.StatusOK) != want || !want && got.status != http.StatusUnauthorized {
		t.Errorf("a page behind the login: %d; the cookie should be of use: %v", got.status, want)
	}
}

// A certified is a certificate for the names of the tests, which Chromium is told
// to trust.
type certified struct {
	cert, key []byte // PEM
	pin       string // of its key
}

var certificate = sync.OnceValue(func() certified {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cloakroom test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"shop.test", "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err2 := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	keyDER, err3 := x509.MarshalPKCS8PrivateKey(key)
	parsed, err4 := x509.ParseCertificate(der)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		panic(err)
	}
	return certified{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		pin:  pin(parsed),
	}
})
