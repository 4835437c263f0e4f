package core

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
)

// How a session travels: by a cookie, or by a header for clients that keep no cookies.

// The names of a Header where the app says nothing.
const (
	defaultRequestHeader  = "Authorization"
	defaultResponseHeader = "Session-Token"
)

// A Header lets a session travel in headers, for clients that keep no cookies: apps on
// phones, command lines, other services. The zero value is a bearer token (RFC 6750) in
// Authorization, and Session-Token in the response.
//
// The token is what the cookie would hold: the signed id of the session, a secret, of up
// to 4096 bytes. So everything that is true of sessions holds for both ways, and one
// session may be used by both. A client keeps the last token that it was given: it comes
// when the session is stored for the first time, with each new id (SignIn, Renew), and
// when Config.Secrets were rotated, and the header is empty when the session has ended.
// Other responses do not have it. Config.Cookie's Path, MaxAge and Secure hold for
// sessions by header, too: with [SecureAlways] no token is sent over plain HTTP.
//
// A request that has the header is answered by header: its cookies are not looked at, and
// none is set. A client that has no token yet sends the header without one:
// "Authorization: Bearer". What is no token of ours, a JWT or Basic for instance, is none
// of Cloakroom's business: the request counts as one without the header.
//
// Two Managers around one handler need headers of different names. docs/api-clients.md is
// the guide.
type Header struct {
	// Request is the name of the header of requests. The default is Authorization, with
	// the scheme Bearer. A header of any other name holds the token alone.
	Request string

	// Response is the name of the header of responses. The default is Session-Token, or
	// Request where that is set to a name of your own. It is added to
	// Access-Control-Expose-Headers where it is sent, so that scripts of other origins
	// can read it.
	Response string

	// Only, if not nil, tells which requests have their session by the header alone,
	// such as those of an API below /api/: no cookie is looked at, nor set, so that they
	// need no protection against cross-site request forgery. [AlwaysHeader] switches the
	// cookie off. Other requests have it either way.
	Only func(*http.Request) bool
}

// AlwaysHeader is a Header.Only for an app that has no cookie at all.
func AlwaysHeader(*http.Request) bool { return true }

// String names the headers.
func (h *Header) String() string {
	if h == nil {
		return "none"
	}
	full := h.withDefaults()
	return full.Request + ", " + full.Response
}

// withDefaults returns a copy with the zero values replaced by what they mean.
func (h *Header) withDefaults() *Header {
	if h == nil {
		return nil
	}
	full := *h
	if full.Request == "" {
		full.Request = defaultRequestHeader
	}
	full.Request = http.CanonicalHeaderKey(full.Request)
	if full.Response == "" {
		full.Response = full.Request
		if full.isBearer() {
			full.Response = defaultResponseHeader
		}
	}
	full.Response = http.CanonicalHeaderKey(full.Response)
	return &full
}

// isBearer reports whether the token has the scheme Bearer in front of it. The defaults
// are filled in.
func (h *Header) isBearer() bool { return h.Request == defaultRequestHeader }

// validate tells which name cannot be that of such a header.
func (h *Header) validate() error {
	if h == nil {
		return nil
	}
	full := h.withDefaults()
	for _, header := range []struct{ field, name string }{{"Request", full.Request}, {"Response", full.Response}} {
		switch {
		case !ticket.ValidName(header.name):
			return &ConfigError{"Header." + header.field, fmt.Sprintf("%q is no name of a header (RFC 9110): use letters, digits and -", header.name)}
		case slices.Contains([]string{"Cookie", "Set-Cookie", "Vary", "Cache-Control", "Www-Authenticate", "Access-Control-Expose-Headers"}, header.name):
			return &ConfigError{"Header." + header.field, header.name + " has a meaning of its own: use another name, or leave it empty"}
		}
	}
	return nil
}

// A Carrier is what brings the session with each request.
type Carrier int8

const (
	// CarrierCookie is a cookie. Browsers send it by themselves, also where another site
	// makes them, so that such requests need protection: net/http's
	// CrossOriginProtection, for instance.
	CarrierCookie Carrier = iota
	// CarrierHeader is a header, see [Header]. Nothing sends it but the client that has
	// the token.
	CarrierHeader
)

func (c Carrier) String() string { return valueName("Carrier", int(c), "cookie", "header") }

// chooseCarrier finds out how the session of the request travels.
func (x *Exchange) chooseCarrier() {
	how := x.m.cfg.Header
	if how == nil {
		return
	}
	asks := false
	ticket.HeaderTokens(x.r.Header, how.Request, how.isBearer(), func(token string) bool {
		asks = token == "" || ticket.LooksSigned(token)
		return !asks
	})
	if asks || how.Only != nil && how.Only(x.r) {
		x.carrier = CarrierHeader
	}
}

// tickets calls yield with what the request brought that may be a ticket of ours, until
// yield returns false.
func (x *Exchange) tickets(yield func(value string) bool) {
	switch {
	case x.r == nil:
		if x.raw != nil && x.raw.ticket != "" {
			yield(x.raw.ticket)
		}
	case x.carrier == CarrierHeader:
		how := x.m.cfg.Header
		ticket.HeaderTokens(x.r.Header, how.Request, how.isBearer(), func(token string) bool {
			return !ticket.LooksSigned(token) || yield(token) // else it is somebody else's
		})
	default:
		ticket.CookieValues(x.r.Header, x.m.cfg.Cookie.Name, yield)
	}
}

