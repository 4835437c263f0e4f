package storetest_test

import (
	"testing"

	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
)

// This is the whole test of a store. On a server, open would give each store a
// key prefix or a table of its own and remove it with t.Cleanup.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestStore(t *testing.T)
		storetest.Run(t, func(t *testing.T) store.Store {
			return new(mapstore.Store)
		})
	}
}
