// Package memorystore keeps sessions in the memory of the process: the store for
// an app that runs as one process, for development and for tests.
//
//	cfg := core.Config{Store: memorystore.New(memorystore.Options{})}
//
// It keeps the whole contract of [store.Store] and has all optional abilities.
// What it does not do: sessions do not survive a restart, and no two processes
// share them. An app that is deployed without logging everybody out, or behind a
// load balancer, takes another store.
//
// A [Store] needs no care. Expired sessions are never served and their memory is
// given back within SweepInterval, a few at a time, so that nobody waits. There
// is no goroutine that runs for as long as the store exists: a timer is set
// while there are sessions, and a store that is dropped without [Store.Close] is
// collected as garbage.
//
// Without limits, the memory of the process is the limit. An app whose visitors
// can start sessions at will sets MaxSessions or MaxBytes among the [Options].
package memorystore
