package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
)

// An Exchange is what happens to the session during one HTTP exchange: it is
// found before the handler runs, and stored before the first byte of the
// response leaves. It is the seam for the adapter of a framework, which
//
//   - calls [Manager.ServeBinding], and does nothing more where that has answered;
//   - calls [Manager.Begin], and answers with the error where it returns one;
//   - gives the handler [Exchange.Request] and [Exchange.Writer];
//   - calls [Exchange.Finish] when the handler has returned, or
//     [Exchange.Panicked] when it panicked.
//
// Apps do not need it.
type Exchange struct {
	m      *Manager
	r      *http.Request // nil outside of net/http
	raw    *rawRequest   // in place of r
	ctx    context.Context
	cookie *Cookie // Config.Cookie, or what Config.CookieFor said for this request

	handled *http.Request // what the handler got; nil: nothing yet

	skipped  skipReason    // final when Begin has returned, like carrier and passive
	carrier  Carrier       // what brings the session
	passive  bool          // what the request does is no activity of the visitor
	hijacked bool          // guarded by mu
	channel  atomic.Uint32 // a channel; whoever asks first finds out, and several may at once
	accessed atomic.Bool   // the handler asked for the session
	ended    atomic.Bool   // the handler returned

	mu  sync.Mutex // guards the session, hijacked and err
	err error      // the response is the error page

	jar     *jar                    // nil without Config.Sealed
	lazy    *lazyLoading            // nil where the session is looked for before anybody can ask
	left    atomic.Pointer[telling] // what the app is to be told of work that ran beside the handler: see leave
	room    *sessionRoom            // memory for the session, which a request with a cookie will need
	session atomic.Pointer[Session] // nil until there is one or somebody asks for it
	nesting atomic.Pointer[nesting] // nil for most
	first   answer
	writer  Writer // of the first answer
}

// A sessionRoom is the memory of a session, in one piece: to make its two parts together
// costs one allocation in place of two.
type sessionRoom struct {
	Session
	state sessionState
}

// of makes it the session of an Exchange.
func (r *sessionRoom) of(x *Exchange) *sessionRoom {
	r.state.x, r.state.flight.shard = x, shardOf(x)
	r.sessionState = &r.state
	return r
}

// A rawRequest is what an app says of a request that is not one of net/http's.
type rawRequest struct {
	ticket string // the value of the cookie, or the token
	secure *bool  // whether it came over HTTPS; nil: Manager.Commit will tell
}

// A channel is how a request came to the server, or to the proxy in front of it.
type channel = uint32

const (
	unknownChannel channel = iota // nobody has asked yet
	plainChannel                  // HTTP, as far as can be told
	secureChannel                 // HTTPS
)

// A skipReason is why a request has no session.
type skipReason uint8

const (
	notSkipped      skipReason = iota // it has one
	skippedByConfig                   // Config.Skip said so
	skippedByPath                     // its path is outside of Cookie.Path
)

// String says why, for the message of [ErrNoSession].
func (s skipReason) String() string {
	if s == skippedByPath {
		return "its path is outside of Cookie.Path; where a proxy strips a prefix, name it in Config.StrippedPrefix"
	}
	return "Config.Skip leaves it alone"
}

// exchangeContext is an Exchange as the context of its request, so that no other context
// has to be made to carry it.
type exchangeContext Exchange

// exchangeKey is the key under which a context leads to its Exchange.
type exchangeKey struct{}

// Deadline implements [context.Context].
func (c *exchangeContext) Deadline() (time.Time, bool) { return c.ctx.Deadline() }

// Done implements [context.Context].
func (c *exchangeContext) Done() <-chan struct{} { return c.ctx.Done() }

// Err implements [context.Context].
func (c *exchangeContext) Err() error { return c.ctx.Err() }

// Value implements [context.Context].
func (c *exchangeContext) Value(key any) any {
	if key == (exchangeKey{}) {
		return (*Exchange)(c)
	}
	return c.ctx.Value(key)
}

// Format keeps a context that is printed from showing the session.
func (c *exchangeContext) Format(f fmt.State, _ rune) {
	_, _ = f.Write([]byte("context of a request with a session"))
}

// Format keeps an Exchange from printing what it holds.
func (x *Exchange) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("Exchange")) }

