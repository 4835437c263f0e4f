package core

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// A Probe answers the health checks of a load balancer, or of Kubernetes: 200 or 503, with
// a word in the body that tells nothing of the app. It knows no session and extends none.
//
// The zero value answers 200 for as long as the process serves requests. That is what a
// liveness probe should ask: one that asked the store would have a process restarted
// because a server is down. A readiness probe also says so when the process is about to
// end ([Probe.Drain]), and may ask the store:
//
//	ready := &core.Probe{Check: sessions.Ping}
//	mux.Handle("GET /livez", new(core.Probe))
//	mux.Handle("GET /readyz", ready)
//
// Mount it beside the middleware and not behind it, or name its path in Config.Skip, as
// Echo's Use makes necessary. docs/monitoring.md tells which probe should ask the store:
// instances that share one would all be taken out at once.
type Probe struct {
	// Check, if not nil, returns an error where the app cannot serve requests; that is
	// not told to the client. [Manager.Ping] is one, which tells Config.Observer. It is
	// called by many goroutines at once, and has to end when its context does.
	Check func(context.Context) error

	// Timeout limits Check. The default is a second, which also takes the place of what is
	// less than a millisecond: no Check would ever pass.
	Timeout time.Duration

	draining atomic.Bool
}

const (
	defaultProbeTimeout = time.Second // which a probe of Kubernetes waits by default
	leastProbeTimeout   = time.Millisecond
)

// Drain makes the Probe answer 503 from now on, so that no new requests are sent here. It
// is the first step of a graceful shutdown: go on serving until whoever asks has seen it,
// and shut down the server then.
func (p *Probe) Drain() { p.draining.Store(true) }

// ServeHTTP implements [http.Handler].
func (p *Probe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, text := http.StatusOK, "ok\n"
	switch {
	case p.draining.Load():
		status, text = http.StatusServiceUnavailable, "shutting down\n"
	case !p.passes(r.Context()):
		status, text = http.StatusServiceUnavailable, "unavailable\n"
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// passes reports whether Check finds nothing wrong in time.
func (p *Probe) passes(ctx context.Context) bool {
	if p.Check == nil {
		return true
	}
	timeout := p.Timeout
	if timeout < leastProbeTimeout {
		timeout = defaultProbeTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return p.Check(ctx) == nil
}
