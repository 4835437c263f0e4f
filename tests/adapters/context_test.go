package adapters

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
)

// An actors remembers who ended sessions.
type actors struct{ seen []string }

func (a *actors) Observe(_ context.Context, e core.Event) {
	if e.Kind == core.EventRevoked {
		a.seen = append(a.seen, e.By)
	}
}

// The context of the request is what tells the calls about a user which session asks,
// and who acts, in each framework.
func TestTheContextOfTheRequestSaysWhoAsks(t *testing.T) {
	for _, framework := range frameworks.All() {
		t.Run(framework.Name, func(t *testing.T) {
			st := memorystore.New(memorystore.Options{})
			defer func() { _ = st.Close() }()
			by := new(actors)
			m, err := core.New(core.Config{Store: st, Secrets: []string{"0123456789abcdef0123456789abcdef"}, Observer: by})
			if err != nil {
				t.Fatal(err)
			}
			say := func(c *adaptertest.Context, err error, text string) error {
				if err != nil {
					http.Error(c.Writer, err.Error(), core.HTTPStatus(err))
					return nil
				}
				_, err = io.WriteString(c.Writer, text)
				return err
			}
			h := framework.Serve(t, adaptertest.App{
				Use: []adaptertest.Middleware{{Session: m}},
				Groups: []adaptertest.Group{{Routes: []adaptertest.Route{
					{Path: "/login", Handler: func(c *adaptertest.Context) error {
						return say(c, c.Get().SignIn(c.Request.Context(), c.Request.FormValue("user")), "hello")
					}},
					{Path: "/devices", Handler: func(c *adaptertest.Context) error {
						text := ""
						for device, err := range m.Sessions(c.Request.Context(), c.Get().User()) {
							if err != nil {
								return say(c, err, "")
							}
							if device.Current == (device.Handle == c.Get().Handle()) {
								text += "+"
							} else {
								text += "-"
							}
						}
						return say(c, nil, text)
					}},
					{Path: "/end", Handler: func(c *adaptertest.Context) error {
						return say(c, m.RevokeUser(c.Request.Context(), c.Request.FormValue("user")), "ended")
					}},
					{Path: "/end-as-operator", Handler: func(c *adaptertest.Context) error {
						ctx := core.WithActor(c.Request.Context(), "operator")
						return say(c, m.RevokeUser(ctx, c.Request.FormValue("user")), "ended")
					}},
				}}},
			})
			ann, elsewhere, admin := visit(t, h), visit(t, h), visit(t, h)
			ann.get("/login?user=ann", http.StatusOK, "hello")
			elsewhere.get("/login?user=ann", http.StatusOK, "hello")
			ann.get("/devices", http.StatusOK, "++")
			admin.get("/login?user=eve", http.StatusOK, "hello")
			admin.get("/end?user=ann", http.StatusOK, "ended")
			admin.get("/end-as-operator?user=eve", http.StatusOK, "ended")
			if len(by.seen) != 3 || by.seen[0] != "eve" || by.seen[1] != "eve" || by.seen[2] != "operator" {
				t.Errorf("sessions were ended by %q, want eve twice and the operator", by.seen)
			}
		})
	}
}
