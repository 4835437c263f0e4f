package core

import (
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
)

// What the browser and the caches are told. Package state decides it.

// An answer is one response that is being written. There is one for each header
// map: an inner request that a handler makes by hand, for a batch of requests, has
// an answer of its own, and several may be under way at once. It is the map that tells them
// apart, because frameworks wrap the http.ResponseWriter and leave its map alone.
type answer struct {
	header  http.Header   // nil: not begun
	before  http.Header   // as they were before the handler ran; nil for none
	outcome atomic.Uint32 // an outcome
}

// An outcome is what has become of an answer.
type outcome = uint32

const (
	unsent outcome = iota // a header can be set yet
	sent                  // its headers are out
	paged                 // its headers are out, and the error page takes the place of what the handler wrote
)

// send notes that the headers are out.
func (a *answer) send() { a.outcome.CompareAndSwap(unsent, sent) }

// isOut reports whether the headers are out.
func (a *answer) isOut() bool { return a.outcome.Load() != unsent }

// hasHeader reports whether that is the header map of the answer.
func (a *answer) hasHeader(h http.Header) bool {
	return reflect.ValueOf(a.header).Pointer() == reflect.ValueOf(h).Pointer()
}

// A nestedAnswer is one of those that a handler makes by hand.
type nestedAnswer struct {
	answer
	mounts atomic.Int32 // how many times the middleware is around its handler, which has returned at 0
}

// isOver reports whether its handler has returned.
func (a *nestedAnswer) isOver() bool { return a.mounts.Load() == 0 }

// A nesting is what an Exchange knows of others, where Managers, or the middleware of
// one, are around each other.
type nesting struct {
	outer *Exchange                // of another Manager, around this one
	inner atomic.Pointer[Exchange] // of another Manager, inside of this one

	// The middleware may be around the handler more than once: so many times more. What
	// is inside may run in another goroutine, which nobody waits for: that is how
	// http.TimeoutHandler does it.
	mounts atomic.Int32

	mu      sync.Mutex      // guards answers
	answers []*nestedAnswer // those that a handler makes by hand: a socket may make one for each message, for hours
}

// leave notes that one of the middlewares around the handler is done with it, and reports
// whether it was the last.
func (n *nesting) leave() (last bool) { return n.mounts.Load() == 0 || n.mounts.Add(-1) < 0 }

// none is the nesting of an Exchange that has none. Nobody writes to it.
var none nesting

// nested returns what x knows of other Managers and answers, for reading.
func (x *Exchange) nested() *nesting {
	if n := x.nesting.Load(); n != nil {
		return n
	}
	return &none
}

// nest is nested for a caller that has something to note.
func (x *Exchange) nest() *nesting {
	if x.nesting.Load() == nil {
		x.nesting.CompareAndSwap(nil, new(nesting))
	}
	return x.nesting.Load()
}

// ownHeader is the header map of the first answer where that is the caller's of [Manager.Load]
// and the like, and no response of net/http. It stays empty.
var ownHeader = http.Header{}

// beginAnswer notes that a handler writes a response with that header map. It returns the
// answer, and whether it is the first. The middleware mounted twice sees the same map, and it
// is the same answer.
func (x *Exchange) beginAnswer(h http.Header) (a *answer, first bool) {
	a = &x.first
	if a.header != nil {
		again := x.nested().answer(h)
		switch {
		case again != nil:
			again.mounts.Add(1)
			return &again.answer, false
		case a.hasHeader(h):
			return a, false
		}
		nested := new(nestedAnswer) // a handler makes another request by hand
		a = &nested.answer
		nested.mounts.Store(1)
		defer x.nest().add(nested)
	}
	a.header = h
	if len(h) > 0 {
		a.before = h.Clone()
	}
	return a, a == &x.first
}

// add puts an answer among the others, in the place of those that are over.
func (n *nesting) add(a *nestedAnswer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers = append(slices.DeleteFunc(n.answers, (*nestedAnswer).isOver), a)
}

// answer returns the nested answer with that header map, or nil.
func (n *nesting) answer(h http.Header) *nestedAnswer {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.answers {
		if !a.isOver() && a.hasHeader(h) { // else one that is over had the same map
			return a
		}
	}
	return nil
}

// areOut reports whether it is too late for a cookie in all nested answers.
func (n *nesting) areOut() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !slices.ContainsFunc(n.answers, func(a *nestedAnswer) bool { return !a.isOut() })
}

// answerOf returns the answer with that header map, or the first one.
func (x *Exchange) answerOf(h http.Header) *answer {
	if x.nesting.Load() == nil {
		return &x.first
	}
	return x.nestedAnswerOf(h)
}

