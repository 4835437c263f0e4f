package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"
)

// A visitor sends requests into an app, one after the other, without a network
// and without allocating anything. What a request allocates is the app's.
type visitor interface {
	// ask says what to send from now on. cookie is NAME=VALUE, or empty.
	ask(path, cookie string)

	// send sends it and returns the status of the answer.
	send() int

	// body returns the body of the last answer, up to some length.
	body() string

	// setCookie appends the NAME=VALUE that the last answer set, if any.
	setCookie(to []byte) []byte
}

func (a *app) visitor() visitor {
	if a.remote != "" {
		return newRemoteVisitor(a.remote)
	}
	if a.fiber != nil {
		return newFiberVisitor(a.fiber)
	}
	return newHTTPVisitor(a.handler)
}

// newSession makes a session and returns its cookie.
func (a *app) newSession(w workload) (string, error) {
	v := a.visitor()
	if a.makes != nil {
		v = newHTTPVisitor(a.makes)
	}
	if w.signedIn {
		return makeSession(v, "as="+userName)
	}
	return makeSession(v, fmt.Sprintf("filler=%d", w.filler))
}

func makeSession(v visitor, query string) (string, error) {
	v.ask(pathMake+"?"+query, "")
	if status := v.send(); status != http.StatusOK {
		return "", fmt.Errorf("%s answers %d %q", pathMake, status, v.body())
	}
	cookie := string(v.setCookie(nil))
	if cookie == "" {
		return "", fmt.Errorf("%s sets no cookie", pathMake)
	}
	return cookie, nil
}

// An httpVisitor visits whatever is an http.Handler.
type httpVisitor struct {
	handler http.Handler
	ctx     context.Context
	cookies []string

	next http.Request // what to send
	r    http.Request // what is sent: a copy, as middlewares may write to theirs
	w    writer
}

func newHTTPVisitor(h http.Handler) *httpVisitor {
	// A server's context has values in it and may be cancelled.
	ctx := context.WithValue(context.Background(), http.ServerContextKey, &http.Server{}) //nolint:gosec // serves nothing
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, &net.TCPAddr{})
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(ctx, cancel) // is never cancelled
	return &httpVisitor{handler: h, ctx: ctx, cookies: make([]string, 1), w: writer{header: make(http.Header)}}
}

func (v *httpVisitor) ask(path, cookie string) {
	if v.next.URL == nil || v.next.RequestURI != path {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			panic(err) // it is one of ours
		}
		v.next = *(&http.Request{
			Method: http.MethodGet, URL: u, RequestURI: path, Host: "localhost:8080", RemoteAddr: "127.0.0.1:50000",
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header), Body: http.NoBody,
		}).WithContext(v.ctx)
	}
	delete(v.next.Header, "Cookie")
	if cookie != "" {
		v.cookies[0] = cookie
		v.next.Header["Cookie"] = v.cookies
	}
}

func (v *httpVisitor) send() int {
	v.r = v.next
	v.w.reset()
	v.handler.ServeHTTP(&v.w, &v.r)
	return v.w.status
}

func (v *httpVisitor) body() string { return string(v.w.body[:v.w.length]) }

func (v *httpVisitor) setCookie(to []byte) []byte {
	lines := v.w.header["Set-Cookie"]
	if len(lines) == 0 {
		return to
	}
	// The last one counts, as it does for a browser.
	value, _, _ := strings.Cut(lines[len(lines)-1], ";")
	return append(to, value...)
}

// A writer is an http.ResponseWriter that keeps the beginning of the body.
type writer struct {
	header http.Header
	status int
	body   [256]byte
	length int
}

func (w *writer) reset() {
	if len(w.header) > 0 {
		clear(w.header)
	}
	w.status, w.length = 0, 0
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
}

func (w *writer) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.length += copy(w.body[w.length:], b)
	return len(b), nil
}

func (w *writer) WriteString(s string) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.length += copy(w.body[w.length:], s)
	return len(s), nil
}

var _ io.StringWriter = (*writer)(nil) // as net/http's

// A fiberVisitor visits Fiber, which does not know net/http.
type fiberVisitor struct {
	handler fasthttp.RequestHandler
	next    fasthttp.Request
	ctx     fasthttp.RequestCtx
}

func newFiberVisitor(h fasthttp.RequestHandler) *fiberVisitor {
	v := &fiberVisitor{handler: h}
	v.ctx.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50000}, nil)
	return v
}

func (v *fiberVisitor) ask(path, cookie string) {
	v.next.SetRequestURI(path)
	v.next.Header.SetHost("localhost:8080")
	v.next.Header.Del("Cookie")
	if cookie != "" {
		v.next.Header.Set("Cookie", cookie)
	}
}

func (v *fiberVisitor) send() int {
	v.next.CopyTo(&v.ctx.Request)
	v.ctx.Response.Reset()
	v.ctx.ResetUserValues()
	v.handler(&v.ctx)
	return v.ctx.Response.StatusCode()
}

func (v *fiberVisitor) body() string { return string(v.ctx.Response.Body()) }

func (v *fiberVisitor) setCookie(to []byte) []byte { return lastCookie(&v.ctx.Response, to) }

func lastCookie(r *fasthttp.Response, to []byte) []byte {
	var last []byte
	for _, line := range r.Header.Cookies() {
		last = line
	}
	if i := bytes.IndexByte(last, ';'); i >= 0 {
		last = last[:i]
	}
	return append(to, last...)
}
