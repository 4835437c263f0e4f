package core

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Pages that are for users who are signed in: who is let through, and where the others
// are led.

// A SignInPage is where [RequireUser] and [RequireRecentSignIn] lead a browser whose user
// has to sign in. The zero value leads nowhere: each such request is answered 401.
type SignInPage struct {
	// Path is the page, as the browser asks for it: a path of this site such as
	// "/login", which may have a query. A browser that opens a page is led there with
	// 303, which makes a GET of whatever it was, and with the parameter "return_to",
	// which [ReturnPath] reads. It is answered 401 where it asks for Path itself: keep
	// that page outside.
	Path string

	// IsAPI, if not nil, tells which requests are those of a program, which is answered
	// 401, and not those of a browser that opens a page. By default a page is what a
	// request asks for that accepts text/html by name, unless it says that a script made
	// it (Sec-Fetch-Mode other than navigate, X-Requested-With: XMLHttpRequest). A session
	// that comes by header ([Header]) is a program's in any case.
	IsAPI func(*http.Request) bool
}

// A Guard stands in front of handlers and lets the requests of some users through.
// [RequireUser], [RequireRecentSignIn] and [RequireProof] make one.
type Guard struct {
	page  SignInPage
	check func(context.Context, *Session) error
}

// RequireUser returns a Guard that lets a request through where somebody is signed in:
// where [Session.User] has a name. It panics where page.Path is no path of this site.
func RequireUser(page SignInPage) *Guard {
	return newGuard(page, func(_ context.Context, s *Session) error { return s.RequireUser() })
}

// RequireRecentSignIn returns a Guard that lets a request through where
// [Session.RequireRecentSignIn] does, which costs a round trip: where somebody signed in
// less than maxAge ago. Others sign in, again. It panics where page.Path is no path of
// this site, and where maxAge is less than a second: nobody could get to such a page.
func RequireRecentSignIn(maxAge time.Duration, page SignInPage) *Guard {
	if maxAge < time.Second {
		panic(ErrMaxAgeTooShort)
	}
	return newGuard(page, func(ctx context.Context, s *Session) error { return s.RequireRecentSignIn(ctx, maxAge) })
}

// RequireProof returns a Guard that lets a request through where the browser has proven less
// than maxAge ago that it is the one that the session is bound to ([Bind]), or where the user
// signed in less than Bind.Grace ago. The clocks of the processes may be a minute apart, so
// a proof may be a minute older than that. A browser whose proof is older is led to the same URL
// again, with 307 and without its bound cookie, which makes it prove it now: the request
// comes back with its body, half a second later or so. Whoever has copied the cookies cannot.
//
// All others sign in, those whose browsers cannot bind sessions among them: where these are
// to be let through, ask [Session.Binding] before. A browser makes 6 signatures in 9 minutes,
// so maxAge is at least a minute. RequireProof panics where it is less, and where page.Path
// is no path of this site. Without Config.Bind nobody is let through.
func RequireProof(maxAge time.Duration, page SignInPage) *Guard {
	if maxAge < leastProofAge {
		panic("cloakroom: maxAge of RequireProof is less than a minute, and browsers make no more than 6 proofs in 9 minutes")
	}
	return newGuard(page, func(_ context.Context, s *Session) error { return s.requireProof(maxAge) })
}

// newGuard panics where the page is on another site: a redirect to it would be an open one.
func newGuard(page SignInPage, check func(context.Context, *Session) error) *Guard {
	if page.Path != "" && !isSafePath(page.Path) {
		panic("cloakroom: SignInPage.Path is no path of this site: write one like \"/login\", without dots and double slashes")
	}
	return &Guard{page, check}
}

// Handler lets those requests through to next that the Guard admits. It belongs behind
// the middleware, [Manager.Handler]. Others are answered as [Guard.Admit] says, and with
// a short text where that leaves it to the caller.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status, err := g.Admit(w, r); err == nil {
			next.ServeHTTP(w, r)
		} else if status != 0 {
			exchangeOf(r.Context()).m.writeError(w, r, err)
		}
	})
}

// HandlerFunc is Handler for a function.
func (g *Guard) HandlerFunc(next http.HandlerFunc) http.Handler { return g.Handler(next) }

// Admit decides about a request, for the adapter of a framework: nil lets it through.
// Else the error says why not: [ErrNotSignedIn], also where the session was ended since the
// request came; [ErrSignInTooOld]; [ErrUnproven]; or whatever kept the session from being loaded or looked
// up. A status of 0 then says that the request was answered, by a redirect to the page or by
// Config.ErrorHandler; any other, which is [HTTPStatus] of the error, is for the caller to
// answer with.
//
// It panics where the middleware is missing or left the request alone, as [FromContext]
// does: nobody is let through by mistake.
func (g *Guard) Admit(w http.ResponseWriter, r *http.Request) (status int, err error) {
	s, err := Load(r.Context())
	if errors.Is(err, ErrNoSession) {
		panic(err)
	}
	if err == nil {
		err = g.check(r.Context(), s)
	}
	switch {
	case err == nil:
		return 0, nil
	case errors.Is(err, ErrSessionGone): // a moment later the request would have come without one
		err = ErrNotSignedIn
	}
	x, status := exchangeOf(r.Context()), HTTPStatus(err)
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case errors.Is(err, errOldProof) && x.askForProof(w):
		return 0, err
	case status == http.StatusUnauthorized && x.carrier == CarrierCookie && g.page.leads(r, x.m.cfg.StrippedPrefix):
		w.Header().Set("Location", g.page.location(returnPathOf(r, x.m.cfg.StrippedPrefix)))
		w.WriteHeader(http.StatusSeeOther)
		return 0, err
	case status == http.StatusUnauthorized && x.challenge() != "":
		w.Header().Set("WWW-Authenticate", x.challenge())
	}
	if x.m.handlesError(w, r, err) {
		return 0, err
	}
	return status, err
}

