// Package soak tells tests how long to go on. By default they are short; make
// soak runs their long forms.
package soak

import (
	"os"
	"testing"
	"time"
)

// For returns for how long a test goes on, by the environment variable SOAK, and
// 0 where it is to be short.
func For(tb testing.TB) time.Duration {
	tb.Helper()
	text := os.Getenv("SOAK")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		tb.Fatalf("SOAK is %q, want a time such as 10m", text)
	}
	return d
}

// Some returns the first of what a test goes through, and all of it in the long form:
// for what another test goes through as well, with something else in its place.
func Some[T any](tb testing.TB, all []T) []T {
	tb.Helper()
	if For(tb) == 0 {
		return all[:1]
	}
	return all
}
