package core_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
)

// A lineRequest and a lineResponse stand for a framework that does not use
// net/http, such as one on top of a server of its own.
type lineRequest struct {
	path   string
	cookie string // the header
	https  bool
}

type lineResponse struct {
	status    int
	setCookie string
	body      string
}

type lineHandler func(ctx context.Context, s *core.Session, r lineRequest) lineResponse

// adapt is the whole adapter: it loads the session, lets the handler run,
// and commits before the response leaves. Where the session could not be loaded
// or saved, the client gets the error page and nothing of the handler's answer.
func adapt(m *core.Manager, next lineHandler) func(context.Context, lineRequest) lineResponse {
	name := m.Config().Cookie.Name
	return func(ctx context.Context, r lineRequest) lineResponse {
		s, err := m.Load(ctx, cookieNamed(name, r.cookie))
		if err != nil {
			return lineResponse{status: core.HTTPStatus(err)}
		}
		response := next(ctx, s, r)
		if response.setCookie, err = m.Commit(ctx, s, r.https); err != nil {
			return lineResponse{status: core.HTTPStatus(err)}
		}
		return response
	}
}

// cookieNamed returns what stands behind name= in a Cookie header.
func cookieNamed(name, header string) string {
	for pair := range strings.SplitSeq(header, ";") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(pair), name+"="); ok {
			return value
		}
	}
	return ""
}

// An adapter of your own, for a framework without net/http.
func Example_adapter() {
	const views core.Key[int] = "views"

	m, err := core.New(core.Config{Store: new(mapstore.Store), Secrets: []string{"32 random bytes, from the environment"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	serve := adapt(m, func(_ context.Context, s *core.Session, r lineRequest) lineResponse {
		n := views.Update(s, func(n int) int { return n + 1 })
		return lineResponse{status: 200, body: fmt.Sprintf("%s, view %d", r.path, n)}
	})

	first := serve(context.Background(), lineRequest{path: "/", https: true})
	fmt.Println(first.status, first.body)
	name, attributes, _ := strings.Cut(first.setCookie, ";")
	fmt.Println(attributes)

	second := serve(context.Background(), lineRequest{path: "/", https: true, cookie: "theme=dark; " + name})
	fmt.Println(second.status, second.body, second.setCookie)

	// Output:
	// 200 /, view 1
	//  Path=/; HttpOnly; Secure; SameSite=Lax
	// 200 /, view 2
}
