#!/usr/bin/env bash
# A cookie for more than 292 years, such as a year in milliseconds, is gone at once from Go's jar; curl, Python and tough-cookie keep it.
#
# With: net/http of Go 1.26.8, tough-cookie 6.1.0, curl 7.88.1 and python 3.11.2 of Debian 12; 2026-11-29
# Guess: A Max-Age that is far too long is a cookie that stays; clients shorten it at most.
# Happens: Go's jar makes a time.Duration of it, whose nanoseconds overflow from 9223372037 seconds on: the end of the cookie is then anywhere, for a year in
#   milliseconds in the past, for 99999999999 in the future again. Set-Cookie is taken without an error, and Response.Cookies shows the cookie.
# Seen:
#   Max-Age=31536000: Go keeps, curl keeps, Python keeps, tough-cookie keeps
#   Max-Age=9223372036: Go keeps, curl keeps, Python keeps, tough-cookie keeps
#   Max-Age=9223372037: Go loses, curl keeps, Python keeps, tough-cookie keeps
#   Max-Age=31536000000: Go loses, curl keeps, Python keeps, tough-cookie keeps
#   Max-Age=99999999999: Go keeps, curl keeps, Python keeps, tough-cookie keeps
# Matters: A server that says milliseconds where seconds are meant works in every browser, and a client or test in Go is logged out after each login. The
#   fault is looked for in the session, and it is in the unit.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

deb_get "curl=7.88.1-*" "libcurl4=7.88.1-*" "python3.11-minimal=3.11.2-*" "libpython3.11-stdlib=3.11.2-*"
npm_get tough-cookie@6.1.0
quiet go mod init finding
port=$(free_port)
cat >server.mjs <<'JS'
import http from 'node:http'
http.createServer((req, res) => {
  const life = req.url.slice(1)
  if (life) res.setHeader('Set-Cookie', `sid=bob; Path=/; Max-Age=${life}`)
  res.end(req.headers.cookie ?? 'none')
}).listen(+process.argv[2], '127.0.0.1')
JS
cat >main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
)

func main() {
	jar, _ := cookiejar.New(nil)
	client := http.Client{Jar: jar}
	for _, path := range []string{os.Args[2], ""} {
		res, err := client.Get("http://127.0.0.1:" + os.Args[1] + "/" + path)
		if err != nil {
			panic(err)
		}
		b, _ := io.ReadAll(res.Body)
		if path == "" {
			fmt.Print(string(b))
		}
	}
}
GO
cat >main.mjs <<'JS'
import { CookieJar } from 'tough-cookie'
const [, , port, life] = process.argv, base = `http://127.0.0.1:${port}/`, jar = new CookieJar()
for (const c of (await fetch(base + life)).headers.getSetCookie()) await jar.setCookie(c, base)
process.stdout.write(await (await fetch(base, { headers: { cookie: await jar.getCookieString(base) } })).text())
JS
cat >main.py <<'PY'
import http.cookiejar, sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
opener.open(f'http://127.0.0.1:{sys.argv[1]}/{sys.argv[2]}').read()
print(opener.open(f'http://127.0.0.1:{sys.argv[1]}/').read().decode(), end='')
PY
node server.mjs "$port" &
await curl -sf "127.0.0.1:$port/"
quiet go build -o client main.go
# says NAME COMMAND...
says() { [[ $("${@:2}") == sid=bob ]] && echo "$1 keeps" || echo "$1 loses"; }
by_curl() { curl -s -c "jar$2" "127.0.0.1:$1/$2" >curl.log; curl -s -b "jar$2" "127.0.0.1:$1/"; }
for life in 31536000 9223372036 9223372037 31536000000 99999999999; do
	echo "Max-Age=$life: $(says Go ./client "$port" $life), $(says curl by_curl "$port" $life), $(says Python python3.11 main.py "$port" $life), $(says tough-cookie node main.mjs "$port" $life)"
done | seen
