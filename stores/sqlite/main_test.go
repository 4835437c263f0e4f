package sqlitestore_test

import (
	"os"
	"testing"

	"github.com/cloakroom-go/cloakroom/internal/suite"
)

func TestMain(m *testing.M) {
	if os.Getenv("CLOAKROOM_FILE") != "" {
		writeUntilKilled()
	}
	suite.MainWaiting(m)
}
