// Package sqlitestore keeps sessions in a file of SQLite: the store for an app that
// runs on one machine and whose sessions are to survive a restart and a crash.
//
//	store, err := sqlitestore.Open(ctx, "sessions.db", sqlitestore.Options{})
//	...
//	defer store.Close()
//	cfg := core.Config{Store: store, ...}
//
// Several processes of that machine can use the file at once, such as the old and the
// new one of a rolling restart. It needs no cgo and no other program. The file and the
// two beside it, with -wal and -shm behind its name, are made for the user of the process
// alone.
//
// It keeps the whole contract of [store.Store] and has all optional abilities. What it
// does not do: machines cannot share it, nor can it be on a network file system, where
// the locks of SQLite do not hold.
//
// What was answered is stored, even if the power fails in that moment, unless
// Options.Durability says otherwise. Writes that wait at the same time share one
// transaction, so that many of them wait for the disk as long as one does.
//
// What operators want to know, about backups and the size of the file, is in docs/sql.md in
// the repository. Package sqlstore is for an app that has a database already.
package sqlitestore
