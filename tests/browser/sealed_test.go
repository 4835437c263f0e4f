package browser

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
)

// A sealed cookie of 4096 bytes of name and value is one that a browser keeps, and a larger
// one is an error of the commit, where a browser would drop it without a word: the session
// stays what it was.
//
// Standards: ASVS-15.2.2
func TestABrowserKeepsTheLargestSealedCookie(t *testing.T) {
	t.Parallel()
	light.need(t)
	m, err := core.New(core.Config{
		Sealed:  &core.SealedCookie{MaxBytes: 4096},
		Secrets: []string{"0123456789abcdef0123456789abcdef"},
	})
	if err != nil {
		t.Fatal(err)
	}
	const data core.Key[string] = "data"
	mux := http.NewServeMux()
	mux.HandleFunc("/fill", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		s := core.FromContext(r.Context())
		data.Set(s, strings.Repeat("x", n))
		say(w, s.Save(r.Context()), "filled")
	})
	mux.HandleFunc("/size", func(w http.ResponseWriter, r *http.Request) {
		say(w, nil, `<p id="size">%d</p>`, len(data.Get(core.FromContext(r.Context()))))
	})
	server := httptest.NewServer(m.Handler(mux))
	t.Cleanup(server.Close)

	largest := 0 // by the cookie of a visitor who is no browser
	for n := 2700; n < 3072 && largest == 0; n++ {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/fill?n="+strconv.Itoa(n), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		cookie, _, _ := strings.Cut(resp.Header.Get("Set-Cookie"), ";")
		if name, value, _ := strings.Cut(cookie, "="); len(name)+len(value) == 4096 {
			largest = n
		}
	}
	if largest == 0 {
		t.Fatal("no session makes a cookie of 4096 bytes")
	}
	b := light.newBrowser(t)
	b.open(server.URL + "/fill?n=" + strconv.Itoa(largest))
	b.open(server.URL + "/size")
	if got := b.text("#size"); got != strconv.Itoa(largest) {
		t.Fatalf("the browser brings a session of %s, want %d", got, largest)
	}
	b.open(server.URL + "/fill?n=" + strconv.Itoa(largest+1))
	if b.status() != http.StatusInternalServerError {
		t.Errorf("one byte more is answered %d, want 500", b.status())
	}
	b.open(server.URL + "/size")
	if got := b.text("#size"); got != strconv.Itoa(largest) {
		t.Errorf("after that it brings one of %s, want %d", got, largest)
	}
}