// leads reports whether a request is led to the page.
func (p SignInPage) leads(r *http.Request, prefix string) bool {
	if p.Path == "" || pathOf(targetOf(r, prefix)) == pathOf(p.Path) {
		return false
	}
	if p.IsAPI != nil {
		return !p.IsAPI(r)
	}
	return asksForPage(r.Header)
}

// location returns the page, with where to return to afterwards, if anywhere.
func (p SignInPage) location(back string) string {
	if back == "" || pathOf(back) == pathOf(p.Path) {
		return p.Path
	}
	separator := "?"
	if strings.Contains(p.Path, "?") {
		separator = "&"
	}
	return p.Path + separator + returnParam + "=" + url.QueryEscape(back)
}

// asksForPage reports whether a browser opens a page, as opposed to a script or another
// program.
func asksForPage(h http.Header) bool {
	if mode := h.Get("Sec-Fetch-Mode"); mode != "" && mode != "navigate" || strings.EqualFold(h.Get("X-Requested-With"), "XMLHttpRequest") {
		return false
	}
	for _, line := range h["Accept"] {
		for kind := range strings.SplitSeq(line, ",") {
			kind, _, _ = strings.Cut(kind, ";")
			if strings.EqualFold(strings.TrimSpace(kind), "text/html") {
				return true
			}
		}
	}
	return false
}

// Where a browser returns to is part of a URL that anybody can write, and send to a user
// who signs in: it must not lead to another site.

const (
	returnParam = "return_to" // of the sign-in page
	maxReturn   = 2048        // bytes; what is longer is not returned to
)

// ReturnPath returns where to lead a browser when its user has signed in: the parameter
// "return_to", from the query or a posted form, with which [RequireUser] led it to the
// sign-in page. A form without an action posts it along; another has it in a hidden field.
//
// It is always a path of this site, whoever wrote the parameter, and otherwise where that is
// missing, longer than 2048 bytes or leads anywhere else in any spelling: absolute URLs,
// two slashes, backslashes, dots, control characters, and all of them percent-encoded any
// number of times. Answer with it and 303.
func ReturnPath(r *http.Request, otherwise string) string {
	if path := r.FormValue(returnParam); isSafePath(path) {
		return path
	}
	return otherwise
}

// returnPathOf returns the page that a request came from or asked for, with its query, or
// an empty string. What changes something is not done again unasked: the page that has the
// form is returned to.
func returnPathOf(r *http.Request, prefix string) string {
	path := targetOf(r, prefix)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		from, err := url.Parse(r.Referer())
		if err != nil || from.Host != r.Host {
			return ""
		}
		path = from.RequestURI()
	}
	if !isSafePath(path) {
		return ""
	}
	return path
}

// targetOf returns what a request asks for, as the browser has it: with the prefix that a
// proxy took off, and with what a router took off the URL.
func targetOf(r *http.Request, prefix string) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		return prefix + r.RequestURI
	}
	if absolute, err := url.ParseRequestURI(r.RequestURI); err == nil { // as to a proxy
		return prefix + absolute.RequestURI()
	}
	return prefix + r.URL.RequestURI()
}

// isSafePath reports whether no browser, proxy or router can take a path, with a query or
// without, for anything but one of this site.
func isSafePath(path string) bool {
	if path == "" || path[0] != '/' || len(path) > maxReturn || strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return false
	}
	if _, err := url.ParseRequestURI(path); err != nil {
		return false
	}
	// The path is looked at as it stands, and decoded as often as there is something to decode:
	// proxies, routers and frameworks each may do it once.
	for path = pathOf(path); ; {
		odd := func(c rune) bool { return c < ' ' || c == '\\' || c == 0x7f }
		if strings.ContainsFunc(path, odd) || strings.Contains(path, "//") || hasDots(path) {
			return false
		}
		decoded := decodeOnce(path)
		if decoded == path {
			return true
		}
		path = decoded
	}
}

// decodeOnce decodes what is percent-encoded in a path. What is not quite stays as it is,
// as in what somebody decodes who does not mind: it must not hide the rest.
func decodeOnce(path string) string {
	decoded := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			if c, err := strconv.ParseUint(path[i+1:i+3], 16, 8); err == nil {
				decoded = append(decoded, byte(c))
				i += 2
				continue
			}
		}
		decoded = append(decoded, path[i])
	}
	return string(decoded)
}

// hasDots reports whether a path has a segment that stands for another one.
func hasDots(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// pathOf returns a path without its query and fragment.
func pathOf(path string) string {
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		return path[:i]
	}
	return path
}
