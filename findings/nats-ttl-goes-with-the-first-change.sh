#!/usr/bin/env bash
# A session that NATS KV was to end after two seconds is kept for ever once it is changed.
#
# With: github.com/nats-io/nats-server/v2 v2.15.3, github.com/nats-io/nats.go v1.55.0 (jetstream); 2026-11-29
# Guess: A key that was created with KeyTTL ends then, or that long after its last change.
# Happens: The life belongs to the message, not to the key, and each change is a message of its own. Create takes a KeyTTL; Put and Update have no place for one, and
#   their message replaces the first together with its end. Nothing in the bucket shows which keys have an end.
# Seen:
#   a key with KeyTTL, as it was created: gone
#   a key with KeyTTL, then Put: there, cart: 2
#   a key with KeyTTL, then Update: there, cart: 2
#   a key of a bucket with a TTL, then Update: gone
# Matters: Visitors who look around once end, and all who fill a cart or log in stay, with what they are allowed to do; a test that waits for the end of a new session passes.
#   A TTL of the bucket is one for all sessions, and counts from the last write. With lives that differ the moment of the end belongs into the value.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/nats-io/nats-server/v2@v2.15.3 github.com/nats-io/nats.go@v1.55.0
cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func main() {
	ctx := context.Background()
	s := must(server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: "data", NoLog: true, NoSigs: true}))
	s.Start()
	defer s.Shutdown()
	if !s.ReadyForConnections(time.Minute) {
		panic("the server does not answer")
	}
	js := must(jetstream.New(must(nats.Connect(s.ClientURL()))))
	each := must(js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "each", LimitMarkerTTL: time.Hour}))
	all := must(js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "all", TTL: 2 * time.Second}))
	life := jetstream.KeyTTL(2 * time.Second)
	must(each.Create(ctx, "put", []byte("cart: 1"), life))
	must(each.Put(ctx, "put", []byte("cart: 2")))
	revision := must(each.Create(ctx, "update", []byte("cart: 1"), life))
	must(each.Update(ctx, "update", []byte("cart: 2"), revision))
	revision = must(all.Create(ctx, "update", []byte("cart: 1")))
	must(all.Update(ctx, "update", []byte("cart: 2"), revision))
	must(each.Create(ctx, "created", []byte("cart: 1"), life))

	gone := func(kv jetstream.KeyValue, key string) bool {
		_, err := kv.Get(ctx, key)
		return errors.Is(err, jetstream.ErrKeyNotFound)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && !(gone(each, "created") && gone(all, "update")); { // these were written last
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(2 * time.Second)
	for _, t := range []struct {
		says string
		kv   jetstream.KeyValue
		key  string
	}{
		{"a key with KeyTTL, as it was created", each, "created"},
		{"a key with KeyTTL, then Put", each, "put"},
		{"a key with KeyTTL, then Update", each, "update"},
		{"a key of a bucket with a TTL, then Update", all, "update"},
	} {
		if gone(t.kv, t.key) {
			fmt.Println(t.says + ": gone")
		} else {
			fmt.Printf("%s: there, %s\n", t.says, must(t.kv.Get(ctx, t.key)).Value())
		}
	}
}
GO
quiet go mod tidy
go run . | seen
