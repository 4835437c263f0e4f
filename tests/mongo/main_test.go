// Package mongo runs what Cloakroom promises on a real server that speaks
// MongoDB's protocol: the table of package adaptertest, what requests cost,
// several processes on one server, outages, and writes whose outcome is not
// known. What only MongoDB itself does is tested where the server is MongoDB.
package mongo

import (
	"encoding/json"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core/store"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	"github.com/cloakroom-go/cloakroom/tests/internal/mongoenv"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
)

func TestMain(m *testing.M) { promises.Main(m, open, nil) }

// A settings is how a process opens its store.
type settings struct {
	URI        string
	Collection string
	Objects    bool
}

func open(text json.RawMessage) (store.Store, error) {
	var s settings
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	client, err := mongo.Connect(options.Client().ApplyURI(s.URI))
	if err != nil {
		return nil, err
	}
	return mongostore.New(client.Database(mongoenv.Database).Collection(s.Collection), mongostore.Options{Objects: s.Objects})
}

// A form is one that a document has.
type form struct {
	name    string
	objects bool
}

var forms = []form{
	{"strings", false},
	{"sub-documents", true},
}
