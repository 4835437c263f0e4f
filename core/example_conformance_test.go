package core_test

import (
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/storetest"
)

func TestTheStoreOfTheExampleKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) core.Store {
		return &tinyStore{records: make(map[string]tinyRecord)}
	})
}
