#!/usr/bin/env bash
# A counter in a msgpack session is an int8 up to 127, then a uint8, then a uint16, and never the int that it was.
#
# With: github.com/alexedwards/scs/v2 v2.9.0, github.com/vmihailenco/msgpack/v5 v5.4.1; 2026-11-29
# Guess: An int that is encoded with msgpack comes back as one type of integer, an int or an int64.
# Happens: An int is written in as few bytes as it needs, and where it is read into an interface it gets the Go type of just these bytes. An int64 is written in nine, and
#   comes back as what it was. UseLooseInterfaceDecoding makes int64 or uint64 of all of them, by the sign and size.
# Seen:
#   int -1: int8, GetInt 0; loose int64
#   int 127: int8, GetInt 0; loose int64
#   int 128: uint8, GetInt 0; loose uint64
#   int 255: uint8, GetInt 0; loose uint64
#   int 256: uint16, GetInt 0; loose uint64
#   int 65536: uint32, GetInt 0; loose uint64
#   int64 128: int64, GetInt64 128; loose int64
# Matters: A type assertion that passes all tests with small numbers fails, or panics, for the user with the 128th coat, and GetInt of scs says 0 without an error. Also a loose
#   decoder changes the type between 127 and 128. Sessions in msgpack are read into a struct, or their numbers stored as int64.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/alexedwards/scs/v2@v2.9.0 github.com/vmihailenco/msgpack/v5@v5.4.1
cat >main.go <<'GO'
package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/vmihailenco/msgpack/v5"
)

type session struct {
	Deadline time.Time
	Values   map[string]any
}

// codec is an scs.Codec of msgpack.
type codec struct{ loose bool }

func (codec) Encode(deadline time.Time, values map[string]any) ([]byte, error) {
	return msgpack.Marshal(session{deadline, values})
}

func (c codec) Decode(b []byte) (time.Time, map[string]any, error) {
	var s session
	d := msgpack.NewDecoder(bytes.NewReader(b))
	d.UseLooseInterfaceDecoding(c.loose)
	err := d.Decode(&s)
	return s.Deadline, s.Values, err
}

// after returns a session as the next request has it.
func after(c codec, v any) (*scs.SessionManager, context.Context) {
	m := scs.New()
	m.Codec = c
	ctx, err := m.Load(context.Background(), "")
	if err != nil {
		panic(err)
	}
	m.Put(ctx, "coats", v)
	token, _, err := m.Commit(ctx)
	if err != nil {
		panic(err)
	}
	if ctx, err = m.Load(context.Background(), token); err != nil {
		panic(err)
	}
	return m, ctx
}

func main() {
	for _, v := range []any{-1, 127, 128, 255, 256, 65536, int64(128)} {
		m, ctx := after(codec{}, v)
		loose, looseCtx := after(codec{loose: true}, v)
		got := fmt.Sprint("GetInt ", m.GetInt(ctx, "coats"))
		if _, ok := v.(int64); ok {
			got = fmt.Sprint("GetInt64 ", m.GetInt64(ctx, "coats"))
		}
		fmt.Printf("%T %v: %T, %s; loose %T\n", v, v, m.Get(ctx, "coats"), got, loose.Get(looseCtx, "coats"))
	}
}
GO
quiet go mod tidy
go run . | seen
