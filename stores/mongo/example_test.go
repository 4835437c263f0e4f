package mongostore_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
)

// The app has a client already and keeps it.
func ExampleNew() {
	ctx := context.Background()
	uri := os.Getenv("MONGODB_URI")
	if uri == "" {
		fmt.Println("Number of views: 1") // no server to show it on
		return
	}
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		panic(err)
	}
	defer func() { _ = client.Disconnect(ctx) }()
	collection := client.Database("cloakroom-example").Collection("sessions")
	defer func() { _ = collection.Drop(ctx) }() // so that the example leaves nothing behind

	store, err := mongostore.New(collection, mongostore.Options{})
	if err != nil {
		panic(err)
	}
	if err := store.EnsureIndexes(ctx); err != nil {
		panic(err)
	}
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

// The store makes its own client and disconnects it.
func ExampleOpen() {
	ctx := context.Background()
	uri := os.Getenv("MONGODB_URI")
	if uri == "" {
		fmt.Println("it answers") // no server to show it on
		return
	}
	store, err := mongostore.Open(ctx, uri, mongostore.Options{Database: "cloakroom-example"})
	if err != nil {
		panic(err)
	}
	defer store.Close()
	if store.Ping(ctx) == nil {
		fmt.Println("it answers")
	}
	// Output: it answers
}
