package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An Exchange is what happens to the session during one HTTP exchange: it is
// found before the handler runs, and stored before the first byte of the
// response leaves. It is the seam for the adapter of a framework, which
//
//   - calls [Manager.Begin], and answers with the error where it returns one;
//   - gives the handler [Exchange.Request] and [Exchange.Writer];
//   - calls [Exchange.Finish] when the handler has returned, or
//     [Exchange.Panicked] when it panicked.
//
// Apps do not need it.
type Exchange struct {
	m       *Manager
	r       *http.Request // nil outside of net/http
	given   *given        // in place of r
	ctx     context.Context
	cookie  *Cookie
	outer   *Exchange               // of another Manager, around this one
	session atomic.Pointer[Session] // nil until there is one or somebody asks for it: see demand
	writer  Writer

	loading sync.Mutex // guards loaded and loadErr, from when Begin has returned
	loadErr error
	loaded  bool

	skipped  skipped // why this request has no session
	kept     bool    // keepHeaders was called
	hijacked bool    // guarded by mu

	// What is inside may run in another goroutine, which nobody waits for: that
	// is how http.TimeoutHandler does it.
	mounts atomic.Int32                 // how many times the middleware is around the handler
	again  atomic.Pointer[http.Request] // what Begin was given last, where that was more than once
	inner  atomic.Pointer[Exchange]     // of another Manager, inside of this one
	before http.Header                  // what keepHeaders was called with; nil for none

	mu  sync.Mutex // guards the session, and hijacked and err
	err error      // the response is the error page

	ready    atomic.Bool // loaded without an error
	accessed atomic.Bool // the handler asked for the session
	out      atomic.Bool // the headers are out
	ended    atomic.Bool // the handler returned
}

// given is what an app says of a request that is not one of net/http's.
type given struct {
	cookie string // its value
	secure *bool  // whether it came over HTTPS; nil: Manager.Commit will tell
}

// exchangeContext is an Exchange as the context that carries it, which so costs
// nothing of its own.
type exchangeContext Exchange

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
	x := &Exchange{m: m, r: r, ctx: ctx, cookie: &m.cfg.Cookie}
	x.mounts.Store(1)
	return x
}

// demand returns the session, and makes an empty one where there is none yet:
// most requests of visitors without a session never do.
func (x *Exchange) demand() *Session {
	if s := x.session.Load(); s != nil {
		return s
	}
	made := new(struct {
		Session
		state sessionState
	})
	made.state.x = x
	made.sessionState = &made.state
	if x.session.CompareAndSwap(nil, &made.Session) {
		return &made.Session
	}
	return x.session.Load() // another goroutine was first
}

// Begin finds the session of a request. Where the store fails, it returns the
// error to answer with ([Manager.Fail]), and the handler must not run.
//
// Where the same Manager began with this request before, because the middleware
// is mounted twice or the framework dispatched the request again, it returns
// the same Exchange.
func (m *Manager) Begin(r *http.Request) (*Exchange, error) {
	outer, _ := r.Context().Value(exchangeKey{}).(*Exchange)
	if x := outer.of(m); x != nil && !x.Skipped() && !x.ended.Load() {
		x.mounts.Add(1)
		x.again.Store(r)
		return x, nil
	}
	x := m.newExchange(r.Context(), r)
	if x.outer = outer; outer != nil {
		outer.inner.Store(x)
	}
	if m.cfg.Skip != nil && m.cfg.Skip(r) {
		x.skipped = byConfig
		return x, nil
	}
	if err := x.chooseCookie(); err != nil {
		m.cfg.Logger.Error("cloakroom: Config.CookieFor returned a cookie that cannot be set", slog.Any("error", err))
		return nil, err
	}
	if x.cookie.Path != "/" && !pathMatches(requestPath(r), x.cookie.Path) {
		x.skipped = byPath
		return x, nil
	}
	if !m.cfg.Lazy {
		if err := x.find(); err != nil { // nobody else has x yet
			return nil, err
		}
	}
	return x, nil
}

