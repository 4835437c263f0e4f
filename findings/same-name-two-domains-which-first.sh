#!/usr/bin/env bash
# Of two cookies of one name for a host and for its domain, which comes first differs from client to client.
#
# With: net/http of Go 1.26.8, tough-cookie 6.1.0, curl 7.88.1 of Debian 12; 2026-11-29
# Guess: RFC 6265: paths being equal, the older one first.
# Happens: Go and tough-cookie do that. curl puts the one with the longer domain first, the host's, whichever is older.
# Seen:
#   set host then domain
#     curl: sid=host; sid=domain
#     tough-cookie: sid=host; sid=domain
#     Go: sid=host; sid=domain
#   set domain then host
#     curl: sid=host; sid=domain
#     tough-cookie: sid=domain; sid=host
#     Go: sid=domain; sid=host
# Matters: An app that began to set Domain leaves browsers with two session cookies. Most servers take the first, so that for one client the new
#   session wins and for another the stale one, at every request, which looks like a login that does not stick. Try all of that name.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

deb_get "curl=7.88.1-*" "libcurl4=7.88.1-*"
npm_get tough-cookie@6.1.0
quiet go mod init finding
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
)

func main() {
	host, domain := "sid=host; Path=/", "sid=domain; Path=/; Domain=example.com"
	for _, lines := range [][]string{{host, domain}, {domain, host}} {
		got, n := "", 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n < 2 {
				w.Header().Set("Set-Cookie", lines[n])
			}
			n++
			got = r.Header.Get("Cookie")
		}))
		at, _ := url.Parse(s.URL)
		u := "http://app.example.com:" + at.Port() + "/"
		if err := exec.Command("curl", "-s", "-b", "", "--resolve", "app.example.com:"+at.Port()+":127.0.0.1", u, u, u).Run(); err != nil {
			panic(err)
		}
		s.Close()
		jar, _ := cookiejar.New(nil)
		to, _ := url.Parse(u)
		for _, line := range lines {
			c, err := http.ParseSetCookie(line)
			if err != nil {
				panic(err)
			}
			jar.SetCookies(to, []*http.Cookie{c})
		}
		var in []string
		for _, c := range jar.Cookies(to) {
			in = append(in, c.String())
		}
		tough, err := exec.Command("node", append([]string{"tough.cjs", u}, lines...)...).Output()
		if err != nil {
			panic(err)
		}
		fmt.Printf("set %s then %s\n", lines[0][4:strings.Index(lines[0], ";")], lines[1][4:strings.Index(lines[1], ";")])
		fmt.Printf("  curl: %s\n  tough-cookie: %s\n  Go: %s\n", got, strings.TrimSpace(string(tough)), strings.Join(in, "; "))
	}
}
GO
cat >tough.cjs <<'JS'
const { CookieJar } = require('tough-cookie')
const jar = new CookieJar(), [, , url, ...lines] = process.argv
for (const line of lines) jar.setCookieSync(line, url)
console.log(jar.getCookieStringSync(url))
JS
go run . | seen
