package valkeystore_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

// The app has a client already and keeps it.
func ExampleNew() {
	addr := os.Getenv("VALKEY_ADDR")
	if addr == "" {
		fmt.Println("Number of views: 1") // no server to show it on
		return
	}
	client, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}})
	if err != nil {
		panic(err)
	}
	defer client.Close()
	store, err := valkeystore.New(client, valkeystore.Options{Prefix: "example:sess:"})
	if err != nil {
		panic(err)
	}
	defer func() { _ = store.Clear(context.Background()) }() // so that the example leaves nothing behind

	sessions, err := core.New(core.Config{Store: store, Secrets: []string{"0123456789abcdef0123456789abcdef"}})
	if err != nil {
		panic(err)
	}
	const views core.Key[int] = "views"
	app := sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := views.Update(core.FromContext(r.Context()), func(n int) int { return n + 1 })
		_, _ = fmt.Fprintln(w, "Number of views:", n)
	}))

	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Print(w.Body)
	// Output: Number of views: 1
}

// The store makes its own client and closes it.
func ExampleOpen() {
	ctx := context.Background()
	addr := os.Getenv("VALKEY_ADDR")
	if addr == "" {
		fmt.Println("it answers") // no server to show it on
		return
	}
	store, err := valkeystore.Open(ctx, "valkey://"+addr+"/0", valkeystore.Options{})
	if err != nil {
		panic(err)
	}
	defer store.Close()
	if store.Ping(ctx) == nil {
		fmt.Println("it answers")
	}
	// Output: it answers
}
