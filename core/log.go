package core

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// What an operator is told.

// hints are what is said once in the log.
type hints struct {
	untrustedProxy, insecure, foreignDomain, withheld, shortSecret, userBound, retiredKey, watch sync.Once
}

// isFirst reports whether something is done for the first time. It is done when the once is
// released: the Logger may do the same again.
func isFirst(once *sync.Once) (is bool) {
	once.Do(func() { is = true })
	return is
}

// hint says something in the log, once for each Manager. The caller holds the lock.
func (x *Exchange) hint(once *sync.Once, message string, attrs ...slog.Attr) {
	if isFirst(once) {
		x.ensureSession().tellUnlocked(func() { x.log(slog.LevelWarn, message, attrs...) })
	}
}

// log writes to Config.Logger, for a caller that holds no lock.
func (x *Exchange) log(level slog.Level, message string, attrs ...slog.Attr) {
	x.m.cfg.Logger.LogAttrs(x.ctx, level, message, append(attrs, x.attrs()...)...)
}

// attrs say which request a line in the log is about: its method and the route that was
// found for it. They do not say its path, which may hold a secret.
func (x *Exchange) attrs() []slog.Attr {
	if x == nil || x.r == nil {
		return nil
	}
	attrs := []slog.Attr{slog.String("method", knownMethod(x.r.Method))}
	for _, r := range []*http.Request{x.handled, x.r} {
		if r != nil && r.Pattern != "" {
			return append(attrs, slog.String("route", r.Pattern))
		}
	}
	return attrs
}

// knownMethod returns a method as RFC 9110 and RFC 5789 have it, and "other" in the place
// of any other: the lines of a log are not a client's to write.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return method
	}
	return "other"
}

// log writes to Config.Logger, at the end of the operation that ctx belongs to.
func (m *Manager) log(ctx context.Context, level slog.Level, message string, attrs ...slog.Attr) {
	if op, ok := ctx.Value(operationKey{}).(*operation); ok {
		attrs = append(attrs, op.exchange.attrs()...)
	}
	tell(ctx, func(ctx context.Context) { m.cfg.Logger.LogAttrs(ctx, level, message, attrs...) })
}

// logFailure is log for what failed because of err. Where a line of a store that fails was
// said a moment ago it is only counted: see outage.
func (m *Manager) logFailure(ctx context.Context, level slog.Level, message string, err error) {
	attrs, cause := m.outage.attrs(message, err)
	if cause != CauseUnsaid {
		m.log(ctx, level, message, attrs...)
	}
	m.notifyOutage(ctx, cause, err)
}

// notifyOutage tells the Observer of a line about a store that fails. There is none
// without a cause.
func (m *Manager) notifyOutage(ctx context.Context, cause Cause, err error) {
	if cause != "" {
		m.notify(ctx, Event{Kind: EventOutage, Cause: cause, Err: err})
	}
}

// logFailure is [Manager.logFailure] for a caller that holds no lock and has no operation.
func (x *Exchange) logFailure(level slog.Level, message string, err error) {
	attrs, cause := x.m.outage.attrs(message, err)
	if cause != CauseUnsaid {
		x.log(level, message, attrs...)
	}
	x.m.notifyOutage(x.ctx, cause, err)
}

// An outage keeps the failures of a store from filling the log: each request could tell
// of one that is down. Each line is said once a second, with how often it was not.
type outage struct {
	mu    sync.Mutex
	lines map[string]outageLine // by what they say
}

// An outageLine is one line that may come often.
type outageLine struct {
	said   time.Time
	unsaid int // times since
}

// outageInterval is how often one line is said.
const outageInterval = time.Second

// attrs returns what a line about an error says of it, and whether the line is to be
// said now. What is no failure of the store has no cause, and always is.
func (o *outage) attrs(message string, err error) (attrs []slog.Attr, cause Cause) {
	attrs = []slog.Attr{slog.Any("error", err)}
	if failure := (*store.Error)(nil); !errors.As(err, &failure) && !errors.Is(err, context.DeadlineExceeded) {
		return attrs, ""
	}
	unsaid, say := o.unsaid(message, time.Now())
	switch {
	case !say:
		return nil, CauseUnsaid
	case unsaid > 0:
		attrs = append(attrs, slog.Int("unsaid", unsaid))
	}
	return attrs, CauseLogged
}

// unsaid reports whether a line is to be said now, and how often it was not since it
// was said last.
func (o *outage) unsaid(message string, now time.Time) (times int, say bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	line := o.lines[message]
	if !line.said.IsZero() && now.Sub(line.said) < outageInterval {
		line.unsaid++
		o.lines[message] = line
		return 0, false
	}
	if o.lines == nil {
		o.lines = make(map[string]outageLine)
	}
	o.lines[message] = outageLine{said: now}
	return line.unsaid, true
}