// newExchange returns an Exchange that has not looked for its session yet.
func (m *Manager) newExchange(ctx context.Context, r *http.Request) *Exchange {
	var x *Exchange // and what it is likely to need, made at once, which costs less
	switch {
	case r != nil && m.cfg.Lazy:
		made := new(struct {
			Exchange
			lazy lazyLoading
		})
		x = &made.Exchange
		x.lazy = &made.lazy
	case r != nil && m.mayBring(r):
		made := new(struct {
			Exchange
			room sessionRoom
		})
		x = &made.Exchange
		x.room = made.room.of(x)
	default:
		x = new(Exchange)
	}
	x.m, x.r, x.ctx, x.cookie = m, r, ctx, &m.cfg.Cookie
	if r == nil { // requests that are made with its context have answers of their own
		x.first.header = ownHeader
	}
	if m.ends != nil {
		x.jar = new(jar)
	}
	return x
}

// newFoundExchange returns an Exchange outside of any request, for a session that
// somebody has found. No cookie can be set in it, and nothing that is done in it is
// activity of the visitor.
func (m *Manager) newFoundExchange(ctx context.Context) *Exchange {
	x := m.newExchange(ctx, nil)
	x.passive = true
	x.first.send()
	return x
}

// ensureSession returns the session, and makes an empty one where there is none
// yet: most requests of visitors without a session never ask for it.
func (x *Exchange) ensureSession() *Session {
	if s := x.session.Load(); s != nil {
		return s
	}
	made := x.room
	if made == nil {
		made = new(sessionRoom).of(x)
	}
	x.session.CompareAndSwap(nil, &made.Session) // else another goroutine was first
	return x.session.Load()
}

// Begin finds the session of a request. Where the store fails, it returns the
// error to answer with ([Manager.Fail]), and the handler must not run.
//
// Where the same Manager began with this request before, because the middleware
// is mounted twice or the framework dispatched the request again, it returns
// the same Exchange.
func (m *Manager) Begin(r *http.Request) (*Exchange, error) {
	outer := exchangeOf(r.Context())
	if x := outer.of(m); x != nil && !x.Skipped() && !x.ended.Load() {
		x.nest().mounts.Add(1)
		return x, nil
	}
	x := m.newExchange(r.Context(), r)
	if outer != nil {
		x.nest().outer = outer
		outer.nest().inner.Store(x)
	}
	if m.cfg.Skip != nil && m.cfg.Skip(r) {
		x.skipped = skippedByConfig
		return x, nil
	}
	if r.TLS != nil || m.cfg.IsHTTPS != nil && m.cfg.IsHTTPS(r) {
		x.channel.Store(secureChannel)
	}
	if err := x.chooseCookie(); err != nil {
		x.log(slog.LevelError, "cloakroom: Config.CookieFor returned a cookie that cannot be set", slog.Any("error", err))
		return nil, err
	}
	if x.cookie.Path != "/" && !ticket.PathMatches(m.cfg.StrippedPrefix+ticket.RequestPath(r), x.cookie.Path) {
		x.skipped = skippedByPath
		return x, nil
	}
	x.chooseCarrier()
	x.passive = m.cfg.Passive != nil && m.cfg.Passive(r)
	if m.requiresBinding(r) {
		return x.beginBound()
	}
	if m.cfg.Lazy {
		return x, nil
	}
	if err := x.find(); err != nil {
		return nil, err
	}
	return x, nil
}

// of returns the Exchange of m among x and those around it, or nil.
func (x *Exchange) of(m *Manager) *Exchange {
	for ; x != nil; x = x.nested().outer {
		if x.m == m {
			return x
		}
	}
	return nil
}

// chooseCookie asks Config.CookieFor.
func (x *Exchange) chooseCookie() error {
	if x.m.cfg.CookieFor == nil {
		return nil
	}
	c := x.m.cfg.CookieFor(x.r)
	c = c.withDefaults()
	x.cookie = &c
	return x.m.cfg.validateCookie(c)
}

// Request returns the request for the handler: r, which Begin was given, with the
// session in its context.
func (x *Exchange) Request(r *http.Request) *http.Request {
	if r != x.r { // the middleware is around the handler again: it has the session
		return r
	}
	if x.handled == nil { // what the handler started looks at it
		x.handled = r.WithContext((*exchangeContext)(x))
	}
	return x.handled
}

// Skipped reports whether this request has no session, because of Config.Skip or
// Cookie.Path. Its response needs no writer.
func (x *Exchange) Skipped() bool { return x.skipped != notSkipped }

// lock takes the lock as [Session.lock] does, and returns the session, if there
// is one.
func (x *Exchange) lock() (s *Session, ok bool) {
	if s = x.session.Load(); s != nil {
		return s, s.lock()
	}
	x.mu.Lock()
	return x.session.Load(), true
}