// of returns the Exchange of m among x and those around it, or nil.
func (x *Exchange) of(m *Manager) *Exchange {
	for ; x != nil; x = x.outer {
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
	c := x.m.cfg.CookieFor(x.r).withDefaults()
	x.cookie = &c
	return c.validate(x.m.cfg.Name)
}

// Request returns the request for the handler: the one that Begin was given,
// with the session in its context.
func (x *Exchange) Request() *http.Request {
	if again := x.again.Load(); again != nil { // it has the session; what stands in between may have changed it
		return again
	}
	return x.r.WithContext((*exchangeContext)(x))
}

// skipped tells why a request has no session.
type skipped uint8

const (
	byConfig skipped = iota + 1
	byPath
)

func (s skipped) reason() string {
	if s == byPath {
		return "it is outside of Cookie.Path"
	}
	return "Config.Skip leaves it alone"
}

// Skipped tells that this request has no session, because of Config.Skip or
// Cookie.Path. Its response needs no writer.
func (x *Exchange) Skipped() bool { return x.skipped != 0 }

// ensureLoaded finds the session, the first time that it is called. It goes by
// the context of the request, whatever context the handler asked with: what one
// caller gave up must not be the answer for all.
func (x *Exchange) ensureLoaded() error {
	if x.ready.Load() {
		return nil
	}
	x.loading.Lock()
	defer x.loading.Unlock()
	if x.loaded {
		return x.loadErr
	}
	return x.find()
}

// find is ensureLoaded for the only one who asks.
func (x *Exchange) find() error {
	x.loaded, x.loadErr = true, errPanicked // unless load returns
	ctx := x.ctx
	err := x.load(ctx)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("cloakroom: request ended while its session was loaded: %w", ctx.Err())
	} else if err != nil { // the store is to blame
		x.m.cfg.Logger.ErrorContext(ctx, "cloakroom: session could not be loaded", slog.Any("error", err))
		if x.m.cfg.OnStoreError != nil && x.m.cfg.OnStoreError(x.r, err) == Anonymous {
			x.demand().degraded = true
			err = nil
		}
	}
	x.loadErr = err
	x.ready.Store(err == nil)
	return err
}

// isLoaded tells whether there is a session to commit.
func (x *Exchange) isLoaded() bool {
	if x.ready.Load() {
		return true
	}
	x.loading.Lock() // another goroutine of the request may be at it
	defer x.loading.Unlock()
	return x.loaded && x.loadErr == nil
}

// A candidate is a verified cookie.
type candidate struct {
	id       string
	outdated bool // signed by a secret that is not the first
}

// load finds the session of the request: that of the first cookie that is
// genuine and known to the store, because a stale duplicate must not hide a
// good one. An id that the store does not know is never used again.
func (x *Exchange) load(ctx context.Context) (err error) {
	var (
		found [maxLookups]candidate
		event = Event{Kind: EventUnknown} // unless one is found
	)
	n, hadAny := x.candidates(&found)
	if !hadAny && !x.m.cfg.SaveUninitialized {
		return nil
	}
	s := x.demand()
	if s.hadAny = hadAny; n == 0 {
		if hadAny {
			s.status = StatusInvalid
			x.m.notify(x.ctx, Event{Kind: EventForged})
		}
		return nil
	}
	s.status = StatusUnknown
	ctx, end := x.m.begin(ctx, OpLoad)
	defer func() { end(err) }()
	now := time.Now()
	limit := s.limitLoad(ctx, now)
	defer limit.stop()
	if x.m.otherClock {
		now = x.m.cfg.Now()
	}
	first := x.m.storeKey(found[0].id)
	last := x.m.touched.last(first)
	ahead := s.touchAhead(first, last, now)
	if ahead != nil {
		defer func() {
			close(ahead)
			if s.base == nil {
				s.touching = nil
			}
		}()
	}
	for i, c := range found[:n] {
		key := first
		if i > 0 {
			key = x.m.storeKey(c.id)
			last = x.m.touched.last(key)
		}
		doc, err := x.m.load(limit, key, x.cookie.MaxAge)
		switch {
		case errors.Is(err, ErrNotFound):
			if last.ended(now) && !x.m.retired.within(key, now, x.m.cfg.IdleTimeout) {
				event = Event{Kind: EventExpired, Cause: last.cause()} // its handle is gone with its record
			}
			continue
		case errors.Is(err, ErrUndecodable):
			continue
		case err != nil:
			return err
		case doc.meta.isRetired():
			if ahead != nil && i == 0 {
				ahead <- lifespan{idle: retiredLife}
			}
			s.retired = s.retired || now.Sub(doc.meta.retired.time()) < retiredLife
			continue
		case x.m.isExpired(doc):
			event = Event{Kind: EventExpired, Cause: CauseAbsolute, User: x.m.userOf(doc), Handle: x.m.handleIn(doc)}
			continue
		}
		s.found(c.id, key, doc)
		s.listLoaded(now)
		s.rotated, s.retired = c.outdated, false
		if ahead != nil && i == 0 {
			ahead <- s.lifespan(doc)
		} else {
			s.touching = nil // the extension of another session, which may have ended
			s.touchLoaded(last, now)
		}
		return nil
	}
	x.m.notify(x.ctx, event)
	return nil
}

