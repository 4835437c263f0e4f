#!/usr/bin/env bash
# What gob makes of a session depends on what the process had encoded before.
#
# With: github.com/alexedwards/scs/v2 v2.9.0 (its GobCodec), encoding/gob of Go 1.26.8; 2026-11-29
# Guess: One value under one key, so that the order of maps plays no part, gives the same bytes in each process of one program.
# Happens: gob numbers types in the order in which a process meets them, and the numbers are in the record. A process that encoded another
#   type first writes other bytes for the same session. Both are read alike.
# Seen:
#   the same session twice in one process: the same bytes
#   in a process that encoded another type before: other bytes
#   both read: {red} {red}
# Matters: A store that compares bytes (compare-and-set, a change hash, an ETag) takes an unchanged gob session for a changed one as soon
#   as two instances serve it. Compare the decoded values, or encode only what changed.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/alexedwards/scs/v2@v2.9.0
cat >main.go <<'GO'
package main

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/alexedwards/scs/v2"
)

type Coat struct{ Colour string }
type Ticket struct{ Number int }

func encode(v any) []byte {
	b, err := scs.GobCodec{}.Encode(time.Unix(1764400000, 0).UTC(), map[string]any{"v": v})
	if err != nil {
		panic(err)
	}
	return b
}

func main() {
	gob.Register(Coat{})
	gob.Register(Ticket{})
	if len(os.Args) > 1 {
		encode(Ticket{1})
		fmt.Print(hex.EncodeToString(encode(Coat{"red"})))
		return
	}
	alone := encode(Coat{"red"})
	out, err := exec.Command(os.Args[0], "ticket first").Output()
	if err != nil {
		panic(err)
	}
	after, _ := hex.DecodeString(string(out))
	say := map[bool]string{true: "the same bytes", false: "other bytes"}
	fmt.Println("the same session twice in one process:", say[bytes.Equal(alone, encode(Coat{"red"}))])
	fmt.Println("in a process that encoded another type before:", say[bytes.Equal(alone, after)])
	_, a, _ := scs.GobCodec{}.Decode(alone)
	_, b, _ := scs.GobCodec{}.Decode(after)
	fmt.Println("both read:", a["v"], b["v"])
}
GO
go run . | seen
