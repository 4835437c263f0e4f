package mongo

import (
	"strings"
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

// TestFaultMatrix does every fault to every command of the store.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	promises.Matrix(t, func(t *testing.T) *promises.Network { return newNetwork(t, mongostore.Options{}) }, promises.Mongo(mongoenv.ReplicaSet(t, mongoenv.Client(t))))
}

// TestFaultMatrixOfUsers does what may happen to a write to every call about a user.
func TestFaultMatrixOfUsers(t *testing.T) {
	t.Parallel()
	promises.UserMatrix(t, func(t *testing.T) *promises.Network { return newNetwork(t, mongostore.Options{}) }, promises.UserSubject{
		Load: "find", Create: "insert", Update: "update", Delete: "delete", Inspect: "find", LoadsBefore: 1,
		IsOfList: func(c faultproxy.Command) bool { return len(c) > 1 && strings.HasSuffix(c[1], "_users") },
	})
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
