#!/usr/bin/env bash
# A value with a space that Go sets comes back with quotation marks in it, from the npm package cookie since its version 1.
#
# With: net/http of Go 1.26.8, cookie 0.7.2, 1.1.1 and 2.0.2; 2026-11-29
# Guess: Quotes around a cookie's value are a matter of the wire: who writes them and who reads takes them off.
# Happens: Go's SetCookie puts a value with a space or a comma in quotes, and its reader takes them off. So does cookie 0.7, which Express 4 and 5 read
#   with. Versions 1 and 2 keep them, as the standard says: there the marks are a part of the value.
# Seen:
#   on the wire: name="Bob Ross"
#   Go: Bob Ross
#   cookie 0.7.2: Bob Ross
#   cookie 1.1.1: "Bob Ross"
#   cookie 2.0.2: "Bob Ross"
# Matters: A flash message or a name beside the session, set by Go and read by a newer Node.js, is wrong only for those who have a space in it; a signed
#   value fails. Percent-encode values, in both languages.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get c0@npm:cookie@0.7.2 c1@npm:cookie@1.1.1 c2@npm:cookie@2.0.2
quiet go mod init finding
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
)

func main() {
	w := httptest.NewRecorder()
	http.SetCookie(w, &http.Cookie{Name: "name", Value: "Bob Ross"})
	line := w.Header().Get("Set-Cookie")
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", line)
	c, _ := r.Cookie("name")
	fmt.Printf("on the wire: %s\nGo: %s\n", line, c.Value)
}
GO
cat >main.mjs <<'JS'
for (const v of ['c0', 'c1', 'c2']) {
  const module = await import(v), parse = module.parseCookie ?? module.parse ?? module.default.parse
  console.log(`cookie ${{ c0: '0.7.2', c1: '1.1.1', c2: '2.0.2' }[v]}: ${parse(process.argv[2]).name}`)
}
JS
go run . >go.out
{ cat go.out; node main.mjs "$(sed -n 's/^on the wire: //p' go.out)"; } | seen
