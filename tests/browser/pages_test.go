package browser

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// newManager returns one on a store of its own.
func newManager(t *testing.T, cfg core.Config) *core.Manager {
	t.Helper()
	st := memorystore.New(memorystore.Options{})
	t.Cleanup(func() { _ = st.Close() })
	cfg.Store, cfg.Secrets = st, []string{"0123456789abcdef0123456789abcdef"}
	m, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// say answers with a page, or with the status of an error.
func say(w http.ResponseWriter, err error, format string, args ...any) {
	if err != nil {
		http.Error(w, err.Error(), core.HTTPStatus(err))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, "<!doctype html><title>App</title>"+format, args...)
}

// who is a page that tells who is signed in, and what was left for them.
func who(w http.ResponseWriter, r *http.Request) {
	s := core.FromContext(r.Context())
	say(w, nil, `<p id="who">%s</p><p id="flash">%s</p>`, html.EscapeString(s.User()), html.EscapeString(strings.Join(s.Flashes("info"), " ")))
}

// The pages go back by themselves, and say what the browser gives as its reasons for
// not showing the page that it had: one of them is Cache-Control, unless the app wants
// it otherwise.
//
// Standards: ASVS-14.3.2
func TestBackShowsNoPageOfAUserWhoLoggedOut(t *testing.T) {
	t.Parallel()
	whole.need(t)
	for _, left := range []bool{false, true} {
		t.Run(fmt.Sprintf("LeaveCacheControl %v", left), func(t *testing.T) {
			t.Parallel()
			reported := make(chan string, 1)
			mux := http.NewServeMux()
			mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
				say(w, core.FromContext(r.Context()).SignIn(r.Context(), "ann"), `<script>onload = () => setTimeout(() => location.href = "/account")</script>`)
			})
			mux.HandleFunc("/account", func(w http.ResponseWriter, r *http.Request) {
				say(w, nil, `<p id="who">%s</p><script>
					onpageshow = () => {
						if (sessionStorage.been) {
							const reasons = performance.getEntriesByType("navigation")[0].notRestoredReasons?.reasons ?? []
							fetch("/report", {method: "POST", body: document.getElementById("who").innerText + " " + reasons.map(r => r.reason)})
						} else {
							sessionStorage.been = true
							setTimeout(() => location.href = "/logout")
						}
					}</script>`, core.FromContext(r.Context()).User())
			})
			mux.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) {
				say(w, core.FromContext(r.Context()).SignOut(r.Context()), `<script>onload = () => setTimeout(() => history.back())</script>`)
			})
			mux.HandleFunc("/report", report(reported))
			srv := httptest.NewServer(newManager(t, core.Config{LeaveCacheControl: left}).Handler(mux))
			t.Cleanup(srv.Close)
			browse(t, srv.URL+"/login")
			got := reportOf(t, reported)
			if strings.Contains(got, "response-cache-control-no-store") == left || !left && strings.Contains(got, "ann") {
				t.Errorf("Back shows %q", got)
			}
		})
	}
}

// report is where a page says what it shows.
func report(to chan<- string) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		to <- string(text)
	}
}

func reportOf(t *testing.T, reported <-chan string) string {
	t.Helper()
	select {
	case got := <-reported:
		return got
	case <-time.After(2 * servers.Patience):
		t.Fatal("the browser does not come to the page")
		return ""
	}
}

