package core

import "runtime/metrics"

// Sign returns the value of the cookie for a session id.
func Sign(secret, id string) string { return newSigner([]string{secret}).sign(id) }

// Verify returns the id in the value of a cookie.
func Verify(secrets []string, value string) (id string, outdated, ok bool) {
	return newSigner(secrets).verify(value)
}

// Allocated returns how many bytes fn allocates, roughly: the runtime counts what
// is left of small allocations later.
func Allocated(fn func()) int {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	fn()
	metrics.Read(sample)
	return int(sample[0].Value.Uint64() - before)
}

// Roughly is by how many bytes Allocated may be wrong.
const Roughly = 4 << 20
