package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valkey-io/valkey-go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

const (
	idle     = 20 * time.Second // of a session that nobody comes back to
	clients  = 8                // of each store, each with a connection
	timeout  = 30 * time.Second // of a request
	lifetime = time.Minute      // of a session, however active
)

// A stage is an app with its store and its visitors.
type stage struct {
	name      string
	store     store.Store
	manager   *core.Manager
	closers   []func() error
	server    *httptest.Server
	transport *http.Transport
	requests  atomic.Int64

	wg  sync.WaitGroup
	mu  sync.Mutex
	err error // the first one
}

// open opens the stores that there are.
func open(ctx context.Context) ([]*stage, error) {
	memory := memorystore.New(memorystore.Options{MaxSessions: 100_000})
	stages := []*stage{{name: "memory", store: memory, closers: []func() error{memory.Close}}}
	if addr := os.Getenv("VALKEY_ADDR"); addr != "" {
		client, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}})
		if err != nil {
			return nil, err
		}
		st, err := valkeystore.New(client, valkeystore.Options{Prefix: "soak:" + rand.Text() + ":"})
		if err != nil {
			return nil, err
		}
		stages = append(stages, &stage{name: "valkey", store: st, closers: []func() error{
			func() error { return st.Clear(context.WithoutCancel(ctx)) },
			func() error { client.Close(); return nil },
		}})
	}
	if uri := os.Getenv("MONGODB_URI"); uri != "" {
		client, err := mongo.Connect(options.Client().ApplyURI(uri))
		if err != nil {
			return nil, err
		}
		coll := client.Database("soak" + strings.ToLower(rand.Text())).Collection("sessions")
		st, err := mongostore.New(coll, mongostore.Options{})
		if err != nil {
			return nil, err
		}
		stages = append(stages, &stage{name: "mongodb", store: st, closers: []func() error{
			func() error { return coll.Database().Drop(context.WithoutCancel(ctx)) },
			func() error { return client.Disconnect(context.WithoutCancel(ctx)) },
		}})
	}
	for _, s := range stages {
		manager, err := core.New(core.Config{
			Store: s.store, Secrets: []string{rand.Text() + rand.Text()}, IdleTimeout: idle, AbsoluteTimeout: lifetime,
			SealKeys: []string{rand.Text() + rand.Text()}, HashIDs: true, StoreTimeout: timeout,
		})
		if err != nil {
			return nil, err
		}
		s.manager = manager
	}
	return stages, nil
}

// start serves the app and lets visitors come.
func (s *stage) start(ctx context.Context, rate, visitors int) {
	s.server = httptest.NewServer(s.manager.Handler(http.HandlerFunc(handle)))
	s.transport = &http.Transport{MaxIdleConnsPerHost: clients}
	for i := range clients {
		s.wg.Go(func() { s.visit(ctx, i, rate, make([]string, visitors/clients)) })
	}
}

const views core.Key[int] = "views"

// handle is the app: the path says what it does.
func handle(w http.ResponseWriter, r *http.Request) {
	s := core.FromContext(r.Context())
	var err error
	switch r.URL.Path {
	case "/change":
		views.Update(s, func(n int) int { return n + 1 })
	case "/cart":
		s.Set("cart", strings.Repeat("an item, ", 100))
	case "/flash":
		s.Flash("info", "Saved.")
	case "/show":
		s.Flashes("info")
	case "/login":
		err = s.Renew()
		s.Set("user", "ada")
	case "/regenerate":
		err = s.Regenerate()
	case "/remember":
		err = s.SetMaxAge(idle / 2)
	case "/take":
		if _, err = core.Key[string]("cart").Take(r.Context(), s); errors.Is(err, core.ErrAbsent) {
			err = nil
		}
	case "/logout":
		err = s.Destroy(r.Context())
	default:
		views.Get(s)
	}
	if err != nil && !errors.Is(err, core.ErrSessionGone) {
		http.Error(w, err.Error(), core.HTTPStatus(err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

var paths = strings.Fields("/ / / / /change /change /cart /flash /show /login /regenerate /remember /take /logout /leave /forged")

// visit makes requests, one after the other, as one of some visitors each time.
func (s *stage) visit(ctx context.Context, n, rate int, cookies []string) {
	client := &http.Client{Transport: s.transport, Timeout: 2 * timeout}
	pace := time.NewTicker(time.Second * clients / time.Duration(rate))
	defer pace.Stop()
	for {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		path, visitor := paths[pick(len(paths))], pick(len(cookies))
		switch path {
		case "/leave": // for good, and somebody else comes
			cookies[visitor] = ""
			continue
		case "/forged":
			cookies[visitor] = fmt.Sprintf("sid=s%%3A%d.%s", n, strings.Repeat("A", 43))
		}
		// What has begun goes on when the time is over.
		if err := s.request(context.WithoutCancel(ctx), client, path, &cookies[visitor]); err != nil {
			s.fail(err)
			return
		}
		s.requests.Add(1)
	}
}

// request makes a request with a cookie, and keeps the one that is set.
func (s *stage) request(ctx context.Context, client *http.Client, path string, cookie *string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server.URL+path, http.NoBody)
	if err != nil {
		return err
	}
	if *cookie != "" {
		r.Header.Set("Cookie", *cookie)
	}
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	// A session that ends while it is being changed is no failure.
	if response.StatusCode != http.StatusNoContent && response.StatusCode != http.StatusConflict {
		return fmt.Errorf("%s: %s: %s", path, response.Status, text)
	}
	for _, c := range response.Cookies() {
		*cookie = c.Name + "=" + c.Value
		if c.MaxAge < 0 {
			*cookie = ""
		}
	}
	return nil
}

func pick(n int) int {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err)
	}
	return int(i.Int64())
}

func (s *stage) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = fmt.Errorf("%s: %w", s.name, err)
	}
}

// close ends the stage and returns the first error that it had.
func (s *stage) close() error {
	s.wg.Wait()
	s.transport.CloseIdleConnections()
	s.server.Close()
	s.mu.Lock()
	errs := []error{s.err}
	s.mu.Unlock()
	for _, c := range s.closers {
		errs = append(errs, c())
	}
	s.store, s.manager, s.server, s.transport, s.closers = nil, nil, nil, nil, nil
	return errors.Join(errs...)
}
