#!/usr/bin/env bash
# A cookie of 4097 bytes, which browsers drop, is kept by most libraries that tests are written with.
#
# With: net/http of Go 1.26.8, tough-cookie 6.1.0, cookie-session 2.1.1, curl 7.88.1 of Debian 12; 2026-11-29
# Guess: A session that grew over the browsers' 4096 bytes of name and value shows in the tests, as an error or as a lost cookie.
# Happens: cookie-session sends it with 200. Of the clients only curl drops it, as browsers do.
# Seen:
#   cookie-session, 5000 bytes of data: 200, over 4096 true
#   4096 bytes: curl kept, tough-cookie kept, Go kept
#   4097 bytes: curl dropped, tough-cookie kept, Go kept
# Matters: Sessions in cookies pass all tests and fail for the user with the long cart: the browser keeps the old cookie without a word, so that
#   each change after that is lost. Test the length, not the round trip.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

deb_get "curl=7.88.1-*" "libcurl4=7.88.1-*"
npm_get tough-cookie@6.1.0 cookie-session@2.1.1
quiet go mod init finding
cat >session.cjs <<'JS'
const http = require('http'), cookieSession = require('cookie-session')
const middleware = cookieSession({ keys: ['for this script only'] })
const server = http.createServer((req, res) => middleware(req, res, () => { req.session.cart = 'x'.repeat(5000); res.end() }))
server.listen(0, '127.0.0.1', async () => {
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`)
  console.log(`cookie-session, 5000 bytes of data: ${answer.status}, over 4096 ${answer.headers.getSetCookie().some(c => c.split(';')[0].length > 4096)}`)
  server.close()
})
JS
cat >tough.cjs <<'JS'
const { CookieJar } = require('tough-cookie')
const jar = new CookieJar(), url = 'http://shop.example.com/'
jar.setCookieSync(`sid=${'x'.repeat(process.argv[2] - 3)}`, url)
console.log(jar.getCookieStringSync(url) ? 'kept' : 'dropped')
JS
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

var word = map[bool]string{true: "kept", false: "dropped"}

func main() {
	for _, n := range []int{4096, 4097} {
		got, cookie := "", &http.Cookie{Name: "sid", Value: strings.Repeat("x", n-len("sid"))}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, cookie)
			got = r.Header.Get("Cookie")
		}))
		if err := exec.Command("curl", "-sb", "", s.URL, s.URL).Run(); err != nil {
			panic(err)
		}
		jar, _ := cookiejar.New(nil)
		u, _ := url.Parse(s.URL)
		jar.SetCookies(u, []*http.Cookie{cookie})
		tough, err := exec.Command("node", "tough.cjs", fmt.Sprint(n)).Output()
		if err != nil {
			panic(err)
		}
		fmt.Printf("%d bytes: curl %s, tough-cookie %s, Go %s\n", n, word[got != ""], strings.TrimSpace(string(tough)), word[len(jar.Cookies(u)) > 0])
		s.Close()
	}
}
GO
{ node session.cjs; go run .; } | seen
