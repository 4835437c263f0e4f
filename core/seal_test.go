package core

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/seal"
	"github.com/cloakroom-go/cloakroom/core/internal/vault"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// Without the keys a sealed record is reported and left alone. Taken for a session
// it would be written to, and never open again.
func TestASealedRecordIsOneAlsoWhereNobodyHasTheKeys(t *testing.T) {
	keys, err := seal.NewKeys([]string{strings.Repeat("a", seal.MinSecret)})
	if err != nil {
		t.Fatal(err)
	}
	sealed := string(keys[0].Seal("id", []byte(`{"cookie":{}}`)))
	for name, data := range map[string]string{
		"as it was sealed":  sealed,
		"with a line break": sealed[:len(sealed)/2] + "\n" + sealed[len(sealed)/2:],
		"cut":               sealed[:len(sealed)/2] + `"}`,
	} {
		if _, err := vault.New(vault.Options{Now: time.Now}).Read(store.Record{ID: "id", Data: []byte(data)}, 0); !errors.Is(err, ErrUnknownSealKey) {
			t.Errorf("%s: %v, want ErrUnknownSealKey", name, err)
		}
	}
}
