#!/usr/bin/env bash
# A record with an expiry but without originalMaxAge loses its expiry at the first request that express-session serves.
#
# With: express-session 1.19.0, express 5.3.0; 2026-11-29
# Guess: expires says when the session ends; originalMaxAge is a note for rolling.
# Happens: Each request sets maxAge to originalMaxAge. Where that is null or missing, expires becomes null: the session that had an hour left now ends
#   when the store thinks so, and the cookie when the browser closes.
# Seen:
#   originalMaxAge 3600000: expires is a date after a request
#   originalMaxAge null: expires is null after a request
#   originalMaxAge missing: expires is undefined after a request
# Matters: Whoever writes such records from another language has to write both members. In a store that takes its time to live from expires, the
#   session falls back to the store's default, a day or two weeks.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get express-session@1.19.0 express@5.3.0
cat >main.cjs <<'JS'
const express = require('express'), session = require('express-session'), crypto = require('crypto')
const store = new session.MemoryStore(), secret = 'for this script only'
const app = express()
app.use(session({ store, secret, resave: false, saveUninitialized: false }))
app.get('/', (req, res) => { req.session.n = 1; res.end() })
const server = app.listen(0, '127.0.0.1', async () => {
  for (const originalMaxAge of [3600_000, null, undefined]) {
    const expires = new Date(Date.now() + 3600_000)
    store.sessions.abc = JSON.stringify({ cookie: { originalMaxAge, expires, httpOnly: true, path: '/' } })
    const mac = crypto.createHmac('sha256', secret).update('abc').digest('base64').replace(/=+$/, '')
    await fetch(`http://127.0.0.1:${server.address().port}/`, { headers: { cookie: 'connect.sid=' + encodeURIComponent('s:abc.' + mac) } })
    const now = JSON.parse(store.sessions.abc).cookie.expires
    console.log(`originalMaxAge ${originalMaxAge === undefined ? 'missing' : originalMaxAge}: expires is ${now ? 'a date' : now} after a request`)
  }
  server.close()
})
JS
node main.cjs | seen