// A page that DevTools look at is not prerendered, so these pages do everything by
// themselves and report what they show.
//
// Standards: ASVS-14.3.1
func TestAPageThatWasFetchedAheadIsNotShownAfterALogoutByScript(t *testing.T) {
	t.Parallel()
	whole.need(t)
	for _, speculation := range []string{"prefetch", "prerender"} {
		for _, cleared := range []bool{true, false} { // without the header, the old page is shown: the test sees a difference
			t.Run(fmt.Sprintf("%s, Clear-Site-Data %v", speculation, cleared), func(t *testing.T) {
				t.Parallel()
				ahead, reported := make(chan struct{}, 8), make(chan string, 1)
				mux := http.NewServeMux()
				mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
					err := core.FromContext(r.Context()).SignIn(r.Context(), "ann")
					say(w, err, `<script type="speculationrules">{"%s": [{"urls": ["/account"], "eagerness": "immediate"}]}</script>
						<script>(async () => {
							await fetch("/ahead")
							await fetch("/logout", {method: "POST"})
							location.href = "/account"
						})()</script>`, speculation)
				})
				mux.HandleFunc("/ahead", func(_ http.ResponseWriter, r *http.Request) { // returns when the page was fetched
					select {
					case <-ahead:
					case <-r.Context().Done():
					}
				})
				mux.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) {
					say(w, core.FromContext(r.Context()).SignOut(r.Context()), "")
				})
				mux.HandleFunc("/account", func(w http.ResponseWriter, r *http.Request) {
					say(w, nil, `<p id="who">%s</p><script>
						const tell = () => fetch("/report", {method: "POST", body: document.getElementById("who").innerText || "nobody"})
						const loaded = () => fetch("/loaded", {method: "POST"})
						document.prerendering ? (loaded(), document.addEventListener("prerenderingchange", tell)) : tell()
						</script>`, core.FromContext(r.Context()).User())
					if strings.HasPrefix(r.Header.Get("Sec-Purpose"), "prefetch") && !strings.Contains(r.Header.Get("Sec-Purpose"), "prerender") {
						ahead <- struct{}{}
					}
				})
				mux.HandleFunc("/loaded", func(http.ResponseWriter, *http.Request) { ahead <- struct{}{} })
				mux.HandleFunc("/report", report(reported))
				h := newManager(t, core.Config{}).Handler(mux)
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if !cleared {
						w = clearless{w}
					}
					h.ServeHTTP(w, r)
				}))
				t.Cleanup(srv.Close)
				browse(t, srv.URL+"/login")
				if got, want := reportOf(t, reported), map[bool]string{true: "nobody", false: "ann"}[cleared]; got != want {
					t.Errorf("the page that is opened shows %q, want %q", got, want)
				}
			})
		}
	}
}

// A clearless is a response without Clear-Site-Data.
type clearless struct{ http.ResponseWriter }

func (w clearless) WriteHeader(status int) {
	w.Header().Del("Clear-Site-Data")
	w.ResponseWriter.WriteHeader(status)
}

func (w clearless) Write(p []byte) (int, error) {
	w.Header().Del("Clear-Site-Data")
	return w.ResponseWriter.Write(p)
}

// browse opens a page in a browser that nobody drives, until the test is over.
func browse(t *testing.T, address string) {
	t.Helper()
	dir := t.TempDir()
	ctx, end := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, whole.path, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--no-proxy-server",
		"--disable-component-update", "--user-data-dir="+dir, address)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // so that its other processes end before it
	cmd.WaitDelay = servers.Patience
	if err := cmd.Start(); err != nil {
		end()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end()
		_ = cmd.Wait() // it was interrupted
		servers.Await(t, "the browser's folder to go", func() error { return os.RemoveAll(dir) })
	})
}

