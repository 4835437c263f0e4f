// Package valkeystore keeps sessions in Valkey, or in Redis 6.2 and newer: on
// one server, behind Sentinels, or in a cluster. It is the store for an app of
// which several instances run.
//
//	client, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{"127.0.0.1:6379"}})
//	...
//	store, err := valkeystore.New(client, valkeystore.Options{})
//	...
//	cfg := core.Config{Store: store, ...}
//
// [Open] makes the client from a URL, for who needs it for nothing else.
//
// A session is a string under "sess:" and its id, as connect-redis keeps it, so
// that an Express app can use the same sessions at the same time. A key of another
// type is [store.ErrUndecodable]. The list of a
// user's sessions is a string as well, under "user-sess:" and a hash. Expiry is the
// server's own, relative to its clock.
//
// # What a request costs
//
// A request that only reads is one GET, and once per Config.TouchInterval a
// PEXPIRE, sent together with it where this process has seen the session
// before. One that changes the session waits for two round trips, GET and SET. A
// Renew waits for two, in a cluster for three; a SignIn, and a Renew of a user's
// session, for three. With
// Options.CacheTTL reads cost none. Requests without a cookie that store nothing
// cost none.
//
// # What it relies on
//
// An update compares what is stored with what was loaded, in the server: with
// SET IFEQ where the server has it (Valkey 8.1 and newer), else with a script.
// The store finds out by itself. A logout compares too, with a script. Commands that write a record are never sent
// twice by the client; where a reply is lost, core finds out what became of the command.
//
// A cluster and Sentinels replicate asynchronously: what was acknowledged in the
// last moment before a primary dies can be lost with it, a logout too.
// Options.WaitReplicas makes a logout wait for replicas. docs/valkey.md in the
// repository tells operators what to set: eviction, persistence, ACL, TLS,
// monitoring.
package valkeystore
