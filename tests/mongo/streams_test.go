package mongo

import (
	"testing"

	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	"github.com/cloakroom-go/cloakroom/tests/internal/mongoenv"
	"github.com/cloakroom-go/cloakroom/tests/internal/promises"
)

// Standards: ASVS-7.4.1, ASVS-7.4.2
func TestEndsAreTold(t *testing.T) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			client := mongoenv.Client(t)
			o := mongostore.Options{Collection: mongoenv.Collection(t, client), Objects: form.objects}
			here, elsewhere := mongoenv.Store(t, client, o), mongoenv.Store(t, mongoenv.Client(t), o)
			promises.Ends(t, here, elsewhere)
			promises.EndsAtRandom(t, here, elsewhere, 50, 800)
		})
	}
}
