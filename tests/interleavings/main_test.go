package interleavings

import (
	"testing"

	_ "github.com/cloakroom-go/cloakroom/core/adaptertest" // core then panics where it meets what cannot occur
	"github.com/cloakroom-go/cloakroom/internal/suite"
)

func TestMain(m *testing.M) { suite.Main(m) }
