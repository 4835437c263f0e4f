package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/hot"
	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
	"github.com/cloakroom-go/cloakroom/core/internal/proof"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/seal"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
)

// What a session knows of the key that it is bound to. The record says it in the member
// "bind" of __cloakroom, which stays with the id:
//
//	{"offered":1763715600000}                               since the id was given out
//	{"since":1763715602000,"thumbprint":"...","jwk":{...}}  since the browser sent its key
//
// The bound cookie is "<expiry>.<mark>", with the expiry in Unix seconds and a mark of
// that, the thumbprint and what the store calls the session, under Config.Secrets. So
// nothing is looked up for it, and any process can tell.

// ErrUnproven says that the session is bound to a browser and that nothing shows that the
// request comes from there, or that it is not bound where it has to be (Bind.Required,
// [RequireProof]). Nothing was stored.
var ErrUnproven = errors.New("cloakroom: session is not proven to be in the browser that it is bound to; the browser has to refresh it, or the user to sign in again")

// errBound says that somebody has bound the session before.
var errBound = errors.New("cloakroom: session is bound already")

const (
	// challengeLife is how long a challenge for a refresh is good: a browser signs it at once.
	challengeLife = 2 * time.Minute

	// offerLife is how long the challenge in an offer is good, by which a session is bound:
	// a browser answers it beside the first pages.
	offerLife = 5 * time.Minute

	maxBoundCookies = 4 // of our name in one request that are verified
)

// A binder is what binding takes of Config.Secrets.
type binder struct {
	tokens     []*seal.Key  // seal what a challenge for a registration, and an identifier, lead to
	bound      *seal.Marker // marks the bound cookie
	challenges *seal.Marker // marks what a refresh has to sign

	proofs *hot.Table[knownProof, *knownProof] // bound cookies that it has verified
}

// newBinder returns what binding takes of those secrets. Each of its keys is derived for one
// purpose, so that no text of one kind passes for one of another.
func newBinder(secrets []string) (b binder, err error) {
	if b.tokens, err = seal.NewTokenKeys(secrets); err != nil {
		return b, err
	}
	if b.bound, err = seal.NewMarker(secrets, "cloakroom bound cookie"); err != nil {
		return b, err
	}
	b.proofs = hot.NewTable[knownProof](maxTickets)
	b.challenges, err = seal.NewMarker(secrets, "cloakroom challenge")
	return b, err
}

// boundName returns the name of the bound cookie.
func (m *Manager) boundName() string { return m.cfg.Cookie.Name + boundSuffix }

// boundSince returns when the session with that record was bound, and the thumbprint of
// its key. It reports false for one that is not bound. What cannot be read is a key that
// nobody has.
func boundSince(d *record.Document) (since time.Time, thumbprint []byte, bound bool) {
	if d == nil || d.Meta.Bind == nil {
		return time.Time{}, nil, false
	}
	at := jsontext.First(d.Meta.Bind, "since")
	if at == nil && jsontext.First(d.Meta.Bind, "offered") != nil {
		return time.Time{}, nil, false
	}
	ms, _ := jsontext.ParseInt(at)
	if raw := jsontext.First(d.Meta.Bind, "thumbprint"); len(raw) > 2 {
		thumbprint = raw[1 : len(raw)-1]
	}
	return record.UnixMilli(ms).Time(), thumbprint, true
}

// boundMember returns the member for a session that is bound to a key.
func boundMember(key *proof.Key, now time.Time) []byte {
	member := strconv.AppendInt([]byte(`{"since":`), now.UnixMilli(), 10)
	member = append(append(member, `,"thumbprint":"`...), key.Thumbprint()...)
	member = append(append(member, `","jwk":`...), key.JWK()...)
	return append(member, '}')
}

// bindMember returns the member for the record that takes the place of base. A session
// with another id is bound anew: what the browser was told of it leads to the old one.
func (s *Session) bindMember(base, next *record.Document, key string) ([]byte, error) {
	x := s.x
	if base != nil && key == s.key {
		member := s.rarities().binding
		if member == nil {
			return base.Meta.Bind, nil
		}
		if _, _, bound := boundSince(base); bound {
			return nil, final{errBound}
		}
		return member, nil
	}
	if x.m.cfg.Bind == nil || x.r == nil || x.carrier != CarrierCookie || next.Meta.User == nil && s.user() == "" {
		return nil, nil
	}
	return append(strconv.AppendInt([]byte(`{"offered":`), x.m.cfg.Now().UnixMilli(), 10), '}'), nil
}

// isRecent reports whether something happened within Bind.Grace, by the clock of any
// instance.
func (m *Manager) isRecent(at time.Time) bool {
	return m.isYoung(at, m.cfg.Bind.Grace)
}

