package memorystore_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

func ExampleNew() {
	st := memorystore.New(memorystore.Options{})
	defer st.Close()

	ctx := context.Background()
	err := st.Create(ctx, store.Record{ID: "ticket", Data: []byte(`{"coat":"blue"}`), TTL: time.Hour})
	if err != nil {
		fmt.Println(err)
	}
	rec, err := st.Load(ctx, "ticket")
	fmt.Printf("%s %v\n", rec.Data, err)
	// Output: {"coat":"blue"} <nil>
}

func ExampleNew_limits() {
	st := memorystore.New(memorystore.Options{
		MaxSessions: 2,
		MaxBytes:    64 << 20,
	})
	defer st.Close()

	for _, id := range []string{"first", "second", "third"} {
		err := st.Create(context.Background(), store.Record{ID: id, Data: []byte(`{}`), TTL: time.Hour})
		fmt.Println(err, errors.Is(err, store.ErrFull))
	}
	// Output:
	// <nil> false
	// <nil> false
	// cloakroom: memory store: create: full: cloakroom: session store is full true
}

// A store for sessions that are cheap to lose keeps those in use.
func ExampleNew_dropLeastRecentlyUsed() {
	st := memorystore.New(memorystore.Options{
		MaxSessions: 2,
		AtLimit:     memorystore.DropLeastRecentlyUsed,
	})
	defer st.Close()

	ctx := context.Background()
	st.Create(ctx, store.Record{ID: "first", Data: []byte(`{}`), TTL: time.Hour})
	st.Create(ctx, store.Record{ID: "second", Data: []byte(`{}`), TTL: time.Hour})
	st.Load(ctx, "first")
	st.Create(ctx, store.Record{ID: "third", Data: []byte(`{}`), TTL: time.Hour})

	for _, id := range []string{"first", "second", "third"} {
		_, err := st.Load(ctx, id)
		fmt.Println(id, err)
	}
	// Output:
	// first <nil>
	// second cloakroom: no such session
	// third <nil>
}
