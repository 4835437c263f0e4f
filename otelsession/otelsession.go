// Package otelsession tells OpenTelemetry what happens to sessions: as metrics,
// and as spans below that of the request.
//
//	observer, err := otelsession.New(otelsession.Options{})
//	...
//	cfg := core.Config{Observer: observer, ...}
//
// With [core.Observers] it stands beside another Observer, such as
// [core.LogObserver].
//
// # Metrics
//
//	cloakroom.session.operation.duration   histogram, s       operation, error.type
//	cloakroom.session.store.call.duration  histogram, s       verb, error.type
//	cloakroom.session.store.errors         counter            store, verb, error.type
//	cloakroom.session.events               counter            event, cause
//	cloakroom.session.conflicts            counter            outcome
//	cloakroom.session.live                 gauge              with Options.Counter
//
// An operation is what a request waits for because of its session: the load, the
// commit, and so on, see [core.Operation]. A call of the store is one round trip, see
// [core.StoreCall]; an answer such as "no such session" is no error. An event is a
// [core.EventKind], a login for one. A conflict is a write that another request was
// faster than; its outcome is "replayed", where the changes were stored on top of the
// other's, or "failed", where the time was not enough. The names of the attributes
// begin with cloakroom., but for error.type. None grows with the number of users,
// sessions or routes.
//
// Beside this file are a dashboard for Grafana and rules for alerts of Prometheus;
// docs/monitoring.md is the guide.
//
// # Spans
//
// Each operation is a span, "session load" for one. The spans of the store's
// driver stand below it, where the driver is instrumented. Events other than
// saved are added to the span of the request.
//
// Neither has an id, a user, a handle or data in it: an audit log is
// [core.LogObserver]'s affair.
package otelsession

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

const scope = "github.com/cloakroom-go/cloakroom/otelsession"

// Options are what can be set about an [Observer].
type Options struct {
	// MeterProvider and TracerProvider are where the metrics and the spans go.
	// The defaults are the global ones.
	MeterProvider  metric.MeterProvider
	TracerProvider trace.TracerProvider

	// Counter, if not nil, counts the live sessions for cloakroom.session.live: it is
	// the store. That is a walk of all of them in most stores, see docs/monitoring.md;
	// one instance that does it is enough. The default is no such metric.
	Counter store.Counter

	// CountInterval is how old that number may become before the sessions are counted
	// again, beside the next collection of metrics, which does not wait for it: at least
	// a millisecond. The default, 0, is a minute.
	CountInterval time.Duration

	// CountTimeout limits one count: at least a millisecond. After a count that failed
	// there is no number until the next one. The default, 0, is ten seconds.
	CountTimeout time.Duration
}

// An Observer is a [core.Observer], a [core.Tracer] and a [core.StoreObserver] that tells
// OpenTelemetry.
type Observer struct {
	tracer    trace.Tracer
	durations metric.Float64Histogram
	calls     metric.Float64Histogram
	events    metric.Int64Counter
	conflicts metric.Int64Counter
	failures  metric.Int64Counter

	operations attributeSets[core.Operation] // that did not fail
	verbs      attributeSets[string]         // of calls that did not fail
	kinds      attributeSets[eventKind]
}

var (
	_ core.Tracer        = (*Observer)(nil)
	_ core.StoreObserver = (*Observer)(nil)
)

// buckets are for what takes microseconds in memory, and a millisecond on a
// network.
var buckets = []float64{
	.00001, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5,
}

