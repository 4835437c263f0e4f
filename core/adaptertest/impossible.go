package adaptertest

import "github.com/cloakroom-go/cloakroom/core/internal/state"

// A test binary that has this package finds out where core meets what cannot occur.
func init() {
	former := state.Impossible
	state.Impossible = func(what string) {
		if former != nil {
			former(what)
		}
		panic("cloakroom: impossible: " + what)
	}
}