// limitLoad returns the context for the load. That of an HTTP request goes on
// when its client hangs up: it is over in a moment, and a context that listened
// to both would cost more than the rest of the load.
func (s *Session) limitLoad(ctx context.Context, now time.Time) *timeLimit {
	s.limit.parent, s.limit.until = ctx, now.Add(s.x.m.cfg.StoreTimeout)
	if _, ok := ctx.Deadline(); !ok && s.x.r != nil {
		s.limit.detached = &s.x.m.deadlines
	}
	return &s.limit
}

// found makes s the session of a record.
func (s *Session) found(id, key string, doc *document) {
	s.status, s.id, s.key, s.base = StatusLoaded, id, key, doc
}

// candidates collects the cookies of the request that verify, without repeats,
// and tells whether there was any cookie with our name.
func (x *Exchange) candidates(found *[maxLookups]candidate) (n int, hadAny bool) {
	signer, verified := x.m.signer.Load(), 0
	consider := func(value string) bool {
		hadAny = true
		verified++
		id, outdated, ok := signer.verify(value)
		for _, f := range found[:n] {
			ok = ok && f.id != id
		}
		if ok {
			found[n] = candidate{id, outdated}
			n++
		}
		return verified < maxCandidates && n < maxLookups
	}
	if x.r != nil {
		cookieValues(x.r.Header, x.m.cfg.Name, consider)
	} else if x.given != nil && x.given.cookie != "" {
		consider(x.given.cookie)
	}
	return n, hadAny
}

// touchAhead begins to extend the life of a session while it is being loaded, so
// that the request waits for one round trip and not for two. It goes by what this
// process noted of the session last, and has to be told the life that the
// session has; nothing, when there is none. It returns nil where no extension is
// due.
func (s *Session) touchAhead(key string, last recentSlot, now time.Time) (loaded chan<- lifespan) {
	x := s.x
	if last.life.idle == 0 || !x.isDue(last, last.life, now) {
		return nil
	}
	told := make(chan lifespan, 1)
	s.touching = beside(func() error {
		limit := x.m.detach(x.ctx)
		defer limit.stop()
		err := x.m.storeFailed(limit, "touch", x.m.cfg.Store.Touch(limit, key, last.life.from(now)))
		life, ok := <-told
		if err != nil || !ok {
			return err
		}
		return x.touch(limit, key, life, last.life, now)
	})
	return told
}

// touchLoaded extends the life of the session that was loaded, where that is due.
func (s *Session) touchLoaded(last recentSlot, now time.Time) {
	x, key, life := s.x, s.key, s.lifespan(s.base)
	if !x.isDue(last, life, now) {
		return
	}
	s.touching = beside(func() error {
		limit := x.m.detach(x.ctx)
		defer limit.stop()
		return x.touch(limit, key, life, lifespan{}, now)
	})
}

// isDue tells whether this request extends a session of that life, which was
// extended last at last.
func (x *Exchange) isDue(last recentSlot, life lifespan, now time.Time) bool {
	left := life.from(now)
	return left > 0 && !last.within(now, x.m.touchInterval(left)) &&
		(x.m.cfg.Passive == nil || !x.m.cfg.Passive(x.r))
}

// touch gives the session that was loaded at that time its life. Where another
// request of this process has written it since then, the life is the one that it
// was given. sent is the life that the store was asked for already, if any.
func (x *Exchange) touch(ctx context.Context, key string, life, sent lifespan, loaded time.Time) error {
	for {
		before := x.m.touched.last(key)
		if before.life.idle > 0 && !before.at.Before(loaded) {
			life = before.life
		}
		if life != sent {
			left := life.from(x.m.cfg.Now())
			if left <= 0 {
				return ErrNotFound
			}
			if err := x.m.storeFailed(ctx, "touch", x.m.cfg.Store.Touch(ctx, key, left)); err != nil {
				return err
			}
			sent = life
		}
		if x.m.touched.replace(key, before, x.m.cfg.Now(), life) {
			return nil
		}
	}
}