// proofUntil returns until when the bound cookie of the request says that it comes from
// the browser that the session with that record is bound to; zero where there is none.
func (x *Exchange) proofUntil(doc *record.Document, thumbprint []byte) (until int64) {
	if x.r == nil || x.carrier != CarrierCookie || len(thumbprint) == 0 {
		return 0
	}
	m, looked := x.m, 0
	now, keys := m.cfg.Now().Unix(), m.keys.Load()
	ticket.CookieValues(x.r.Header, m.boundName(), func(value string) bool {
		looked++
		// The browser got the cookie after its life had begun, and clocks differ.
		if at := keys.proves(value, doc, thumbprint); now < at+int64(clockSkew/time.Second) {
			until = at
		}
		return until == 0 && looked < maxBoundCookies
	})
	return until
}

// proves returns until when a bound cookie is good, in Unix seconds, and 0 for one that is
// not of the session with that record and of the key with that thumbprint.
func (k *keyRing) proves(value string, doc *record.Document, thumbprint []byte) (until int64) {
	known, at := k.proofs.Get(value)
	if known != nil && known.key == doc.Record.ID && known.thumbprint == string(thumbprint) {
		return known.until
	}
	expiry, mark, _ := strings.Cut(value, ".")
	until, err := strconv.ParseInt(expiry, 10, 64)
	if err != nil || !k.bound.Verify(mark, expiry, string(thumbprint), doc.Record.ID) {
		return 0
	}
	if doc.Record.Shared && k.proofs.Wants(at) {
		k.proofs.Put(at, &knownProof{strings.Clone(value), doc.Record.ID, string(thumbprint), until})
	}
	return until
}

// boundCookie returns the value of the cookie for a session that is bound to the key with
// that thumbprint, for Bind.Life from now on.
func (m *Manager) boundCookie(key, thumbprint string, now time.Time) string {
	expiry := strconv.FormatInt(now.Add(m.cfg.Bind.Life).Unix(), 10)
	return expiry + "." + m.keys.Load().bound.Mark(expiry, thumbprint, key)
}

// isProven reports whether the request may have the session with that record: it is not
// bound, or the request brings the proof, or need not have it yet. Nobody asks that of who
// finds sessions outside of any request.
func (s *Session) isProven(doc *record.Document) bool {
	x := s.x
	if x.m.cfg.Bind == nil || x.r == nil && x.raw == nil {
		return true
	}
	since, thumbprint, bound := boundSince(doc)
	if !bound {
		return true
	}
	s.proofUntil = x.proofUntil(doc, thumbprint)
	return s.proofUntil != 0 || x.m.isRecent(since)
}

// keepLocked makes s the empty session of a request that led to one which is bound to
// another browser, as far as can be told, and tells the operator. origin is the key that led
// to it. What the browser says of why it has no proof is logged, and not believed.
func (s *Session) keepLocked(ctx context.Context, origin string, doc *record.Document) {
	m := s.x.m
	s.become(state.Locked)
	s.key, s.origin = doc.Record.ID, origin
	s.needRarities().locked = doc
	m.notify(ctx, Event{Kind: EventRefused, Cause: CauseUnproven, User: m.userOf(doc), Handle: m.handleIn(doc)})
	if said := s.x.r; said != nil && said.Header.Get("Secure-Session-Skipped") != "" {
		m.log(ctx, slog.LevelInfo, "cloakroom: a browser says that it could not prove that a session is bound to it",
			slog.String("why", skippedFor(said.Header.Get("Secure-Session-Skipped"))))
	}
}

// skippedFor returns the reason in the header Secure-Session-Skipped, if it is one that
// browsers have: the lines of a log are not a client's to write.
func skippedFor(value string) string {
	why, _, _ := strings.Cut(value, ";")
	if why = strings.TrimSpace(why); slices.Contains([]string{"unreachable", "server_error", "quota_exceeded"}, why) {
		return why
	}
	return "other"
}

// Binding tells whether the session is bound to its browser.
func (s *Session) Binding() Binding {
	if !s.lock() {
		return Unbound
	}
	defer s.x.unlock()
	if s.standing == state.Locked {
		return Unproven
	}
	if _, _, bound := boundSince(s.base); bound && s.x.m.cfg.Bind != nil {
		return Bound
	}
	return Unbound
}

// requiresBinding reports whether Bind.Required asks for a bound session.
func (m *Manager) requiresBinding(r *http.Request) bool {
	return m.cfg.Bind != nil && m.cfg.Bind.Required != nil && m.cfg.Bind.Required(r)
}

// beginBound finds the session of a request that has to be bound, where it is that of a
// user, and refuses any other.
func (x *Exchange) beginBound() (*Exchange, error) {
	find := x.find
	if x.lazy != nil {
		find = x.ensureLoaded
	}
	if err := find(); err != nil {
		return nil, err
	}
	if s := x.session.Load(); s != nil && !s.isBoundEnough() {
		x.end()
		return nil, ErrUnproven
	}
	return x, nil
}

