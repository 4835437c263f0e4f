package mongo

import (
	"testing"

	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	"github.com/cloakroom-go/cloakroom/tests/internal/mongoenv"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// TestThreeProcesses has three processes of one app, each by another framework,
// on one server, by default with one of the two forms.
//
// Standards: ASVS-8.3.2
func TestThreeProcesses(t *testing.T) {
	t.Parallel()
	for _, tt := range soak.Some(t, []struct {
		name             string
		objects, private bool
	}{
		{"strings, hashed and sealed", false, true},
		{"sub-documents", true, false},
	}) {
		t.Run(tt.name, func(t *testing.T) {
			client := mongoenv.Client(t)
			s := settings{URI: mongoenv.URI(t), Collection: mongoenv.Collection(t, client), Objects: tt.objects}
			store := mongoenv.Store(t, client, mongostore.Options{Collection: s.Collection, Objects: s.Objects})
			promises.Together(t, promises.Setup{Store: s, Private: tt.private}, store)
		})
	}
}

// TestUsersOfThreeProcesses does the same for the sessions of a user, by default with
// the other form.
//
// Standards: ASVS-7.1.2, ASVS-7.4.2, ASVS-7.4.3, WSTG-SESS-11
func TestUsersOfThreeProcesses(t *testing.T) {
	t.Parallel()
	for _, form := range soak.Some(t, []form{forms[1], forms[0]}) {
		t.Run(form.name, func(t *testing.T) {
			client := mongoenv.Client(t)
			s := settings{URI: mongoenv.URI(t), Collection: mongoenv.Collection(t, client), Objects: form.objects}
			promises.Users(t, promises.Setup{Store: s, Private: !form.objects}, false)
		})
	}
}

func TestOutage(t *testing.T) {
	t.Parallel()
	server := servers.StartMongo(t)
	promises.Outage(t, server, promises.Setup{Store: settings{URI: server.URI(), Collection: "sessions"}})
}

func TestClearInterrupted(t *testing.T) {
	t.Parallel()
	promises.ClearInterrupted(t, func(t *testing.T) *promises.Network { return newNetwork(t, mongostore.Options{}) })
}
