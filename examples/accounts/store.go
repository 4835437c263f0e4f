package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

// openStore returns the store that a URL names, and what closes it. Whatever the
// store is, the rest of the app is the same.
func openStore(ctx context.Context, url string) (st store.Store, done func() error, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	switch scheme := nameOf(url); scheme {
	case "memory":
		st := memorystore.New(memorystore.Options{})
		return st, st.Close, nil
	case "valkey", "valkeys", "redis", "rediss":
		st, err := valkeystore.Open(ctx, url, valkeystore.Options{})
		if err != nil {
			return nil, nil, err
		}
		return st, st.Close, nil
	case "mongodb", "mongodb+srv":
		st, err := mongostore.Open(ctx, url, mongostore.Options{})
		if err != nil {
			return nil, nil, err
		}
		return st, st.Close, nil
	default:
		return nil, nil, fmt.Errorf("-store is of the kind %q: use memory, valkey://host:port or mongodb://host:port", scheme)
	}
}

// nameOf returns the scheme of a URL, which unlike the rest is no secret.
func nameOf(url string) string {
	scheme, _, _ := strings.Cut(url, ":")
	return scheme
}
