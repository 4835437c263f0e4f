#!/usr/bin/env bash
# MaxAge 0 is "until the browser closes" in one store of gorilla/sessions, and "delete it" in the other.
#
# With: github.com/gorilla/sessions v1.4.0; 2026-11-29
# Guess: Options.MaxAge == 0 means what its documentation says: no Max-Age, a cookie for the life of the browser.
# Happens: So it does in CookieStore. FilesystemStore deletes the session at each Save, sends an empty cookie, and returns no error.
# Seen:
#   CookieStore: error <nil>, a value true, back in the next request: bob
#   FilesystemStore: error <nil>, a value false, back in the next request: <nil>
# Matters: Moving from cookies to files (or to redistore, which does the same) turns a setting that worked into a login that never lasts,
#   without an error anywhere.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/gorilla/sessions@v1.4.0
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http/httptest"
	"os"

	"github.com/gorilla/sessions"
)

func main() {
	key := []byte("0123456789abcdef0123456789abcdef")
	cookies := sessions.NewCookieStore(key)
	cookies.Options = &sessions.Options{Path: "/", MaxAge: 0}
	dir, _ := os.MkdirTemp(".", "sessions")
	files := sessions.NewFilesystemStore(dir, key)
	files.Options = &sessions.Options{Path: "/", MaxAge: 0}

	for _, s := range []struct {
		name  string
		store sessions.Store
	}{{"CookieStore", cookies}, {"FilesystemStore", files}} {
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		session, _ := s.store.Get(r, "sid")
		session.Values["user"] = "bob"
		err := session.Save(r, w)
		cookie := w.Result().Cookies()[0]

		next := httptest.NewRequest("GET", "/", nil)
		next.AddCookie(cookie)
		again, _ := s.store.Get(next, "sid")
		fmt.Printf("%s: error %v, a value %v, back in the next request: %v\n", s.name, err, cookie.Value != "", again.Values["user"])
	}
}
GO
go run . | seen
