package core

import (
	"context"

	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
	"github.com/cloakroom-go/cloakroom/core/store"
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

// NewRecentEnds returns what a process remembers of the ends of sealed sessions, and how many
// there are.
func NewRecentEnds() (ends store.Store, count func() int) {
	r := new(recentEnds)
	return r, func() int { return len(r.ends) }
}

// Remembers reports whether m remembers when the session with an id was extended last.
func (m *Manager) Remembers(id string) bool { return !m.extended.Last(m.storeKey(id)).At.IsZero() }

// IsLocked reports whether somebody holds the lock of a session.
func IsLocked(s *Session) bool {
	if s.x.mu.TryLock() {
		s.x.mu.Unlock()
		return false
	}
	return true
}

// Waiting returns how often somebody waits for the end of a session.
func (m *Manager) Waiting() (n int) {
	m.endings.mu.Lock()
	defer m.endings.mu.Unlock()
	for _, end := range m.endings.byKey {
		n += end.waiting
	}
	return n
}

// Answers returns how many answers that a handler made by hand its request has in mind.
func Answers(ctx context.Context) int {
	n := exchangeOf(ctx).nested()
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.answers)
}
