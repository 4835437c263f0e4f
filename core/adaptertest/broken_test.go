package adaptertest_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/cloakroom-go/cloakroom/core"
)

// An adapter is one for net/http, made of parts that can be broken.
type adapter struct {
	binding func(m *core.Manager, w http.ResponseWriter, r *http.Request) bool
	begin   func(m *core.Manager, r *http.Request) (*core.Exchange, error)
	failed  func(m *core.Manager, w http.ResponseWriter, r *http.Request, next http.Handler, err error) // the load
	request func(x *core.Exchange, r *http.Request) *http.Request
	page    func(m *core.Manager, w http.ResponseWriter, r *http.Request, err error) // the commit failed
	writer  func(x *core.Exchange, w *core.Writer, inner http.ResponseWriter) http.ResponseWriter
	finish  func(x *core.Exchange, w *core.Writer, h http.Header)
	panics  func(x *core.Exchange, w *core.Writer, v any)
}

// sound returns an adapter that is right.
func sound() *adapter {
	return &adapter{
		binding: (*core.Manager).ServeBinding,
		begin:   (*core.Manager).Begin,
		failed: func(m *core.Manager, w http.ResponseWriter, r *http.Request, _ http.Handler, err error) {
			m.Fail(w, r, err)
		},
		request: func(x *core.Exchange, r *http.Request) *http.Request { return x.Request(r) },
		page: func(m *core.Manager, w http.ResponseWriter, r *http.Request, err error) {
			m.Fail(w, r, err)
		},
		writer: func(_ *core.Exchange, w *core.Writer, _ http.ResponseWriter) http.ResponseWriter { return w },
		finish: func(x *core.Exchange, w *core.Writer, h http.Header) {
			if err := x.Finish(h); err != nil {
				w.Fail(err)
			}
		},
		panics: func(x *core.Exchange, w *core.Writer, v any) { x.Panicked(w, v) },
	}
}

func (a *adapter) handler(m *core.Manager, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.binding(m, w, r) {
			return
		}
		x, err := a.begin(m, r)
		if err != nil {
			a.failed(m, w, r, next, err)
			return
		}
		r2 := a.request(x, r)
		if x.Skipped() {
			next.ServeHTTP(w, r2)
			return
		}
		cw := x.Writer(w)
		cw.Failer = &failer{a, m}
		defer func() {
			if v := recover(); v != nil {
				a.panics(x, cw, v)
			}
		}()
		next.ServeHTTP(a.writer(x, cw, w), r2)
		a.finish(x, cw, w.Header())
	})
}

// A failer sends the error page of an adapter.
type failer struct {
	*adapter
	m *core.Manager
}

func (f *failer) Fail(w http.ResponseWriter, r *http.Request, err error) { f.page(f.m, w, r, err) }

