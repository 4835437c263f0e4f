#!/usr/bin/env bash
# A session of gin-contrib's cookie store ends after 30 days, whatever MaxAge says.
#
# With: github.com/gin-contrib/sessions v1.1.0, github.com/gin-gonic/gin v1.12.0, github.com/gorilla/securecookie v1.1.2; 2026-11-29
# Guess: Options{MaxAge: 90 days} makes sessions of 90 days.
# Happens: Max-Age of the cookie is 90 days. The limit of the signature below it stays at securecookie's 30: the browser sends the cookie
#   for two more months, and it is not valid.
# Seen:
#   Max-Age=7776000
#   the cookie 29 days old: user bob, logged: nothing
#   the cookie 31 days old: user <nil>, logged: "securecookie: expired timestamp"
# Matters: "Remember me for three months" has never worked, and no test that ends today shows it. Who takes such sessions over
#   has to know that none is older than 30 days since its last save.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/gin-contrib/sessions@v1.1.0 github.com/gin-gonic/gin@v1.12.0 github.com/gorilla/securecookie@v1.1.2
cat >main.go <<'GO'
package main

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-gonic/gin"
)

var key = []byte("0123456789abcdef0123456789abcdef")

// aged is the cookie as it would be, had it been made that many days ago: the time is in its text, in front of the signed value.
func aged(text string, days int) string {
	raw, _ := base64.URLEncoding.DecodeString(text)
	value := bytes.SplitN(raw, []byte("|"), 3)[1]
	signed := fmt.Sprintf("%d|%s", time.Now().AddDate(0, 0, -days).Unix(), value)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("sid|" + signed))
	return base64.URLEncoding.EncodeToString(append([]byte(signed+"|"), mac.Sum(nil)...))
}

func main() {
	var logged strings.Builder
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	gin.SetMode(gin.ReleaseMode)
	store := cookie.NewStore(key)
	store.Options(sessions.Options{Path: "/", MaxAge: 90 * 24 * 3600})
	app := gin.New()
	app.Use(sessions.Sessions("sid", store))
	app.GET("/login", func(c *gin.Context) {
		s := sessions.Default(c)
		s.Set("user", "bob")
		if err := s.Save(); err != nil {
			panic(err)
		}
	})
	app.GET("/me", func(c *gin.Context) { c.String(200, "user %v", sessions.Default(c).Get("user")) })

	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("GET", "/login", nil))
	made := w.Result().Cookies()[0]
	fmt.Printf("Max-Age=%d\n", made.MaxAge)
	for _, days := range []int{29, 31} {
		r, w := httptest.NewRequest("GET", "/me", nil), httptest.NewRecorder()
		r.Header.Set("Cookie", "sid="+aged(made.Value, days))
		app.ServeHTTP(w, r)
		_, err, _ := strings.Cut(strings.TrimSpace(logged.String()), "err=")
		fmt.Printf("the cookie %d days old: %s, logged: %s\n", days, strings.TrimSpace(w.Body.String()), cmp.Or(err, "nothing"))
	}
}
GO
go run . | seen
