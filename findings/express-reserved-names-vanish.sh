#!/usr/bin/env bash
# A session value called "id", "touch" or "save" disappears when express-session loads it, and is written away at the next answer.
#
# With: express-session 1.19.0, express 5.3.0; 2026-11-29
# Guess: Every member of the stored JSON is a member of req.session.
# Happens: A member whose name exists on the Session object or on any object is left out at loading, without an error. The change hash was taken
#   from the stored object, so the session counts as changed: a request that only reads writes the record back, without that member.
# Seen:
#   stored: id, save, toString, touch, user
#   in req.session: user
#   stored after a request that changes nothing: user
# Matters: A program in another language that shares the records, or a migration that copies its own names, loses such values for good. Keep
#   clear of id, req, cookie, save, touch, reload, destroy, regenerate, resetMaxAge, and of what every object has.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get express-session@1.19.0 express@5.3.0
cat >main.cjs <<'JS'
const express = require('express'), session = require('express-session'), crypto = require('crypto')
const store = new session.MemoryStore(), secret = 'for this script only'
const names = o => Object.keys(o).filter(k => k !== 'cookie').sort().join(', ')
store.sessions.abc = JSON.stringify({
  cookie: { originalMaxAge: null, expires: null, httpOnly: true, path: '/' },
  user: 'bob', id: 7, touch: 'screen', save: true, toString: 'text',
})
const app = express()
app.use(session({ store, secret, resave: false, saveUninitialized: false }))
app.get('/', (req, res) => res.end(names(req.session)))
const server = app.listen(0, '127.0.0.1', async () => {
  console.log('stored:', names(JSON.parse(store.sessions.abc)))
  const mac = crypto.createHmac('sha256', secret).update('abc').digest('base64').replace(/=+$/, '')
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`, { headers: { cookie: 'connect.sid=' + encodeURIComponent('s:abc.' + mac) } })
  console.log('in req.session:', await answer.text())
  console.log('stored after a request that changes nothing:', names(JSON.parse(store.sessions.abc)))
  server.close()
})
JS
node main.cjs | seen
