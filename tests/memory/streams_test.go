package memory

import (
	"testing"

	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
)

// Standards: ASVS-7.4.1, ASVS-7.4.2
func TestEndsAreTold(t *testing.T) {
	t.Parallel()
	st := memorystore.New(memorystore.Options{})
	defer st.Close()
	promises.Ends(t, st, st)
	promises.EndsAtRandom(t, st, st, 100, 20_000)
}
