package otelsession_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/otelsession"
)

// A counter is a store that counts as count does.
type counter struct {
	count func(ctx context.Context) (int, error)
	asked int
}

func (c *counter) Count(ctx context.Context) (int, error) {
	c.asked++
	return c.count(ctx)
}

// counting returns a station of which only the metrics are used.
func counting(t *testing.T, c *counter, o otelsession.Options) *station {
	t.Helper()
	st := &station{t: t, reader: sdkmetric.NewManualReader()}
	o.Counter, o.MeterProvider = c, sdkmetric.NewMeterProvider(sdkmetric.WithReader(st.reader))
	if _, err := otelsession.New(o); err != nil {
		t.Fatal(err)
	}
	return st
}

// live returns what is collected now, and waits for a count that this has begun, unless
// that takes long.
func (st *station) live() map[string]int64 {
	st.t.Helper()
	points := st.counted("cloakroom.session.live")
	synctest.Wait()
	return points
}

func (st *station) expectLive(when string, want map[string]int64) {
	st.t.Helper()
	if got := st.live(); !maps.Equal(got, want) {
		st.t.Errorf("%s: %v sessions, want %v", when, got, want)
	}
}

func sessions(n int64) map[string]int64 { return map[string]int64{"": n} }

func TestLiveSessionsAreCountedOnceInAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{}
		c.count = func(context.Context) (int, error) { return 10 * c.asked, nil }
		st := counting(t, c, otelsession.Options{})
		st.expectLive("before the first count", nil)
		for range 5 {
			st.expectLive("within a minute", sessions(10))
		}
		time.Sleep(time.Minute)
		st.expectLive("a minute later, while it is counted", sessions(10))
		st.expectLive("then", sessions(20))
		if c.asked != 2 {
			t.Errorf("the store was asked %d times, want 2", c.asked)
		}
	})
}

func TestNobodyWaitsForACount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{count: func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }}
		st := counting(t, c, otelsession.Options{CountInterval: 5 * time.Second, CountTimeout: 30 * time.Second})
		began := time.Now()
		for range 3 {
			st.expectLive("while it is counted", nil)
			time.Sleep(8 * time.Second)
		}
		if c.asked != 1 || time.Since(began) != 24*time.Second {
			t.Errorf("%d counts were begun beside each other, and collecting took %v", c.asked, time.Since(began)-24*time.Second)
		}
		time.Sleep(7 * time.Second) // the time is over
		st.expect("cloakroom.session.store.errors", map[string]int64{"store=session verb=count error.type=timeout": 1})
		st.expect("cloakroom.session.store.call.duration", map[string]int64{"verb=count error.type=timeout": 1})
		st.expectLive("after a count that failed", nil)
		if c.asked != 2 {
			t.Errorf("%d counts, want another one", c.asked)
		}
		time.Sleep(30 * time.Second)
	})
}

// A number that is not known is not told, and an old one is not told for a new one.
func TestACountThatFailedIsNoNumber(t *testing.T) {
	before := otel.GetErrorHandler()
	defer otel.SetErrorHandler(before)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	synctest.Test(t, func(t *testing.T) {
		c := &counter{}
		c.count = func(context.Context) (int, error) {
			switch c.asked {
			case 2:
				return 0, &store.Error{Store: "test", Verb: "count", Class: "connection failed"}
			case 4:
				panic("bug in the store")
			}
			return c.asked, nil
		}
		st := counting(t, c, otelsession.Options{CountInterval: time.Second})
		for _, want := range []map[string]int64{nil, sessions(1), nil, sessions(3), nil, sessions(5)} {
			st.expectLive("", want)
			time.Sleep(time.Second)
		}
		st.expect("cloakroom.session.store.errors", map[string]int64{
			"store=test verb=count error.type=connection failed": 1, "store=session verb=count error.type=panic": 1,
		})
	})
}

func TestNothingIsCountedUnasked(t *testing.T) {
	st := newStation(t)
	st.request("", nothing)
	if got := st.counted("cloakroom.session.live"); len(got) > 0 {
		t.Errorf("%v sessions, of which nobody asked for the number", got)
	}
	if _, err := otelsession.New(otelsession.Options{MeterProvider: noop.MeterProvider{}, Counter: &counter{count: func(context.Context) (int, error) {
		return 0, errors.New("asked")
	}}}); err != nil {
		t.Error(err)
	}
}