// New returns an Observer. The error says which of the options cannot be, or is one of the
// MeterProvider.
func New(o Options) (*Observer, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	meter := o.MeterProvider.Meter(scope)
	durations, err1 := meter.Float64Histogram("cloakroom.session.operation.duration", metric.WithUnit("s"),
		metric.WithDescription("How long requests wait for an operation on their session."),
		metric.WithExplicitBucketBoundaries(buckets...))
	calls, err2 := meter.Float64Histogram("cloakroom.session.store.call.duration", metric.WithUnit("s"),
		metric.WithDescription("How long calls of the session store take."),
		metric.WithExplicitBucketBoundaries(buckets...))
	events, err3 := meter.Int64Counter("cloakroom.session.events", metric.WithUnit("{event}"),
		metric.WithDescription("What happened to sessions."))
	conflicts, err4 := meter.Int64Counter("cloakroom.session.conflicts", metric.WithUnit("{conflict}"),
		metric.WithDescription("Writes that another request was faster than."))
	failures, err5 := meter.Int64Counter("cloakroom.session.store.errors", metric.WithUnit("{error}"),
		metric.WithDescription("Calls of the session store that failed."))
	observer := &Observer{
		tracer: o.TracerProvider.Tracer(scope), durations: durations, calls: calls, events: events, conflicts: conflicts, failures: failures,
	}
	if err := errors.Join(err1, err2, err3, err4, err5, observer.countSessions(meter, o)); err != nil {
		return nil, err
	}
	observer.beginAtZero()
	return observer, nil
}

func (o Options) check() error {
	for _, d := range []struct {
		option string
		value  time.Duration
	}{{"CountInterval", o.CountInterval}, {"CountTimeout", o.CountTimeout}} {
		switch {
		case d.value < 0:
			return fmt.Errorf("cloakroom: otelsession: Options.%s is negative (%v): leave it 0 for the default", d.option, d.value)
		case d.value > 0 && d.value < time.Millisecond: // most likely it was meant to be seconds
			return fmt.Errorf("cloakroom: otelsession: Options.%s is too short: %d is %v: write %d * time.Second", d.option, int64(d.value), d.value, int64(d.value))
		}
	}
	return nil
}

// beginAtZero makes the series that alerts ask for, so that the first such event is an
// increase, and not the beginning of a series.
func (o *Observer) beginAtZero() {
	ctx := context.Background()
	for _, kind := range []core.EventKind{
		core.EventForged, core.EventUnknown, core.EventUndecodable, core.EventDropped, core.EventStoreError,
	} {
		o.events.Add(ctx, 0, o.kinds.of(eventKind{kind: kind}, eventKind.attributes))
	}
	for _, outcome := range []string{replayed, failed} {
		o.conflicts.Add(ctx, 0, metric.WithAttributes(keyOutcome.String(outcome)))
	}
}

// The outcomes of a conflict.
const (
	replayed = "replayed"
	failed   = "failed"
)

const (
	keyOperation = attribute.Key("cloakroom.operation")
	keyEvent     = attribute.Key("cloakroom.event")
	keyCause     = attribute.Key("cloakroom.cause")
	keyOutcome   = attribute.Key("cloakroom.outcome")
	keyStore     = attribute.Key("cloakroom.store")
	keyVerb      = attribute.Key("cloakroom.verb")
	keyError     = attribute.Key("error.type")
)

// Observe implements [core.Observer].
func (o *Observer) Observe(ctx context.Context, e core.Event) {
	o.events.Add(ctx, 1, o.kinds.of(eventKind{e.Kind, e.Cause}, eventKind.attributes))
	var failure []attribute.KeyValue
	switch e.Kind {
	case core.EventSaved:
		return
	case core.EventReplayed:
		o.conflicts.Add(ctx, 1, metric.WithAttributes(keyOutcome.String(replayed)))
	case core.EventStoreError:
		if failure = failureAttributes(e.Err); failure != nil {
			o.failures.Add(ctx, 1, metric.WithAttributes(failure...))
		}
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.AddEvent("session "+string(e.Kind), trace.WithAttributes(append(eventKind{e.Kind, e.Cause}.attributes(), failure...)...))
	}
}

// An eventKind is what is told of an event: no user, and no handle.
type eventKind struct {
	kind  core.EventKind
	cause core.Cause
}

func (k eventKind) attributes() []attribute.KeyValue {
	attrs := []attribute.KeyValue{keyEvent.String(string(k.kind))}
	if k.cause != "" {
		attrs = append(attrs, keyCause.String(string(k.cause)))
	}
	return attrs
}

