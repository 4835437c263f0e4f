package mongostore_test

import (
	"errors"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core/store"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
)

// What a server says of one document of a batch, it says of the batch.
func TestABatchThatIsRefusedSaysWhy(t *testing.T) {
	for _, tt := range []struct {
		name  string
		said  bson.E
		class string
		is    error
	}{
		{
			"one document", bson.E{Key: "writeErrors", Value: bson.A{bson.D{
				{Key: "index", Value: 1}, {Key: "code", Value: 14031}, {Key: "errmsg", Value: "no room for carol"},
			}}}, "disk is full", store.ErrFull,
		},
		{
			"the write concern", bson.E{Key: "writeConcernError", Value: bson.D{
				{Key: "code", Value: 64}, {Key: "errmsg", Value: "waiting for replication of carol timed out"},
			}}, "not confirmed by as many servers as the write concern asks for", nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, router{func(command string) bson.D {
				if command != "insert" {
					return nil
				}
				return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 1}, tt.said}
			}}.collection(t, options.Client()), mongostore.Options{})
			inUse, err := s.CreateBatch(t.Context(), []store.Record{record("bob", "x"), record("carol", "x")})
			var failure *store.Error
			if !errors.As(err, &failure) || failure.Class != tt.class || len(inUse) > 0 {
				t.Fatalf("got %v, want an error that says %q", err, tt.class)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
			if strings.Contains(err.Error(), "carol") {
				t.Errorf("the error has an id in it: %v", err)
			}
		})
	}
}
