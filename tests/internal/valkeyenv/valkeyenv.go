// Package valkeyenv opens stores on the Valkey servers that the environment names:
// VALKEY_ADDR, and VALKEY_CLUSTER_ADDRS with commas between.
package valkeyenv

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// Addr returns the address of a server.
func Addr(tb testing.TB) string {
	tb.Helper()
	return servers.Env(tb, "VALKEY_ADDR")
}

// ClusterAddrs returns addresses of servers of a cluster.
func ClusterAddrs(tb testing.TB) []string {
	tb.Helper()
	return strings.Split(servers.Env(tb, "VALKEY_CLUSTER_ADDRS"), ",")
}

// Lean returns the option with buffers that suit tests, which have many clients
// and little to say.
func Lean(option valkey.ClientOption) valkey.ClientOption {
	option.ReadBufferEachConn, option.WriteBufferEachConn = 16<<10, 16<<10
	option.RingScaleEachConn = 8
	return option
}

// Client returns a client that is closed when the test is over.
func Client(tb testing.TB, option valkey.ClientOption) valkey.Client {
	tb.Helper()
	client, err := valkey.NewClient(Lean(option))
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
	st, err := valkeystore.New(client, o)
	if err != nil {
		tb.Fatalf("valkeystore.New: %v", err)
	}
	tb.Cleanup(func() { Clear(tb, client, o.Prefix) })
	return st
}

// Clear removes the keys with a prefix.
func Clear(tb testing.TB, client valkey.Client, prefix string) {
	tb.Helper()
	st, err := valkeystore.New(client, valkeystore.Options{Prefix: prefix})
	if err != nil {
		tb.Fatalf("valkeystore.New: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), servers.Patience)
	defer cancel()
	for _, part := range []store.Store{st, st.UserIndex()} {
		if err := part.(store.Clearer).Clear(ctx); err != nil {
			tb.Errorf("Clear: %v", err)
		}
	}
}
