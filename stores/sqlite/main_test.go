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
	if os.Getenv(envFile) != "" {
		stopAtAStatement()
	}
	if os.Getenv(envWriting) != "" {
		writeForAWhile()
	}
	suite.MainWaiting(m)
}
