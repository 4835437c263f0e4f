//go:build unix

package main

import (
	"testing"

	"github.com/cloakroom-go/cloakroom/internal/suite"
)

func TestMain(m *testing.M) { suite.Main(m) }

func TestEachKindOfWorkCanBeDone(t *testing.T) {
	t.Setenv("VALKEY_ADDR", "")
	b, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"read", "change", "read 64 KB", "first sign-in", "hundredth sign-in", "sessions", "revocation"} {
		if _, err := b.measure(t.Context(), kind, 1); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for _, kind := range []string{"Valkey read", "nothing"} { // there is none, and no such work
		if _, err := b.measure(t.Context(), kind, 1); err == nil {
			t.Errorf("%s was done", kind)
		}
	}
}
