#!/usr/bin/env bash
# A cookie with JSON in it, as scripts of a page set them, makes hapi answer 400 to everything, and hides the session behind it from aiohttp.
#
# With: @hapi/hapi 21.4.10, express 5.3.0, cookie-parser 1.4.7, python3-aiohttp 3.8.4 and php8.2-cgi 8.2 of Debian 12, net/http of Go 1.26.8; 2026-11-29
# Guess: A cookie that a server cannot read is left out, and the others are read.
# Happens: hapi refuses the whole request by default. aiohttp reads up to that cookie and drops what follows, so the order decides, and that is the order in which
#   paths and times of the cookies put them. Go leaves out that one, and so does hapi with routes: { state: { failAction: 'ignore' } }.
# Seen:
#   sid=bob; theme=dark: Go bob, Express bob, PHP bob, hapi 200 bob, aiohttp bob
#   sid=bob; theme={"dark":true}: Go bob, Express bob, PHP bob, hapi 400, aiohttp bob
#   theme={"dark":true}; sid=bob: Go bob, Express bob, PHP bob, hapi 400, aiohttp nobody
#   seen=1 2; sid=bob: Go bob, Express bob, PHP bob, hapi 400, aiohttp nobody
#   consent; sid=bob: Go bob, Express bob, PHP bob, hapi 400, aiohttp nobody
# Matters: What another team's script, or another host of the domain, puts into document.cookie logs users out, or locks them out, without a change in the app; deleting one's
#   cookies "helps". Where programs in two languages share a session, one of them sees it and the other does not.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

deb_get "python3-aiohttp=3.8.4-*" "php8.2-cgi=8.2.*"
npm_get @hapi/hapi@21.4.10 express@5.3.0 cookie-parser@1.4.7
quiet go mod init finding
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	c, err := (&http.Request{Header: http.Header{"Cookie": os.Args[1:]}}).Cookie("sid")
	if err != nil {
		c = &http.Cookie{Value: "nobody"}
	}
	fmt.Print(c.Value)
}
GO
cat >main.mjs <<'JS'
import Hapi from '@hapi/hapi'
import express from 'express'
import cookies from 'cookie-parser'
const [, , which, cookie] = process.argv
const get = async at => { const r = await fetch(at, { headers: { cookie } }); return [r.status, await r.text()] }
if (which === 'hapi') {
  const server = Hapi.server({ port: 0, host: '127.0.0.1' })
  server.route({ method: 'GET', path: '/', handler: req => req.state.sid ?? 'nobody' })
  await server.start()
  const [status, text] = await get(server.info.uri)
  process.stdout.write(status === 200 ? `200 ${text}` : `${status}`)
  await server.stop()
} else {
  const server = express().use(cookies()).get('/', (req, res) => res.end(req.cookies.sid ?? 'nobody')).listen(0, '127.0.0.1')
  await new Promise(r => server.once('listening', r))
  process.stdout.write((await get(`http://127.0.0.1:${server.address().port}`))[1])
  server.close()
  server.closeAllConnections()
}
JS
cat >main.py <<'PY'
import sys
from aiohttp.test_utils import make_mocked_request
print(make_mocked_request('GET', '/', headers={'Cookie': sys.argv[1]}).cookies.get('sid', 'nobody'), end='')
PY
printf '<?php echo $_COOKIE["sid"] ?? "nobody";' >main.php
quiet go build -o in-go main.go
for cookie in 'sid=bob; theme=dark' 'sid=bob; theme={"dark":true}' 'theme={"dark":true}; sid=bob' 'seen=1 2; sid=bob' 'consent; sid=bob'; do
	echo "$cookie: Go $(./in-go "$cookie"), Express $(node main.mjs express "$cookie"), PHP $(HTTP_COOKIE="$cookie" php-cgi8.2 -n -q main.php)," \
		"hapi $(node main.mjs hapi "$cookie"), aiohttp $(PYTHONPATH=$work/root/usr/lib/python3/dist-packages /usr/bin/python3 main.py "$cookie")"
done | seen
