package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// settings are what the flags say.
type settings struct {
	idle, fresh, bar time.Duration
	admin, secret    string
	url              string // where the app is reached, for the links in its mails
	mail             io.Writer
	https            bool
	users            users            // nil: in memory
	now              func() time.Time // nil means time.Now; tests have a clock of their own
}

// An app is all of the program but the framework.
type app struct {
	sessions  *core.Manager
	config    core.Config // of sessions
	users     users
	hashes    *hashQueue
	mail      *postbox
	url       string
	inviteKey []byte
	stats     *stats
	evicted   *evictions
	fresh     time.Duration
	now       func() time.Time
	stage     chan struct{} // has room for one demonstration

	closing    context.Context // done when the server is shut down
	endStreams context.CancelFunc
}

// mostDevices is on how many devices a user is logged in at most.
const mostDevices = 10

func newApp(st store.Store, s settings) (*app, error) {
	if s.now == nil {
		s.now = time.Now
	}
	if s.users == nil {
		s.users = &memoryUsers{admin: normalEmail(s.admin)}
	}
	inviteKey := sha256.Sum256([]byte("invitations\x00" + s.secret))
	a := &app{
		users: s.users, hashes: newHashQueue(),
		mail: &postbox{w: s.mail}, url: s.url, inviteKey: inviteKey[:],
		stats: newStats(s.bar), evicted: newEvictions(s.now), fresh: cmp.Or(s.fresh, 10*time.Minute), now: s.now,
		stage: make(chan struct{}, 1),
	}
	if a.fresh < time.Second {
		return nil, errors.New("-fresh is shorter than a second: nobody could log in that recently")
	}
	a.closing, a.endStreams = context.WithCancel(context.Background()) // for streams, which a shutdown waits for
	cfg := core.Config{
		Store:              st,
		Secrets:            []string{s.secret},
		IdleTimeout:        s.idle,
		AbsoluteTimeout:    90 * 24 * time.Hour,
		MaxSessionsPerUser: mostDevices, // one more login ends the session that was not used for longest; evicted tells the user

		// Programs have no cookies: those that ask below /api/ have a bearer token.
		Header: &core.Header{Only: isAPI},

		// The stylesheet needs no session, and a page that asks how long the session
		// has left, or waits for its end, must not make it longer.
		Skip:    func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/static/") },
		Passive: func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/session/") },

		ErrorHandler: a.showProblem,
		Observer:     core.Observers(a.stats, a.evicted, core.LogObserver(slog.Default())),
		Now:          s.now,
	}
	if s.https {
		// A cookie that no other host of the domain and no plain HTTP can set, and sessions
		// that browsers lock to themselves, if they can.
		cfg.Cookie.Name, cfg.Cookie.Secure = "__Host-sid", core.SecureAlways
		cfg.Bind = &core.Bind{Exclude: []string{"/static"}}
	}
	var err error
	a.config = cfg
	a.sessions, err = core.New(cfg)
	return a, err
}

// A route is a page or a form. gin.go and echo.go mount all of them.
type route struct {
	method, path string
	guard        *core.Guard // who may ask for it
	handle       handler
}

type handler func(http.ResponseWriter, *request) error

func (a *app) routes() []route {
	logIn := core.SignInPage{Path: "/login"} // which leads back, by core.ReturnPath
	var (
		anyone   *core.Guard
		members  = core.RequireUser(logIn)
		recently = core.RequireRecentSignIn(a.fresh, logIn)
	)
	return append(a.apiRoutes(members), []route{
		{"GET", "/", anyone, a.shop},
		{"GET", "/cart", anyone, a.cart},
		{"POST", "/cart", anyone, a.addToCart},
		{"POST", "/cart/remove", anyone, a.removeFromCart},

		{"GET", "/signup", anyone, a.signupForm},
		{"POST", "/signup", anyone, a.signup},
		{"GET", "/signup/confirm", anyone, a.confirmForm},
		{"POST", "/signup/confirm", anyone, a.confirm},
		{"GET", "/login", anyone, a.loginForm},
		{"POST", "/login", anyone, a.login},
		{"POST", "/logout", anyone, a.logout},

		{"GET", "/profile", members, a.profile},
		{"GET", "/password", members, a.passwordForm},
		{"POST", "/password", recently, a.changePassword},
		{"GET", "/devices", members, a.devices},
		{"POST", "/devices/end", recently, a.endDevice},
		{"POST", "/devices/end-others", recently, a.endOtherDevices},
		{"GET", "/session/left", members, timeLeft},
		{"GET", "/session/events", members, a.sessionEvents},

		{"GET", "/admin", members, staff(a.admin)},
		{"POST", "/admin/end-user", recently, staff(a.endUser)},
		{"POST", "/admin/end-session", recently, staff(a.endSession)},

		{"GET", "/show", anyone, a.show},
		{"GET", "/show/:name", anyone, a.showOne},
		{"POST", "/show/:name", anyone, a.playOne},
	}...)
}

