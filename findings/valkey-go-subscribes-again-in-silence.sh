#!/usr/bin/env bash
# valkey-go's Receive survives a lost connection without a word, and with a hole.
#
# With: github.com/valkey-io/valkey-go v1.0.79, redis-server 7.0.15 of Debian 12; 2026-11-29
# Guess: Receive returns an error when its connection is lost, so that the caller knows of the messages that went past.
# Happens: It subscribes anew by itself and goes on. What was published in between is not delivered, and nothing says so, unless a
#   hook was set with WithOnSubscriptionHook, which is called a second time.
# Seen:
#   killed: 1, who got the message meanwhile: 0
#   received: before, after
#   Receive returned: false
#   subscribed: 2 times
# Matters: "Log out everywhere", announced by publish, misses a process in the very moment of a failover. After each call of the hook, look at
#   all that is watched.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

redis_up
go_get github.com/valkey-io/valkey-go@v1.0.79
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valkey-io/valkey-go"
)

func main() {
	port := os.Args[1]
	client, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{"127.0.0.1:" + port}})
	if err != nil {
		panic(err)
	}
	cli := func(args ...string) string {
		out, err := exec.Command("redis-cli", append([]string{"-p", port}, args...)...).Output()
		if err != nil {
			panic(err)
		}
		return strings.TrimSpace(string(out))
	}
	var subscribed atomic.Int32
	var returned atomic.Bool
	messages := make(chan string, 10)
	ctx := valkey.WithOnSubscriptionHook(context.Background(), func(s valkey.PubSubSubscription) { subscribed.Add(1) })
	go func() {
		client.Receive(ctx, client.B().Subscribe().Channel("ended").Build(), func(m valkey.PubSubMessage) { messages <- m.Message })
		returned.Store(true)
	}()
	listening := func() {
		for cli("pubsub", "numsub", "ended") != "ended\n1" {
			time.Sleep(time.Millisecond)
		}
	}
	listening()
	cli("publish", "ended", "before")
	first := <-messages
	// One transaction kills the connection and publishes: nobody can be back in between.
	transaction := exec.Command("redis-cli", "-p", port)
	transaction.Stdin = strings.NewReader("MULTI\nCLIENT KILL TYPE pubsub\nPUBLISH ended meanwhile\nEXEC\n")
	out, err := transaction.Output()
	if err != nil {
		panic(err)
	}
	done := strings.Fields(string(out))
	fmt.Printf("killed: %s, who got the message meanwhile: %s\n", done[len(done)-2], done[len(done)-1])
	listening()
	cli("publish", "ended", "after")
	second := <-messages
	for deadline := time.Now().Add(5 * time.Second); subscribed.Load() < 2 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	fmt.Printf("received: %s, %s\nReceive returned: %v\nsubscribed: %d times\n", first, second, returned.Load(), subscribed.Load())
}
GO
go run . "$port" | seen
