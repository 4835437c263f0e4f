#!/usr/bin/env bash
# A subscription to keyspace events through a cluster client hears of one node's keys.
#
# With: github.com/valkey-io/valkey-go v1.0.79, redis-server 7.0.15 of Debian 12; 2026-11-29
# Guess: In a cluster what is published at one node reaches the subscribers of all, so one subscription hears all events.
# Happens: PUBLISH goes to all nodes, events do not: each node tells those who are connected to it. The client picks one node for the subscription,
#   whose share of the keys is all that arrives, without an error.
# Seen:
#   200 keys deleted, one subscription: some of the events, not all
#   200 keys deleted, one subscription at each node: 200 events
# Matters: A program that watches for ended sessions works in every test with one server, and for half or a third of the users afterwards. Subscribe
#   at each of client.Nodes(), and expect an event twice where replicas are among them.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

redis_cluster_up
for node in "$a" "$b"; do redis-cli -p "$node" config set notify-keyspace-events Kg >/dev/null; done
go_get github.com/valkey-io/valkey-go@v1.0.79
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/valkey-io/valkey-go"
)

func main() {
	ctx := context.Background()
	client, err := valkey.NewClient(valkey.ClientOption{InitAddress: os.Args[1:]})
	if err != nil {
		panic(err)
	}
	// heard counts the events of 200 deletions, by those who listen, until nothing new has come for a second.
	heard := func(listeners ...valkey.Client) int {
		var n, ready atomic.Int32
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for _, l := range listeners {
			go l.Receive(valkey.WithOnSubscriptionHook(ctx, func(valkey.PubSubSubscription) { ready.Add(1) }),
				l.B().Psubscribe().Pattern("__keyspace@0__:*").Build(), func(valkey.PubSubMessage) { n.Add(1) })
		}
		for int(ready.Load()) < len(listeners) {
			time.Sleep(time.Millisecond)
		}
		for i := range 200 {
			key := fmt.Sprint("sess:", i)
			client.Do(ctx, client.B().Set().Key(key).Value("x").Build())
			client.Do(ctx, client.B().Del().Key(key).Build())
		}
		for last := int32(-1); last != n.Load(); time.Sleep(time.Second) {
			last = n.Load()
		}
		return int(n.Load())
	}
	one := heard(client)
	if 0 < one && one < 200 {
		fmt.Println("200 keys deleted, one subscription: some of the events, not all")
	} else {
		fmt.Println("200 keys deleted, one subscription:", one)
	}
	var nodes []valkey.Client
	for _, n := range client.Nodes() {
		nodes = append(nodes, n)
	}
	fmt.Printf("200 keys deleted, one subscription at each node: %d events\n", heard(nodes...))
}
GO
go run . "127.0.0.1:$a" "127.0.0.1:$b" | seen
