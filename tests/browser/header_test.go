package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

// A page of another origin has its session by a token, which it reads from the header of
// the response, with credentials and without. For a stream, which can be given no header,
// it has a key that is good once, as docs/api-clients.md says.
//
// Standards: ASVS-3.5.1, ASVS-4.4.4
func TestAPageOfAnotherOriginHasATokenAndAKeyForAStream(t *testing.T) {
	t.Parallel()
	whole.need(t)
	for _, credentials := range []string{"omit", "include"} {
		t.Run("credentials "+credentials, func(t *testing.T) {
			t.Parallel()
			api := httptest.NewUnstartedServer(nil)
			reported := make(chan string, 1)
			page := http.NewServeMux()
			page.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
				say(w, nil, `<script>
					const api = "http://%s", said = []
					let token = ""
					const ask = async (method, path) => {
						const res = await fetch(api + path, {method, credentials: %q, headers: {Authorization: "Bearer " + token}})
						const told = res.headers.get("Session-Token")
						if (told !== null) token = told
						said.push(path + " " + res.status + (told === null ? "" : told === "" ? " ended" : " token"))
						return res.text()
					}
					const stream = key => new Promise(done => {
						const source = new EventSource(api + "/stream?key=" + encodeURIComponent(key))
						source.onmessage = event => { source.close(); done(event.data) }
						source.onerror = () => { source.close(); done("refused") }
					})
					onload = async () => {
						await ask("GET", "/me")
						await ask("POST", "/login")
						said.push(await ask("GET", "/me"))
						const key = await ask("POST", "/stream-key")
						said.push(await stream(key), await stream(key))
						await ask("POST", "/logout")
						await ask("GET", "/me")
						fetch("/report", {method: "POST", body: said.join(", ") + (document.cookie ? " cookie" : "")})
					}</script>`, api.Listener.Addr(), credentials)
			})
			page.HandleFunc("/report", report(reported))
			site := httptest.NewServer(page)
			t.Cleanup(site.Close)

			api.Config.Handler = allow(site.URL, apiWithStreams(t))
			api.Start()
			t.Cleanup(api.Close)
			browse(t, site.URL)
			const want = "/me 401, /login 200 token, /me 200, bob, /stream-key 200, a stream for bob, refused, /logout 200 ended, /me 401"
			if got := reportOf(t, reported); got != want {
				t.Errorf("the page says\n%s, want\n%s", got, want)
			}
		})
	}
}

// allow lets the pages of an origin ask, and send a token.
func allow(origin string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("Access-Control-Allow-Headers", "Authorization")
		h.Add("Vary", "Origin")
		if r.Method != http.MethodOptions {
			next.ServeHTTP(w, r)
		}
	})
}

// apiWithStreams is an API without cookies.
func apiWithStreams(t *testing.T) http.Handler {
	const tokenOf core.Key[string] = "token"
	m := newManager(t, core.Config{Header: &core.Header{Only: core.AlwaysHeader}})
	keys := newManager(t, core.Config{IdleTimeout: time.Minute, AbsoluteTimeout: time.Minute})
	return m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, s := r.Context(), core.FromContext(r.Context())
		fail := func(err error) bool {
			if err != nil {
				http.Error(w, err.Error(), core.HTTPStatus(err))
			}
			return err != nil
		}
		switch r.URL.Path {
		case "/login":
			fail(s.SignIn(ctx, "bob"))
		case "/logout":
			fail(s.SignOut(ctx))
		case "/me":
			if s.User() == "" {
				w.Header().Set("WWW-Authenticate", s.Challenge())
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = fmt.Fprint(w, s.User())
		case "/stream-key":
			token, err := s.Token()
			if fail(err) {
				return
			}
			one, err := keys.Load(ctx, "")
			if fail(err) {
				return
			}
			tokenOf.Set(one, token)
			if _, err := keys.Commit(ctx, one, false); fail(err) {
				return
			}
			key, err := one.Token()
			if !fail(err) {
				_, _ = fmt.Fprint(w, key)
			}
		case "/stream":
			one, err := keys.Load(ctx, r.FormValue("key"))
			if fail(err) {
				return
			}
			token, err := tokenOf.Take(ctx, one)
			if fail(err) {
				return
			}
			s, err := m.Load(ctx, token)
			if fail(err) {
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = fmt.Fprintf(w, "data: a stream for %s\n\n", s.User())
		}
	}))
}
