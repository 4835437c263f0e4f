package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// A proxy stands in front of both apps. The paths that have moved go to Go, all
// others to Express.
type proxy struct {
	express, golang http.Handler

	mu    sync.RWMutex
	moved []string
}

func newProxy(toExpress, toGo *url.URL) *proxy {
	return &proxy{express: forward(toExpress), golang: forward(toGo)}
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.RLock()
	moved := slices.Contains(p.moved, r.URL.Path)
	p.mu.RUnlock()
	if moved {
		p.golang.ServeHTTP(w, r)
	} else {
		p.express.ServeHTTP(w, r)
	}
}

// move moves a path to Go or, where it is there, back to Express.
func (p *proxy) move(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.moved, path); i >= 0 {
		p.moved = slices.Delete(p.moved, i, i+1)
	} else {
		p.moved = append(p.moved, path)
	}
}

// String tells where the paths go.
func (p *proxy) String() string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if len(p.moved) == 0 {
		return "Express serves all"
	}
	return "Gin serves " + strings.Join(p.moved, " ") + ", Express all else"
}

// forward keeps the host that the client asked for, and says whether it came
// over HTTPS: both apps set the Secure attribute by that.
func forward(to *url.URL) http.Handler {
	// Node.js closes a connection that was idle for 5 seconds. We do so first, or
	// a request that crosses with it would fail.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.IdleConnTimeout = 3 * time.Second
	return &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.SetXForwarded()
		r.Out.Host = r.In.Host
	}}
}
