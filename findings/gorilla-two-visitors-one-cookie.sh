#!/usr/bin/env bash
# Two visitors who do the same in the same second get the same session cookie from gorilla's CookieStore.
#
# With: github.com/gorilla/sessions v1.4.0; 2026-11-29
# Guess: A session cookie is unique; its hash can serve as the name of a session, in a log or a table of rate limits.
# Happens: Without a block key the text is a function of the cookie's name, the second and the data: there is neither an id nor a salt.
# Seen:
#   two visitors, the same second, the same data: one cookie
#   with a block key: two cookies
# Matters: Who moves such sessions to a server, or counts and throttles by the cookie's text, takes two people for one. "This cookie was
#   taken over already" would turn the second of them away.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/gorilla/sessions@v1.4.0
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/gorilla/sessions"
)

// visit is the cookie of somebody who comes for the first time.
func visit(store sessions.Store) string {
	r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
	s, _ := store.Get(r, "sid")
	s.Values["theme"] = "dark"
	if err := s.Save(r, w); err != nil {
		panic(err)
	}
	return w.Result().Cookies()[0].Value
}

func main() {
	key := []byte(strings.Repeat("k", 32))
	compare := func(store sessions.Store) string {
		for {
			second := time.Now().Unix()
			a, b := visit(store), visit(store)
			if time.Now().Unix() == second {
				return map[bool]string{true: "one cookie", false: "two cookies"}[a == b]
			}
		}
	}
	fmt.Println("two visitors, the same second, the same data:", compare(sessions.NewCookieStore(key)))
	fmt.Println("with a block key:", compare(sessions.NewCookieStore(key, key)))
}
GO
go run . | seen
