#!/usr/bin/env bash
# valkey-go takes "ERR " off the front of a server's error; go-redis leaves it there.
#
# With: github.com/valkey-io/valkey-go v1.0.79, github.com/redis/go-redis/v9 v9.23.0, redis-server 7.0.15 of Debian 12; 2026-11-29
# Guess: The text of an error is the server's, so a prefix tells its kind with every client.
# Happens: The general code is cut off, all other codes stay.
# Seen:
#   SET k v EX 0
#     go-redis:  ERR invalid expire time in 'set' command
#     valkey-go: invalid expire time in 'set' command
#   INCR of a list
#     go-redis:  WRONGTYPE Operation against a key holding the wrong kind of value
#     valkey-go: WRONGTYPE Operation against a key holding the wrong kind of value
# Matters: Code that classifies errors by strings.HasPrefix(err.Error(), "ERR unknown command"), to find out what an old server cannot do, never
#   matches after a change of client: the fallback is not taken, and every login fails.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

redis_up
go_get github.com/valkey-io/valkey-go@v1.0.79 github.com/redis/go-redis/v9@v9.23.0
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/redis/go-redis/v9"
	"github.com/valkey-io/valkey-go"
)

func main() {
	ctx, addr := context.Background(), "127.0.0.1:"+os.Args[1]
	v, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}})
	if err != nil {
		panic(err)
	}
	r := redis.NewClient(&redis.Options{Addr: addr})
	r.LPush(ctx, "list", "x")
	for _, t := range []struct {
		name string
		args []string
	}{{"SET k v EX 0", []string{"SET", "k", "v", "EX", "0"}}, {"INCR of a list", []string{"INCR", "list"}}} {
		args := make([]any, len(t.args))
		for i, a := range t.args {
			args[i] = a
		}
		fmt.Printf("%s\n  go-redis:  %v\n  valkey-go: %v\n", t.name, r.Do(ctx, args...).Err(), v.Do(ctx, v.B().Arbitrary(t.args...).Build()).Error())
	}
}
GO
go run . "$port" | seen
