#!/usr/bin/env bash
# cbor-x writes Date.now() as a float, and a Go struct with an int64 for it refuses the session.
#
# With: cbor-x 1.6.9, cbor2 2.3.0, github.com/fxamacker/cbor/v2 v2.10.0; 2026-11-29
# Guess: A whole number is an integer in CBOR, of one, two, four or eight bytes.
# Happens: cbor-x writes whole numbers as integers up to 32 bits, and as a float of eight bytes from there on, where cbor2 of npm goes on with integers. fxamacker's decoder
#   takes no float for an integer, whole or not, and gives float64 to an interface.
# Seen:
#   cbor-x, 4294967295: int64 4294967295; any uint64
#   cbor-x, 4294967296: int64 cbor: cannot unmarshal primitives into Go value of type int64; any float64
#   cbor-x, 1764444444444: int64 cbor: cannot unmarshal primitives into Go value of type int64; any float64
#   cbor2, 4294967295: int64 4294967295; any uint64
#   cbor2, 4294967296: int64 4294967296; any uint64
#   cbor2, 1764444444444: int64 1764444444444; any uint64
# Matters: The sizes of a cart are read, and the moment of the login, in milliseconds, is not, nor a session with it: every session is lost where two programs share a
#   store, and a test with small numbers does not see it. Seconds fit until 2106; a BigInt is an integer in cbor-x as well.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get cbor-x@1.6.9 cbor2@2.3.0
go_get github.com/fxamacker/cbor/v2@v2.10.0
cat >main.mjs <<'JS'
import * as cborX from 'cbor-x'
import * as cbor2 from 'cbor2'
for (const [name, { encode }] of [['cbor-x', cborX], ['cbor2', cbor2]]) {
  for (const n of [4294967295, 4294967296, 1764444444444]) console.log(name, n, Buffer.from(encode(n)).toString('hex'))
}
JS
cat >main.go <<'GO'
package main

import (
	"encoding/hex"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

func main() {
	for {
		var name, number, text string
		if n, _ := fmt.Scan(&name, &number, &text); n != 3 {
			return
		}
		b, err := hex.DecodeString(text)
		if err != nil {
			panic(err)
		}
		var i int64
		var v any
		said := ""
		if err := cbor.Unmarshal(b, &i); err != nil {
			said = err.Error()
		} else {
			said = fmt.Sprint(i)
		}
		if err := cbor.Unmarshal(b, &v); err != nil {
			panic(err)
		}
		fmt.Printf("%s, %s: int64 %s; any %T\n", name, number, said, v)
	}
}
GO
quiet go mod tidy
node main.mjs | go run . | seen