// nestedAnswerOf is answerOf where there may be nested answers.
func (x *Exchange) nestedAnswerOf(h http.Header) *answer {
	if a := x.nested().answer(h); a != nil {
		return &a.answer
	}
	return &x.first
}

// headersOut reports whether it is too late for a cookie: no answer is left that can
// be given one.
func (x *Exchange) headersOut() bool {
	if !x.first.isOut() {
		return false
	}
	n := x.nesting.Load()
	return n == nil || n.areOut()
}

// endAnswer notes that the handler of the response with that header map has
// returned. The first answer may yet be written by an outer handler.
func (x *Exchange) endAnswer(h http.Header) {
	if nested := x.nested().answer(h); nested != nil && nested.mounts.Add(-1) == 0 {
		nested.send()
	}
}

// resetHeaders puts the headers of the response back to what they were before
// the handler ran, for an error page. Cookies, and tokens in a header, stay where the
// client needs them: for what was done at once (Save, Destroy), and those of another Manager that
// committed already.
func (x *Exchange) resetHeaders(h http.Header) {
	clear(h)
	maps.Copy(h, x.answerOf(h).before.Clone())
	for in := x.nested().inner.Load(); in != nil; in = in.nested().inner.Load() {
		in.sentTicket().add(h)
	}
	if s := x.session.Load(); s != nil && x.isLoaded() {
		if s.lock() { // else this goroutine has the lock: the handler writes in a function given to Update
			defer x.unlock()
		}
		if s.hasActed() {
			s.forget()
			s.setHeaders(h)
		}
	}
	h.Set("Cache-Control", "no-store")
}

// hasActed reports whether something was done at once which the browser has to know, also
// where the rest of the request fails: it would go on with a cookie that leads nowhere, or
// never hear of the one that is stored.
func (s *Session) hasActed() bool {
	return s.deed == state.Created || s.standing == state.Ended || s.standing == state.SignedOut || s.carries()
}

// verdictInputs are what the headers depend on.
func (s *Session) verdictInputs() state.VerdictInputs {
	x, m := s.x, s.x.m
	in := state.VerdictInputs{
		Standing:  s.standing,
		Deed:      s.deed,
		Ticket:    s.ticket,
		ByHeader:  x.carrier == CarrierHeader,
		Accessed:  x.accessed.Load(),
		Rolling:   m.cfg.Rolling && !x.passive,
		Discarded: s.discarded,
	}
	if s.standing == state.Live {
		in.Persistent = s.isPersistent()
		in.Expired = m.isExpired(s.base)
		in.Users = !m.cfg.LeaveCacheControl && m.isOfUser(s.base)
		in.Proven = s.proven
		in.Carried = s.carries()
		in.Superseded = (in.Carried || s.maySendAgain()) && (s.rarities().followed || m.givenUp.Within(s.key, m.cfg.Now(), m.cfg.IdleTimeout))
	}
	in.Insecure = (s.deed == state.Created || in.Carried || s.maySendAgain()) && x.needsHTTPS()
	state.Assert(in, "inputs of a verdict")
	return in
}

// isPersistent reports whether the cookie has a max age, which a write of this
// request has begun anew.
func (s *Session) isPersistent() bool { return s.lifeGiven && s.currentAge().Max > 0 }

// maySendAgain reports whether the cookie may be sent again for a session that is
// stored, as far as can be told without looking anything up. A token in a header has no
// life of its own that would have to be begun anew.
func (s *Session) maySendAgain() bool {
	return s.ticket == state.Outdated ||
		s.x.carrier == CarrierCookie && (s.x.m.cfg.Rolling || s.deed == state.Changed && s.isPersistent())
}

// setHeaders sets what the browser and the caches have to be told.
func (s *Session) setHeaders(h http.Header) {
	headers := state.Verdict(s.verdictInputs())
	line := s.ticketLine(headers.Cookie)
	if before := s.sent.line; before != line { // read without its lock: whoever writes it has the session's as well
		before.remove(h) // an earlier commit of this request set it
		s.sent.store(line)
		if before.name == "" && s.ticket == state.Outdated && s.deed != state.Created && headers.Cookie.Sets() {
			s.notifyReissued()
		}
	}
	line.add(h)
	for _, c := range s.rarities().deletions {
		if line := c.String(); !slices.Contains(h["Set-Cookie"], line) {
			h["Set-Cookie"] = append(h["Set-Cookie"], line)
		}
	}
	s.offerBinding(h, headers.Cookie)
	switch said := len(h["Cache-Control"]) > 0; {
	case headers.NoStore && !said:
		s.noStore[0] = "no-store"
		h["Cache-Control"] = s.noStore[:1:1]
	case headers.Private:
		h["Cache-Control"] = []string{ticket.PrivateCache(h["Cache-Control"])}
	}
	if s.turned && s.x.carrier == CarrierCookie { // what is fetched ahead comes with cookies alone
		ticket.AddClearAhead(h, new([1]string))
	}
	if headers.Vary {
		s.x.addVary(h, &s.vary)
	}
}

