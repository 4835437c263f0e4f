#!/usr/bin/env bash
# A 404 of Go's file server keeps the session cookie and loses "Cache-Control: private, no-store".
#
# With: net/http of Go 1.26.8, github.com/gin-gonic/gin v1.12.0; 2026-11-29
# Guess: The headers that a middleware set before the handler ran are those of the answer, whatever its status.
# Happens: Since Go 1.23 ServeFile, ServeContent and FileServer take Cache-Control, Content-Encoding, ETag and Last-Modified out where they answer with an error, as
#   these were meant for the file. Set-Cookie and Vary stay. http.Error by itself leaves Cache-Control alone, and GODEBUG=httpservecontentkeepheaders=1 is as it was.
# Seen:
#   FileServer, /logo.svg: 200, Cache-Control "private, no-store", cookie set
#   FileServer, /none.svg: 404, Cache-Control "", cookie set
#   FileServer, /logo.svg, a Range beyond its end: 416, Cache-Control "", cookie set
#   Gin's c.File, /none.svg: 404, Cache-Control "", cookie set
#   http.Error, 404: 404, Cache-Control "private, no-store", cookie set
#   FileServer, /none.svg, httpservecontentkeepheaders=1: 404, Cache-Control "private, no-store", cookie set
# Matters: A 404 is an answer that caches may keep without being told to (RFC 9110, 15.1), and this one hands out a session. Whoever sets such a header does it when
#   the status is written, not before the handler.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/gin-gonic/gin@v1.12.0
mkdir files
echo '<svg/>' >files/logo.svg
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/gin-gonic/gin"
)

// withSession stands for a middleware that sets the cookie of a session and what goes with it.
func withSession(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private, no-store")
		w.Header().Set("Vary", "Cookie")
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: "1"})
		h.ServeHTTP(w, r)
	})
}

func show(says string, h http.Handler, path, of string) {
	server := httptest.NewServer(withSession(h))
	defer server.Close()
	r, _ := http.NewRequest("GET", server.URL+path, nil)
	if of != "" {
		r.Header.Set("Range", of)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		panic(err)
	}
	cookie := "no cookie"
	if len(res.Cookies()) > 0 {
		cookie = "cookie set"
	}
	fmt.Printf("%s: %d, Cache-Control %q, %s\n", says, res.StatusCode, res.Header.Get("Cache-Control"), cookie)
}

func main() {
	files := http.FileServer(http.Dir("files"))
	if len(os.Args) > 1 {
		show("FileServer, /none.svg, "+os.Getenv("GODEBUG"), files, "/none.svg", "")
		return
	}
	show("FileServer, /logo.svg", files, "/logo.svg", "")
	show("FileServer, /none.svg", files, "/none.svg", "")
	show("FileServer, /logo.svg, a Range beyond its end", files, "/logo.svg", "bytes=1000-")
	gin.SetMode(gin.ReleaseMode)
	g := gin.New()
	g.GET("/:name", func(c *gin.Context) { c.File("files/" + c.Param("name")) })
	show("Gin's c.File, /none.svg", g, "/none.svg", "")
	show("http.Error, 404", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not here", 404) }), "/", "")
}
GO
quiet go build -o main .
{ ./main; GODEBUG=httpservecontentkeepheaders=1 ./main again; } | seen
