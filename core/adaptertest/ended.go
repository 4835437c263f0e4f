package adaptertest

import (
	"io"
	"net/http"
	"time"
)

// Connections that outlive what their request answered, and end with their session.

// untilTheEnd opens connections in two processes, which wait for the end of the session,
// ends it, and waits until all of them have ended. A connection of another visitor does
// not.
func untilTheEnd(s *scene, open func(b *browser) (ended <-chan struct{})) {
	s.Helper()
	s.noise = true // Echo, see kind
	s.cfg.PollInterval = 10 * time.Millisecond
	events := at("/events", func(c *Context) error {
		ended := c.Get().Ended(c.Request.Context())
		c.Writer.Header().Set("Content-Type", "text/event-stream")
		if err := http.NewResponseController(c.Writer).Flush(); err != nil {
			return err
		}
		select {
		case <-ended:
		case <-c.Request.Context().Done():
		}
		return nil
	})
	socket := at("/socket", func(c *Context) error {
		ctx := c.Request.Context()
		ended := c.Get().Ended(ctx)
		conn, rw, err := gorilla(c, nil)
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			select {
			case <-ended:
			case <-ctx.Done(): // the handler has returned
			}
		}()
		return echoes(conn, rw, nil)
	})
	s.serve(events, socket)
	urls := []string{s.url}
	s.serve(events, socket)
	urls = append(urls, s.url)
	for _, end := range []string{"/logout", "/login?user=bob"} { // the second one gives it another id
		b, other := s.browser(), s.browser()
		b.get("/login?user=ann")
		other.get("/login?user=eve")
		var here, others []<-chan struct{}
		for _, url := range urls {
			here, others = append(here, open(b.on(url))), append(others, open(other.on(url)))
		}
		b.get("/me").is(http.StatusOK, "user=ann")
		for _, connection := range append(here, others...) {
			select {
			case <-connection:
				s.Fatalf("a connection ended before its session")
			default:
			}
		}
		b.get(end).status(http.StatusOK)
		for _, connection := range here {
			s.await(connection, "a connection to end after "+end)
		}
		other.get("/me").is(http.StatusOK, "user=eve")
		for _, connection := range others {
			select {
			case <-connection:
				s.Fatalf("a connection ended with the session of somebody else")
			default:
			}
		}
		other.get("/logout").status(http.StatusOK)
		for _, connection := range others {
			s.await(connection, "a connection to end after a logout")
		}
	}
}

// ends returns what is closed when nothing more comes from a connection.
func ends(s *scene, from io.ReadCloser) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer from.Close()
		_, _ = io.Copy(io.Discard, from)
	}()
	s.Cleanup(func() { _ = from.Close() })
	return ended
}