// staff lets those through to a page who run the shop.
func staff(next handler) handler {
	return func(w http.ResponseWriter, r *request) error {
		if !r.user.Admin {
			return errStaffOnly
		}
		return next(w, r)
	}
}

// A request is what a handler gets.
type request struct {
	*http.Request
	session *core.Session
	user    *user    // who is logged in; nil for nobody
	notes   []notice // what the page has to say beside the session's flash messages
}

// serve handles a request for a route. The framework shows the error, by fail.
func (a *app) serve(route route, w http.ResponseWriter, r *http.Request) error {
	req, err := a.request(r)
	if err != nil {
		return err
	}
	var next http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { err = route.handle(w, req) })
	if route.guard != nil { // which answers whom it keeps out: it leads browsers to the login, and has showProblem tell programs
		next = route.guard.Handler(next)
	}
	next.ServeHTTP(w, r)
	return err
}

func (a *app) request(r *http.Request) (*request, error) {
	req := &request{Request: r, session: core.FromContext(r.Context())}
	id := req.session.User()
	if id == "" {
		return req, nil
	}
	switch u, err := a.users.ByID(r.Context(), id); {
	case err == nil:
		req.user = &u
	case errors.Is(err, errNoUser): // the account was closed
		return req, req.session.SignOut(r.Context())
	default:
		return nil, err
	}
	return req, nil
}

// protect is around everything: it refuses forms that other sites post, and bodies
// that are too long, and tells browsers to be strict.
func (a *app) protect(next http.Handler) http.Handler {
	csrf := http.NewCrossOriginProtection()
	csrf.AddInsecureBypassPattern(apiPrefix) // which goes by no cookie
	csrf.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.fail(w, r, errCrossOrigin) }))
	next = http.MaxBytesHandler(csrf.Handler(next), 64<<10)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// A problem is an error that is shown as it is.
type problem struct {
	Status      int
	Title, Text string
}

func (p *problem) Error() string { return p.Title }

var (
	errLogIn       = &problem{http.StatusUnauthorized, "Log in first", "This page is for you alone, so we have to know that it is you."}
	errLogInAgain  = &problem{http.StatusUnauthorized, "Log in again", "You have been logged in for a while. Log in once more, and you can do this."}
	errLocked      = &problem{http.StatusUnauthorized, "Log in on this device", "That login is locked to another browser, or yours could not show that it is the one. Nothing was done."}
	errStaffOnly   = &problem{http.StatusForbidden, "Staff only", "This page is for who runs the shop."}
	errCrossOrigin = &problem{http.StatusForbidden, "That came from elsewhere", "Another site tried to send this form in your name. Nothing was done."}
	errNotFound    = &problem{http.StatusNotFound, "Nothing hangs here", "There is no such page. The link may be old or mistyped."}
	errMethod      = &problem{http.StatusMethodNotAllowed, "Not that way", "This address does not take what your browser sent."}
	errBroken      = &problem{http.StatusInternalServerError, "That went wrong", "It is our fault, and we have taken a note. Please try again later."}

	errStaleLink = &problem{http.StatusGone, "That link is too old", "It is good for an hour. Sign up again, and we send you another."}
	errTooMany   = &problem{http.StatusTooManyRequests, "One thing at a time", "Many log-ins came from where you are, all at once. Please try again in a moment."}
	errBusy      = &problem{http.StatusServiceUnavailable, "There is a queue at the door", "Many people log in at this moment. Please try again in a moment."}

	errStage    = &problem{http.StatusServiceUnavailable, "The stage is taken", "Many people look at this at the moment. Please try again in a moment."}
	errHalfDone = &problem{http.StatusServiceUnavailable, "Your password is changed", "But we could not log your other devices out, because our storage cannot be reached. Please do that on the page of your devices, in a moment."}

	problemEnded  = &problem{http.StatusConflict, "Your session has ended", "It ended while you sent this, so it was not done. Log in and try again."}
	problemOutage = &problem{http.StatusServiceUnavailable, "We cannot reach our storage", "Nothing was lost: you are still logged in, and your cart is as you left it. Please try again in a moment."}
)