// beside runs an extension beside the handler. The commit waits for it.
func beside(extend func() error) chan touched {
	done := make(chan touched, 1) // buffered: a handler that panics waits for nothing
	go func() {
		result := touched{panicked: true}
		defer func() {
			if result.panicked {
				result.value = recover() // it is the request's: see awaitTouch
			}
			done <- result
		}()
		result = touched{err: extend()}
	}()
	return done
}

// A touched is what became of an extension.
type touched struct {
	err      error
	panicked bool
	value    any // of the panic
}

// headersOut tells whether it is too late for a cookie.
func (x *Exchange) headersOut() bool { return x.out.Load() }

// keepHeaders remembers the headers of the response as they are before the
// handler runs: the error page that takes the place of a response which could
// not be committed starts from them.
func (x *Exchange) keepHeaders(h http.Header) {
	if x.kept {
		return // mounted twice: the outer one saw them first
	}
	x.kept = true
	if len(h) > 0 {
		x.before = h.Clone()
	}
}

// Commit stores the changes made so far and sets the headers that follow from
// them: Set-Cookie, Vary and Cache-Control. Once it failed it keeps failing with
// the same error, the headers are as they were before the handler ran, and the
// response must be an error page.
func (x *Exchange) Commit(h http.Header) error { return x.answer(h, false) }

// answer is Commit, and where last is set the headers are out then.
func (x *Exchange) answer(h http.Header, last bool) error {
	err := x.commit(x.ctx, h, last)
	if err != nil {
		x.resetHeaders(h)
	}
	return err
}

// commit stores and sets headers. Where last is set, these are the headers that
// the client gets: before anybody else gets at the session, it is too late for a
// cookie. After a panic it is not.
func (x *Exchange) commit(ctx context.Context, h http.Header, last bool) error {
	if x.Skipped() {
		return nil
	}
	loaded := x.isLoaded()
	s, ok := x.lock()
	if !ok {
		return ErrReentered
	}
	defer x.mu.Unlock()
	// Another goroutine may have loaded and changed it in between.
	err := x.commitLocked(ctx, h, s, loaded || x.ready.Load())
	if last {
		x.out.Store(true)
	}
	return err
}

func (x *Exchange) commitLocked(ctx context.Context, h http.Header, s *Session, loaded bool) (err error) {
	if x.err != nil {
		return x.err
	}
	if !loaded || s == nil { // nobody asked for it, or whoever did was told
		if x.accessed.Load() {
			addVary(h, new([1]string))
		}
		return nil
	}
	x.err = errPanicked // unless store returns
	if modified := s.modified(); modified || !s.idle() {
		limit := x.m.detach(ctx)
		defer limit.stop()
		err = s.store(limit, modified, false)
	}
	if x.err = err; err != nil {
		x.m.cfg.Logger.ErrorContext(x.ctx, "cloakroom: session could not be saved", slog.Any("error", err))
		return err
	}
	s.setHeaders(h)
	return nil
}

// lock takes the lock as [Session.lock] does, and returns the session, if there
// is one.
func (x *Exchange) lock() (s *Session, ok bool) {
	if s = x.session.Load(); s != nil {
		return s, s.lock()
	}
	x.mu.Lock()
	return x.session.Load(), true
}

// firstByte commits because the response begins.
func (x *Exchange) firstByte(h http.Header) error {
	err := x.answer(h, true)
	x.out.Store(true) // also where the handler has the lock, see resetHeaders
	return err
}

// resetHeaders puts the headers of the response back to what they were before
// the handler ran, for an error page. Cookies stay where the browser needs them:
// for what was done at once (Save, Destroy), and those of another Manager that
// committed already.
func (x *Exchange) resetHeaders(h http.Header) {
	clear(h)
	maps.Copy(h, x.before.Clone())
	for in := x.inner.Load(); in != nil; in = in.inner.Load() {
		if cookie := in.emitted(); cookie != "" {
			h.Add("Set-Cookie", cookie)
		}
	}
	if s := x.session.Load(); s != nil && x.isLoaded() {
		if s.lock() { // else this goroutine has the lock: the handler writes in a function given to Update
			defer x.mu.Unlock()
		}
		if s.hasActed() {
			s.discard()
			s.setHeaders(h)
		}
	}
	h.Set("Cache-Control", "no-store")
}

// emitted returns the Set-Cookie that was set so far. It does not wait for who is
// at the session: nothing of another Manager keeps an error page back.
func (x *Exchange) emitted() string {
	s := x.session.Load()
	if s == nil {
		return ""
	}
	x.m.emitting.Lock()
	defer x.m.emitting.Unlock()
	return s.emitted
}

