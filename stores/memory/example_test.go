package memorystore_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

func ExampleNew() {
	store := memorystore.New()
	defer store.Close()

	ctx := context.Background()
	err := store.Create(ctx, core.Record{ID: "ticket", Data: []byte(`{"coat":"blue"}`), TTL: time.Hour})
	if err != nil {
		fmt.Println(err)
	}
	rec, err := store.Load(ctx, "ticket")
	fmt.Printf("%s %v\n", rec.Data, err)
	// Output: {"coat":"blue"} <nil>
}

func ExampleNewWith() {
	store, err := memorystore.NewWith(memorystore.Options{
		MaxSessions: 2,
		MaxBytes:    64 << 20,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	for _, id := range []string{"first", "second", "third"} {
		err := store.Create(context.Background(), core.Record{ID: id, Data: []byte(`{}`), TTL: time.Hour})
		fmt.Println(err, errors.Is(err, core.ErrStoreFull))
	}
	// Output:
	// <nil> false
	// <nil> false
	// cloakroom: memory store: create: full: cloakroom: session store is full true
}

// A store for sessions that are cheap to lose keeps those in use.
func ExampleNewWith_evict() {
	store, err := memorystore.NewWith(memorystore.Options{
		MaxSessions: 2,
		AtLimit:     memorystore.EvictLeastRecentlyUsed,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	ctx := context.Background()
	store.Create(ctx, core.Record{ID: "first", Data: []byte(`{}`), TTL: time.Hour})
	store.Create(ctx, core.Record{ID: "second", Data: []byte(`{}`), TTL: time.Hour})
	store.Load(ctx, "first")
	store.Create(ctx, core.Record{ID: "third", Data: []byte(`{}`), TTL: time.Hour})

	for _, id := range []string{"first", "second", "third"} {
		_, err := store.Load(ctx, id)
		fmt.Println(id, err)
	}
	// Output:
	// first <nil>
	// second cloakroom: no such session
	// third <nil>
}
