#!/usr/bin/env bash
# curl sends a Secure cookie to http://localhost and not to http://app.localhost, where browsers, Go and tough-cookie do.
#
# With: net/http of Go 1.26.8, tough-cookie 6.1.0, curl 7.88.1 of Debian 12; 2026-11-29
# Guess: Secure is https and nothing else; or all names of this machine count as secure, as in browsers.
# Happens: curl knows three spellings of this machine, and no other address of the loopback network and no name below localhost.
# Seen:
#   http://localhost: curl sent, tough-cookie sent, Go sent
#   http://127.0.0.1: curl sent, tough-cookie sent, Go sent
#   http://127.0.0.2: curl not sent, tough-cookie sent, Go sent
#   http://app.localhost: curl not sent, tough-cookie sent, Go sent
# Matters: Tenants by subdomain are tried at tenant.localhost: the session works in the browser and in the tests, and is lost at each request
#   in the line of curl that the README gives.

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

var word = map[bool]string{true: "sent", false: "not sent"}

func main() {
	got := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "sid=x; Path=/; Secure")
		got = r.Header.Get("Cookie")
	}))
	defer s.Close()
	at, _ := url.Parse(s.URL)
	for _, host := range []string{"localhost", "127.0.0.1", "127.0.0.2", "app.localhost"} {
		u := "http://" + host + ":" + at.Port()
		got = ""
		if err := exec.Command("curl", "-s", "-b", "", "--resolve", host+":"+at.Port()+":127.0.0.1", u+"/set", u+"/show").Run(); err != nil {
			panic(err)
		}
		curl := word[got != ""]
		jar, _ := cookiejar.New(nil)
		to, _ := url.Parse(u)
		jar.SetCookies(to, []*http.Cookie{{Name: "sid", Value: "x", Path: "/", Secure: true}})
		tough, err := exec.Command("node", "tough.cjs", u).Output()
		if err != nil {
			panic(err)
		}
		fmt.Printf("http://%s: curl %s, tough-cookie %s, Go %s\n", host, curl, strings.TrimSpace(string(tough)), word[len(jar.Cookies(to)) > 0])
	}
}
GO
cat >tough.cjs <<'JS'
const { CookieJar } = require('tough-cookie')
const jar = new CookieJar()
jar.setCookieSync('sid=x; Path=/; Secure', process.argv[2])
console.log(jar.getCookieStringSync(process.argv[2]) ? 'sent' : 'not sent')
JS
go run . | seen
