#!/usr/bin/env bash
# Fiber, hapi and Django send one cookie of a name in an answer, so that "delete the old one, set it for the domain" deletes nothing.
#
# With: github.com/gofiber/fiber/v3 v3.1.0, net/http of Go 1.26.8, @hapi/hapi 21.4.10, fastify 5.12.8, @fastify/cookie 11.1.5, express 5.3.0, python3-django 3.2.25 of Debian 12; 2026-11-30
# Guess: A cookie of the host and one of its domain are two, so an answer can delete the one and set the other.
# Happens: Three frameworks keep the cookies of an answer by their names; the second call takes the place of the first, whatever its Domain and Path.
# Seen:
#   net/http: sid= of the host, sid=new of example.com
#   Fiber: sid=new of example.com
#   express: sid= of the host, sid=new of example.com
#   fastify: sid= of the host, sid=new of example.com
#   hapi: sid=new of example.com
#   Django: sid=new of example.com
# Matters: An app that begins to set Domain has to take the old cookie away, or a client sends both and the old one often comes first: the login then does not
#   stick. The code that does so is there, and only the answer tells that it does nothing. Write the line yourself, where the framework lets you, or take the
#   old one away at an answer of its own.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/gofiber/fiber/v3@v3.1.0
npm_get @hapi/hapi@21.4.10 fastify@5.12.8 @fastify/cookie@11.1.5 express@5.3.0
deb_get "python3-django=3:3.2.25-*"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gofiber/fiber/v3"
)

func main() {
	w := httptest.NewRecorder()
	http.SetCookie(w, &http.Cookie{Name: "sid", Path: "/", MaxAge: -1})
	http.SetCookie(w, &http.Cookie{Name: "sid", Value: "new", Path: "/", Domain: "example.com"})
	for _, line := range w.Header()["Set-Cookie"] {
		fmt.Println("net/http:", line)
	}
	app := fiber.New()
	app.Get("/", func(c fiber.Ctx) error {
		c.Cookie(&fiber.Cookie{Name: "sid", Path: "/", MaxAge: -1})
		c.Cookie(&fiber.Cookie{Name: "sid", Value: "new", Path: "/", Domain: "example.com"})
		return nil
	})
	res, err := app.Test(httptest.NewRequest("GET", "/", nil))
	if err != nil {
		panic(err)
	}
	for _, line := range res.Header["Set-Cookie"] {
		fmt.Println("Fiber:", line)
	}
}
GO
cat >main.mjs <<'JS'
import Hapi from '@hapi/hapi'
import Fastify from 'fastify'
import cookie from '@fastify/cookie'
import express from 'express'
const get = async (name, url) => { for (const line of (await fetch(url)).headers.getSetCookie()) console.log(`${name}: ${line}`) }
const app = express()
app.get('/', (req, res) => res.clearCookie('sid').cookie('sid', 'new', { domain: 'example.com' }).end())
const server = app.listen(0, '127.0.0.1')
await new Promise(r => server.once('listening', r))
await get('express', `http://127.0.0.1:${server.address().port}/`)
const fastify = Fastify()
await fastify.register(cookie)
fastify.get('/', (req, res) => res.clearCookie('sid', { path: '/' }).setCookie('sid', 'new', { path: '/', domain: 'example.com' }).send(''))
await get('fastify', await fastify.listen({ port: 0, host: '127.0.0.1' }))
const hapi = Hapi.server({ port: 0, host: '127.0.0.1' }), path = '/', isSecure = false
hapi.route({ method: 'GET', path, handler: (req, h) => h.response('').unstate('sid', { path, isSecure }).state('sid', 'new', { path, isSecure, domain: 'example.com' }) })
await hapi.start()
await get('hapi', hapi.info.uri)
process.exit()
JS
cat >main.py <<'PY'
from django.conf import settings
settings.configure()
from django.http import HttpResponse
res = HttpResponse()
res.delete_cookie('sid')
res.set_cookie('sid', 'new', domain='example.com')
for line in res.cookies.values(): print('Django:', line.OutputString())
PY
{
	go run main.go
	node main.mjs
	PYTHONPATH=root/usr/lib/python3/dist-packages /usr/bin/python3 main.py
} >answers
awk -F ': ' '{
	split($0, part, ";"); sub(/^[^:]*: /, "", part[1]); gsub(/"/, "", part[1])
	of = tolower($0) ~ /domain=example.com/ ? "example.com" : "the host"
	if (!($1 in line)) order[++n] = $1
	line[$1] = line[$1] (line[$1] == "" ? "" : ", ") part[1] " of " of
} END { for (i = 1; i <= n; i++) print order[i] ": " line[order[i]] }' answers | seen
