package core

import (
	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
	"github.com/cloakroom-go/cloakroom/core/store"
)

func init() {
	state.Impossible = func(what string) { panic("cloakroom: impossible: " + what) }
}

// Sign returns the value of the cookie for a session id.
func Sign(secret, id string) string { return ticket.NewSigner([]string{secret}).Sign(id) }

// Verify returns the id in the value of a cookie.
func Verify(secrets []string, value string) (id string, outdated, ok bool) {
	id, verdict := ticket.NewSigner(secrets).Verify(value)
	return id, verdict == ticket.Outdated, verdict >= ticket.Outdated
}

// NewRecentEnds returns what a process remembers of the ends of sealed sessions, and how many
// there are.
func NewRecentEnds() (ends store.Store, count func() int) {
	r := new(recentEnds)
	return r, func() int { return len(r.records) }
}
