#!/usr/bin/env bash
# A Prometheus counter is a counter or of unknown type, depending on the Accept header of who asks.
#
# With: github.com/prometheus/client_golang v1.25.0; 2026-11-29
# Guess: A counter registered as "session_logins" is one in every answer of /metrics.
# Happens: OpenMetrics demands that a counter's name ends in _total. For who accepts that format, as Prometheus itself does, one that does not is sent
#   as "unknown", without a warning at registration or in the answer; for curl it stays a counter.
# Seen:
#   curl: # TYPE session_logins counter
#   curl: session_logins 3
#   OpenMetrics: # TYPE session_logins unknown
#   OpenMetrics: session_logins 3.0
# Matters: Whatever goes by the type, such as a dashboard that offers rate() or a gateway that converts to OpenTelemetry's sums, treats logins as
#   a gauge, and nothing that a person sees in the browser explains it. Name counters with _total from the start.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/prometheus/client_golang@v1.25.0
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func main() {
	registry := prometheus.NewRegistry()
	logins := prometheus.NewCounter(prometheus.CounterOpts{Name: "session_logins", Help: "Logins."})
	registry.MustRegister(logins)
	logins.Add(3)
	h := promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	for _, accept := range []string{"*/*", "application/openmetrics-text;version=1.0.0"} {
		r, w := httptest.NewRequest("GET", "/metrics", nil), httptest.NewRecorder()
		r.Header.Set("Accept", accept)
		h.ServeHTTP(w, r)
		for line := range strings.Lines(w.Body.String()) {
			if strings.Contains(line, "session_") && !strings.HasPrefix(line, "# HELP") {
				fmt.Printf("%s: %s", map[bool]string{true: "curl", false: "OpenMetrics"}[accept == "*/*"], line)
			}
		}
	}
}
GO
go run . | seen
