#!/usr/bin/env bash
# Behind a gateway that writes ports into X-Forwarded-For, each connection is another client to Express, and all clients are one to Gin and Echo.
#
# With: express 5.3.0, github.com/gin-gonic/gin v1.12.0, github.com/labstack/echo/v4 v4.16.4; 2026-11-29
# Guess: With the gateway among the trusted proxies, the client's address is the one that it wrote, with or without the port.
# Happens: Azure's Application Gateway writes "address:port", by its documentation. Express hands out that text as req.ip. To Gin and Echo it is no address, so both go back to the peer,
#   which is the gateway. IPv6 in brackets without a port is an address to Echo alone.
# Seen:
#   203.0.113.7: Express 203.0.113.7, Gin 203.0.113.7, Echo 203.0.113.7
#   203.0.113.7:40001: Express 203.0.113.7:40001, Gin 127.0.0.1, Echo 127.0.0.1
#   203.0.113.7:40002: Express 203.0.113.7:40002, Gin 127.0.0.1, Echo 127.0.0.1
#   2001:db8::7: Express 2001:db8::7, Gin 2001:db8::7, Echo 2001:db8::7
#   [2001:db8::7]: Express [2001:db8::7], Gin 127.0.0.1, Echo 2001:db8::7
#   [2001:db8::7]:40001: Express [2001:db8::7]:40001, Gin 127.0.0.1, Echo 127.0.0.1
# Matters: A session that is bound to an address ends with each new connection in the one, and a limit of logins for an address locks everybody out at once in the others; a list of
#   devices shows either nonsense or the gateway. It works in development, and behind every other proxy.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get express@5.3.0
go_get github.com/gin-gonic/gin@v1.12.0 github.com/labstack/echo/v4@v4.16.4
cat >main.mjs <<'JS'
import express from 'express'
const server = express().set('trust proxy', 'loopback').get('/', (req, res) => res.end(req.ip)).listen(0, '127.0.0.1')
await new Promise(r => server.once('listening', r))
const answer = await fetch(`http://127.0.0.1:${server.address().port}`, { headers: { 'x-forwarded-for': process.argv[2] } })
process.stdout.write(await answer.text())
server.close()
server.closeAllConnections()
JS
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"
)

func main() {
	gin.SetMode(gin.ReleaseMode)
	var byGin, byEcho string
	g := gin.New()
	if err := g.SetTrustedProxies([]string{"127.0.0.1"}); err != nil {
		panic(err)
	}
	g.GET("/", func(c *gin.Context) { byGin = c.ClientIP() })
	e := echo.New()
	e.IPExtractor = echo.ExtractIPFromXFFHeader()
	e.GET("/", func(c echo.Context) error { byEcho = c.RealIP(); return nil })
	for _, h := range []http.Handler{g, e} {
		server := httptest.NewServer(h)
		r, _ := http.NewRequest("GET", server.URL, nil)
		r.Header.Set("X-Forwarded-For", os.Args[1])
		if _, err := http.DefaultClient.Do(r); err != nil {
			panic(err)
		}
		server.Close()
	}
	fmt.Printf("Gin %s, Echo %s", byGin, byEcho)
}
GO
quiet go mod tidy
quiet go build -o in-go main.go
for address in 203.0.113.7 203.0.113.7:40001 203.0.113.7:40002 2001:db8::7 '[2001:db8::7]' '[2001:db8::7]:40001'; do
	echo "$address: Express $(node main.mjs "$address"), $(./in-go "$address")"
done | seen
