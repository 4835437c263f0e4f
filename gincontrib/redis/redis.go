// Package redis has the functions of github.com/gin-contrib/sessions/redis on Cloakroom:
// sessions stay in the same Redis or Valkey, and those that gin-contrib left there are
// taken over.
//
//	store, err := redis.NewStore(10, "tcp", "localhost:6379", "", "", []byte("secret")) // as before
//	store.Config(sessions.Config{
//		Secrets:     []string{os.Getenv("SESSION_SECRET")},
//		Predecessor: sessions.Predecessor{Until: time.Date(2030, 3, 1, 0, 0, 0, 0, time.UTC)},
//	})
//
// It is a module of its own, so that apps without Redis get no client of it. The keys of
// new sessions begin with the prefix of the former ones and "cloakroom:", as in
// "session_cloakroom:".
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/valkey-io/valkey-go"

	sessions "github.com/cloakroom-go/cloakroom/gincontrib"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/stores/valkey/valkeytakeover"
	"github.com/cloakroom-go/cloakroom/takeover"
)

// Store is [sessions.Store].
type Store = sessions.Store

// formerPrefix is what the keys of gin-contrib's sessions begin with.
const formerPrefix = "session_"

// NewStore returns a Store on a client of its own, which is there for as long as the
// process runs. network is "tcp" or "unix", and address where the server is. The keys are
// those of the former store: they verify and decrypt, and sign nothing. Without any,
// nothing is taken over. The number of connections, which was the first argument, is up
// to the client.
//
// It returns an error where the server does not answer. Secrets and, where there are
// keys, Predecessor.Until have to be set by Config.
func NewStore(size int, network, address, username, password string, keyPairs ...[]byte) (Store, error) {
	return NewStoreWithDB(size, network, address, username, password, "0", keyPairs...)
}

// NewStoreWithDB is [NewStore] for the database of that number.
func NewStoreWithDB(_ int, network, address, username, password, db string, keyPairs ...[]byte) (Store, error) {
	number, err := strconv.Atoi(db)
	if err != nil || number < 0 {
		return nil, fmt.Errorf("cloakroom: gincontrib/redis: the database is %q, want a number such as \"0\"", db)
	}
	option := valkey.ClientOption{InitAddress: []string{address}, Username: username, Password: password, SelectDB: number, DisableCache: true}
	switch network {
	case "tcp":
	case "unix":
		option.DialCtxFn = func(ctx context.Context, _ string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return d.DialContext(ctx, network, address)
		}
	default:
		return nil, fmt.Errorf("cloakroom: gincontrib/redis: the network is %q, want \"tcp\" or \"unix\"", network)
	}
	client, err := valkey.NewClient(option)
	if err != nil { // its text may have what the server was told
		return nil, fmt.Errorf("cloakroom: gincontrib/redis: no connection to %s: does the server run, and are user, password and database right?", address)
	}
	return NewStoreWithClient(client, keyPairs...)
}

// NewStoreWithClient is [NewStore] on the app's client, which the app closes. It takes the
// place of gin-contrib's NewStoreWithPool.
func NewStoreWithClient(client valkey.Client, keyPairs ...[]byte) (Store, error) {
	s := &store{client: client, keyPairs: keyPairs}
	if err := s.make(formerPrefix); err != nil {
		return nil, err
	}
	return s, nil
}

// SetKeyPrefix says what the keys of the former sessions begin with, where that is not
// "session_". Call it before Sessions. The error says that s was not made by this
// package, or that no key can begin so.
func SetKeyPrefix(s Store, prefix string) error {
	ours, ok := s.(*store)
	if !ok {
		return errors.New("cloakroom: gincontrib/redis: SetKeyPrefix wants a store of NewStore")
	}
	return ours.make(prefix)
}

// store is one that is made anew by SetKeyPrefix, with what was set before.
type store struct {
	client   valkey.Client
	keyPairs [][]byte

	sessions.Store
	set []func(sessions.Store) // what was set
}

// Format keeps a store from printing keys.
func (s *store) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("Store")) }

func (s *store) make(prefix string) error {
	valkeys, err := valkeystore.New(s.client, valkeystore.Options{Prefix: prefix + "cloakroom:"})
	if err != nil {
		return err
	}
	s.Store = sessions.NewStore(sessions.Config{
		Store: valkeys,
		Predecessor: sessions.Predecessor{
			Source: takeover.Gorilla{Records: valkeytakeover.Records{Client: s.client, Prefix: prefix}, Unsigned: true},
		},
	}, s.keyPairs...)
	for _, set := range s.set {
		set(s.Store)
	}
	return nil
}

// Options implements [sessions.Store].
func (s *store) Options(o sessions.Options) {
	s.apply(func(st sessions.Store) { st.Options(o) })
}

// Config implements [sessions.Store].
func (s *store) Config(cfg sessions.Config) {
	s.apply(func(st sessions.Store) { st.Config(cfg) })
}

func (s *store) apply(set func(sessions.Store)) {
	s.set = append(s.set, set)
	set(s.Store)
}
