#!/usr/bin/env bash
# A cookie set before a WebSocket upgrade reaches the client with one Go library and not with the other.
#
# With: github.com/gorilla/websocket v1.5.3, github.com/coder/websocket v1.8.15; 2026-11-29
# Guess: Both send what is in w.Header(), as every handler of net/http does.
# Happens: coder/websocket writes the header of the ResponseWriter. gorilla/websocket hijacks the connection and writes an answer of its own,
#   with what was given to Upgrade and nothing else.
# Seen:
#   gorilla/websocket, http.SetCookie(w): 101, cookies 0
#   gorilla/websocket, given to Upgrade: 101, cookies 1
#   coder/websocket, http.SetCookie(w): 101, cookies 1
# Matters: A session that begins, or is renewed, at the handshake is stored, and its client has no cookie for it. No wrapper of the writer can
#   mend that: a session library has to offer its Set-Cookie line to the handler.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/gorilla/websocket@v1.5.3 github.com/coder/websocket@v1.8.15
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	coder "github.com/coder/websocket"
	"github.com/gorilla/websocket"
)

var sid = &http.Cookie{Name: "sid", Value: "x"}

func try(name string, upgrade http.HandlerFunc) {
	s := httptest.NewServer(upgrade)
	defer s.Close()
	c, r, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.URL, "http"), nil)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	fmt.Printf("%s: %d, cookies %d\n", name, r.StatusCode, len(r.Cookies()))
}

func main() {
	var u websocket.Upgrader
	try("gorilla/websocket, http.SetCookie(w)", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, sid)
		if c, err := u.Upgrade(w, r, nil); err == nil {
			c.Close()
		}
	})
	try("gorilla/websocket, given to Upgrade", func(w http.ResponseWriter, r *http.Request) {
		if c, err := u.Upgrade(w, r, http.Header{"Set-Cookie": {sid.String()}}); err == nil {
			c.Close()
		}
	})
	try("coder/websocket, http.SetCookie(w)", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, sid)
		if c, err := coder.Accept(w, r, nil); err == nil {
			c.CloseNow()
		}
	})
}
GO
go run . | seen