// failureAttributes returns what may be told of a failure of a store, nil where it is none.
func failureAttributes(err error) []attribute.KeyValue {
	var failure *store.Error
	if !errors.As(err, &failure) {
		return nil
	}
	return []attribute.KeyValue{keyStore.String(failure.Store), keyVerb.String(failure.Verb), keyError.String(errorType(err))}
}

// ObserveStore implements [core.StoreObserver].
func (o *Observer) ObserveStore(ctx context.Context, call core.StoreCall) {
	attrs := o.verbs.of(call.Verb, verbAttributes)
	if failure := (*store.Error)(nil); errors.As(call.Err, &failure) {
		attrs = metric.WithAttributes(keyVerb.String(call.Verb), keyError.String(errorType(call.Err)))
	}
	o.calls.Record(ctx, call.Duration.Seconds(), attrs)
}

func operationAttributes(op core.Operation) []attribute.KeyValue {
	return []attribute.KeyValue{keyOperation.String(string(op))}
}

func verbAttributes(verb string) []attribute.KeyValue {
	return []attribute.KeyValue{keyVerb.String(verb)}
}

// attributeSets remembers sets of attributes: to make one costs more than to count. There
// are as few keys as there are sets. The zero value is ready to use.
type attributeSets[K comparable] struct {
	mu   sync.RWMutex
	sets map[K]metric.MeasurementOption
}

// of returns the set for a key, which attributes makes the first time.
func (s *attributeSets[K]) of(key K, attributes func(K) []attribute.KeyValue) metric.MeasurementOption {
	s.mu.RLock()
	set, ok := s.sets[key]
	s.mu.RUnlock()
	if ok {
		return set
	}
	set = metric.WithAttributeSet(attribute.NewSet(attributes(key)...))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sets == nil {
		s.sets = make(map[K]metric.MeasurementOption)
	}
	s.sets[key] = set
	return set
}

// Start implements [core.Tracer].
func (o *Observer) Start(ctx context.Context, op core.Operation) (context.Context, func(error)) {
	began := time.Now()
	ctx, span := o.tracer.Start(ctx, "session "+string(op), trace.WithTimestamp(began), trace.WithAttributes(keyOperation.String(string(op))))
	return ctx, func(err error) {
		attrs := o.operations.of(op, operationAttributes)
		if err != nil {
			reason := keyError.String(errorType(err))
			span.SetAttributes(reason)
			span.SetStatus(codes.Error, err.Error())
			attrs = metric.WithAttributes(keyOperation.String(string(op)), reason)
		}
		if errors.Is(err, store.ErrConflict) {
			o.conflicts.Add(ctx, 1, metric.WithAttributes(keyOutcome.String(failed)))
		}
		ended := time.Now()
		o.durations.Record(ctx, ended.Sub(began).Seconds(), attrs)
		span.End(trace.WithTimestamp(ended))
	}
}

// errorTypes are the values of error.type that are not the class of a store's
// error.
var errorTypes = []struct {
	err  error
	name string
}{
	{core.ErrSessionGone, "session_gone"},
	{store.ErrConflict, "conflict"},
	{core.ErrTooManySessions, "too_many_sessions"},
	{store.ErrNotFound, "not_found"},
	{core.ErrUnknownOutcome, "unknown_outcome"},
	{core.ErrDegraded, "degraded"},
	{core.ErrTooLarge, "too_large"},
	{core.ErrTooManyKeys, "too_many_keys"},
	{context.Canceled, "canceled"},
	{context.DeadlineExceeded, "timeout"},
}

// errorType returns a name of which there are few.
func errorType(err error) string {
	var failure *store.Error
	if errors.As(err, &failure) && failure.Class != "" {
		return failure.Class
	}
	for _, t := range errorTypes {
		if errors.Is(err, t.err) {
			return t.name
		}
	}
	return "_OTHER"
}
