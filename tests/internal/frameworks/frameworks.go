// Package frameworks serves the apps of package adaptertest by each framework
// that Cloakroom has an adapter for.
package frameworks

import "github.com/cloakroom-go/cloakroom/core/adaptertest"

// A Named is a framework with its name.
type Named struct {
	Name string
	adaptertest.Framework
}

// All returns the frameworks, net/http itself among them.
func All() []Named {
	return []Named{
		{"net/http", adaptertest.NetHTTP()},
		{"Gin", adaptertest.Framework{Serve: serveGin, Gzip: true, Guards: true}},
		{"Echo v4", adaptertest.Framework{Serve: serveEcho, Gzip: true, Guards: true}},
		{"Echo v5", adaptertest.Framework{Serve: serveEchoV5, Gzip: true, Guards: true}},
	}
}
