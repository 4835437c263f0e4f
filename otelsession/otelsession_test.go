package otelsession_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/internal/suite"
	"github.com/cloakroom-go/cloakroom/otelsession"
)

func TestMain(m *testing.M) { suite.Main(m) }

// A station is an app that is observed.
type station struct {
	*core.Manager
	t      *testing.T
	store  *tracedStore
	spans  *tracetest.InMemoryExporter
	tracer trace.Tracer // the app's
	reader *sdkmetric.ManualReader
}

func newStation(t *testing.T) *station {
	t.Helper()
	st := &station{
		t: t, spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader(),
		store: &tracedStore{Store: adaptertest.NewStore(), index: adaptertest.NewStore()},
	}
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(st.spans))
	st.tracer = tracers.Tracer("app")
	st.store.tracer = tracers.Tracer("driver")
	observer, err := otelsession.New(otelsession.Options{
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(st.reader)),
		TracerProvider: tracers,
	})
	if err != nil {
		t.Fatal(err)
	}
	st.Manager = manager(t, core.Config{Store: st.store, Observer: observer, MaxSessionsPerUser: 5, StoreTimeout: time.Second})
	return st
}

func manager(t *testing.T, cfg core.Config) *core.Manager {
	t.Helper()
	cfg.Secrets = []string{"0123456789abcdef0123456789abcdef"}
	m, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// request is one of a browser with a cookie. It returns the cookie that the
// browser has then.
func (st *station) request(cookie string, do func(ctx context.Context, s *core.Session)) string {
	st.t.Helper()
	ctx, span := st.tracer.Start(context.Background(), "request")
	defer span.End()
	s, err := st.Load(ctx, cookie)
	if err != nil {
		return cookie
	}
	do(ctx, s)
	header, err := st.Commit(ctx, s, true)
	if err != nil || header == "" {
		return cookie
	}
	value, _, _ := strings.Cut(strings.TrimPrefix(header, "sid="), ";")
	return value
}

func nothing(context.Context, *core.Session) {}

// A tracedStore is one whose calls are spans, as an instrumented driver's are.
type tracedStore struct {
	store.Store
	index  store.Store
	tracer trace.Tracer

	mu   sync.Mutex
	fail error
	once func() // is called before the next Update
}

func (s *tracedStore) call(ctx context.Context, verb string) error {
	_, span := s.tracer.Start(ctx, verb)
	defer span.End()
	s.mu.Lock()
	fail, once := s.fail, s.once
	if verb == "update" {
		s.once = nil
	}
	s.mu.Unlock()
	if verb == "update" && once != nil {
		once()
	}
	return fail
}

func (s *tracedStore) Load(ctx context.Context, id string) (store.Record, error) {
	if err := s.call(ctx, "load"); err != nil {
		return store.Record{}, err
	}
	return s.Store.Load(ctx, id)
}

func (s *tracedStore) Update(ctx context.Context, old, next store.Record) error {
	if err := s.call(ctx, "update"); err != nil {
		return err
	}
	return s.Store.Update(ctx, old, next)
}

func (s *tracedStore) UserIndex() store.Store { return s.index }

func (s *tracedStore) Inspect(ctx context.Context, ids []string) (found []store.Record, err error) {
	for _, id := range ids {
		if rec, err := s.Store.Load(ctx, id); err == nil {
			rec.TTL = time.Hour
			found = append(found, rec)
		}
	}
	return found, s.call(ctx, "inspect")
}

// counted returns the points of a metric: their values, or how many there were
// for a histogram, by their attributes.
func (st *station) counted(name string) map[string]int64 {
	st.t.Helper()
	var all metricdata.ResourceMetrics
	if err := st.reader.Collect(context.Background(), &all); err != nil {
		st.t.Fatal(err)
	}
	points := make(map[string]int64)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					points[p.Attributes.Encoded(encoder{})] = p.Value
				}
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					if p.Value > 0 { // some begin at zero
						points[p.Attributes.Encoded(encoder{})] = p.Value
					}
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					points[p.Attributes.Encoded(encoder{})] = int64(p.Count)
					if p.Sum <= 0 || p.Sum > 60 {
						st.t.Errorf("%s: %v s", name, p.Sum)
					}
				}
			}
		}
	}
	return points
}

