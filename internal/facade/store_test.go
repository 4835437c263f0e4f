package facade

import (
	"reflect"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/takeover"
)

// A Gorilla by a pointer is a source, too, so what it does not say is as the store has it.
func TestAGorillaByAPointerHasTheRestOfTheStore(t *testing.T) {
	keys := [][]byte{[]byte("a hash key of thirty-two bytes...")}
	var cfg core.Config
	cfg.Predecessor.Source = &takeover.Gorilla{Domain: "example.com"}
	s := NewStore(core.Config{}, keys)
	s.SetConfig(cfg)
	got, ok := s.source("mysession").(takeover.Gorilla)
	if want := (takeover.Gorilla{Name: "mysession", KeyPairs: keys, Domain: "example.com"}); !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("the source is %T %q with %d keys, of %q", s.source("mysession"), got.Name, len(got.KeyPairs), got.Domain)
	}
}
