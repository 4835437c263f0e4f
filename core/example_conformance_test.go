package core_test

import (
	"testing"

	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
)

func TestTheStoreOfTheExampleKeepsTheContract(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for what expires")
	}
	t.Parallel()
	storetest.Run(t, func(*testing.T) store.Store {
		return &tinyStore{records: make(map[string]tinyRecord)}
	})
}
