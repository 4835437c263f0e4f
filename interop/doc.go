// Package interop holds the tests that run the real express-session beside
// Cloakroom: one Express app, and the same app in Gin and in Echo, on the same
// sessions in the same database at the same time.
//
// They need Node.js 20 or newer with npm, and the servers of scripts/servers.sh;
// `make interop` runs them. What they found is told in docs/express.md.
package interop
