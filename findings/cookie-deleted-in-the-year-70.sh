#!/usr/bin/env bash
# A cookie that is deleted with the year 70 stays in Go's jar, and in curl's until 2070.
#
# With: net/http of Go 1.26.8, tough-cookie 6.1.0, curl 7.88.1 of Debian 12; 2026-11-29
# Guess: "Thu, 01-Jan-70 00:00:00 GMT", which old frameworks send to delete a cookie and RFC 6265 tells how to read, ends it everywhere.
# Happens: tough-cookie deletes it. curl counts years from 71 on to the last century, the standard from 70 on. Go parses two forms of the date, both
#   with four digits, and puts any other aside: without an expiry the empty value stays until the end of the program, and is sent.
# Seen:
#   Thu, 01 Jan 1970 00:00:00 GMT: curl deleted, tough-cookie deleted, Go deleted
#   Thu, 01-Jan-1970 00:00:00 GMT: curl deleted, tough-cookie deleted, Go deleted
#   Thu, 01-Jan-70 00:00:00 GMT: curl kept, tough-cookie deleted, Go kept
#   Thu Jan  1 00:00:00 1970: curl deleted, tough-cookie deleted, Go kept
# Matters: A test with curl or net/http/cookiejar sees a logout of such a server that does not work. And a proxy in Go that rebuilds
#   Set-Cookie from its parts turns "delete" into "set". Send Max-Age=0 as well: all understand that.

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

var word = map[bool]string{true: "kept", false: "deleted"}

func main() {
	for _, date := range []string{
		"Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01-Jan-1970 00:00:00 GMT", "Thu, 01-Jan-70 00:00:00 GMT", "Thu Jan  1 00:00:00 1970",
	} {
		got := ""
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/set":
				w.Header().Set("Set-Cookie", "sid=x; Path=/")
			case "/delete":
				w.Header().Set("Set-Cookie", "sid=; Path=/; Expires="+date)
			default:
				got = r.Header.Get("Cookie")
			}
		}))
		paths := []string{s.URL + "/set", s.URL + "/delete", s.URL + "/show"}
		if err := exec.Command("curl", append([]string{"-sb", ""}, paths...)...).Run(); err != nil {
			panic(err)
		}
		curl := word[strings.HasPrefix(got, "sid=")]

		jar, _ := cookiejar.New(nil)
		client := &http.Client{Jar: jar}
		for _, p := range paths {
			if r, err := client.Get(p); err == nil {
				r.Body.Close()
			}
		}
		u, _ := url.Parse(s.URL)
		inGo := word[len(jar.Cookies(u)) > 0]
		s.Close()
		tough, err := exec.Command("node", "tough.cjs", "sid=; Path=/; Expires="+date).Output()
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: curl %s, tough-cookie %s, Go %s\n", date, curl, strings.TrimSpace(string(tough)), inGo)
	}
}
GO
cat >tough.cjs <<'JS'
const { CookieJar } = require('tough-cookie')
const jar = new CookieJar(), url = 'http://shop.example.com/'
jar.setCookieSync('sid=x; Path=/', url)
jar.setCookieSync(process.argv[2], url)
console.log(jar.getCookieStringSync(url) === '' ? 'deleted' : 'kept')
JS
go run . | seen
