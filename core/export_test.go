package core

import (
	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
)

func init() {
	state.Impossible = func(what string) { panic("cloakroom: impossible: " + what) }
}

// Sign returns the value of the cookie for a session id.
func Sign(secret, id string) string { return ticket.NewSigner([]string{secret}).Sign(id) }

// Remembers reports whether a Manager remembers what is in a sealed cookie.
func Remembers(m *Manager, value string) bool {
	known, _ := m.keys.Load().opened.Get(value)
	return known != nil
}

// Verify returns the id in the value of a cookie.
func Verify(secrets []string, value string) (id string, outdated, ok bool) {
	id, verdict := ticket.NewSigner(secrets).Verify(value)
	return id, verdict == ticket.Outdated, verdict >= ticket.Outdated
}
