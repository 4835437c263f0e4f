#!/usr/bin/env bash
# The ttl of connect-loki ends no session, nor does the maxAge of its cookie.
#
# With: connect-loki 1.2.0, express-session 1.19.0, express 5.3.0, memorystore 1.6.8; 2026-11-30
# Guess: With a ttl of one second and a maxAge of one second, a session is gone after four.
# Happens: connect-loki gives its ttl to the database as ttlInterval, which is how often to look, and gives no age to look for, so that nothing is
#   deleted; and it does not ask for the expiry when it loads. memorystore has the same record with an end.
# Seen:
#   connect-loki: at once bob; after 4 s bob, records 1
#   memorystore: at once bob; after 4 s nobody, records 0
# Matters: The file grows for ever, and its records are read and written as a whole. Who moves them finds every session that there ever was, most with
#   an expires that has long passed: keep to that, and leave them out.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get connect-loki@1.2.0 express-session@1.19.0 express@5.3.0 memorystore@1.6.8
cat >main.cjs <<'JS'
const express = require('express'), session = require('express-session')
const Loki = require('connect-loki')(session), Memory = require('memorystore')(session)
async function main(name, store) {
  const app = express()
  app.use(session({ store, secret: 's', resave: false, saveUninitialized: false, cookie: { maxAge: 1000 } }))
  app.get('/login', (req, res) => { req.session.user = 'bob'; res.end() })
  app.get('/', (req, res) => res.end(req.session.user ?? 'nobody'))
  const server = app.listen(0, '127.0.0.1')
  await new Promise(r => server.once('listening', r))
  const site = `http://127.0.0.1:${server.address().port}`
  const cookie = (await fetch(`${site}/login`)).headers.get('set-cookie').split(';')[0]
  const get = async () => (await fetch(site, { headers: { cookie } })).text()
  const records = () => new Promise((done, fail) => store.length((err, n) => err ? fail(err) : done(n)))
  const now = process.argv[2] ? 'bob' : await get()
  await new Promise(r => setTimeout(r, 4000))
  console.log(`${name}: at once ${now}; after 4 s ${await get()}, records ${await records()}`)
  server.close()
  server.closeAllConnections()
}
(async () => {
  const loki = new Loki({ path: './loki.db', ttl: 1, autosave: false })
  await new Promise(r => loki.once('connect', r))
  await main('connect-loki', loki)
  await main('memorystore', new Memory({ ttl: 1000, checkPeriod: 100 }))
  process.exit()
})()
JS
node main.cjs | seen