// addVary notes in the headers that the response depends on the session.
func (x *Exchange) addVary(h http.Header, room *[1]string) {
	if x.carrier == CarrierCookie {
		ticket.AddVary(h, "Cookie", room)
	}
	if how := x.m.cfg.Header; how != nil { // also where it is not there: it could be
		ticket.AddVary(h, how.Request, room)
	}
}

// CarriedBy returns how the session travels: what brought it with this request, and how
// the client is told of another id. Without Config.Header, and for a session that
// [Manager.Load] returned, it is [CarrierCookie].
func (s *Session) CarriedBy() Carrier { return s.x.carrier }

// ErrNotStored says that a session has no token, because it is not stored under its id:
// it is a new one, SignIn or Renew gives it another id, another request rotated it, or it
// has ended.
var ErrNotStored = errors.New("cloakroom: session is not stored, so that it has no token; call Save before Token")

// Token returns the token of the session for a client that sends it by [Header], or has
// [Manager.Load] look for it: a secret, for the body of a response to that client, over
// HTTPS. Clients that read the header of the response do not need it. Where a browser has
// the session by a cookie, a page that is told the token undoes what HttpOnly is for.
//
// A session that is new, or gets another id, has its token once it is stored: call Save
// before. Else, and when it has ended or another request has rotated its id, Token returns
// [ErrNotStored]; with Config.Sealed an
// error that matches [errors.ErrUnsupported].
func (s *Session) Token() (string, error) {
	if !s.lock() {
		return "", ErrReentered
	}
	defer s.x.unlock()
	if s.x.jar != nil {
		return "", errSealedToken
	}
	if s.standing != state.Live || s.renewal != state.KeepID || s.rarities().followed {
		return "", ErrNotStored
	}
	return s.x.m.keys.Load().signer.Sign(s.id), nil
}

// Challenge returns the value of WWW-Authenticate for a 401 (RFC 6750, section 3), by
// which a client learns that it is to send a bearer token: with the error invalid_token
// where it sent one that leads to no session. It is empty where Config.Header does not
// have Authorization.
func (s *Session) Challenge() string { return s.x.challenge() }

// challenge is [Session.Challenge] for an Exchange, which may be nil.
func (x *Exchange) challenge() string {
	if x == nil || x.m.cfg.Header == nil || !x.m.cfg.Header.isBearer() {
		return ""
	}
	if s := x.session.Load(); s != nil && x.carrier == CarrierHeader && x.isLoaded() {
		if s.lock() {
			defer x.unlock()
		}
		if s.ticket != state.NoTicket && s.standing != state.Live {
			return `Bearer error="invalid_token"`
		}
	}
	return "Bearer"
}

// A sentTicket is the header of the response that carries the ticket, as it was set so
// far. It has a lock of its own: an error page of another Manager asks for it, and does
// not wait for whoever is at the session.
type sentTicket struct {
	mu   sync.Mutex
	line ticketLine
}

// A ticketLine is a header that carries a ticket.
type ticketLine struct {
	name  string // Set-Cookie, or Header.Response; empty: there is none
	value string
}

// load returns the header that was set so far.
func (t *sentTicket) load() ticketLine {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.line
}

// store notes the header that is set now. The caller holds the lock of the session.
func (t *sentTicket) store(line ticketLine) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line = line
}

// sentTicket returns the header that was set so far.
func (x *Exchange) sentTicket() ticketLine {
	if s := x.session.Load(); s != nil {
		return s.sent.load()
	}
	return ticketLine{}
}

// remove takes the line out of the headers of a response.
func (l ticketLine) remove(h http.Header) {
	switch l.name {
	case "":
	case setCookie:
		h[setCookie] = slices.DeleteFunc(h[setCookie], func(v string) bool { return v == l.value })
	default:
		h.Del(l.name)
	}
}

// add puts the line into the headers of a response, unless it is there.
func (l ticketLine) add(h http.Header) {
	switch l.name {
	case "":
	case setCookie:
		if !slices.Contains(h[setCookie], l.value) {
			h[setCookie] = append(h[setCookie], l.value)
		}
	default:
		h[l.name] = []string{l.value}
		expose(h, l.name)
	}
}

const setCookie = "Set-Cookie"

// expose lets scripts of other origins read a header of the response (Fetch, section
// 3.3.2), beside those that are named already. A star does not do for requests with
// credentials, so the name is said all the same.
func expose(h http.Header, name string) {
	const list = "Access-Control-Expose-Headers"
	for _, line := range h[list] {
		for field := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(field), name) {
				return
			}
		}
	}
	h[list] = append(h[list], name)
}

// ticketLine returns the header of the response that does what the verdict says.
func (s *Session) ticketLine(how state.Cookie) ticketLine {
	switch {
	case how == state.NoCookie:
		return ticketLine{}
	case s.x.carrier == CarrierCookie:
		return ticketLine{setCookie, s.setCookie(how)}
	case how.Sets():
		return ticketLine{s.x.m.cfg.Header.Response, s.x.m.keys.Load().signer.Sign(s.id)}
	}
	return ticketLine{s.x.m.cfg.Header.Response, ""}
}
