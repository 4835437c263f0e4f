package examples

import (
	"os"
	"testing"

	"github.com/cloakroom-go/cloakroom/internal/suite"
)

func TestMain(m *testing.M) {
	os.Exit(suite.Run(m, func(code int) int {
		_ = os.RemoveAll(binaries.dir)
		return code
	}))
}
