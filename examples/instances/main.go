// Command instances is one of several instances of an app behind nginx.conf: a session that
// one of them made is there at the others, a logout ends streams and sockets at all of them,
// and nobody is logged out when an instance dies.
//
//	export SESSION_SECRET=$(openssl rand -base64 32)
//	go run ./instances
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net/http"
	"net/netip"
	"os"

	"github.com/coder/websocket"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

const try = `an instance listens on http://%[1]s. The other one, and what is in front of both, in terminals with the same SESSION_SECRET:

PORT=8082 go run ./instances
cd instances && openssl req -x509 -newkey ed25519 -nodes -subj /CN=localhost -keyout key.pem -out cert.pem && nginx -p "$PWD" -c "$PWD/nginx.conf" -g 'daemon off;'
curl -sk -c jar -d user=bob https://127.0.0.1:8443/login     # Hello, bob!
curl -sk -b jar https://127.0.0.1:8443/                      # bob, view 1, of the instance on port 808
curl -sk -b jar https://127.0.0.1:8443/                      # bob, view 2, of the instance on port 808
`

const views core.Key[int] = "views"

func main() {
	sessions, err := core.New(core.Config{
		Store:   open(context.Background()),
		Secrets: []string{os.Getenv("SESSION_SECRET")}, // the same for all: openssl rand -base64 32
		// Only the proxy's word counts for whether the browser came over HTTPS, and from where.
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		// A name that browsers take from this host over HTTPS and from nobody else.
		Cookie: core.Cookie{Name: "__Host-sid", Secure: core.SecureAlways},
	})
	if err != nil {
		log.Fatal(err)
	}
	port := cmp.Or(os.Getenv("PORT"), "8081")

	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if err := s.SignIn(r.Context(), r.PostFormValue("user")); err != nil {
			http.Error(w, "Try again.", core.HTTPStatus(err))
			return
		}
		fmt.Fprintf(w, "Hello, %s!\n", s.User())
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).SignOut(r.Context()); err != nil {
			http.Error(w, "Try again.", core.HTTPStatus(err))
		}
	})
	signedIn := core.RequireUser(core.SignInPage{})
	mux.Handle("GET /{$}", signedIn.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		n := views.Update(s, func(n int) int { return n + 1 })
		fmt.Fprintf(w, "%s, view %d, of the instance on port %s\n", s.User(), n, port)
	}))
	mux.Handle("GET /events", signedIn.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ended := core.FromContext(r.Context()).Ended(r.Context())
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: from port %s\n\n", port)
		_ = http.NewResponseController(w).Flush()
		select { // examples/event-stream has what a stream of your own needs
		case <-ended:
			fmt.Fprint(w, "event: signed-out\ndata:\n\n")
		case <-r.Context().Done():
		}
	}))
	mux.Handle("GET /socket", signedIn.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, done := context.WithCancel(context.WithoutCancel(r.Context())) // the connection outlives the request
		defer done()
		ended := core.FromContext(r.Context()).Ended(ctx)
		conn, err := websocket.Accept(w, r, nil) // checks the origin by the Host that nginx passes on
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		if err := conn.Write(ctx, websocket.MessageText, []byte("from port "+port)); err != nil {
			return
		}
		select { // examples/websocket also reads
		case <-ended:
			_ = conn.Close(websocket.StatusPolicyViolation, "signed out")
		case <-conn.CloseRead(ctx).Done():
		}
	}))

	addr := "127.0.0.1:" + port
	fmt.Printf(try, addr)
	log.Fatal(http.ListenAndServe(addr, sessions.Handler(mux)))
}

// open opens what the instances share: a Valkey where VALKEY_URL names one, else a file, which
// is for instances on one machine.
func open(ctx context.Context) store.Store {
	var (
		st  store.Store
		err error
	)
	if url := os.Getenv("VALKEY_URL"); url != "" {
		st, err = valkeystore.Open(ctx, url, valkeystore.Options{})
	} else {
		st, err = sqlitestore.Open(ctx, cmp.Or(os.Getenv("SESSIONS_FILE"), "sessions.db"), sqlitestore.Options{})
	}
	if err != nil {
		log.Fatal(err)
	}
	return st
}
