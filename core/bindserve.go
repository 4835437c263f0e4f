package core

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
	"github.com/cloakroom-go/cloakroom/core/internal/proof"
	"github.com/cloakroom-go/cloakroom/core/internal/seal"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What browsers send to Bind.Path: their key, once, and then proofs that they have it. No
// cookie is relied on: a browser that another site led here sends none. What leads to a
// session is sealed in what the browser was given, so any process can answer, and none
// notes anything but the key.
//
//	POST, with Secure-Session-Response      the key, and the signed challenge of the offer
//	POST, with Sec-Secure-Session-Id        asks for a challenge: 403, with one
//	POST, with both                         the signed challenge
//
// A browser ends its binding for good on 401, 404, 429 and on 403 without a challenge, and
// keeps it on 500 and 503. So what a store that is down answers is 503, and 404 what is for
// good.

const (
	proofHeader      = "Secure-Session-Response"  // of the request: a JWT
	identifierHeader = "Sec-Secure-Session-Id"    // of the request: what answerBound gave the session as its identifier
	challengeHeader  = "Secure-Session-Challenge" // of the response: what the browser has to sign

	maxIdentifier = 8 << 10 // bytes; an id of our own makes one of about a hundred
)

// The purposes of tokens.
const (
	registering = "registration"
	identifying = "identifier"
)

// tokenPurpose returns the purpose of tokens of this Manager: another one with the same
// secrets has other sessions.
func (m *Manager) tokenPurpose(what string) string { return what + "\x00" + m.cfg.Cookie.Name }

// ServeBinding answers what browsers send to Bind.Path, and reports whether the request
// was that. The adapter of a framework calls it before [Manager.Begin], and where it
// returns true does nothing more with the request. Without Config.Bind it returns false.
func (m *Manager) ServeBinding(w http.ResponseWriter, r *http.Request) (served bool) {
	if m.cfg.Bind == nil || m.cfg.StrippedPrefix+ticket.RequestPath(r) != m.cfg.Bind.Path {
		return false
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	x := m.newExchange(r.Context(), r)
	if err := x.chooseCookie(); err != nil {
		x.log(slog.LevelError, "cloakroom: Config.CookieFor returned a cookie that cannot be set", slog.Any("error", err))
		answerBinding(w, http.StatusServiceUnavailable)
		return true
	}
	id := proof.Unquote(r.Header.Get(identifierHeader))
	switch {
	case r.Method != http.MethodPost:
		h.Set("Allow", http.MethodPost)
		answerBinding(w, http.StatusMethodNotAllowed)
	case id != "":
		x.refresh(w, id)
	default:
		x.register(w)
	}
	return true
}

// answerBinding answers with a status that says all.
func answerBinding(w http.ResponseWriter, status int) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(http.StatusText(status) + "\n")) // whoever hung up needs no answer
}

// failBinding answers a request that the store failed.
func (x *Exchange) failBinding(w http.ResponseWriter, err error) {
	x.logFailure(slog.LevelError, "cloakroom: a browser could not bind its session, or prove that it is bound to it", err)
	answerBinding(w, http.StatusServiceUnavailable)
}

// register binds a session to the key that the browser sends. Whatever is wrong with it is
// answered 400: the session stays a plain one.
func (x *Exchange) register(w http.ResponseWriter) {
	m := x.m
	value := x.r.Header.Get(proofHeader)
	if value == "" {
		answerBinding(w, http.StatusBadRequest) // whoever posts nothing has forged nothing
		return
	}
	p, err := proof.Parse(value)
	if err != nil {
		x.refuse(w, http.StatusBadRequest, Event{Cause: CauseForged})
		return
	}
	key, ok := m.openOffer(p.Challenge)
	if !ok {
		answerBinding(w, http.StatusBadRequest) // it is too old, or not one of ours
		return
	}
	public, err := p.Registered()
	if err != nil {
		x.refuse(w, http.StatusBadRequest, Event{Cause: CauseForged})
		return
	}
	s, err := m.bind(x.r.Context(), key, public)
	switch {
	case errors.Is(err, errBound):
		x.refuse(w, http.StatusBadRequest, Event{Cause: CauseBound, User: m.userOf(s.base), Handle: m.handleIn(s.base)})
	case errors.Is(err, ErrSessionGone), errors.Is(err, store.ErrNotFound), errors.Is(err, ErrUndecodable),
		errors.Is(err, ErrTooLarge):
		answerBinding(w, http.StatusBadRequest)
	case err != nil:
		x.failBinding(w, err)
	default:
		key := s.key
		id := m.keys.Load().tokens[0].SealToken(m.tokenPurpose(identifying), []byte(key))
		x.answerBound(w, id, key, public.Thumbprint())
	}
}

