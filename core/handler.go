package core

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
)

// Handler is the middleware for net/http: it gives each request that reaches
// next a session, for [FromContext], and stores it before the response begins.
func (m *Manager) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.ServeBinding(w, r) {
			return
		}
		x, err := m.Begin(r)
		if err != nil {
			m.Fail(w, r, err)
			return
		}
		r = x.Request(r)
		if x.Skipped() {
			next.ServeHTTP(w, r)
			return
		}
		sw := x.Writer(w)
		sw.Failer = m
		defer func() {
			if v := recover(); v != nil {
				x.Panicked(sw, v)
			}
		}()
		next.ServeHTTP(sw, r)
		if err := x.Finish(w.Header()); err != nil {
			sw.Fail(err)
		}
	})
}

// retryAfter is when a client may try again whose request the store failed, in seconds.
const retryAfter = "5"

// Fail answers a request whose session could not be loaded or saved, by
// Config.ErrorHandler or with a short text, which for a 503 comes with Retry-After: 5. To a client that is gone, or whose
// request the server has cancelled, only the status is sent.
func (m *Manager) Fail(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Cache-Control", "no-store")
	if !m.handlesError(w, r, err) {
		m.writeError(w, r, err)
	}
}

// writeError is Fail without Config.ErrorHandler.
func (m *Manager) writeError(w http.ResponseWriter, r *http.Request, err error) {
	status := HTTPStatus(err)
	if status == statusClientClosedRequest {
		if r.Context().Err() != nil {
			w.WriteHeader(status) // nothing at all would be a success to who is still there
			return
		}
		status = http.StatusServiceUnavailable
	}
	text := http.StatusText(status) + "\n"
	h := w.Header()
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	if challenge := exchangeOf(r.Context()).of(m).challenge(); challenge != "" && status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", challenge)
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(text)) // whoever hung up needs no error page
	}
}

// handlesError has Config.ErrorHandler write the response, where there is one. It reports
// false where that wrote nothing: a server would make a success of it.
func (m *Manager) handlesError(w http.ResponseWriter, r *http.Request, err error) bool {
	if m.cfg.ErrorHandler == nil {
		return false
	}
	page := &errorPage{ResponseWriter: w}
	m.cfg.ErrorHandler(page, r, err)
	return page.begun
}

// An errorPage is the writer of Config.ErrorHandler, which notes whether that writes
// anything.
type errorPage struct {
	http.ResponseWriter

	begun bool
}

// WriteHeader implements [http.ResponseWriter]. An informational response is none yet.
func (p *errorPage) WriteHeader(status int) {
	p.begun = p.begun || status >= 200 || status == http.StatusSwitchingProtocols
	p.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (p *errorPage) Write(b []byte) (int, error) {
	p.begun = true
	return p.ResponseWriter.Write(b)
}

// Flush implements [http.Flusher].
func (p *errorPage) Flush() { _ = p.FlushError() }

// FlushError is what [http.ResponseController] calls.
func (p *errorPage) FlushError() error {
	err := http.NewResponseController(p.ResponseWriter).Flush()
	p.begun = p.begun || !errors.Is(err, http.ErrNotSupported)
	return err
}

// Hijack implements [http.Hijacker].
func (p *errorPage) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(p.ResponseWriter).Hijack()
	p.begun = p.begun || err == nil // with HTTP/2 there is no connection to take over
	return conn, rw, err
}

// Unwrap is for [http.ResponseController].
func (p *errorPage) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// FromContext returns the session of the request that ctx belongs to. With
// several Managers around a handler it is that of the innermost;
// [Manager.FromContext] names one.
//
// It panics where there is none, because the middleware is missing or left the
// request alone; the message says which. [Lookup] does not panic. With
// Config.Lazy it loads the session and, where that fails, abandons the handler
// by a panic that the middleware turns into the error page; [Load] returns the
// error. A goroutine that the handler started calls Load: nobody would recover
// the panic there, and it would end the process.
func FromContext(ctx context.Context) *Session { return get(exchangeOf(ctx)) }

// Lookup returns the session of the request that ctx belongs to, and whether
// there is one. It never panics. Where Config.Lazy is set and the load fails,
// there is none and the response becomes the error page.
func Lookup(ctx context.Context) (*Session, bool) { return lookup(exchangeOf(ctx)) }

// Load returns the session of the request that ctx belongs to. It is Lookup for
// who wants to know why there is none ([ErrNoSession], or what the store said)
// and answer in another way than by the error page.
func Load(ctx context.Context) (*Session, error) { return loadFrom(exchangeOf(ctx)) }

// FromContext is the function of that name for the session of this Manager.
func (m *Manager) FromContext(ctx context.Context) *Session { return get(exchangeOf(ctx).of(m)) }

// Lookup is the function of that name for the session of this Manager.
func (m *Manager) Lookup(ctx context.Context) (*Session, bool) {
	return lookup(exchangeOf(ctx).of(m))
}

// Context returns the context that the session was loaded with, in which [FromContext]
// finds it: for what [Manager.Load] returned. Behind the middleware it is that of the
// request.
func (s *Session) Context() context.Context { return (*exchangeContext)(s.x) }

// exchangeOf returns the Exchange that a context belongs to, the innermost of several, or
// nil.
func exchangeOf(ctx context.Context) *Exchange {
	x, _ := ctx.Value(exchangeKey{}).(*Exchange)
	return x
}

// loadFrom is [Load] for an Exchange, which is nil where the middleware is missing.
func loadFrom(x *Exchange) (*Session, error) {
	switch {
	case x == nil:
		return nil, fmt.Errorf("%w: mount the middleware in front of the handler", ErrNoSession)
	case x.Skipped():
		return nil, fmt.Errorf("%w: %s", ErrNoSession, x.skipped)
	}
	x.accessed.Store(true)
	if err := x.ensureLoaded(); err != nil {
		return nil, err
	}
	return x.ensureSession(), nil
}

// lookup is [Lookup] for an Exchange, which may be nil.
func lookup(x *Exchange) (*Session, bool) {
	s, err := loadFrom(x)
	if err != nil && !errors.Is(err, ErrNoSession) {
		x.poison(err)
	}
	return s, err == nil
}

// get is [FromContext] for an Exchange, which may be nil.
func get(x *Exchange) *Session {
	s, err := loadFrom(x)
	switch {
	case err == nil:
		return s
	case errors.Is(err, ErrNoSession):
		panic(err)
	}
	x.poison(err)
	panic(&loadPanic{x, err})
}

// A loadPanic is how get abandons a handler whose session could not be loaded.
// [Exchange.Panicked] recognizes it, and sends the error page in its place.
type loadPanic struct {
	x   *Exchange
	err error
}

// Error makes the panic readable for a recovery middleware that logs it.
func (p *loadPanic) Error() string { return p.err.Error() }
