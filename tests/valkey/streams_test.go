package valkey

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
	"github.com/cloakroom-go/cloakroom/tests/internal/valkeyenv"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// An end is told by servers that tell, and found by a poll where they cannot: with a client
// that speaks the old protocol, or as a user who may not ask for it.
//
// Standards: ASVS-7.4.1, ASVS-7.4.2
func TestEndsAreTold(t *testing.T) {
	t.Parallel()
	server := servers.Start(t)
	user := strings.ToLower(rand.Text())
	server.Must("ACL", "SETUSER", user, "on", ">password", "~*", "resetchannels", "+@all", "-client|tracking")
	const few, many = 800, 4000
	for _, tt := range []struct {
		name   string
		option valkey.ClientOption
		cache  time.Duration
		steps  int
	}{
		{"standalone", server.Option(), 0, many},
		{"a client with a cache", server.Option(), time.Minute, few},
		{"cluster", valkey.ClientOption{InitAddress: valkeyenv.ClusterAddrs(t)}, 0, many},
		{"an old server", servers.StartOld(t).Option(), 0, few},
		{"the old protocol", valkey.ClientOption{InitAddress: []string{server.Addr}, AlwaysRESP2: true, DisableCache: true}, 0, few},
		{"no right to be told", valkey.ClientOption{InitAddress: []string{server.Addr}, DisableCache: true, Username: user, Password: "password"}, 0, few},
	} {
		if soak.For(t) > 0 {
			tt.steps = many
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := valkeystore.Options{Prefix: valkeyenv.Prefix(), CacheTTL: tt.cache}
			here, elsewhere := valkeyenv.Store(t, valkeyenv.Client(t, tt.option), o), valkeyenv.Store(t, valkeyenv.Client(t, tt.option), o)
			promises.Ends(t, here, elsewhere)
			promises.EndsAtRandom(t, here, elsewhere, 100, tt.steps)
		})
	}
}