// unlock releases the lock, and then tells the app what there is to tell. Whoever takes
// Exchange.mu releases it by this, so that nothing of the app is called with it held.
func (x *Exchange) unlock() {
	var untold func()
	if s := x.session.Load(); s != nil && s.rarities().untold != nil {
		untold, s.rare.untold = s.rare.untold, nil
	}
	x.mu.Unlock()
	x.tellLeft()
	if untold != nil {
		untold()
	}
}

// tellUnlocked calls tell, which is about something that no operation is under way
// for, when the lock is released. The caller holds it.
func (s *Session) tellUnlocked(tell func()) {
	before := s.rarities().untold
	s.needRarities().untold = func() {
		if before != nil {
			before()
		}
		tell()
	}
}

// hijack notes that the connection was taken over: nothing is saved any more but
// by Save.
func (x *Exchange) hijack() {
	x.mu.Lock()
	defer x.unlock()
	x.hijacked = true
}

// Commit stores the changes made so far and sets the headers that follow from
// them: Set-Cookie or Header.Response, Vary and Cache-Control. Once it failed it keeps
// failing with the same error, the headers are as they were before the handler ran, and the
// response must be an error page.
func (x *Exchange) Commit(h http.Header) error { return x.respond(h, false) }

// Finish ends the exchange when the handler has returned. Where no byte has
// left yet it commits, and the response may still be written by an outer
// handler; where that fails, the error page is due ([Writer.Fail]). Else it saves
// what was changed after the first byte, as well as that goes: a failure is logged.
func (x *Exchange) Finish(h http.Header) error {
	if x.Skipped() {
		return nil
	}
	if x.nesting.Load() != nil {
		defer x.endAnswer(h)
	}
	last := x.nested().leave()
	if last {
		defer x.endTelling()
	}
	mayBeLate := last && x.end() // waits for a commit that another goroutine began by the first byte
	switch {
	case !x.answerOf(h).isOut():
		return x.respond(h, last)
	case mayBeLate: // where the middleware is mounted twice, once: what is dropped is told
		x.saveLate()
	}
	return nil
}

// end stops the session from taking changes. Those made before are stored yet. It
// reports whether there may be any that come too late for the headers.
func (x *Exchange) end() (mayBeLate bool) {
	x.mu.Lock()
	defer x.unlock()
	x.ended.Store(true)
	s := x.session.Load()
	if s == nil {
		return false
	}
	x.m.flights.leave(x)
	return !x.isReady() || s.isLateChangeDue()
}

// Panicked ends the exchange because the handler panicked with v, and lets the
// panic go on. Nothing that was not stored yet will be. The error page of an
// outer handler is a response like any other: what was done at once (Destroy,
// Save) gets its cookie.
//
// Where the panic is Get's, because Config.Lazy is set and the load failed, it
// ends here: the error page is sent, or is due where w has no way to send it. So
// does that of a handler which gave up because the error page took the place of
// what it wrote, as net/http/httputil.ReverseProxy does: the client gets all of it.
func (x *Exchange) Panicked(w *Writer, v any) {
	defer x.endTelling()
	defer x.endAnswer(w.Header())
	if p, ok := v.(*loadPanic); ok && p.x == x {
		if w.Began() && w.Err() == nil {
			panic(http.ErrAbortHandler) // half an answer is out: let it end as one
		}
		x.resetHeaders(w.Header())
		x.end()
		w.Fail(p.err)
		return
	}
	x.abandon(w.Header())
	if err, ok := v.(error); ok && w.Began() && w.response.paged && errors.Is(err, http.ErrAbortHandler) {
		return
	}
	panic(v)
}

// abandon ends the exchange because the handler panicked: nothing that was not
// stored yet will be.
func (x *Exchange) abandon(h http.Header) {
	x.isLoaded() // another goroutine of the request may be at it
	x.mu.Lock()
	defer x.unlock()
	x.ended.Store(true)
	x.m.flights.leave(x)
	s := x.session.Load()
	if s != nil {
		s.forget()
		s.proven = false // and the store is not asked again
	}
	switch {
	case x.answerOf(h).isOut():
	case x.err != nil && (s == nil || !s.hasActed()):
	case s != nil:
		s.setHeaders(h)
	case x.accessed.Load():
		x.addVary(h, new([1]string))
	}
}

// poison makes the response the error page, whatever the handler writes: a session that it
// asked for could not be loaded. The first error counts.
func (x *Exchange) poison(err error) {
	x.mu.Lock()
	defer x.unlock()
	if x.err == nil {
		x.err = err
	}
}
