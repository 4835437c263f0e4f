#!/usr/bin/env bash
# On a cluster go-redis counts the keys of all nodes, and lists and flushes those of one.
#
# With: github.com/redis/go-redis/v9 v9.23.0, github.com/valkey-io/valkey-go v1.0.79, redis-server 7.0.15 of Debian 12; 2026-11-29
# Guess: A cluster client that sums DBSIZE over the nodes does the same for the others that name no key; or it refuses them.
# Happens: DBSize of ClusterClient asks all masters. Keys, Scan with its iterator, and FlushDB go to a node by chance, another one each time, and report no error.
#   valkey-go asks one node for all of them.
# Seen:
#   two nodes with 48 and 52 sessions
#   go-redis: DBSize 100
#   go-redis: Keys has one node's
#   go-redis: Scan, to the end of its iterator, has one node's
#   go-redis: FlushDB without an error, which leaves one node's
#   valkey-go: DBSIZE is one node's
#   valkey-go: SCAN, to its cursor 0, has one node's
# Matters: "Log everybody out", a list of sessions and a move to another store work on half of them, or a third, and the count beside it says that all is
#   well. Ask each master: ForEachMaster of go-redis, Nodes of valkey-go.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

redis_cluster_up
go_get github.com/redis/go-redis/v9@v9.23.0 github.com/valkey-io/valkey-go@v1.0.79
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/redis/go-redis/v9"
	"github.com/valkey-io/valkey-go"
)

const all, oneNode = 100, 48 // the slots of sess:0 to sess:99 on the first of two nodes

func of(n int) string {
	switch n {
	case all:
		return "all"
	case oneNode, all - oneNode:
		return "one node's"
	default:
		return fmt.Sprint(n)
	}
}

func main() {
	ctx := context.Background()
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: os.Args[1:]})
	fill := func() {
		for i := range all {
			check(c.Set(ctx, fmt.Sprintf("sess:%d", i), "x", 0).Err())
		}
	}
	fill()
	var nodes []int64
	for _, addr := range os.Args[1:] {
		n, err := redis.NewClient(&redis.Options{Addr: addr}).DBSize(ctx).Result()
		check(err)
		nodes = append(nodes, n)
	}
	fmt.Printf("two nodes with %d and %d sessions\n", nodes[0], nodes[1])

	size := func() int {
		n, err := c.DBSize(ctx).Result()
		check(err)
		return int(n)
	}
	fmt.Printf("go-redis: DBSize %d\n", size())
	keys, err := c.Keys(ctx, "sess:*").Result()
	check(err)
	fmt.Printf("go-redis: Keys has %s\n", of(len(keys)))
	scanned, entries := 0, c.Scan(ctx, 0, "sess:*", 1000).Iterator()
	for entries.Next(ctx) {
		scanned++
	}
	check(entries.Err())
	fmt.Printf("go-redis: Scan, to the end of its iterator, has %s\n", of(scanned))
	check(c.FlushDB(ctx).Err())
	fmt.Printf("go-redis: FlushDB without an error, which leaves %s\n", of(size()))

	fill()
	v, err := valkey.NewClient(valkey.ClientOption{InitAddress: os.Args[1:]})
	check(err)
	n, err := v.Do(ctx, v.B().Dbsize().Build()).AsInt64()
	check(err)
	fmt.Printf("valkey-go: DBSIZE is %s\n", of(int(n)))
	page, err := v.Do(ctx, v.B().Scan().Cursor(0).Match("sess:*").Count(1000).Build()).AsScanEntry()
	check(err)
	fmt.Printf("valkey-go: SCAN, to its cursor %d, has %s\n", page.Cursor, of(len(page.Elements)))
}
GO
go run . "127.0.0.1:$a" "127.0.0.1:$b" | seen