// openOffer returns what the store calls the session that a challenge of ours is about.
func (m *Manager) openOffer(challenge string) (key string, ok bool) {
	text, ok := seal.OpenToken(m.keys.Load().tokens, m.tokenPurpose(registering), challenge)
	if !ok {
		return "", false
	}
	at, key, _ := strings.Cut(string(text), ".")
	ms, err := strconv.ParseInt(at, 10, 64)
	return key, err == nil && m.isYoung(time.UnixMilli(ms), offerLife)
}

// isYoung reports whether something that an instance has made is good yet, for that long.
func (m *Manager) isYoung(made time.Time, life time.Duration) bool {
	age := m.cfg.Now().Sub(made)
	return age < life && age > -clockSkew
}

// bind stores that a session is bound to a key. That is no activity of the visitor. It
// returns the session as it is then, with errBound where somebody was first.
func (m *Manager) bind(ctx context.Context, key string, public *proof.Key) (*Session, error) {
	x := m.newFoundExchange(ctx)
	s := x.ensureSession()
	return s, s.operate(ctx, OpBind, func(op *operation) error {
		doc, err := m.loadLive(op, key, x.cookie.MaxAge)
		if err != nil {
			return err
		}
		if !m.isOfUser(doc) {
			return ErrSessionGone // whoever it was has signed out
		}
		s.found("", key, doc)
		s.needRarities().binding = boundMember(public, m.cfg.Now())
		return s.run(op, true)
	})
}

// refresh answers a browser that asks for a challenge, or has signed one.
func (x *Exchange) refresh(w http.ResponseWriter, id string) {
	m := x.m
	key, ok := m.openIdentifier(id)
	if !ok {
		x.refuse(w, http.StatusNotFound, Event{Cause: CauseForged})
		return
	}
	if x.hasAnother(key) { // two bindings would take the bound cookie from one another
		answerBinding(w, http.StatusNotFound)
		return
	}
	value := x.r.Header.Get(proofHeader)
	if value == "" {
		x.challengeBrowser(w, id)
		return
	}
	p, err := proof.Parse(value)
	if err != nil {
		x.refuse(w, http.StatusNotFound, Event{Cause: CauseForged})
		return
	}
	if !m.isChallenge(p.Challenge, id) { // an honest browser may send an old proof again
		x.challengeBrowser(w, id)
		return
	}
	op := x.operate(x.ctx, OpBind)
	thumbprint, err := x.checkProof(op, key, p)
	op.end(err)
	switch {
	case errors.Is(err, ErrUnproven), errors.Is(err, store.ErrNotFound):
		answerBinding(w, http.StatusNotFound)
	case err != nil:
		x.failBinding(w, err)
	default:
		x.answerBound(w, id, key, thumbprint)
	}
}

// hasAnother reports whether the browser has gone on to another session than that, with which
// it may have kept the binding of the former one: after a restart, for instance, which it
// outlives and a cookie may not. A request without cookies says nothing.
func (x *Exchange) hasAnother(key string) bool {
	var found [ticket.MaxEnded]candidate
	n, _ := x.candidates(found[:])
	is := func(c candidate) bool { return x.m.keyOf(&c) == key }
	return n > 0 && n < len(found) && !slices.ContainsFunc(found[:n], is)
}

// checkProof looks up which key the session has to be bound to, and checks a proof by it.
// The error is ErrUnproven where the proof is of another.
func (x *Exchange) checkProof(op *operation, key string, p *proof.Proof) (thumbprint string, err error) {
	m := x.m
	doc, err := m.loadLive(op, key, x.cookie.MaxAge)
	if err != nil {
		return "", err
	}
	public, err := proof.ParseKey(jsontext.First(doc.Meta.Bind, "jwk"))
	if err != nil {
		return "", store.ErrNotFound // it is not bound any more: by Express, or by hand
	}
	event := Event{Kind: EventRefreshed, User: m.userOf(doc), Handle: m.handleIn(doc)}
	if err = p.Verify(public); err != nil {
		event.Kind, event.Cause, err = EventRefused, CauseForged, ErrUnproven
	}
	m.notify(op, event)
	return public.Thumbprint(), err
}