// brokenAdapters are adapters with one mistake each, as they are made in the
// wild, and scenarios that have to notice.
var brokenAdapters = []struct {
	name  string
	smash func(a *adapter)
	fails []string
}{
	{"commits when the handler has returned", func(a *adapter) {
		a.writer = func(_ *core.Exchange, _ *core.Writer, inner http.ResponseWriter) http.ResponseWriter { return inner }
	}, []string{
		"a first visit sets one cookie, and the counter counts", "login changes the id and keeps the data",
		"text: comes with the cookie", "text: gives way when the commit fails", "many writes: comes with the cookie",
		"a redirect by net/http: comes with the cookie", "HEAD: comes with the cookie", "a stream: comes with the cookie",
		"a failure the framework's way: comes with the cookie", "http.TimeoutHandler inside: comes with the cookie",
		"mounted on a group: every kind of answer comes with the cookie", "G3: no byte leaves before the session is stored",
	}},
	{"lets the app answer what browsers send to bind their sessions", func(a *adapter) {
		a.binding = func(*core.Manager, http.ResponseWriter, *http.Request) bool { return false }
	}, []string{
		"bound: a browser binds its session and proves it, and a copy of its cookies is worth nothing", "bound: a logout ends the binding",
		"bound: with the store down the endpoint answers 503, and the binding lives", "bound: the endpoint is answered before the app, whatever that has there",
	}},
	{"goes on when it has answered that", func(a *adapter) {
		a.binding = func(m *core.Manager, w http.ResponseWriter, r *http.Request) bool {
			m.ServeBinding(w, r)
			return false
		}
	}, []string{"bound: the endpoint is answered before the app, whatever that has there"}},
	{"does not commit when the handler wrote nothing", func(a *adapter) {
		a.finish = func(*core.Exchange, *core.Writer, http.Header) {}
	}, []string{"nothing at all: comes with the cookie", "nothing at all: gives way when the commit fails", "HEAD with nothing written: comes with the cookie"}},
	{"commits when the handler wrote nothing, but ignores the error", func(a *adapter) {
		a.finish = func(x *core.Exchange, _ *core.Writer, h http.Header) { _ = x.Finish(h) }
	}, []string{"nothing at all: gives way when the commit fails", "renewed under a request that writes and answers nothing: 409, no cookie"}},
	{"ignores Flush", func(a *adapter) {
		a.writer = func(_ *core.Exchange, w *core.Writer, inner http.ResponseWriter) http.ResponseWriter {
			return &flushesPast{w, inner}
		}
	}, []string{
		"Flush before the first byte: comes with the cookie", "http.Flusher before the first byte: comes with the cookie",
		"Flush and nothing else: comes with the cookie", "Flush and nothing else: gives way when the commit fails",
		"an event stream: the cookie comes with the headers, long before the end", "G3: no byte leaves before the session is stored",
	}},
	{"ignores Hijack", func(a *adapter) {
		a.writer = func(_ *core.Exchange, w *core.Writer, inner http.ResponseWriter) http.ResponseWriter {
			return &hijacksPast{w, inner}
		}
	}, []string{
		"Hijack: what was changed before is stored", "Hijack: none when the commit fails",
		"WebSocket upgrade: what was changed before is stored, what is changed later only by Save (as gorilla/websocket)",
		"an upgrade through a reverse proxy brings the cookie",
	}},
	{"has no Hijack", func(a *adapter) {
		a.writer = func(_ *core.Exchange, w *core.Writer, _ http.ResponseWriter) http.ResponseWriter { return bare{w} }
	}, []string{"WebSocket upgrade: the cookie reaches the client on its first visit (as gorilla/websocket)", "http.Flusher before the first byte: comes with the cookie"}},
	{"ignores WriteString", func(a *adapter) {
		a.writer = func(_ *core.Exchange, w *core.Writer, inner http.ResponseWriter) http.ResponseWriter {
			return &writesStringsPast{w, inner}
		}
	}, []string{"WriteString: comes with the cookie", "WriteString: gives way when the commit fails"}},
	{"ignores ReadFrom", func(a *adapter) {
		a.writer = func(_ *core.Exchange, w *core.Writer, inner http.ResponseWriter) http.ResponseWriter {
			return &readsPast{w, inner}
		}
	}, []string{"a stream: comes with the cookie", "a stream: gives way when the commit fails"}},
	{"commits at an informational response", func(a *adapter) {
		a.writer = func(_ *core.Exchange, w *core.Writer, inner http.ResponseWriter) http.ResponseWriter {
			return &writesHeader{w, func(status int) {
				if w.Commit() == nil {
					inner.WriteHeader(status)
				}
			}}
		}
	}, []string{"a change after an informational response is stored"}},
	{"takes an informational response for the answer", func(a *adapter) {
		a.writer = func(_ *core.Exchange, w *core.Writer, _ http.ResponseWriter) http.ResponseWriter {
			first := true
			return &writesHeader{w, func(status int) {
				if first {
					first = false
					w.WriteHeader(status)
				}
			}}
		}
		a.finish = func(x *core.Exchange, w *core.Writer, h http.Header) {
			if w.Began() {
				_ = x.Finish(h) // only what came late
			}
		}
	}, []string{"a reverse proxy whose upstream sends 103: comes with the cookie"}},
	{"does not commit on an error status", func(a *adapter) {
		a.writer = func(_ *core.Exchange, w *core.Writer, inner http.ResponseWriter) http.ResponseWriter {
			failed := false
			return &writes{w, func(status int) {
				if failed = status >= 400; failed {
					inner.WriteHeader(status)
				} else {
					w.WriteHeader(status)
				}
			}, func(p []byte) (int, error) {
				if failed {
					return inner.Write(p)
				}
				return w.Write(p)
			}}
		}
	}, []string{"http.Error: comes with the cookie", "a handler that fails is stored like any other", "an empty JSON 500: gives way when the commit fails"}},
	{"lets the body through when the commit fails", func(a *adapter) {
		a.page = func(_ *core.Manager, w http.ResponseWriter, _ *http.Request, err error) {
			w.WriteHeader(core.HTTPStatus(err))
		}
		a.writer = func(_ *core.Exchange, w *core.Writer, inner http.ResponseWriter) http.ResponseWriter {
			return &writes{w, w.WriteHeader, func(p []byte) (int, error) {
				if w.Commit() != nil {
					return inner.Write(p)
				}
				return w.Write(p)
			}}
		}
	}, []string{"text: gives way when the commit fails", "a plain Write: gives way when the commit fails", "a session that is too large: 500, and nothing leaks"}},
	{"tells the handler nothing when the commit fails", func(a *adapter) {
		a.writer = func(_ *core.Exchange, w *core.Writer, _ http.ResponseWriter) http.ResponseWriter {
			return &writes{w, w.WriteHeader, func(p []byte) (int, error) {
				_, _ = w.Write(p)
				return len(p), nil
			}}
		}
	}, []string{"the handler's writes get the error of the commit"}},
	{"sends the handler's status when the commit fails", func(a *adapter) {
		a.page = func(_ *core.Manager, w http.ResponseWriter, _ *http.Request, _ error) {
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusOK)
		}
	}, []string{"text: gives way when the commit fails", "the store is down: 503 to all, and no restart is needed"}},
	{"sends 500 when the store fails", func(a *adapter) {
		a.page = func(_ *core.Manager, w http.ResponseWriter, _ *http.Request, _ error) {
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusInternalServerError)
		}
	}, []string{"text: gives way when the commit fails", "renewed under a request that writes: 409, no cookie"}},
	{"lets the error page be cached", func(a *adapter) {
		a.page = func(m *core.Manager, w http.ResponseWriter, r *http.Request, err error) {
			w.Header().Del("Cache-Control")
			w.WriteHeader(core.HTTPStatus(err))
		}
	}, []string{"text: gives way when the commit fails", "the error page has no header of the handler's"}},
	{"ignores Config.ErrorHandler", func(a *adapter) {
		a.page = func(_ *core.Manager, w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Cache-Control", "no-store")
			http.Error(w, "error", core.HTTPStatus(err))
		}
	}, []string{"Config.ErrorHandler writes the error page", "Config.ErrorHandler that writes nothing but a status"}},
	{"keeps the handler's headers on the error page", func(a *adapter) {
		a.page = func(*core.Manager, http.ResponseWriter, *http.Request, error) {}
		a.writer = func(_ *core.Exchange, w *core.Writer, inner http.ResponseWriter) http.ResponseWriter {
			return &writesHeader{w, func(status int) {
				kept := w.Header().Clone()
				w.WriteHeader(status)
				if err := w.Err(); err != nil {
					for name, values := range kept {
						inner.Header()[name] = values
					}
					inner.WriteHeader(core.HTTPStatus(err))
				}
			}}
		}
	}, []string{
		"the error page has no header of the handler's", "the error page of a redirect leads nowhere",
		"a file: gives way when the commit fails", "304: gives way when the commit fails",
	}},
	{"clears all headers on the error page", func(a *adapter) {
		a.page = func(m *core.Manager, w http.ResponseWriter, r *http.Request, err error) {
			clear(w.Header())
			m.Fail(w, r, err)
		}
	}, []string{"the error page has no header of the handler's", "headers from outside are as they were on the error page"}},
	{"tells the client its cookie on the error page", func(a *adapter) {
		a.page = func(_ *core.Manager, w http.ResponseWriter, r *http.Request, err error) {
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(core.HTTPStatus(err))
			_, _ = io.WriteString(w, "no luck with "+r.Header.Get("Cookie"))
		}
	}, []string{"login fails: the old session lives, and no other is left"}},
	{"runs the handler when the load failed", func(a *adapter) {
		a.failed = func(_ *core.Manager, w http.ResponseWriter, r *http.Request, next http.Handler, _ error) {
			next.ServeHTTP(w, r)
		}
	}, []string{"load fails: 503, and the handler does not run", "unknown path and wrong method are answered by the framework"}},
	{"goes on with an empty session when the load failed", func(a *adapter) {
		a.begin = func(m *core.Manager, r *http.Request) (*core.Exchange, error) {
			x, err := m.Begin(r)
			if err != nil {
				r = r.Clone(r.Context())
				r.Header.Del("Cookie")
				return m.Begin(r)
			}
			return x, nil
		}
	}, []string{"load fails: 503, and the handler does not run", "the store hangs at load: 503 within StoreTimeout"}},
	{"forgets the context", func(a *adapter) {
		a.request = func(_ *core.Exchange, r *http.Request) *http.Request { return r }
	}, []string{"a first visit sets one cookie, and the counter counts"}},
	{"forgets the context of the request it was given", func(a *adapter) {
		a.begin = func(m *core.Manager, r *http.Request) (*core.Exchange, error) {
			return m.Begin(r.WithContext(context.WithoutCancel(r.Context())))
		}
	}, []string{
		"a timeout outside: a new session whose answer is thrown away is not stored",
		"a timeout outside: Renew whose answer is thrown away is not done, the old id lives on",
		"a client that hangs up during the load is no store failure",
	}},
	{"makes a session of its own each time that it is mounted", func(a *adapter) {
		a.begin = func(m *core.Manager, r *http.Request) (*core.Exchange, error) {
			return m.Begin(r.WithContext(detached{r.Context()}))
		}
	}, []string{"mounted twice: the session is one, and so is the cookie"}},
	{"stores what a handler did that panicked", func(a *adapter) {
		a.panics = func(x *core.Exchange, w *core.Writer, v any) {
			_ = x.Finish(w.Header()) // whatever comes of it
			panic(v)
		}
	}, []string{"a panic with recovery outside: nothing is stored", "Renew, then a panic: the old id lives on"}},
	{"stores what a handler did that panicked, with the error page", func(a *adapter) {
		a.panics = func(_ *core.Exchange, w *core.Writer, v any) {
			_ = w.Commit() // whatever comes of it
			panic(v)
		}
	}, []string{"a panic with recovery outside: nothing is stored"}},
	{"does nothing about a panic", func(a *adapter) {
		a.panics = func(_ *core.Exchange, _ *core.Writer, v any) { panic(v) }
	}, []string{
		"logout, then a panic: the cookie is deleted with the error page", "the deletion has the same attributes on error pages",
		"Lazy: a load that fails is 503 with recovery outside",
	}},
	{"swallows a panic", func(a *adapter) {
		a.panics = func(x *core.Exchange, w *core.Writer, v any) {
			defer func() { _ = recover() }()
			x.Panicked(w, v)
		}
	}, []string{"a panic with recovery outside: nothing is stored", "a panic without recovery: the connection ends and nothing is stored"}},
	{"forgets what comes after the first byte", func(a *adapter) {
		finish := a.finish
		a.finish = func(x *core.Exchange, w *core.Writer, h http.Header) {
			if !w.Began() {
				finish(x, w, h)
			}
		}
	}, []string{
		"a change after the first byte: an existing session is stored when the handler returns",
		"a change after the first byte: a new session is dropped, which is logged",
		"a change after the handler returned is dropped, which is logged",
	}},
	{"holds the whole response back", func(a *adapter) {
		a.writer = func(_ *core.Exchange, w *core.Writer, _ http.ResponseWriter) http.ResponseWriter {
			return &buffers{Writer: w}
		}
	}, []string{"an event stream: the cookie comes with the headers, long before the end", "text: comes with the cookie"}},
	{"adopts the id that a visitor brings", func(a *adapter) {
		a.begin = adopts
	}, []string{"an unknown id with a good signature is not adopted"}},
	{"sends a cookie of its own too", func(a *adapter) {
		a.writer = func(_ *core.Exchange, w *core.Writer, _ http.ResponseWriter) http.ResponseWriter {
			w.Header().Add("Set-Cookie", "sid=s%3Aanother; Path=/; HttpOnly")
			return w
		}
	}, []string{"a first visit sets one cookie, and the counter counts", "reading sets no cookie and stores nothing"}},
	{"makes the cookie Secure by what the client says", func(a *adapter) {
		a.begin = func(m *core.Manager, r *http.Request) (*core.Exchange, error) {
			if r.Header.Get("X-Forwarded-Ssl") == "on" {
				r = r.Clone(r.Context())
				r.RemoteAddr, r.TLS = "127.0.0.1:1", nil
				r.Header.Set("X-Forwarded-Proto", "https")
			}
			return m.Begin(r)
		}
		a.writer = func(_ *core.Exchange, w *core.Writer, _ http.ResponseWriter) http.ResponseWriter {
			return &writesHeader{w, func(status int) {
				if w.Commit() == nil {
					for i, c := range w.Header()["Set-Cookie"] {
						w.Header()["Set-Cookie"][i] = c + "; Secure"
					}
					w.ResponseWriter.WriteHeader(status)
				}
			}}
		}
	}, []string{"a peer that nobody trusts does not make the cookie Secure", "a first visit sets one cookie, and the counter counts"}},
	{"ignores Skip", func(a *adapter) {
		a.begin = func(m *core.Manager, r *http.Request) (*core.Exchange, error) {
			x, err := m.Begin(r)
			if err == nil && x.Skipped() && strings.HasPrefix(r.URL.Path, "/skipped") {
				r = r.Clone(r.Context())
				r.URL.Path = "/"
				return m.Begin(r)
			}
			return x, err
		}
	}, []string{"Skip leaves the request alone"}},
}

