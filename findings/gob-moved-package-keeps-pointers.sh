#!/usr/bin/env bash
# A Go package that moves loses the values of its types in gob sessions and keeps the pointers.
#
# With: github.com/alexedwards/scs/v2 v2.9.0 (its GobCodec), encoding/gob of Go 1.26.8; 2026-11-29
# Guess: After a package has moved to another import path, all records with its types can no longer be read, or all can.
# Happens: gob names a registered value by the whole import path and a registered pointer by the last element of that path only. So after
#   shop/cart became shop/internal/cart, a session that holds a *cart.Cart is read, and one that holds a cart.Cart is not.
# Seen:
#   value: gob: name not registered for interface: "finding/cart.Cart"
#   pointer: 2 coats
# Matters: A move that the tests find harmless with one kind of session logs the users out who have the other. Who moves a package
#   registers the old name as well: gob.RegisterName("old/path/cart.Cart", cart.Cart{}).

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/alexedwards/scs/v2@v2.9.0
mkdir -p cart internal/cart old new
printf 'package cart\n\ntype Cart struct{ Coats int }\n' | tee cart/cart.go >internal/cart/cart.go
cat >old/main.go <<'GO'
package main

import (
	"encoding/gob"
	"os"
	"time"

	"finding/cart"

	"github.com/alexedwards/scs/v2"
)

func main() {
	var v any = cart.Cart{Coats: 2}
	if os.Args[1] == "pointer" {
		v = &cart.Cart{Coats: 2}
	}
	gob.Register(v)
	b, err := scs.GobCodec{}.Encode(time.Now().Add(time.Hour), map[string]any{"cart": v})
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(b)
}
GO
cat >new/main.go <<'GO'
package main

import (
	"encoding/gob"
	"fmt"
	"io"
	"os"

	"finding/internal/cart"

	"github.com/alexedwards/scs/v2"
)

func main() {
	var v any = cart.Cart{}
	if os.Args[1] == "pointer" {
		v = &cart.Cart{}
	}
	gob.Register(v)
	b, _ := io.ReadAll(os.Stdin)
	_, values, err := scs.GobCodec{}.Decode(b)
	switch c := values["cart"].(type) {
	case *cart.Cart:
		fmt.Printf("%s: %d coats\n", os.Args[1], c.Coats)
	default:
		fmt.Printf("%s: %v\n", os.Args[1], err)
	}
}
GO
quiet go build -o bin/ ./old ./new
for kind in value pointer; do bin/old $kind | bin/new $kind; done | seen
