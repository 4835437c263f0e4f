package memory

import (
	"testing"

	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
)

// Standards: ASVS-7.1.2, ASVS-7.4.2, ASVS-7.4.3, WSTG-SESS-11
func TestUsersOfThreeManagers(t *testing.T) {
	t.Parallel()
	promises.UsersWithin(t, memorystore.New(memorystore.Options{}))
}
