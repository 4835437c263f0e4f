// Package valkey runs what Cloakroom promises on real Valkey servers: the table
// of package adaptertest, what requests cost, several processes on one server,
// outages, client-side caching, and writes whose outcome is not known.
package valkey

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
	"github.com/cloakroom-go/cloakroom/tests/internal/valkeyenv"
)

func TestMain(m *testing.M) { promises.Main(m, open, store.BypassCache) }

// A settings is how a process opens its store.
type settings struct {
	Addrs      []string // of the servers
	Prefix     string
	ClientName string // as CLIENT LIST shows it
	CacheTTL   time.Duration
}

func open(text json.RawMessage) (store.Store, error) {
	var s settings
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	client, err := valkey.NewClient(valkeyenv.Lean(valkey.ClientOption{InitAddress: s.Addrs, ClientName: s.ClientName}))
	if err != nil {
		return nil, err
	}
	return valkeystore.New(client, valkeystore.Options{Prefix: s.Prefix, CacheTTL: s.CacheTTL})
}
