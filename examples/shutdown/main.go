// Command shutdown counts the bytes that a visitor has uploaded, and ends without losing
// any: it tells the load balancer first, and goes on serving until that has heard.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
)

const uploaded core.Key[int64] = "uploaded"

func main() {
	store, err := sqlitestore.Open(context.Background(), "sessions.db", sqlitestore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := core.New(core.Config{Store: store, Secrets: []string{os.Getenv("SESSION_SECRET")}})
	if err != nil {
		log.Fatal(err)
	}
	app := http.NewServeMux()
	app.HandleFunc("POST /upload", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body) // which takes as long as the visitor's connection does
		if err != nil {
			http.Error(w, "The upload broke off.", http.StatusBadRequest)
			return
		}
		all := uploaded.Update(core.FromContext(r.Context()), func(before int64) int64 { return before + n })
		_, _ = fmt.Fprintf(w, "Uploaded so far: %d bytes\n", all)
	})

	ready := new(core.Probe) // does not ask the store: see docs/monitoring.md
	mux := http.NewServeMux()
	mux.Handle("GET /livez", new(core.Probe))
	mux.Handle("GET /readyz", ready)
	mux.Handle("/", sessions.Handler(app))
	server := &http.Server{Addr: "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080"), Handler: mux, ReadHeaderTimeout: 10 * time.Second}

	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		log.Fatal(err)
	case <-signals:
	}

	// 1. Say that no new requests should come, and serve those that come until then. A
	// second signal says that all know.
	ready.Drain()
	select {
	case <-time.After(drainTime()):
	case <-signals:
	}
	// 2. Accept no connection any more, and let the requests that are under way end. Their
	// sessions are stored before their answers leave.
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil && !errors.Is(err, http.ErrServerClosed) {
		log.Print("Some requests did not end in time: ", err)
	}
	// 3. Nobody needs the store any more.
	if err := store.Close(); err != nil {
		log.Fatal(err)
	}
}

// drainTime is how long it takes until no load balancer sends requests here any more: the
// period of its checks, times how many have to fail, and a little more.
func drainTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("DRAIN_TIME")); err == nil {
		return d
	}
	return 5 * time.Second
}
