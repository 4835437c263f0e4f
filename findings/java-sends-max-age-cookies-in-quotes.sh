#!/usr/bin/env bash
# A cookie with Max-Age and without Expires comes back from Java in quotation marks, with a $Version and a $Path beside it.
#
# With: net/http of Go 1.26.8, tough-cookie 6.1.0, curl 7.88.1, wget 1.21.3, python 3.11.2, libwww-perl 6.68 and openjdk-17 17.0.21 of Debian 12, cookie 0.7.2, 1.1.1 and 2.0.2; 2026-11-30
# Guess: A client sends the name and the value that it was given, whatever attributes came with them.
# Happens: Java's HttpClient and its CookieManager take a Set-Cookie with Max-Age alone for one of RFC 2965 and answer in the form of that, which has
#   long been withdrawn. An Expires beside the Max-Age, before or after it, makes it a plain cookie again. Go's server, and the npm package cookie up
#   to 0.7, take the marks off; cookie 1 and 2 leave them in the value.
# Seen:
#   sid=s; Path=/; Max-Age=600
#     sid=s: Go, curl, tough-cookie, Python, Perl, wget
#     $Version="1"; sid="s";$Path="/";$Domain="127.0.0.1": Java
#   sid=s; Path=/; Max-Age=600; Expires=Tue, 01 Jan 2036 00:00:00 GMT
#     sid=s: Go, curl, tough-cookie, Python, Perl, Java, wget
#   Java's first cookie as it is read
#     net/http: s
#     cookie 0.7.2: s
#     cookie 1.1.1: "s"
#     cookie 2.0.2: "s"
# Matters: Max-Age alone is what a server sends that trusts no client's clock, Gin's c.SetCookie among them. A client written in Java then logs in and
#   is nobody at its next request wherever the marks are kept, with a cookie that looks right in every log of answers. Send both attributes.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

cookie_clients_up
npm_get cookie-0@npm:cookie@0.7.2 cookie-1@npm:cookie@1.1.1 cookie-2@npm:cookie@2.0.2
cat >read.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	c, err := (&http.Request{Header: http.Header{"Cookie": os.Args[1:]}}).Cookie("sid")
	if err != nil {
		panic(err)
	}
	fmt.Println("  net/http:", c.Value)
}
GO
cat >read.mjs <<'JS'
for (const n of [0, 1, 2]) {
  const cookie = await import(`cookie-${n}`), { version } = (await import(`./node_modules/cookie-${n}/package.json`, { with: { type: 'json' } })).default
  const parse = cookie.parse ?? cookie.default?.parse ?? cookie.parseCookie
  console.log(`  cookie ${version}: ${parse(process.argv[2]).sid}`)
}
JS
for line in 'sid=s; Path=/; Max-Age=600' 'sid=s; Path=/; Max-Age=600; Expires=Tue, 01 Jan 2036 00:00:00 GMT'; do
	echo "$line"
	cookie_clients "$site/?$(sets "$line")" "$site/"
done >lines
java=$(sed -n 's/: Java$//p' lines | sed 's/^  //')
{
	cat lines
	echo "Java's first cookie as it is read"
	go run read.go "$java"
	node --no-warnings read.mjs "$java"
} | seen
