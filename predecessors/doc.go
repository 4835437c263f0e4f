// Package predecessors runs the real session libraries that Cloakroom takes sessions
// over from, at pinned versions, beside Gin and Echo with Cloakroom: an app of the former
// library signs a visitor in, and the same browser goes on at the new one.
//
// The module is never released. What it shows is told in docs/migrating.md.
package predecessors
