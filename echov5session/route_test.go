package echosession_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v5"

	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	echosession "github.com/cloakroom-go/cloakroom/echov5session"
)

// What the log says of a request names its route, and not its path.
func TestTheLogNamesTheRoute(t *testing.T) {
	var log bytes.Buffer
	r := echo.New()
	r.Use(echosession.New(echosession.Config{
		Store: adaptertest.NewStore(), Secrets: []string{strings.Repeat("secret", 6)},
		MaxKeys: 1, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}))
	r.GET("/reset/:token", func(c *echo.Context) error {
		s := echosession.Get(c)
		s.Set("a", 1)
		s.Set("b", 2)
		return nil
	})
	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/reset/of-a-password", http.NoBody))
	if said := log.String(); !strings.Contains(said, "method=GET route=/reset/:token") || strings.Contains(said, "of-a-password") {
		t.Errorf("the log has %q", said)
	}
}
