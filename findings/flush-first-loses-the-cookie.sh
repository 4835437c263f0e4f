#!/usr/bin/env bash
# A handler that flushes before it writes, as for server-sent events, loses the session cookie in scs and in Echo's Before hook.
#
# With: github.com/alexedwards/scs/v2 v2.9.0, github.com/labstack/echo/v4 v4.16.4; 2026-11-29
# Guess: Flush sends the header, so it is a moment like WriteHeader: whatever has to be in the header is put there first.
# Happens: Flush reaches the writer below, whose header goes out without the cookie. scs stores the session all the same, and no client has
#   its token. In Echo the Before hook runs at the first byte of the body, when the header has left.
# Seen:
#   scs, write first: 200, cookie true, records 1
#   scs, flush first: 200, cookie false, records 1
#   echo, write first: 200, cookie true
#   echo, flush first: 200, cookie false
# Matters: An event stream is a usual first request of a page. Session code that wraps a writer has to take Flush for a commit, and code
#   on Echo cannot rely on Before alone.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/alexedwards/scs/v2@v2.9.0 github.com/labstack/echo/v4@v4.16.4
cat >main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/labstack/echo/v4"
)

func get(h http.Handler) string {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // "superfluous WriteHeader"
	s.Start()
	defer s.Close()
	r, err := http.Get(s.URL)
	if err != nil {
		return err.Error()
	}
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
	return fmt.Sprintf("%d, cookie %v", r.StatusCode, len(r.Cookies()) > 0)
}

func main() {
	for _, first := range []string{"write", "flush"} {
		sm, store := scs.New(), memstore.NewWithCleanupInterval(0)
		sm.Store = store
		seen := get(sm.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sm.Put(r.Context(), "user", "bob")
			if first == "flush" {
				w.(http.Flusher).Flush()
			}
			fmt.Fprint(w, "data: 1\n\n")
		})))
		all, _ := store.All()
		fmt.Printf("scs, %s first: %s, records %d\n", first, seen, len(all))
	}
	for _, first := range []string{"write", "flush"} {
		e := echo.New()
		e.Logger.SetOutput(io.Discard)
		e.GET("/", func(c echo.Context) error {
			c.Response().Before(func() { c.SetCookie(&http.Cookie{Name: "sid", Value: "x"}) })
			if first == "flush" {
				c.Response().Flush()
			}
			_, err := fmt.Fprint(c.Response(), "data: 1\n\n")
			return err
		})
		fmt.Printf("echo, %s first: %s\n", first, get(e))
	}
}
GO
go run . | seen
