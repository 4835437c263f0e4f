package interop

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

// A database is where the sessions of a test are. Besides the stores of both
// sides the tests look at it themselves.
type database interface {
	name() string
	settings() storeSettings

	// record returns the session as JSON, and whether it is there.
	record(t testing.TB, id string) (string, bool)
	// life returns how long a record is still to live.
	life(t testing.TB, id string) time.Duration
	// expireIn gives a record that long to live from now on.
	expireIn(t testing.TB, id string, d time.Duration)
	// put stores a session under an id.
	put(t testing.TB, id, record string)
}

// onEach runs a test on every kind of database, with no sessions in it.
func onEach(t *testing.T, test func(*testing.T, database)) {
	t.Helper()
	for _, open := range []struct {
		name string
		db   func(testing.TB) database
	}{
		{"valkey", newValkey},
		{"mongo string", newMongo("mongo string")},
		{"mongo object", newMongo("mongo object")},
	} {
		t.Run(open.name, func(t *testing.T) {
			t.Parallel()
			needNode(t)
			test(t, open.db(t))
		})
	}
}

// openStore returns our store for what server.js would open express-session's,
// and what closes it.
func openStore(ctx context.Context, s storeSettings) (store.Store, func(), error) {
	switch s.Kind {
	case "valkey":
		st, err := valkeystore.Open(ctx, strings.Replace(s.URL, "redis:", "valkey:", 1), valkeystore.Options{Prefix: s.Prefix})
		if err != nil {
			return nil, nil, err
		}
		return st, func() { _ = st.Close() }, nil
	case "mongo string", "mongo object":
		st, err := mongostore.Open(ctx, s.URL, mongostore.Options{
			Database: s.Database, Collection: s.Collection, Objects: s.Kind == "mongo object", TouchAfter: s.TouchAfter > 0,
		})
		if err != nil {
			return nil, nil, err
		}
		return st, func() { _ = st.Close() }, nil
	}
	return nil, nil, fmt.Errorf("there is no store for %q", s.Kind)
}

// env returns the address of a server. The test is skipped where there is none,
// and fails where CI is set.
func env(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		const what = "NO SERVER: %s is not set, so this was not tested; scripts/servers.sh sets it"
		if os.Getenv("CI") != "" {
			t.Fatalf(what, name)
		}
		t.Skipf(what, name)
	}
	return value
}

// valkeyDB is a Valkey server, with a prefix of its own.
type valkeyDB struct {
	addr, prefix string
	client       valkey.Client
}

func newValkey(t testing.TB) database {
	t.Helper()
	db := &valkeyDB{addr: env(t, "VALKEY_ADDR"), prefix: "interop:" + rand.Text() + ":"}
	var err error
	if db.client, err = valkey.NewClient(valkey.ClientOption{InitAddress: []string{db.addr}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer db.client.Close()
		st, err := valkeystore.New(db.client, valkeystore.Options{Prefix: db.prefix})
		if err == nil {
			err = st.Clear(context.Background())
		}
		if err != nil {
			t.Error(err)
		}
	})
	return db
}

func (db *valkeyDB) name() string { return "Valkey" }

func (db *valkeyDB) settings() storeSettings {
	return storeSettings{Kind: "valkey", URL: "redis://" + db.addr, Prefix: db.prefix}
}

func (db *valkeyDB) record(t testing.TB, id string) (string, bool) {
	t.Helper()
	text, err := db.client.Do(t.Context(), db.client.B().Get().Key(db.prefix+id).Build()).ToString()
	if valkey.IsValkeyNil(err) {
		return "", false
	}
	if err != nil {
		t.Fatal(err)
	}
	return text, true
}

func (db *valkeyDB) life(t testing.TB, id string) time.Duration {
	t.Helper()
	ms, err := db.client.Do(t.Context(), db.client.B().Pttl().Key(db.prefix+id).Build()).AsInt64()
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(ms) * time.Millisecond
}

func (db *valkeyDB) expireIn(t testing.TB, id string, d time.Duration) {
	t.Helper()
	if err := db.client.Do(t.Context(), db.client.B().Pexpire().Key(db.prefix+id).Milliseconds(d.Milliseconds()).Build()).Error(); err != nil {
		t.Fatal(err)
	}
}

func (db *valkeyDB) put(t testing.TB, id, record string) {
	t.Helper()
	if err := db.client.Do(t.Context(), db.client.B().Set().Key(db.prefix+id).Value(record).Ex(time.Hour).Build()).Error(); err != nil {
		t.Fatal(err)
	}
}