// hasActed tells that something was done at once which the browser has to know.
func (s *Session) hasActed() bool { return s.created || s.destroyed || s.signedOut }

// hijack notes that the connection was taken over: nothing is saved any more but
// by Save.
func (x *Exchange) hijack() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.hijacked = true
}

// Finish ends the exchange when the handler has returned. Where no byte has
// left yet it commits, and the response may still be written by an outer
// handler; where that fails, the error page is due ([Writer.Fail]). Else it saves what was changed after the first byte, as
// well as that goes: a failure is logged.
func (x *Exchange) Finish(h http.Header) error {
	if x.Skipped() {
		return nil
	}
	last := x.mounts.Add(-1) == 0
	if last {
		x.end() // waits for a commit that another goroutine began by the first byte
	}
	if x.out.Load() {
		x.saveLate()
		return nil
	}
	return x.answer(h, last)
}

// end stops the session from taking changes. Those made before are stored yet.
func (x *Exchange) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended.Store(true)
}

// saveLate stores what was changed after the headers were out.
func (x *Exchange) saveLate() {
	s := x.session.Load()
	if s == nil || !x.isLoaded() || !s.lock() {
		return
	}
	defer x.mu.Unlock()
	modified := s.modified()
	if x.hijacked || x.err != nil || !modified && !s.forced {
		return
	}
	limit := x.m.detach(x.ctx)
	defer limit.stop()
	switch err := s.store(limit, modified, false); {
	case errors.Is(err, ErrCommitted):
		x.drop("after the first byte of the response, when the cookie of a new session could no longer be set")
	case err != nil:
		x.m.cfg.Logger.ErrorContext(x.ctx, "cloakroom: changes made after the first byte of the response could not be saved", slog.Any("error", err))
		x.m.notify(x.ctx, Event{Kind: EventDropped, Err: err})
	}
}

// drop tells that changes were dropped.
func (x *Exchange) drop(why string) {
	x.m.cfg.Logger.WarnContext(x.ctx, "cloakroom: changes to a session were dropped, made "+why)
	x.m.notify(x.ctx, Event{Kind: EventDropped})
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
	if p, ok := v.(*loadPanic); ok && p.x == x {
		if w.began && w.err == nil {
			panic(http.ErrAbortHandler) // half an answer is out: let it end as one
		}
		x.resetHeaders(w.Header())
		x.ended.Store(true)
		w.Fail(p.err)
		return
	}
	x.abandon(w.Header())
	if err, ok := v.(error); ok && w.paged && errors.Is(err, http.ErrAbortHandler) {
		return
	}
	panic(v)
}

func (x *Exchange) abandon(h http.Header) {
	x.loading.Lock() // another goroutine of the request may be at it
	defer x.loading.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended.Store(true)
	s := x.session.Load()
	if s != nil {
		s.discard()
	}
	switch {
	case x.out.Load():
	case x.err != nil && (s == nil || !s.hasActed()):
	case s != nil:
		s.setHeaders(h)
	case x.accessed.Load():
		addVary(h, new([1]string))
	}
}

// A loadPanic is how Get abandons a handler.
type loadPanic struct {
	x   *Exchange
	err error
}

// Error makes the panic readable for a recovery middleware that logs it.
func (p *loadPanic) Error() string { return p.err.Error() }

// poison makes the response the error page, whatever is written.
func (x *Exchange) poison(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err == nil {
		x.err = err
	}
}

// setHeaders sets what the browser and the caches have to be told.
func (s *Session) setHeaders(h http.Header) {
	cookie := s.setCookie()
	if s.emitted != "" && s.emitted != cookie { // of an earlier commit of this request
		h["Set-Cookie"] = slices.DeleteFunc(h["Set-Cookie"], func(v string) bool { return v == s.emitted })
	}
	if cookie != "" {
		if !slices.Contains(h["Set-Cookie"], cookie) {
			h["Set-Cookie"] = append(h["Set-Cookie"], cookie)
		}
		h["Cache-Control"] = []string{privateCache(h["Cache-Control"])}
	}
	if s.emitted != cookie {
		s.x.m.emitting.Lock()
		s.emitted = cookie
		s.x.m.emitting.Unlock()
	}
	if cookie != "" || s.x.accessed.Load() {
		addVary(h, &s.vary)
	}
}

