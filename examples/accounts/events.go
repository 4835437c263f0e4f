package main

import (
	"io"
	"net/http"
	"time"
)

// heartbeat is how often something is sent on a stream on which nothing happens, so that
// proxies let it live, and a client that is gone is noticed.
const heartbeat = 20 * time.Second

// sessionEvents is a stream on which a page is told that its session has ended, wherever
// that was done. An open page is no activity: see Config.Passive.
func (a *app) sessionEvents(w http.ResponseWriter, r *request) error {
	ended := r.session.Ended(r.Context())
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	stream := http.NewResponseController(w)
	say := func(event string) error {
		_ = stream.SetWriteDeadline(time.Now().Add(10 * time.Second)) // in place of WriteTimeout
		if _, err := io.WriteString(w, event+"\n\n"); err != nil {
			return err
		}
		return stream.Flush()
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for event := ":"; say(event) == nil; { // a line that begins with a colon says nothing
		select {
		case <-beat.C:
		case <-ended:
			_ = say("event: ended\ndata:")
			return nil
		case <-r.Context().Done():
			return nil
		case <-a.closing.Done():
			return nil
		}
	}
	return nil
}