// openIdentifier returns what the store calls the session of an identifier.
func (m *Manager) openIdentifier(id string) (key string, ok bool) {
	if len(id) > maxIdentifier {
		return "", false
	}
	text, ok := seal.OpenToken(m.keys.Load().tokens, m.tokenPurpose(identifying), id)
	return string(text), ok
}

// challengeBrowser answers with what the browser has to sign.
func (x *Exchange) challengeBrowser(w http.ResponseWriter, id string) {
	at := strconv.FormatInt(x.m.cfg.Now().UnixMilli(), 10)
	challenge := at + "." + x.m.keys.Load().challenges.Mark(at, id)
	w.Header().Set(challengeHeader, `"`+challenge+`";id="`+id+`"`)
	answerBinding(w, http.StatusForbidden)
}

// isChallenge reports whether somebody was given that to sign for the session with that
// identifier, lately.
func (m *Manager) isChallenge(challenge, id string) bool {
	at, mark, _ := strings.Cut(challenge, ".")
	ms, err := strconv.ParseInt(at, 10, 64)
	return err == nil && m.isYoung(time.UnixMilli(ms), challengeLife) && m.keys.Load().challenges.Verify(mark, at, id)
}

// refuse answers what no honest browser sends, and tells the operator.
func (x *Exchange) refuse(w http.ResponseWriter, status int, e Event) {
	e.Kind = EventRefused
	x.m.notify(x.ctx, e)
	answerBinding(w, status)
}

// instructions are what a browser has to know of the session that it binds, as JSON in the
// form of the draft (w3c/webappsec-dbsc).
type instructions struct {
	Identifier string       `json:"session_identifier"`
	RefreshURL string       `json:"refresh_url"`
	Scope      scope        `json:"scope"`
	Credential []credential `json:"credentials"`
	// Without this a link from another site would come without a proof.
	Initiators []string `json:"allowed_refresh_initiators"`
}

// A scope says which requests wait for a proof: all to this origin, but for the paths that
// the rules exclude.
type scope struct {
	WholeSite bool        `json:"include_site"`
	Rules     []scopeRule `json:"scope_specification,omitempty"`
}

// A scopeRule is one path of Bind.Exclude.
type scopeRule struct {
	Type   string `json:"type"`
	Domain string `json:"domain"`
	Path   string `json:"path"`
}

// A credential is the bound cookie: a browser that does not have it, with exactly these
// attributes, has to refresh the session first.
type credential struct {
	Type       string `json:"type"`
	Name       string `json:"name"`
	Attributes string `json:"attributes"`
}

// answerBound gives the browser a bound cookie, and tells it again what it has to know:
// one that is told nothing sends its proof a second time.
func (x *Exchange) answerBound(w http.ResponseWriter, id, key, thumbprint string) {
	m, b := x.m, x.m.cfg.Bind
	now, attributes := m.cfg.Now(), x.boundAttributes()
	told := instructions{
		Identifier: id, RefreshURL: b.Path, Initiators: []string{"*"},
		Credential: []credential{{Type: "cookie", Name: m.boundName(), Attributes: attributesText(attributes)}},
	}
	for _, path := range b.Exclude {
		told.Scope.Rules = append(told.Scope.Rules, scopeRule{"exclude", "*", path})
	}
	h := w.Header()
	h.Add(setCookie, attributes.SetCookie(m.boundName(), m.boundCookie(key, thumbprint, now), b.Life, now.Add(b.Life)))
	h.Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = json.NewEncoder(w).Encode(told) // whoever hung up needs no answer
}

// attributesText returns attributes as the instructions have them: exactly those of the
// cookie that a browser compares, else it would ask for a cookie at each request.
func attributesText(a ticket.Attributes) string {
	a.Priority = ""
	_, text, _ := strings.Cut(a.SetCookie("x", "", 0, time.Time{}), "; ")
	return text
}
