#!/usr/bin/env bash
# Go 1.27 saves maps in JSON that Go 1.26 can neither write nor read, and writes a broken byte as other bytes.
#
# With: encoding/json of Go 1.26.8 and 1.27.4 (golang.org/toolchain); 2026-11-29
# Guess: encoding/json is frozen: the same value is the same text, and what one release takes, all take.
# Happens: In 1.27 it stands on a new implementation. map[any]T and map[float64]T are saved where 1.26 refuses them, and 1.26 cannot read them back into the
#   same type. A byte that is no UTF-8 becomes U+FFFD in both, as an escape in 1.26 and as three bytes in 1.27.
# Seen:
#   go1.26.8, map[any]int: "" json: unsupported type: map[interface {}]int
#   go1.26.8, map[float64]int: "" json: unsupported type: map[float64]int
#   go1.26.8, reading map[any]int: json: cannot unmarshal object into Go value of type map[interface {}]int
#   go1.26.8, a byte that is no UTF-8: 22 61 5c 75 66 66 66 64 22
#   go1.27.4, map[any]int: "{\"coats\":2}" <nil>
#   go1.27.4, map[float64]int: "{\"1.5\":2}" <nil>
#   go1.27.4, reading map[any]int: <nil>
#   go1.27.4, a byte that is no UTF-8: 22 61 ef bf bd 22
# Matters: While instances of both are up, a session that one saved fails to load in the other, and a test on either sees nothing. A store that compares bytes,
#   or a hash of them, finds a change in a session that nobody changed.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

printf 'module finding\n\ngo 1.26\n' >go.mod
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"runtime"
)

func main() {
	version := runtime.Version()
	for _, t := range []struct {
		name  string
		value any
	}{{"map[any]int", map[any]int{"coats": 2}}, {"map[float64]int", map[float64]int{1.5: 2}}} {
		b, err := json.Marshal(t.value)
		fmt.Printf("%s, %s: %q %v\n", version, t.name, b, err)
	}
	var m map[any]int
	fmt.Printf("%s, reading map[any]int: %v\n", version, json.Unmarshal([]byte(`{"coats":2}`), &m))
	b, _ := json.Marshal("a\xff")
	fmt.Printf("%s, a byte that is no UTF-8: % x\n", version, b)
}
GO
for v in go1.26.8 go1.27.4; do GOTOOLCHAIN=$v go run .; done | seen
