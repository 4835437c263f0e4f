// Package valkeyenv gives tests the Valkey servers that they need: those that
// the environment names, and private ones of a program that it names.
//
//	VALKEY_ADDR           a server
//	VALKEY_CLUSTER_ADDRS  servers of a cluster, with commas between them
//	VALKEY_SERVER         the program, for servers that may be killed
//
// Tests whose server is not there are skipped, and fail where CI is set.
package valkeyenv

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

// Addr returns the address of a server.
func Addr(tb testing.TB) string {
	tb.Helper()
	return lookup(tb, "VALKEY_ADDR")
}

// ClusterAddrs returns addresses of servers of a cluster.
func ClusterAddrs(tb testing.TB) []string {
	tb.Helper()
	return strings.Split(lookup(tb, "VALKEY_CLUSTER_ADDRS"), ",")
}

func lookup(tb testing.TB, name string) string {
	tb.Helper()
	if value := os.Getenv(name); value != "" {
		return value
	}
	const what = "NO VALKEY SERVER: %s is not set, so this was not tested"
	if os.Getenv("CI") != "" {
		tb.Fatalf(what, name)
	}
	tb.Skipf(what, name)
	return ""
}

// Client returns a client that is closed when the test is over.
func Client(tb testing.TB, option valkey.ClientOption) valkey.Client {
	tb.Helper()
	client, err := valkey.NewClient(option)
	if err != nil {
		tb.Fatalf("valkey.NewClient: %v", err)
	}
	tb.Cleanup(client.Close)
	return client
}

// Prefix returns a prefix for the keys of a test, which nobody else has.
func Prefix() string { return "test:" + rand.Text() + ":" }

// Store returns a store with keys of its own, which are removed when the test
// is over.
func Store(tb testing.TB, client valkey.Client, o valkeystore.Options) *valkeystore.Store {
	tb.Helper()
	if o.Prefix == "" {
		o.Prefix = Prefix()
	}
	store, err := valkeystore.New(client, o)
	if err != nil {
		tb.Fatalf("valkeystore.New: %v", err)
	}
	tb.Cleanup(func() { Clear(tb, client, o.Prefix) })
	return store
}

// Clear removes the keys with a prefix.
func Clear(tb testing.TB, client valkey.Client, prefix string) {
	tb.Helper()
	store, err := valkeystore.New(client, valkeystore.Options{Prefix: prefix})
	if err != nil {
		tb.Fatalf("valkeystore.New: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := store.Clear(ctx); err != nil {
		tb.Errorf("Clear: %v", err)
	}
}
