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
//	cloakroom.session.operation.duration  histogram, s       operation, error.type
//	cloakroom.session.events              counter            event, cause
//	cloakroom.session.conflicts           counter            outcome
//	cloakroom.session.store.errors        counter            store, verb, error.type
//
// An operation is what a request waits for because of its session: the load, the
// commit, and so on, see [core.Operation]. A conflict is a write that another
// request was faster than; its outcome is "replayed", where the changes were
// stored on top of the other's, or "failed", where the time was not enough. The
// names of the attributes begin with cloakroom., but for error.type.
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
}

// An Observer is a [core.Observer] and a [core.Tracer] that tells OpenTelemetry.
type Observer struct {
	tracer    trace.Tracer
	durations metric.Float64Histogram
	events    metric.Int64Counter
	conflicts metric.Int64Counter
	failures  metric.Int64Counter
}

var _ core.Tracer = (*Observer)(nil)

// buckets are for what takes microseconds in memory, and a millisecond on a
// network.
var buckets = []float64{
	.00001, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5,
}

// New returns an Observer. The error is one of the MeterProvider.
func New(o Options) (*Observer, error) {
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
	events, err2 := meter.Int64Counter("cloakroom.session.events", metric.WithUnit("{event}"),
		metric.WithDescription("What happened to sessions."))
	conflicts, err3 := meter.Int64Counter("cloakroom.session.conflicts", metric.WithUnit("{conflict}"),
		metric.WithDescription("Writes that another request was faster than."))
	failures, err4 := meter.Int64Counter("cloakroom.session.store.errors", metric.WithUnit("{error}"),
		metric.WithDescription("Calls of the session store that failed."))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	return &Observer{o.TracerProvider.Tracer(scope), durations, events, conflicts, failures}, nil
}

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
	attrs := []attribute.KeyValue{keyEvent.String(string(e.Kind))}
	if e.Cause != "" {
		attrs = append(attrs, keyCause.String(string(e.Cause)))
	}
	o.events.Add(ctx, 1, metric.WithAttributes(attrs...))
	switch e.Kind {
	case core.EventSaved:
		return
	case core.EventReplayed:
		o.conflicts.Add(ctx, 1, metric.WithAttributes(keyOutcome.String("replayed")))
	case core.EventStoreError:
		var failure *store.Error
		if errors.As(e.Err, &failure) {
			attrs = append(attrs, keyStore.String(failure.Store), keyVerb.String(failure.Verb), keyError.String(errorType(e.Err)))
			o.failures.Add(ctx, 1, metric.WithAttributes(attrs[1:]...))
		}
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.AddEvent("session "+string(e.Kind), trace.WithAttributes(attrs...))
	}
}

// Start implements [core.Tracer].
func (o *Observer) Start(ctx context.Context, op core.Operation) (context.Context, func(error)) {
	began := time.Now()
	attrs := []attribute.KeyValue{keyOperation.String(string(op))}
	ctx, span := o.tracer.Start(ctx, "session "+string(op), trace.WithTimestamp(began), trace.WithAttributes(attrs...))
	return ctx, func(err error) {
		if err != nil {
			attrs = append(attrs, keyError.String(errorType(err)))
			span.SetAttributes(attrs[1])
			span.SetStatus(codes.Error, err.Error())
		}
		if errors.Is(err, store.ErrConflict) {
			o.conflicts.Add(ctx, 1, metric.WithAttributes(keyOutcome.String("failed")))
		}
		ended := time.Now()
		o.durations.Record(ctx, ended.Sub(began).Seconds(), metric.WithAttributes(attrs...))
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
