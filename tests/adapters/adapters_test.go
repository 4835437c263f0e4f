// Package adapters runs the table of package adaptertest over the adapters with
// the memory store, and with what apps mount beside the sessions: compressors,
// timeouts, WebSocket libraries, middleware of net/http.
package adapters

import (
	"testing"

	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/core/store"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
)

func newStore(t *testing.T) store.Store {
	st := memorystore.New(memorystore.Options{})
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return st
}

func TestAdapters(t *testing.T) {
	for _, fw := range soak.Some(t, frameworks.All()) { // each adapter runs all of it beside its own code
		t.Run(fw.Name, func(t *testing.T) { adaptertest.Run(t, fw.Framework, newStore) })
	}
}
