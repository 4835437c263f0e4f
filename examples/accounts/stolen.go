package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/sessiontest"
)

// What stolen cookies are worth. The browser of this demonstration is sessiontest.Browser,
// which locks its session as Chromium does, so that it can be seen in any browser and without
// HTTPS. The session is in the same store as all others. Its clock can be moved: twelve
// minutes pass at once.

// A theft is a small app with one user, a browser that is theirs, and a clock.
type theft struct {
	app     http.RoundTripper
	browser *sessiontest.Browser
	user    string
	ahead   time.Duration // of the clock
}

const (
	theftAt     = "https://cloakroom.test" // where the small app is
	theftCookie = "__Host-show"
)

func (a *app) newTheft() (*theft, error) {
	x := &theft{user: showUser + rand.Text()}
	cfg := a.config
	cfg.Now = func() time.Time { return a.now().Add(x.ahead) }
	cfg.Cookie = core.Cookie{Name: theftCookie, Secure: core.SecureAlways}
	cfg.Bind = &core.Bind{}
	m, err := core.New(cfg)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).SignIn(r.Context(), x.user); err != nil {
			w.WriteHeader(core.HTTPStatus(err))
		}
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).SignOut(r.Context()); err != nil {
			w.WriteHeader(core.HTTPStatus(err))
		}
	})
	mux.Handle("GET /account", core.RequireUser(core.SignInPage{}).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, core.FromContext(r.Context()).User())
	}))
	x.app = sessiontest.Serve(m.Handler(mux))
	x.browser = sessiontest.NewBrowser(x.app)
	x.browser.Now = cfg.Now
	return x, nil
}

// asks sends a request from the browser, and returns the status of the answer.
func (x *theft) asks(ctx context.Context, method, path string) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, method, theftAt+path, http.NoBody)
	if err != nil {
		return 0, err
	}
	return statusOf(x.browser.Do(r))
}

// tries asks for the user's page from another device, with those of the copied cookies that
// are wanted.
func (x *theft) tries(ctx context.Context, copied []*http.Cookie, wanted func(*http.Cookie) bool) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, theftAt+"/account", http.NoBody)
	if err != nil {
		return 0, err
	}
	for _, c := range copied {
		if wanted(c) {
			r.AddCookie(c)
		}
	}
	return statusOf(x.app.RoundTrip(r))
}

func statusOf(res *http.Response, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

// playStolenCookies copies the cookies of a browser that has locked its session.
func (a *app) playStolenCookies(ctx context.Context, p *performance) error {
	x, err := a.newTheft()
	if err != nil {
		return err
	}
	var (
		stolen  []*http.Cookie
		session = func(c *http.Cookie) bool { return c.Name == theftCookie }
		all     = func(*http.Cookie) bool { return true }
	)
	const nobody = "it belongs to nobody"
	byBrowser, byThief := 0, 0 // requests that were the user's
	for _, step := range []struct {
		of          *int
		track, good string
		request     func() (int, error)
	}{
		{&byBrowser, "The login", "the browser makes a key, and locks the session to it", func() (int, error) { return x.asks(ctx, http.MethodPost, "/login") }},
		{&byThief, "The session cookie, copied", "the thief is the user", func() (int, error) {
			x.ahead += 2 * time.Minute // all that was sent beside the login is over
			stolen = x.browser.Cookies(theftAt)
			return x.tries(ctx, stolen, session)
		}},
		{&byThief, "All cookies, copied", "the thief is the user, until the second cookie ends", func() (int, error) { return x.tries(ctx, stolen, all) }},
		{&byThief, "All cookies, twelve minutes later", "the thief is the user", func() (int, error) {
			p.mark, p.Mark = time.Since(p.began), "twelve minutes pass"
			x.ahead += 12 * time.Minute
			return x.tries(ctx, stolen, all)
		}},
		{&byBrowser, "The browser, twelve minutes later", "it shows that it has the key, and is the user", func() (int, error) { return x.asks(ctx, http.MethodGet, "/account") }},
	} {
		l := &lane{Track: step.track, begins: time.Since(p.began)}
		p.Lanes = append(p.Lanes, l)
		status, err := step.request()
		l.ends = time.Since(p.began)
		switch {
		case err != nil:
			return err
		case status == http.StatusOK:
			*step.of++
			l.Said = fmt.Sprintf("answered %d: %s", status, step.good)
		case status == http.StatusUnauthorized:
			l.Failed, l.Said = true, fmt.Sprintf("answered %d: %s", status, nobody)
		default:
			return errShow(status)
		}
	}
	if status, err := x.asks(ctx, http.MethodPost, "/logout"); err != nil || status != http.StatusOK {
		return errors.Join(err, errShow(status))
	}
	p.Kept = byBrowser == 2 && byThief == 1 && !p.Lanes[2].Failed
	p.Verdict = "The stolen cookies are worth nothing any more."
	if !p.Kept {
		p.Verdict = "The stolen cookies are good."
	}
	p.Figures = []tally{
		{"requests of the browser are taken for its user's", byBrowser, 2, true},
		{"requests of the thief are, with all cookies and before the second one ends", byThief, 3, false},
	}
	return nil
}