// A detached hides from an adapter that it is mounted already.
type detached struct{ context.Context }

func (d detached) Value(key any) any {
	if key == http.ServerContextKey || key == http.LocalAddrContextKey {
		return d.Context.Value(key)
	}
	return nil
}

// adopts creates a session for an unknown id that is signed well.
func adopts(m *core.Manager, r *http.Request) (*core.Exchange, error) {
	if c, err := r.Cookie("sid"); err == nil {
		if s, err := m.Load(r.Context(), c.Value); err == nil && s.Status() == core.StatusUnknown {
			s.Set("adopted", true)
			if line, err := m.Commit(r.Context(), s, false); err == nil {
				r = r.Clone(r.Context())
				r.Header.Set("Cookie", strings.Split(line, ";")[0])
			}
		}
	}
	return m.Begin(r)
}

type flushesPast struct {
	*core.Writer
	inner http.ResponseWriter
}

func (w *flushesPast) Flush()            { _ = w.FlushError() }
func (w *flushesPast) FlushError() error { return http.NewResponseController(w.inner).Flush() }

type hijacksPast struct {
	*core.Writer
	inner http.ResponseWriter
}

func (w *hijacksPast) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.inner).Hijack()
}

// A bare is a writer that can do nothing but write.
type bare struct{ w *core.Writer }

