// Command opentelemetry counts a visitor's views, and shows what happens to sessions: as
// metrics for Prometheus at :9464/metrics, and as traces on standard output.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/otelsession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const views core.Key[int] = "views"

func main() {
	// Metrics are collected when Prometheus asks; spans are written when they end.
	metrics, err := prometheus.New()
	if err != nil {
		log.Fatal(err)
	}
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(metrics)))
	traces, err := stdouttrace.New(stdouttrace.WithPrettyPrint())
	if err != nil {
		log.Fatal(err)
	}
	tracing := sdktrace.NewTracerProvider(sdktrace.WithSyncer(traces)) // in production: WithBatcher
	otel.SetTracerProvider(tracing)

	store := memorystore.New(memorystore.Options{})
	observer, err := otelsession.New(otelsession.Options{Counter: store}) // Counter: how many sessions live
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := core.New(core.Config{
		Store:    store,
		Secrets:  []string{os.Getenv("SESSION_SECRET")},
		Observer: core.Observers(observer, core.LogObserver(nil)), // and an audit log, on standard error
	})
	if err != nil {
		log.Fatal(err)
	}

	app := http.NewServeMux()
	app.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "Number of views: %d\n", views.Update(core.FromContext(r.Context()), func(n int) int { return n + 1 }))
	})
	app.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if err := s.SignIn(r.Context(), r.PostFormValue("user")); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprintf(w, "Hello, %s!\n", s.User())
	})

	// What looks after the app asks at another port, which visitors do not reach.
	operator := http.NewServeMux()
	operator.Handle("GET /metrics", promhttp.Handler())
	operator.Handle("GET /livez", new(core.Probe))
	operator.Handle("GET /readyz", &core.Probe{Check: sessions.Ping})

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for variable, server := range map[string]*http.Server{
		"PORT":         {Addr: "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080"), Handler: traced(tracing, sessions.Handler(app))},
		"METRICS_PORT": {Addr: "127.0.0.1:" + cmp.Or(os.Getenv("METRICS_PORT"), "9464"), Handler: operator},
	} {
		go func() {
			if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
				log.Fatalf("%s: %v", variable, err)
			}
		}()
	}
	<-ctx.Done()
}

// traced makes a span of each request, as otelhttp, otelgin and otelecho do.
func traced(provider *sdktrace.TracerProvider, next http.Handler) http.Handler {
	tracer := provider.Tracer("app")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := tracer.Start(r.Context(), r.Method)
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