// setCookie returns the value of the Set-Cookie header, or an empty string. It
// decides as express-session does, but for what the session's state forbids: a
// session that ended under the request sets and deletes nothing, because the
// browser may have a newer cookie by now.
func (s *Session) setCookie() string {
	x, m := s.x, s.x.m
	rolling := m.cfg.Rolling && (m.cfg.Passive == nil || !m.cfg.Passive(x.r))
	switch {
	case s.degraded, s.gone, s.retired:
		return ""
	case s.destroyed:
		if !s.hadAny {
			return ""
		}
		return x.attributes().setCookie(m.cfg.Name, "", -1, time.Time{})
	case s.base == nil && s.signedOut && s.hadAny:
		return x.attributes().setCookie(m.cfg.Name, "", -1, time.Time{})
	case s.base == nil, !s.created && !rolling && !s.changed && !s.rotated:
		return ""
	case m.isExpired(s.base):
		return ""
	}
	maxAge := s.currentAge().max
	if maxAge == 0 && !s.created && !rolling && !s.rotated { // the browser has it for as long as it runs
		return ""
	}
	now := m.cfg.Now()
	maxAge = lifespan{maxAge, m.deadline(s.base.meta.created)}.from(now)
	switch {
	case s.created:
	case m.retired.within(s.key, now, m.cfg.IdleTimeout):
		return ""
	case s.discarded && !s.saved:
		return ""
	case rolling, s.changed && maxAge > 0:
	case s.rotated: // under the new secret, but for no longer than before
		if expires := cookieExpires(findMember(s.base.text, s.base.index(), cookieMember)); maxAge > 0 && expires.After(now) {
			maxAge = min(maxAge, expires.Sub(now))
		}
	default:
		return ""
	}
	if x.needsHTTPS() {
		return ""
	}
	return x.attributes().setCookie(m.cfg.Name, m.signer.Load().sign(s.id), maxAge, now.Add(maxAge))
}

// attributes returns the cookie's attributes for this request.
func (x *Exchange) attributes() attributes { return x.cookie.resolve(x.isSecure()) }

func (x *Exchange) isSecure() bool {
	if x.r == nil {
		return x.given != nil && x.given.secure != nil && *x.given.secure
	}
	return x.m.isSecure(x.r)
}

// needsHTTPS tells, and says once in the log, that a Secure cookie cannot be
// set because the request came over plain HTTP.
func (x *Exchange) needsHTTPS() bool {
	if x.cookie.Secure != SecureAlways || x.isSecure() {
		return false
	}
	if x.r == nil && (x.given == nil || x.given.secure == nil) {
		return false // Save before Manager.Commit, which will tell
	}
	x.m.hints.insecure.Do(func() {
		x.m.cfg.Logger.Warn("cloakroom: a Secure cookie was not set because the request came over plain HTTP; " +
			"behind a proxy that ends TLS add its address to Config.TrustedProxies, without TLS set Cookie.Secure to SecureAuto")
	})
	return true
}

// addVary adds Vary: Cookie, unless that is said already. room is for the header,
// where it is not there yet.
func addVary(h http.Header, room *[1]string) {
	lines := h["Vary"]
	if len(lines) == 0 {
		if room[0] == "" { // else another header has it, which may be on its way
			room[0] = "Cookie"
		}
		h["Vary"] = room[:1:1]
		return
	}
	for _, line := range lines {
		for field := range strings.SplitSeq(line, ",") {
			if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, "Cookie") {
				return
			}
		}
	}
	h["Vary"] = append(lines, "Cookie")
}

// privateCache returns the Cache-Control of a response that sets a cookie: the
// handler's own, but not for shared caches.
func privateCache(lines []string) string {
	var kept []string
	for _, line := range lines {
		for _, directive := range splitDirectives(line) {
			name, value, _ := strings.Cut(directive, "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "", "public", "s-maxage":
				continue
			case "private":
				if value == "" {
					continue // it comes first anyway
				}
			}
			kept = append(kept, directive)
		}
	}
	if len(kept) == 0 && len(lines) == 0 {
		return "private, no-cache"
	}
	return strings.Join(append([]string{"private"}, kept...), ", ")
}

// splitDirectives splits at commas that are not inside of quotes.
func splitDirectives(line string) []string {
	var parts []string
	quoted, start := false, 0
	for i := range len(line) {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			parts = append(parts, strings.TrimSpace(line[start:i]))
			start = i + 1
		}
	}
	return append(parts, strings.TrimSpace(line[start:]))
}

// notify tells the Observer.
func (m *Manager) notify(ctx context.Context, e Event) {
	if m.cfg.Observer != nil {
		m.cfg.Observer.Observe(ctx, e)
	}
}