func (st *station) expect(name string, want map[string]int64) {
	st.t.Helper()
	if got := st.counted(name); !maps.Equal(got, want) {
		st.t.Errorf("%s is %v, want %v", name, got, want)
	}
}

func TestMetrics(t *testing.T) {
	st := newStation(t)
	cookie := st.request("", func(_ context.Context, s *core.Session) { s.Set("n", 1) })
	st.request(cookie, nothing)
	st.request("s%3Aforged.signature", nothing)

	// Another process is faster.
	other := manager(t, core.Config{Store: st.store.Store})
	st.store.once = func() {
		s, err := other.Load(t.Context(), cookie)
		if err != nil {
			t.Error(err)
		}
		s.Set("other", 1)
		if _, err := other.Commit(t.Context(), s, true); err != nil {
			t.Error(err)
		}
	}
	st.request(cookie, func(_ context.Context, s *core.Session) { s.Set("n", 2) })

	cookie = st.request(cookie, func(ctx context.Context, s *core.Session) { _ = s.SignIn(ctx, "ada") })
	st.request(cookie, func(ctx context.Context, s *core.Session) {
		for range st.Sessions(ctx, "ada") {
			break
		}
		if err := st.RevokeUser(ctx, "ada"); err != nil {
			t.Error(err)
		}
	})
	st.request(cookie, nothing)

	st.store.fail = &store.Error{Store: "test", Verb: "load", Class: "connection failed"}
	st.request(cookie, nothing)

	st.expect("cloakroom.session.events", map[string]int64{
		"event=created": 1, "event=saved": 1, "event=forged": 1, "event=replayed": 1,
		"event=renewed": 1, "event=signed-in": 1, "cause=revoke-user event=revoked": 1,
		"event=unknown": 1, "event=store-failed": 1, "cause=logged event=outage": 1,
	})
	st.expect("cloakroom.session.conflicts", map[string]int64{"outcome=replayed": 1})
	st.expect("cloakroom.session.store.errors", map[string]int64{"store=test verb=load error.type=connection failed": 1})
	st.expect("cloakroom.session.operation.duration", map[string]int64{
		"operation=commit": 3, "operation=load": 5, "operation=list": 1, "operation=revoke": 1,
		"operation=load error.type=connection failed": 1,
	})
	st.expect("cloakroom.session.store.call.duration", map[string]int64{
		"verb=create": 3, "verb=delete": 1, "verb=inspect": 2, "verb=load": 9, "verb=update": 5,
		"verb=load error.type=connection failed": 1,
	})
}

func TestAConflictThatIsNotWonIsCounted(t *testing.T) {
	st := newStation(t)
	cookie := st.request("", func(_ context.Context, s *core.Session) { s.Set("n", 1) })
	st.request(cookie, func(_ context.Context, s *core.Session) {
		st.store.mu.Lock()
		st.store.fail = store.ErrConflict // of Update; Load fails with it as well
		st.store.mu.Unlock()
		s.Set("n", 2)
	})
	if got := st.counted("cloakroom.session.conflicts")["outcome=failed"]; got != 1 {
		t.Errorf("%d conflicts that failed, want 1: %v", got, st.counted("cloakroom.session.conflicts"))
	}
}

func TestSpans(t *testing.T) {
	st := newStation(t)
	cookie := st.request("", func(ctx context.Context, s *core.Session) { _ = s.SignIn(ctx, "ada-of-the-users") })
	st.spans.Reset()
	st.request(cookie, func(_ context.Context, s *core.Session) { s.Set("secret", "of the session") })

	names := make(map[trace.SpanID]string)
	for _, span := range st.spans.GetSpans() {
		names[span.SpanContext.SpanID()] = span.Name
	}
	var tree []string
	for _, span := range st.spans.GetSpans() {
		tree = append(tree, names[span.Parent.SpanID()]+" > "+span.Name)
		if span.EndTime.Before(span.StartTime) || span.Status.Code == codes.Error {
			t.Errorf("%s ends before it begins, or failed: %v", span.Name, span.Status)
		}
	}
	slices.Sort(tree)
	want := []string{" > request", "request > session commit", "request > session load", "session commit > update", "session load > load"}
	if !slices.Equal(tree, want) {
		t.Errorf("the spans are %q, want %q", tree, want)
	}
}

