#!/usr/bin/env bash
# Two express-session middlewares that share a store share the cookie options of the one made last.
#
# With: express-session 1.19.0, express 5.3.0; 2026-11-29
# Guess: Each middleware makes sessions with its own cookie options and its own genid.
# Happens: The constructor writes the function that makes sessions onto the store object, so the second constructor replaces that of the first.
#   Names and secrets stay apart; ids, paths and lifetimes do not.
# Seen:
#   admin, path /admin, five minutes: admin.sid=shop-...; Path=/; a day
#   shop, path /, a day: shop.sid=shop-...; Path=/; a day
# Matters: The short life and the narrow path of an admin's session are gone as soon as a second middleware is added somewhere below. Two
#   session settings need two store objects, over one connection if need be.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get express-session@1.19.0 express@5.3.0
cat >main.cjs <<'JS'
const express = require('express'), session = require('express-session')
const store = new session.MemoryStore(), minute = 60_000
const make = (name, path, maxAge) => session({
  store, name: name + '.sid', secret: 'for this script only', resave: false, saveUninitialized: true,
  cookie: { path, maxAge }, genid: () => name + '-' + Math.random(),
})
const admin = make('admin', '/admin', 5 * minute), shop = make('shop', '/', 24 * 60 * minute)
const app = express()
app.get('/admin', admin, (req, res) => res.end())
app.get('/', shop, (req, res) => res.end())
const server = app.listen(0, '127.0.0.1', async () => {
  for (const [label, path] of [['admin, path /admin, five minutes', '/admin'], ['shop, path /, a day', '/']]) {
    const [cookie] = (await fetch(`http://127.0.0.1:${server.address().port}${path}`)).headers.getSetCookie()
    const [, name, id] = cookie.match(/^([a-z.]+)=s%3A([a-z]+)-/)
    const life = Date.parse(cookie.match(/Expires=([^;]+)/)[1]) - Date.now()
    console.log(`${label}: ${name}=${id}-...; ${cookie.match(/Path=[^;]+/)[0]}; ${life > 60 * minute ? 'a day' : 'minutes'}`)
  }
  server.close()
})
JS
node main.cjs 2>/dev/null | seen
