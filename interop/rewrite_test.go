package interop

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// rewrite returns what JSON.stringify(JSON.parse(text)) is, which is what
// Express makes of a session when it writes it. The engine itself is asked.
func rewrite(t testing.TB, text string) string {
	t.Helper()
	url, err := rewriter(t)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: transport, Timeout: patience}).Post(url+"/-/rewrite", "text/plain", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("JSON.parse: status %d, %v\n%s", res.StatusCode, err, text)
	}
	return string(body)
}

var rewriterURL = sync.OnceValues(func() (string, error) {
	p, err := oneExpress()
	if err != nil {
		return "", err
	}
	return p.start(settings{Secrets: []string{"unused"}, Store: storeSettings{Kind: "memory"}})
})

func rewriter(t testing.TB) (string, error) {
	t.Helper()
	theExpress(t)
	return rewriterURL()
}