// isBoundEnough reports whether the session is bound, or is that of no user, or may still
// be about to be bound.
func (s *Session) isBoundEnough() bool {
	m := s.x.m
	switch {
	case s.standing == state.Locked:
		return false
	case s.standing != state.Live || !m.isOfUser(s.base):
		return true
	}
	_, _, bound := boundSince(s.base)
	return bound || m.isRecent(offeredAt(s.base))
}

// offeredAt returns when a session got its id that is not bound yet.
func offeredAt(d *record.Document) time.Time {
	ms, _ := jsontext.ParseInt(jsontext.First(d.Meta.Bind, "offered"))
	return record.UnixMilli(ms).Time()
}

// An offer is the header by which a browser is told that it may bind its session.
type offer struct {
	key  string // what the store calls the session
	line string
}

// registration is the header of the response that holds an offer.
const registration = "Secure-Session-Registration"

// offerBinding sets that header where the response gives a user's session another id, and
// takes it away where it turns out not to. Where the session has ended, the bound cookie
// goes with that of the session.
func (s *Session) offerBinding(h http.Header, cookie state.Cookie) {
	x, m := s.x, s.x.m
	if m.cfg.Bind == nil || x.r == nil || x.carrier != CarrierCookie {
		return
	}
	before, next := s.rarities().offer, offer{}
	if cookie == state.SetCookie && s.deed == state.Created && s.standing == state.Live && m.isOfUser(s.base) {
		if next = before; next.key != s.key {
			next = offer{s.key, m.offerFor(s.key)}
		}
	}
	if before != next {
		h[registration] = slices.DeleteFunc(h[registration], func(line string) bool { return line == before.line })
		s.needRarities().offer = next
	}
	if next.line != "" && !slices.Contains(h[registration], next.line) {
		h[registration] = append(h[registration], next.line)
	} else if len(h[registration]) == 0 {
		delete(h, registration)
	}
	if cookie == state.DeleteCookie && x.hasCookie(m.boundName()) {
		line := x.boundAttributes().SetCookie(m.boundName(), "", -1, time.Time{})
		if !slices.Contains(h[setCookie], line) {
			h[setCookie] = append(h[setCookie], line)
		}
	}
}

// offerFor returns the value of the header for the session that the store calls key.
func (m *Manager) offerFor(key string) string {
	challenge := m.keys.Load().tokens[0].SealToken(m.tokenPurpose(registering), []byte(strconv.FormatInt(m.cfg.Now().UnixMilli(), 10)+"."+key))
	return `(ES256 RS256);path="` + m.cfg.Bind.Path + `";challenge="` + challenge + `"`
}

// hasCookie reports whether the browser sent a cookie with that name, whatever it holds.
func (x *Exchange) hasCookie(name string) (has bool) {
	ticket.CookieValues(x.r.Header, name, func(string) bool {
		has = true
		return false
	})
	return has
}

// boundAttributes returns the attributes of the bound cookie: those of the cookie, and
// out of reach of scripts.
func (x *Exchange) boundAttributes() ticket.Attributes {
	a := x.cookie.resolve(true)
	a.HTTPOnly = true
	return a
}

// leastProofAge is how old a proof may be at least for a page that wants a new one.
const leastProofAge = time.Minute

// errOldProof is an ErrUnproven of a browser that can prove it now.
var errOldProof = fmt.Errorf("%w: its proof is too old", ErrUnproven)

// requireProof reports why a page that wants a proof of less than that age is not for this
// request, or nil.
func (s *Session) requireProof(maxAge time.Duration) error {
	if !s.lock() {
		return ErrReentered
	}
	defer s.x.unlock()
	m := s.x.m
	if m.cfg.Bind == nil || s.standing != state.Live {
		return ErrUnproven
	}
	since, _, bound := boundSince(s.base)
	if !bound {
		since = offeredAt(s.base)
	}
	if m.isRecent(since) {
		return nil
	}
	if !bound || s.proofUntil == 0 {
		return ErrUnproven
	}
	// Clocks differ, and it was seen by another, or under another Bind.Life.
	proven := time.Unix(s.proofUntil, 0).Add(-m.cfg.Bind.Life)
	if age := m.cfg.Now().Sub(proven); age >= maxAge+clockSkew || age <= -clockSkew {
		return errOldProof
	}
	return nil
}

// askForProof leads the browser to the same URL without its bound cookie. It reports false
// where that is none to be led to.
func (x *Exchange) askForProof(w http.ResponseWriter) bool {
	target := targetOf(x.r, x.m.cfg.StrippedPrefix)
	if !isSafePath(target) {
		return false
	}
	h := w.Header()
	h.Add(setCookie, x.boundAttributes().SetCookie(x.m.boundName(), "", -1, time.Time{}))
	h.Set("Location", target)
	w.WriteHeader(http.StatusTemporaryRedirect)
	return true
}
