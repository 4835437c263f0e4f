package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

// openStore returns the store that a URL names, and what closes it. Whatever the
// store is, the rest of the app is the same.
func openStore(ctx context.Context, url string) (store core.Store, done func(context.Context) error, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	switch scheme := nameOf(url); scheme {
	case "memory":
		store := memorystore.New()
		return store, func(context.Context) error { return store.Close() }, nil
	case "valkey", "valkeys", "redis", "rediss":
		store, err := valkeystore.Open(ctx, url, valkeystore.Options{})
		if err != nil {
			return nil, nil, err
		}
		return store, func(context.Context) error { store.Close(); return nil }, nil
	case "mongodb", "mongodb+srv":
		store, err := mongostore.Open(ctx, url, mongostore.Options{})
		if err != nil {
			return nil, nil, err
		}
		return store, store.Close, nil
	default:
		return nil, nil, fmt.Errorf("-store is of the kind %q: use memory, valkey://host:port or mongodb://host:port", scheme)
	}
}

// nameOf returns the scheme of a URL, which unlike the rest is no secret.
func nameOf(url string) string {
	scheme, _, _ := strings.Cut(url, ":")
	return scheme
}
