// Package examples holds programs to run and copy from, each in a folder of its
// own: go run ./quickstart-gin, for instance.
package examples
