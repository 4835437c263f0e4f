package promises

import (
	"net/http"
	"slices"
)

// A Subject is a store and the commands by which it does what its verbs ask for.
type Subject struct {
	Name     string
	Troubles []Trouble
}

// Subjects are all of them. docs/reliability.md has what Matrix asserts of each.
func Subjects() []Subject {
	return []Subject{Memory, MemoryOfFive, Valkey, ValkeyCluster, Mongo(false), PostgreSQL, MySQL}
}

// What cannot be sent again by core, a load and an extension, fails its request
// where there is no client that would send it again.
var inMemory = []Trouble{
	{Name: "load", Begin: "/count", Path: "/read", Command: "load", Status: 503, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
	{Name: "load, in the handler", Begin: "/count", Path: "/reload", Command: "load", Nth: 1, Status: 503, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
	{Name: "create", Path: "/count", Command: "create", Write: true, Creates: true, Status: 200, Me: "user=", Count: "1", Live: 1, Before: Left("0", 0, 0), After: Left("0", 1, 0)},
	{Name: "update", Begin: "/count", Path: "/count", Command: "update", Write: true, Status: 200, Me: "user=", Count: "2", Live: 1, Before: Left("1", 1, 0), After: Left("2", 1, 0)},
	{Name: "touch", Begin: "/count", Path: "/touching/read", Command: "touch", Status: 503, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
}

// Memory and MemoryOfFive are stores in memory: with the optional abilities, and
// with the five verbs alone.
var (
	Memory = Subject{"memory", slices.Concat(inMemory, []Trouble{
		{Name: "delete", Begin: "/count", Path: "/leave", Command: "remove", Status: 200, Me: "user=", Count: "0", Live: 0, Again: true, Before: Left("1", 1, 0), After: Left("0", 0, 0)},
		{Name: "replace", Begin: "/count", Path: "/login?user=ann", Command: "replace", Write: true, Status: 200, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: Left("1", 1, 0), After: Left("0", 1, 1)},
	})}
	MemoryOfFive = Subject{"five verbs", slices.Concat(inMemory, []Trouble{
		{Name: "replace, the next", Begin: "/count", Path: "/login?user=ann", Command: "create", Write: true, Creates: true, Status: 200, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: Left("1", 1, 0), After: Left("1", 2, 0)},
		{Name: "replace, the old", Begin: "/count", Path: "/login?user=ann", Command: "update", Write: true, Status: 200, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: Left("1", 2, 0), After: Left("0", 1, 1), Refused: Left("1", 1, 0)},
		{Name: "delete, the tombstone", Begin: "/count", Path: "/leave", Command: "update", Write: true, Status: 200, Me: "user=", Count: "0", Live: 0, Again: true, Before: Left("1", 1, 0), After: Left("0", 0, 1)},
		{Name: "delete", Begin: "/count", Path: "/leave", Command: "delete", Status: 200, Me: "user=", Count: "0", Live: 0, Again: true, Before: Left("0", 0, 1), After: Left("0", 0, 0)},
	})}
)

// Valkey is one server.
var Valkey = Subject{"Valkey", []Trouble{
	{Name: "load", Begin: "/count", Path: "/read", Command: "GET", Status: 200, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
	{Name: "load, in the handler", Begin: "/count", Path: "/reload", Command: "GET", Nth: 1, Status: 200, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
	{Name: "create", Path: "/count", Command: "SET", Write: true, Creates: true, Status: 200, Me: "user=", Count: "1", Live: 1, Before: Left("0", 0, 0), After: Left("0", 1, 0)},
	{Name: "update", Begin: "/count", Path: "/count", Command: "SET", Write: true, Status: 200, Me: "user=", Count: "2", Live: 1, Before: Left("1", 1, 0), After: Left("2", 1, 0)},
	{Name: "update of a large record", Begin: "/large /count", Path: "/count", Command: "EVALSHA", Write: true, Status: 200, Me: "user=", Count: "2", Live: 1, Before: Left("1", 1, 0), After: Left("2", 1, 0)},
	{Name: "replace", Begin: "/count", Path: "/login?user=ann", Command: "EVALSHA", Write: true, Status: 200, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: Left("1", 1, 0), After: Left("0", 1, 1)},
	{Name: "delete", Begin: "/count", Path: "/leave", Command: "EVALSHA", Status: 200, Me: "user=", Count: "0", Live: 0, Again: true, Before: Left("1", 1, 0), After: Left("0", 0, 0)},
	{Name: "touch", Begin: "/count", Path: "/touching/read", Command: "PEXPIRE", Status: 200, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
}}

// ValkeyCluster has no command for two records that live apart.
var ValkeyCluster = Subject{"Valkey cluster", []Trouble{
	{Name: "load", Begin: "/count", Path: "/read", Command: "GET", Status: 200, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
	{Name: "create", Path: "/count", Command: "SET", Write: true, Creates: true, Status: 200, Me: "user=", Count: "1", Live: 1, Before: Left("0", 0, 0), After: Left("0", 1, 0)},
	{Name: "delete", Begin: "/count", Path: "/leave", Command: "EVALSHA", Status: 200, Me: "user=", Count: "0", Live: 0, Again: true, Before: Left("1", 1, 0), After: Left("0", 0, 0)},
	{Name: "touch", Begin: "/count", Path: "/touching/read", Command: "PEXPIRE", Status: 200, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
	{Name: "replace, the next", Begin: "/count", Path: "/login?user=ann", Command: "SET", Write: true, Creates: true, Status: 200, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: Left("1", 1, 0), After: Left("1", 2, 0)},
	{Name: "replace, the old", Begin: "/count", Path: "/login?user=ann", Command: "SET", Nth: 1, Write: true, Status: 200, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: Left("1", 2, 0), After: Left("0", 1, 1), Refused: Left("1", 1, 0)},
	{Name: "update", Begin: "/count", Path: "/count", Command: "SET", Write: true, Status: 200, Me: "user=", Count: "2", Live: 1, Before: Left("1", 1, 0), After: Left("2", 1, 0)},
}}

// Mongo is a server that speaks MongoDB's protocol. All but an extension is done
// again by core. That fails with its request, unless the driver has sent it again:
// it does that with a replica set.
func Mongo(replicaSet bool) Subject {
	extension := http.StatusServiceUnavailable
	if replicaSet {
		extension = http.StatusOK
	}
	return Subject{"MongoDB's protocol", []Trouble{
		{Name: "load", Begin: "/count", Path: "/read", Command: "find", Status: 200, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
		{Name: "load, in the handler", Begin: "/count", Path: "/reload", Command: "find", Nth: 1, Status: 200, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
		{Name: "create", Path: "/count", Command: "insert", Write: true, Creates: true, Status: 200, Me: "user=", Count: "1", Live: 1, Before: Left("0", 0, 0), After: Left("0", 1, 0)},
		{Name: "update", Begin: "/count", Path: "/count", Command: "update", Write: true, Status: 200, Me: "user=", Count: "2", Live: 1, Before: Left("1", 1, 0), After: Left("2", 1, 0)},
		{Name: "update of a large record", Begin: "/large /count", Path: "/count", Command: "update", Write: true, Status: 200, Me: "user=", Count: "2", Live: 1, Before: Left("1", 1, 0), After: Left("2", 1, 0)},
		{Name: "replace, the next", Begin: "/count", Path: "/login?user=ann", Command: "insert", Write: true, Creates: true, Status: 200, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: Left("1", 1, 0), After: Left("1", 2, 0)},
		{Name: "replace, the old", Begin: "/count", Path: "/login?user=ann", Command: "update", Write: true, Status: 200, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: Left("1", 2, 0), After: Left("0", 1, 1), Refused: Left("1", 1, 0)},
		{Name: "delete", Begin: "/count", Path: "/leave", Command: "delete", Status: 200, Me: "user=", Count: "0", Live: 0, Again: true, Before: Left("1", 1, 0), After: Left("0", 0, 0)},
		{Name: "touch", Begin: "/count", Path: "/touching/read", Command: "update", Status: extension, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
	}}
}

// PostgreSQL is one server, and the verbs are what [sqlenv.Verb] finds in the statements.
// The store itself does again what a lost connection leaves open and what may be done
// twice, a load and an extension, but it does not wait for a server that cannot be
// reached.
var PostgreSQL = Subject{"PostgreSQL", []Trouble{
	{Name: "load", Begin: "/count", Path: "/read", Command: "load", Status: 200, Unreached: 503, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
	{Name: "load, in the handler", Begin: "/count", Path: "/reload", Command: "load", Nth: 1, Status: 200, Unreached: 503, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
	{Name: "create", Path: "/count", Command: "create", Write: true, Creates: true, Status: 200, Me: "user=", Count: "1", Live: 1, Before: Left("0", 0, 0), After: Left("0", 1, 0)},
	{Name: "update", Begin: "/count", Path: "/count", Command: "update", Write: true, Status: 200, Me: "user=", Count: "2", Live: 1, Before: Left("1", 1, 0), After: Left("2", 1, 0)},
	{Name: "update of a large record", Begin: "/large /count", Path: "/count", Command: "update", Write: true, Status: 200, Me: "user=", Count: "2", Live: 1, Before: Left("1", 1, 0), After: Left("2", 1, 0)},
	{Name: "replace", Begin: "/count", Path: "/login?user=ann", Command: "replace", Write: true, Status: 200, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: Left("1", 1, 0), After: Left("0", 1, 1)},
	{Name: "delete", Begin: "/count", Path: "/leave", Command: "remove", Status: 200, Me: "user=", Count: "0", Live: 0, Again: true, Before: Left("1", 1, 0), After: Left("0", 0, 0)},
	{Name: "touch", Begin: "/count", Path: "/touching/read", Command: "touch", Status: 200, Unreached: 503, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
}}

// MySQL is one server that speaks MySQL's protocol. It does what PostgreSQL does, but for
// a replacement, which is a transaction: nothing of that is stored before its commit.
var MySQL = Subject{"MySQL's protocol", []Trouble{
	{Name: "load", Begin: "/count", Path: "/read", Command: "load", Status: 200, Unreached: 503, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
	{Name: "load, in the handler", Begin: "/count", Path: "/reload", Command: "load", Nth: 1, Status: 200, Unreached: 503, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
	{Name: "create", Path: "/count", Command: "create", Write: true, Creates: true, Status: 200, Me: "user=", Count: "1", Live: 1, Before: Left("0", 0, 0), After: Left("0", 1, 0)},
	{Name: "update", Begin: "/count", Path: "/count", Command: "update", Write: true, Status: 200, Me: "user=", Count: "2", Live: 1, Before: Left("1", 1, 0), After: Left("2", 1, 0)},
	{Name: "update of a large record", Begin: "/large /count", Path: "/count", Command: "update", Write: true, Status: 200, Me: "user=", Count: "2", Live: 1, Before: Left("1", 1, 0), After: Left("2", 1, 0)},
	{Name: "replace, its begin", Begin: "/count", Path: "/login?user=ann", Command: "begin", Write: true, Status: 200, Unreached: 503, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
	{Name: "replace, the next", Begin: "/count", Path: "/login?user=ann", Command: "create", Restart: "begin", Write: true, Status: 200, Unreached: 503, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
	{Name: "replace, the old", Begin: "/count", Path: "/login?user=ann", Command: "update", Restart: "begin", Write: true, Status: 200, Unreached: 503, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
	{Name: "replace, its commit", Begin: "/count", Path: "/login?user=ann", Command: "commit", Restart: "begin", Write: true, Status: 200, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: Left("1", 1, 0), After: Left("0", 1, 1)},
	{Name: "delete", Begin: "/count", Path: "/leave", Command: "remove", Status: 200, Me: "user=", Count: "0", Live: 0, Again: true, Before: Left("1", 1, 0), After: Left("0", 0, 0)},
	{Name: "touch", Begin: "/count", Path: "/touching/read", Command: "touch", Status: 200, Unreached: 503, Me: "user=", Count: "1", Live: 1, Before: Left("1", 1, 0), After: Left("1", 1, 0)},
}}
