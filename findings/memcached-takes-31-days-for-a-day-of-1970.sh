#!/usr/bin/env bash
# A session of 31 days is gone at once from gin-contrib's store and from connect-memcached, and both say that it was saved.
#
# With: memcached 1.6.18 of Debian 12, github.com/gin-contrib/sessions v1.1.0 (its memcached store), connect-memcached 3.0.0, memcached 2.2.2 of npm, express-session 1.19.0; 2026-11-29
# Guess: A longer MaxAge is a longer session; and that the server knows two forms of an expiry is for the stores to look after.
# Happens: From 30 days and a second on the server takes the number for a moment, a day of 1970: it stores what has expired, and answers STORED. Both
#   stores hand the number of seconds over as it is. Save returns nil, and the cookie of gin-contrib, good for 31 days, names a record that is not there.
# Seen:
#   gin-contrib, 30 days: saved with <nil>, Max-Age=2592000; the next request: bob
#   gin-contrib, 31 days: saved with <nil>, Max-Age=2678400; the next request: <nil>
#   connect-memcached, 30 days: saved with null; then: bob
#   connect-memcached, 31 days: saved with null; then: nobody
# Matters: "Stay signed in for 90 days" makes a login that does nothing and reports nothing. 30 days to the second, gin-contrib's default, is the longest that
#   works. A store of one's own sends the moment, now and the life, from there on.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

memcached_up
npm_get connect-memcached@3.0.0 memcached@2.2.2 express-session@1.19.0
go_get github.com/gin-contrib/sessions/memcached@v1.1.0
cat >main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/memcached"
	"github.com/gin-gonic/gin"
)

func main() {
	gin.SetMode(gin.ReleaseMode)
	log.SetOutput(io.Discard) // gin-contrib logs that it did not find the session
	slog.SetDefault(slog.New(slog.DiscardHandler))
	for _, days := range []int{30, 31} {
		store := memcached.NewStore(memcache.New("127.0.0.1:"+os.Args[1]), "gin:", []byte("for this script only"))
		store.Options(sessions.Options{Path: "/", MaxAge: days * 86400})
		r := gin.New()
		r.Use(sessions.Sessions("sid", store))
		var saved error
		r.GET("/login", func(c *gin.Context) {
			s := sessions.Default(c)
			s.Set("user", "bob")
			saved = s.Save()
		})
		r.GET("/", func(c *gin.Context) { c.String(200, "%v", sessions.Default(c).Get("user")) })
		login, next := httptest.NewRecorder(), httptest.NewRecorder()
		r.ServeHTTP(login, httptest.NewRequest("GET", "/login", nil))
		cookie := login.Result().Cookies()[0]
		request := httptest.NewRequest("GET", "/", nil)
		request.AddCookie(cookie)
		r.ServeHTTP(next, request)
		fmt.Printf("gin-contrib, %d days: saved with %v, Max-Age=%d; the next request: %s\n", days, saved, cookie.MaxAge, next.Body)
	}
}
GO
cat >main.cjs <<'JS'
const session = require('express-session'), Store = require('connect-memcached')(session)
const store = new Store({ hosts: `127.0.0.1:${process.argv[2]}` })
const main = async () => {
  for (const days of [30, 31]) {
    const record = { cookie: new session.Cookie({ maxAge: days * 86_400_000 }), user: 'bob' }
    const error = await new Promise(r => store.set(`${days}`, record, err => r(err ?? null)))
    const user = await new Promise(r => store.get(`${days}`, (err, found) => r(err ?? found?.user ?? 'nobody')))
    console.log(`connect-memcached, ${days} days: saved with ${error}; then: ${user}`)
  }
  store.client.end()
}
main()
JS
{ go run . "$port"; node main.cjs "$port"; } | seen