// problemOf returns the page for an error: those of Cloakroom have a status.
func problemOf(err error) *problem {
	var p *problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, core.ErrNotSignedIn):
		return errLogIn
	case errors.Is(err, core.ErrSignInTooOld):
		return errLogInAgain
	case errors.Is(err, core.ErrUnproven):
		return errLocked
	}
	switch core.HTTPStatus(err) {
	case http.StatusConflict:
		return problemEnded
	case http.StatusInternalServerError:
		return errBroken
	}
	return problemOutage
}

// fail notes and shows what a handler returned.
func (a *app) fail(w http.ResponseWriter, r *http.Request, err error) {
	if problemOf(err).Status >= 500 {
		slog.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	a.showProblem(w, r, err)
}

// showProblem shows an error. It is also Config.ErrorHandler, for sessions that
// could not be loaded or saved, which Cloakroom has noted already.
func (a *app) showProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p.Status >= 500 || p.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "5")
	}
	if isAPI(r) {
		writeProblem(w, r, p)
		return
	}
	again, returnTo := "/", "/"
	if r.Method == http.MethodGet {
		again, returnTo = "", r.URL.RequestURI() // "" is the page itself
	}
	page := page{Title: p.Title, Data: map[string]any{"Problem": p, "Again": again, "ReturnTo": returnTo}}
	// The header says who is logged in, if that can be told.
	if s, ok := core.Lookup(r.Context()); ok && p.Status < 500 && p != problemEnded {
		if u, err := a.users.ByID(r.Context(), s.User()); err == nil {
			page.User = &u
		}
		page.Known, page.InCart = true, inCart(s)
	}
	if err := write(w, p.Status, "error", page); err != nil {
		http.Error(w, p.Title, http.StatusInternalServerError)
	}
}

// A page is what the templates get.
type page struct {
	Name, Title string
	Known       bool  // whether there is a session; an error page may be without one
	User        *user // nil for nobody
	InCart      int
	Notices     []notice
	Data        any
}

// A notice is a line above the page. Its kind is "info" or "error".
type notice struct{ Kind, Text string }

// render writes a page, with the messages that were left for it.
func (a *app) render(w http.ResponseWriter, r *request, status int, name, title string, data any) error {
	notices := r.notes
	for _, kind := range []string{"info", "error"} {
		for _, text := range r.session.Flashes(kind) {
			notices = append(notices, notice{kind, text})
		}
	}
	return write(w, status, name, page{
		Name: name, Title: title, Known: true, User: r.user, InCart: inCart(r.session), Notices: notices, Data: data,
	})
}

// redirect ends the handling of a form: the browser asks for another page, which
// shows the message.
func (r *request) redirect(w http.ResponseWriter, to, kind, message string) error {
	if message != "" {
		r.session.Flash(kind, message)
	}
	http.Redirect(w, r.Request, to, http.StatusSeeOther)
	return nil
}

//go:embed templates static
var files embed.FS

var templates = func() map[string]*template.Template {
	all := make(map[string]*template.Template)
	for _, name := range []string{"shop", "cart", "signup", "mailed", "confirm", "login", "profile", "devices", "admin", "show", "demonstration", "error"} {
		all[name] = template.Must(template.New("layout.html").Funcs(template.FuncMap{
			"ago": ago, "price": price, "device": device, "count": count, "millis": millis,
		}).ParseFS(files, "templates/layout.html", "templates/"+name+".html"))
	}
	return all
}()

func write(w http.ResponseWriter, status int, name string, p page) error {
	var b bytes.Buffer // so that an error leaves no half page
	if err := templates[name].Execute(&b, p); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store") // the back button shows nothing after a logout
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // where the session cannot be stored, Config.ErrorHandler answers instead
	return nil
}

// static serves the stylesheet and the script.
func static() http.Handler {
	fs := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache") // ask whether it is new
		fs.ServeHTTP(w, r)
	})
}
