package core_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

// An event stream ends when its session does, whoever ends it: here somebody logs out in
// another tab. The browser's EventSource connects again by itself, with the cookie that it
// has by then.
func ExampleSession_Ended() {
	m := must(core.Config{Store: sessions, Secrets: exampleSecrets})
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).SignIn(r.Context(), "bob"); err == nil {
			fmt.Fprintln(w, "Hello!")
		}
	})
	mux.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).SignOut(r.Context()); err == nil {
			fmt.Fprintln(w, "Goodbye!")
		}
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if s.User() == "" {
			http.Error(w, "Log in first.", http.StatusUnauthorized) // EventSource does not try again
			return
		}
		ended := s.Ended(r.Context())
		news := time.NewTicker(20 * time.Second)
		defer news.Stop()
		w.Header().Set("Content-Type", "text/event-stream")
		stream := http.NewResponseController(w)
		for event := "hello"; ; event = "tick" {
			_ = stream.SetWriteDeadline(time.Now().Add(10 * time.Second)) // in place of Server.WriteTimeout
			if _, err := fmt.Fprintf(w, "data: %s\n\n", event); err != nil || stream.Flush() != nil {
				return
			}
			select {
			case <-news.C:
			case <-ended:
				return
			case <-r.Context().Done(): // the browser is gone
				return
			}
		}
	})
	browser := browse(m.Handler(mux))
	defer browser.server.Close()

	browser.get("/login")
	events, err := browser.Get(browser.server.URL + "/events")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer events.Body.Close()
	lines := bufio.NewReader(events.Body)
	line, _ := lines.ReadString('\n')
	fmt.Print(line)
	browser.get("/logout")
	_, err = io.Copy(io.Discard, lines)
	fmt.Println("the stream has ended:", err)
	// Output:
	// /login: Hello!
	// data: hello
	// /logout: Goodbye!
	// the stream has ended: <nil>
}

// untilEnded is for a WebSocket, of whichever library: it serves the connection until one
// of the two ends, and closes it when the session has ended. The request may be over by
// then, so the context is that of the connection.
func untilEnded(s *core.Session, conn io.Closer, serve func()) {
	ctx, done := context.WithCancel(context.Background())
	defer done()
	ended := s.Ended(ctx)
	go func() {
		defer conn.Close()
		select {
		case <-ended:
		case <-ctx.Done():
		}
	}()
	serve()
}

// A WebSocket is closed when its session ends. The library's connection has a Close; what
// is read from it then fails, so that the handler returns.
func ExampleSession_Ended_webSocket() {
	m := must(core.Config{Store: sessions, Secrets: exampleSecrets})
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if r.URL.Path == "/login" {
			if err := s.SignIn(r.Context(), "bob"); err == nil {
				fmt.Fprintln(w, "Hello!")
			}
			return
		}
		here, there := io.Pipe() // a library's Accept or Upgrade in an app
		untilEnded(s, there, func() {
			_ = s.Destroy(r.Context()) // somewhere else, in an app
			_, err := io.ReadAll(here)
			fmt.Fprintln(w, "closed:", err)
		})
	}))
	browser := browse(h)
	defer browser.server.Close()
	browser.get("/login")
	browser.get("/socket")
	// Output:
	// /login: Hello!
	// /socket: closed: <nil>
}
