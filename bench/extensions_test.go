//go:build !race

// One goroutine sends 400,000 requests: the race detector takes long and finds nothing.

package main

import "testing"

const extensions = "extensions of a thousand loads"

func TestGateExtensions(t *testing.T) {
	again, loads, err := countExtensions()
	if err != nil {
		t.Fatal(err)
	}
	where := line(extensions, subject{library: libraryName, on: onHTTP, store: memory})
	if got, most := (again*1000+loads-1)/loads, readGate(t)[where][manySessions.name]; got > most {
		t.Errorf("%s: %d %s, want at most %d", where, got, extensions, most)
	}
	t.Logf("of %d loads %d extended again", loads, again)
}