// notifyReissued tells the Observer, when the lock is released, that a cookie or a token
// which was signed by an older secret is being sent again under the first.
func (s *Session) notifyReissued() {
	if m := s.x.m; m.cfg.Observer != nil {
		event := s.event(EventReissued)
		s.tellUnlocked(func() { m.notify(s.x.ctx, event) })
	}
}

// setCookie returns the value of the Set-Cookie header.
func (s *Session) setCookie(how state.Cookie) string {
	x, m := s.x, s.x.m
	name := m.cfg.Cookie.Name
	if how == state.DeleteCookie {
		return x.attributes().SetCookie(name, "", -1, time.Time{})
	}
	x.checkDomain()
	now := m.cfg.Now()
	maxAge := record.Lifespan{Idle: s.currentAge().Max, Deadline: m.deadline(s.base.Meta.Created)}.Left(now)
	if how == state.ResignCookie && maxAge > 0 { // under the new secret, but for no longer than before
		if expires := record.CookieExpires(s.base.Cookie()); expires.After(now) {
			maxAge = min(maxAge, expires.Sub(now))
		}
	}
	return x.attributes().SetCookie(name, s.cookieValue(), maxAge, now.Add(maxAge))
}

// attributes returns the cookie's attributes for this request.
func (x *Exchange) attributes() ticket.Attributes { return x.cookie.resolve(x.isSecure()) }

// isSecure reports whether the request came over HTTPS.
func (x *Exchange) isSecure() bool {
	if x.r == nil {
		return x.raw != nil && x.raw.secure != nil && *x.raw.secure
	}
	is := x.channel.Load()
	if is == unknownChannel {
		is = plainChannel
		if forwardedHTTPS(x.r.Header) && x.trustsPeer() {
			is = secureChannel
		}
		x.channel.Store(is)
	}
	return is == secureChannel
}

// trustsPeer reports whether whoever sent the request is a proxy of ours, which it says
// that it is.
func (x *Exchange) trustsPeer() bool {
	trusted := x.m.trusts(x.r.RemoteAddr)
	if !trusted {
		x.hint(&x.m.hints.untrustedProxy, "cloakroom: a peer that is not in Config.TrustedProxies sent a header that says HTTPS; "+
			"it was not believed, so cookies are set as for plain HTTP; if the peer is your proxy, add its address to Config.TrustedProxies",
			slog.String("peer", peerAddress(x.r.RemoteAddr)))
	}
	return trusted
}

// checkDomain says once in the log that browsers will drop the cookie, because its
// domain is not that of the host. The caller holds the lock.
func (x *Exchange) checkDomain() {
	if x.cookie.Domain == "" || x.r == nil || ticket.DomainMatches(x.r.Host, x.cookie.Domain) {
		return
	}
	x.hint(&x.m.hints.foreignDomain, "cloakroom: browsers drop the cookie, because the host of this request is not within Cookie.Domain: "+
		"set Cookie.Domain to the host or a domain above it, or leave it empty; where a proxy changes the host, let it pass on the browser's",
		slog.String("host", x.r.Host), slog.String("domain", x.cookie.Domain))
}

// needsHTTPS reports, and says once in the log, that a Secure cookie cannot be
// set because the request came over plain HTTP.
func (x *Exchange) needsHTTPS() bool {
	if x.cookie.Secure != SecureAlways || x.isSecure() {
		return false
	}
	if x.r == nil && (x.raw == nil || x.raw.secure == nil) {
		return false // Save before Manager.Commit, which will tell
	}
	why, attrs := "the caller of Manager.Commit says so", []slog.Attr(nil)
	if x.r != nil {
		why, attrs = whyInsecure(x.r), []slog.Attr{slog.String("peer", peerAddress(x.r.RemoteAddr))}
	}
	x.hint(&x.m.hints.insecure, "cloakroom: a Secure cookie was not set, or its token not sent, because the request came over plain HTTP, as far as this server can tell; "+why, attrs...)
	return true
}

// whyInsecure says why a request counts as one over plain HTTP, and what to do.
func whyInsecure(r *http.Request) string {
	if forwardedHTTPS(r.Header) {
		return "a header says that it came over HTTPS, but the peer that sent it is not in Config.TrustedProxies: if it is your proxy, add its address"
	}
	return "no header says that it came over HTTPS: let the proxy that ends TLS set X-Forwarded-Proto and name it in Config.TrustedProxies, " +
		"or set Config.IsHTTPS to core.AlwaysHTTPS; without TLS set Cookie.Secure to SecureAuto"
}
