package predecessors

import (
	"bytes"
	"log"
	"log/slog"
	"os"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/cloakroom-go/cloakroom/internal/suite"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // gin-contrib logs the ids of sessions
	log.SetOutput(new(logged))
	gin.SetMode(gin.TestMode)
	os.Exit(m.Run())
}

// A logged is the log of a Manager, which must hold no id, no cookie and no data.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// logger returns a logger whose text is looked through when the test is over.
func logger(t *testing.T) *slog.Logger {
	l := new(logged)
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if suite.Suspicious(l.buf.String()) {
			t.Errorf("the log has something secret in it:\n%s", l.buf.String())
		}
	})
	return slog.New(slog.NewTextHandler(l, nil))
}
