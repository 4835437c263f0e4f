package mongo

import (
	"net/http"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	"github.com/cloakroom-go/cloakroom/tests/internal/faultproxy"
	"github.com/cloakroom-go/cloakroom/tests/internal/mongoenv"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
)

func newNetwork(t *testing.T, o mongostore.Options) *promises.Network {
	t.Helper()
	proxy := faultproxy.NewMongo(t)
	n := &promises.Network{Proxy: proxy}
	direct := mongoenv.Client(t)
	o.Collection = mongoenv.Collection(t, direct)
	n.Direct = mongoenv.Store(t, direct, o)
	n.Through = mongoenv.Store(t, mongoenv.Client(t, options.Client().SetDialer(proxy)), o)
	return n
}

// troubles are those of the verbs. All but an extension is done again by core.
// That fails with its request, unless the driver has sent it again: it does that
// with a replica set.
func troubles(t *testing.T) []promises.Trouble {
	extension := http.StatusServiceUnavailable
	if mongoenv.ReplicaSet(t, mongoenv.Client(t)) {
		extension = http.StatusOK
	}
	return []promises.Trouble{
		{Name: "load", Begin: "/count", Path: "/read", Command: "find", Status: 200, Me: "user=", Count: "1", Live: 1, Before: promises.Left("1", 1, 0), After: promises.Left("1", 1, 0)},
		{Name: "load, in the handler", Begin: "/count", Path: "/reload", Command: "find", Nth: 1, Status: 200, Me: "user=", Count: "1", Live: 1, Before: promises.Left("1", 1, 0), After: promises.Left("1", 1, 0)},
		{Name: "create", Path: "/count", Command: "insert", Write: true, Creates: true, Status: 200, Me: "user=", Count: "1", Live: 1, Before: promises.Left("0", 0, 0), After: promises.Left("0", 1, 0)},
		{Name: "update", Begin: "/count", Path: "/count", Command: "update", Write: true, Status: 200, Me: "user=", Count: "2", Live: 1, Before: promises.Left("1", 1, 0), After: promises.Left("2", 1, 0)},
		{Name: "update of a large record", Begin: "/large /count", Path: "/count", Command: "update", Write: true, Status: 200, Me: "user=", Count: "2", Live: 1, Before: promises.Left("1", 1, 0), After: promises.Left("2", 1, 0)},
		{Name: "replace, the next", Begin: "/count", Path: "/login?user=ann", Command: "insert", Write: true, Creates: true, Status: 200, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: promises.Left("1", 1, 0), After: promises.Left("1", 2, 0)},
		{Name: "replace, the old", Begin: "/count", Path: "/login?user=ann", Command: "update", Write: true, Status: 200, Me: "user=ann", Count: "1", Live: 1, Retired: 1, Before: promises.Left("1", 2, 0), After: promises.Left("0", 1, 1), Refused: promises.Left("1", 1, 0)},
		{Name: "delete", Begin: "/count", Path: "/leave", Command: "delete", Status: 200, Me: "user=", Count: "0", Live: 0, Again: true, Before: promises.Left("1", 1, 0), After: promises.Left("0", 0, 0)},
		{Name: "touch", Begin: "/count", Path: "/touching/read", Command: "update", Status: extension, Me: "user=", Count: "1", Live: 1, Before: promises.Left("1", 1, 0), After: promises.Left("1", 1, 0)},
	}
}

// TestFaultMatrix does every fault to every command of the store.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	promises.Matrix(t, func(t *testing.T) *promises.Network { return newNetwork(t, mongostore.Options{}) }, troubles(t))
}

func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, mongostore.Options{Objects: form.objects})
			n.ExactlyOnce(t, 20, "find", "insert", "update") // the driver takes half a second to get over a lost connection
		})
	}
}