func (b bare) Header() http.Header         { return b.w.Header() }
func (b bare) Write(p []byte) (int, error) { return b.w.Write(p) }
func (b bare) WriteHeader(status int)      { b.w.WriteHeader(status) }

type writesStringsPast struct {
	*core.Writer
	inner http.ResponseWriter
}

func (w *writesStringsPast) WriteString(s string) (int, error) { return io.WriteString(w.inner, s) }

type readsPast struct {
	*core.Writer
	inner http.ResponseWriter
}

func (w *readsPast) ReadFrom(r io.Reader) (int64, error) { return io.Copy(w.inner, r) }

type writesHeader struct {
	*core.Writer
	do func(status int)
}

func (w *writesHeader) WriteHeader(status int) { w.do(status) }

func (w *writesHeader) Write(p []byte) (int, error) {
	if !w.Began() {
		w.do(http.StatusOK)
	}
	return w.Writer.Write(p)
}

type writes struct {
	*core.Writer
	header func(status int)
	body   func(p []byte) (int, error)
}

func (w *writes) WriteHeader(status int)            { w.header(status) }
func (w *writes) Write(p []byte) (int, error)       { return w.body(p) }
func (w *writes) WriteString(s string) (int, error) { return w.body([]byte(s)) }

func (w *writes) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w}, r)
}

// A buffers never sends anything.
type buffers struct {
	*core.Writer
	buf bytes.Buffer
}

func (b *buffers) Write(p []byte) (int, error) { return b.buf.Write(p) }
func (b *buffers) Flush()                      {}
func (b *buffers) FlushError() error           { return nil }
func (b *buffers) WriteHeader(int)             {}
