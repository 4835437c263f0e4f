//go:build !race

// The race detector allocates, too.

package seal_test

import "testing"

func TestAMarkIsVerifiedWithoutAllocating(t *testing.T) {
	m := marker(t, "purpose", newSecret)
	mark, id := m.Mark("1760000000", "a thumbprint", "an id"), "an id"
	if n := testing.AllocsPerRun(100, func() { m.Verify(mark, "1760000000", "a thumbprint", id) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}
