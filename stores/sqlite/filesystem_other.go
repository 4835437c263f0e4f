//go:build !linux

package sqlitestore

// networkOf does not know what a folder is on: the documentation has to do.
func networkOf(string) string { return "" }

// canWrite leaves the answer to SQLite.
func canWrite(string) error { return nil }
