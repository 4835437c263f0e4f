#!/usr/bin/env bash
# With an absolute timeout, Fiber's session records can be read by programs alone that import Fiber.
#
# With: github.com/gofiber/fiber/v3 v3.1.0, encoding/gob of Go 1.26.8; 2026-11-29
# Guess: A record is a gob of map[any]any: what holds strings can be read by any Go program.
# Happens: AbsoluteTimeout > 0 puts the deadline into the same map, under a key of a type that Fiber does not export. gob then refuses the
#   whole record in a program without Fiber, and the record comes out empty or in part.
# Seen:
#   without AbsoluteTimeout: <nil>, user bob
#   with AbsoluteTimeout: gob: name not registered for interface: "github.com/gofiber/fiber/v3/middleware/session.absExpirationKeyType"
# Matters: A migration that worked in a trial fails on the day somebody sets a security option. A reader needs a type of its own under that
#   name, by gob.RegisterName, or has to walk through the gob itself.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

mkdir fiber reader
(cd fiber && go_get github.com/gofiber/fiber/v3@v3.1.0)
cat >fiber/main.go <<'GO'
package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/session"
)

// kept holds the last record that was written.
type kept struct {
	fiber.Storage
	record []byte
}

func (k *kept) GetWithContext(context.Context, string) ([]byte, error) { return nil, nil }

func (k *kept) SetWithContext(_ context.Context, _ string, v []byte, _ time.Duration) error {
	k.record = bytes.Clone(v)
	return nil
}

func main() {
	config := session.Config{Storage: &kept{}}
	if os.Args[1] == "with" {
		config.AbsoluteTimeout = 24 * time.Hour
	}
	app := fiber.New()
	app.Use(session.New(config))
	app.Get("/", func(c fiber.Ctx) error { session.FromContext(c).Set("user", "bob"); return nil })
	if _, err := app.Test(httptest.NewRequest("GET", "/", nil)); err != nil {
		panic(err)
	}
	fmt.Print(string(config.Storage.(*kept).record))
}
GO
cat >reader/main.go <<'GO'
package main

import (
	"encoding/gob"
	"fmt"
	"os"
)

func main() {
	values := map[any]any{}
	err := gob.NewDecoder(os.Stdin).Decode(&values)
	fmt.Printf("%s AbsoluteTimeout: %v", os.Args[1], err)
	if err == nil {
		fmt.Printf(", user %v", values["user"])
	}
	fmt.Println()
}
GO
(cd fiber && quiet go build -o ../app .)
for kind in without with; do ./app $kind | go run reader/main.go $kind; done | seen
