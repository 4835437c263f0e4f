#!/usr/bin/env bash
# The number of live sessions, in the unit "1", is called a ratio in Prometheus if it is a gauge, and not if it is an UpDownCounter.
#
# With: go.opentelemetry.io/otel/exporters/prometheus v0.69.0, go.opentelemetry.io/otel/sdk/metric v1.47.0; 2026-11-29
# Guess: "1" is the unit of what has none and adds nothing to a name; or it adds the same to both, since both are gauges in Prometheus.
# Happens: It adds _ratio to a gauge's name only. A unit in braces, {session}, adds nothing anywhere.
# Seen:
#   gauge_braces
#   gauge_one_ratio
#   logins_braces_total
#   logins_one_total
#   updown_braces
#   updown_one
# Matters: Who changes the instrument, because the store can count and need not add up, renames the metric: dashboards are empty and alerts silent. Give
#   things the unit {session}, as the semantic conventions do, and test the exported names.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get go.opentelemetry.io/otel/exporters/prometheus@v0.69.0 go.opentelemetry.io/otel/sdk/metric@v1.47.0 github.com/prometheus/client_golang@v1.25.0
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
)

func main() {
	registry := prometheus.NewRegistry()
	e, err := exporter.New(exporter.WithRegisterer(registry), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo())
	if err != nil {
		panic(err)
	}
	meter, ctx := sdk.NewMeterProvider(sdk.WithReader(e)).Meter("finding"), context.Background()
	for name, unit := range map[string]string{"one": "1", "braces": "{session}"} {
		live, _ := meter.Int64UpDownCounter("updown."+name, metric.WithUnit(unit))
		live.Add(ctx, 1)
		gauge, _ := meter.Int64Gauge("gauge."+name, metric.WithUnit(unit))
		gauge.Record(ctx, 1)
		logins, _ := meter.Int64Counter("logins."+name, metric.WithUnit(unit))
		logins.Add(ctx, 1)
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if !strings.HasPrefix(line, "#") {
			fmt.Print(strings.Fields(line)[0], "\n")
		}
	}
}
GO
go run . | seen
