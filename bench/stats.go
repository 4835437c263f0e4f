package main

import (
	"cmp"
	"slices"
	"time"
)

// quantile returns the value below which that part of the values lie.
func quantile[T cmp.Ordered](values []T, part float64) T {
	var zero T
	if len(values) == 0 {
		return zero
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}

func median[T cmp.Ordered](values []T) T { return quantile(values, 0.5) }

// spread is half the distance between the quartiles, as a part of the median.
func spread[T int64 | float64 | time.Duration](values []T) float64 {
	m := median(values)
	if m == 0 {
		return 0
	}
	return float64(quantile(values, 0.75)-quantile(values, 0.25)) / 2 / float64(m)
}

// ratio compares what was measured in the same rounds: the median of the
// quotients, because what disturbs a round disturbs both.
func ratio[T int64 | float64 | time.Duration](a, b []T) float64 {
	var quotients []float64
	for i := range min(len(a), len(b)) {
		if b[i] != 0 {
			quotients = append(quotients, float64(a[i])/float64(b[i]))
		}
	}
	return median(quotients)
}