func TestFailuresAndEventsAreInTheSpans(t *testing.T) {
	st := newStation(t)
	cookie := st.request("", func(ctx context.Context, s *core.Session) { _ = s.SignIn(ctx, "ada-of-the-users") })
	var events []string
	for _, span := range st.spans.GetSpans() {
		if span.Name == "request" {
			for _, e := range span.Events {
				events = append(events, e.Name)
			}
		}
	}
	if want := []string{"session created", "session signed-in"}; !slices.Equal(events, want) {
		t.Errorf("the events of the request are %q, want %q", events, want)
	}

	st.spans.Reset()
	st.request(cookie, func(ctx context.Context, s *core.Session) {
		if err := st.RevokeUser(ctx, "ada-of-the-users"); err != nil {
			t.Error(err)
		}
		s.Set("n", 1)
	})
	st.store.fail = &store.Error{Store: "test", Verb: "load", Class: "connection failed", Err: errors.New("refused")}
	st.request(cookie, nothing)
	failed := make(map[string]string)
	for _, span := range st.spans.GetSpans() {
		if span.Status.Code != codes.Error {
			continue
		}
		for _, a := range span.Attributes {
			if a.Key == "error.type" {
				failed[span.Name] = a.Value.AsString()
			}
		}
	}
	if want := map[string]string{"session commit": "session_gone", "session load": "connection failed"}; !maps.Equal(failed, want) {
		t.Errorf("the spans that failed are %v, want %v", failed, want)
	}
	// Nothing that is nobody's business is in them.
	text := fmt.Sprintf("%+v", st.spans.GetSpans())
	for _, secret := range []string{"ada-of-the-users", strings.TrimPrefix(cookie, "s%3A")[:20]} {
		if strings.Contains(text, secret) {
			t.Errorf("the spans have %q in them", secret)
		}
	}
}

func TestByDefaultTheGlobalProvidersAreUsed(t *testing.T) {
	before := otel.GetTracerProvider()
	defer otel.SetTracerProvider(before)
	spans := tracetest.NewInMemoryExporter()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)))
	observer, err := otelsession.New(otelsession.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, end := observer.Start(t.Context(), core.OpLoad)
	end(nil)
	if n := len(spans.GetSpans()); n != 1 {
		t.Errorf("%d spans, want 1", n)
	}
	observer.Observe(t.Context(), core.Event{Kind: core.EventForged}) // to nobody
}

func TestNewReportsWhatTheProviderRefuses(t *testing.T) {
	if _, err := otelsession.New(otelsession.Options{MeterProvider: refusing{}}); !errors.Is(err, errRefused) {
		t.Errorf("New: %v", err)
	}
}

// A count that may take no time never succeeds, and one that is always due comes with every
// collection.
func TestTimesThatCannotBeAreRefused(t *testing.T) {
	for want, o := range map[string]otelsession.Options{
		"CountInterval is negative":   {CountInterval: -time.Second},
		"CountTimeout is negative":    {CountTimeout: -1},
		"write 60 * time.Second":      {CountInterval: 60},
		"CountTimeout is too short: ": {CountTimeout: time.Millisecond - 1},
	} {
		if _, err := otelsession.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	if _, err := otelsession.New(otelsession.Options{CountInterval: time.Millisecond, CountTimeout: time.Millisecond}); err != nil {
		t.Error(err)
	}
}

var errRefused = errors.New("refused")

type refusing struct{ noop.MeterProvider }

func (refusing) Meter(string, ...metric.MeterOption) metric.Meter { return refusingMeter{} }

type refusingMeter struct{ noop.Meter }

func (refusingMeter) Int64Counter(string, ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return nil, errRefused
}

// encoder writes attributes as name=value, without what all names begin with.
type encoder struct{}

func (encoder) Encode(it attribute.Iterator) string {
	var parts []string
	for it.Next() {
		a := it.Attribute()
		parts = append(parts, strings.TrimPrefix(string(a.Key), "cloakroom.")+"="+a.Value.String())
	}
	return strings.Join(parts, " ")
}

func (encoder) ID() attribute.EncoderID { return attribute.EncoderID{} }