// A message is for the page that the visitor sees, and not for one that the browser
// fetches in case they want it.
func TestAFlashStaysForThePageThatIsOpened(t *testing.T) {
	t.Parallel()
	light.need(t)
	ahead := make(chan struct{}, 8)
	mux := http.NewServeMux()
	mux.HandleFunc("/save", func(w http.ResponseWriter, r *http.Request) {
		core.FromContext(r.Context()).Flash("info", "Saved.")
		say(w, nil, `<script type="speculationrules">{"prefetch": [{"urls": ["/list"], "eagerness": "immediate"}]}</script>`)
	})
	mux.HandleFunc("/list", func(w http.ResponseWriter, r *http.Request) {
		who(w, r)
		if strings.HasPrefix(r.Header.Get("Sec-Purpose"), "prefetch") {
			ahead <- struct{}{}
		}
	})
	mux.HandleFunc("/other", who)
	srv := httptest.NewServer(newManager(t, core.Config{}).Handler(mux))
	t.Cleanup(srv.Close)
	b := light.newBrowser(t)
	b.open(srv.URL + "/save")
	select {
	case <-ahead:
	case <-time.After(servers.Patience):
		b.fatalf("the browser fetches nothing ahead")
	}
	b.open(srv.URL + "/other")
	if got := b.text("#flash"); got != "Saved." {
		b.fatalf("the page that is opened says %q, want the message", got)
	}
}

// A payment provider or an identity provider leads the browser back by a form, and the
// browser withholds the cookie. This is the recipe of docs/recipes.md.
func TestAPostOfAnotherSiteLogsNobodyOut(t *testing.T) {
	t.Parallel()
	whole.need(t)
	const state core.Key[string] = "state"
	shops := newManager(t, core.Config{Cookie: core.Cookie{Name: "__Host-sid", Secure: core.SecureAlways}})
	flows := newManager(t, core.Config{Cookie: core.Cookie{
		Name: "__Host-flow", SameSite: http.SameSiteNoneMode, Secure: core.SecureAlways, MaxAge: 10 * time.Minute,
	}})
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		say(w, shops.FromContext(r.Context()).SignIn(r.Context(), "ann"), `<p id="who">ann</p>`)
	})
	mux.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) {
		say(w, nil, `<p id="who">%s</p>`, shops.FromContext(r.Context()).User())
	})
	mux.HandleFunc("POST /paid", func(w http.ResponseWriter, r *http.Request) { // as an app writes it that does not know better
		shops.FromContext(r.Context()).Flash("info", "Thank you.")
		say(w, nil, `<p id="thanks">Thank you.</p>`)
	})
	mux.Handle("/begin", flows.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		state.Set(flows.FromContext(r.Context()), "xyzzy")
		say(w, nil, `<p id="begun"></p>`)
	})))
	mux.Handle("POST /signed-in", flows.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := state.Take(r.Context(), flows.FromContext(r.Context()))
		if err == nil && got != r.FormValue("state") {
			err = errors.New("another state")
		}
		if err == nil {
			err = shops.FromContext(r.Context()).SignIn(r.Context(), "bob")
		}
		say(w, err, `<p id="done"></p>`)
	})))
	c := certificate()
	pair, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(shops.Handler(mux))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	address, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	app := "https://shop.test:" + address.Port()
	provider := otherSite(t, fmt.Sprintf(`<form id="paid" method="post" action="%[1]s/paid"><button>Back to the shop</button></form>
		<form id="signed-in" method="post" action="%[1]s/signed-in"><input name="state" value="xyzzy"><button>Go on</button></form>`, app))

	b := whole.newBrowser(t)
	b.open(app + "/login")
	b.open(provider)
	b.click("#paid button")
	if b.text("#thanks") == "" {
		b.fatalf("the page that is posted to fails: %d", b.status())
	}
	b.open(app + "/who")
	if got := b.text("#who"); got != "ann" {
		b.fatalf("signed in as %q after the payment, want ann", got)
	}

	b = whole.newBrowser(t)
	b.open(app + "/begin")
	b.open(provider)
	b.click("#signed-in button")
	if b.status() != http.StatusOK || !b.has("#done") {
		b.fatalf("the login by form_post: %d", b.status())
	}
	b.open(app + "/who")
	if got := b.text("#who"); got != "bob" {
		b.fatalf("signed in as %q after the login by form_post, want bob", got)
	}
	b.open(provider)
	b.click("#signed-in button")
	if b.status() == http.StatusOK {
		b.fatalf("the state is good a second time")
	}
}
