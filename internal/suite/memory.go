package suite

import "runtime/metrics"

// Roughly is by how many bytes Allocated may be wrong.
const Roughly = 4 << 20

// Allocated returns how many bytes fn allocates, roughly: the runtime counts what
// is left of small allocations later.
func Allocated(fn func()) int {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	fn()
	metrics.Read(sample)
	return int(sample[0].Value.Uint64() - before) //nolint:gosec // no test allocates that much
}
