//go:build unix

package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// A visitor sends requests without a network, and keeps the last cookie.
type visitor struct {
	handler http.Handler
	next, r http.Request
	header  http.Header
	status  int
}

func newVisitor(h http.Handler) *visitor {
	return &visitor{handler: h, header: make(http.Header), next: http.Request{
		Method: http.MethodGet, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "localhost", RemoteAddr: "127.0.0.1:50000",
		Header: http.Header{"User-Agent": {"turns"}}, Body: http.NoBody,
	}}
}

func (v *visitor) get(path string) error {
	if v.next.URL == nil || v.next.URL.Path != path {
		v.next.URL = &url.URL{Path: path}
	}
	v.r, v.status = v.next, 0
	clear(v.header)
	v.handler.ServeHTTP(v, &v.r)
	if v.status > http.StatusOK {
		return fmt.Errorf("%s answers %d", path, v.status)
	}
	if lines := v.header["Set-Cookie"]; len(lines) > 0 {
		value, _, _ := strings.Cut(lines[len(lines)-1], ";")
		v.next.Header.Set("Cookie", value)
	}
	return nil
}

// A visitor is the writer of its answer.
func (v *visitor) Header() http.Header { return v.header }

// Write implements [http.ResponseWriter].
func (v *visitor) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements [http.ResponseWriter].
func (v *visitor) WriteHeader(status int) { v.status = status }
