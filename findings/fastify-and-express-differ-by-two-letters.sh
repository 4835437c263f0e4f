#!/usr/bin/env bash
# @fastify/session and express-session read each other's records and signatures, and not each other's cookies, for want of "s:".
#
# With: @fastify/session 11.1.3, @fastify/cookie 11.1.5, fastify 5.12.8, express-session 1.19.0, express 5.3.0; 2026-11-29
# Guess: Two libraries by different authors need a migration; or, as both are made for one kind of store, one cookie does for both.
# Happens: Key, JSON and HMAC are the same. express-session writes "s:" in front of the id and percent-encodes, Fastify does neither. Each takes the
#   other's cookie for none, starts a new session, and says nothing.
# Seen:
#   express reads a cookie of fastify: user undefined
#   with "s:" in front: user bob
#   fastify reads a cookie of express: user undefined
#   without "s:": user ann
# Matters: A service can move from one to the other, or run both, without losing a session, by two characters: cookiePrefix: 's:' in Fastify.
#   Whoever reads Express' cookies in another language has to try both forms.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get @fastify/session@11.1.3 @fastify/cookie@11.1.5 fastify@5.12.8 express-session@1.19.0 express@5.3.0
cat >main.cjs <<'JS'
const session = require('express-session'), express = require('express'), fastify = require('fastify')()
const secret = 'a secret for this script, of 32 characters or more', records = new Map()
class Store extends session.Store {
  get(id, cb) { cb(null, records.has(id) ? JSON.parse(records.get(id)) : null) }
  set(id, s, cb) { records.set(id, JSON.stringify(s)); cb(null) }
  destroy(id, cb) { records.delete(id); cb(null) }
}
fastify.register(require('@fastify/cookie'))
fastify.register(require('@fastify/session'), { secret, store: new Store(), cookieName: 'connect.sid', cookie: { secure: false, maxAge: 3600_000 }, saveUninitialized: false })
fastify.get('/login', async req => { req.session.user = 'bob'; return '' })
fastify.get('/me', async req => `user ${req.session.user}`)
const app = express()
app.use(session({ secret, store: new Store(), resave: false, saveUninitialized: false, cookie: { maxAge: 3600_000 } }))
app.get('/login', (req, res) => { req.session.user = 'ann'; res.end() })
app.get('/me', (req, res) => res.end(`user ${req.session.user}`))
const value = line => decodeURIComponent(line.split(';')[0].replace('connect.sid=', ''))
const server = app.listen(0, '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${server.address().port}`
  const cookie = v => ({ headers: { cookie: `connect.sid=${encodeURIComponent(v)}` } })
  const inExpress = async v => (await fetch(url + '/me', cookie(v))).text()
  const inFastify = async v => (await fastify.inject({ url: '/me', ...cookie(v) })).body
  const bob = value([(await fastify.inject('/login')).headers['set-cookie']].flat()[0])
  const ann = value((await fetch(url + '/login')).headers.getSetCookie()[0])
  console.log('express reads a cookie of fastify:', await inExpress(bob))
  console.log('with "s:" in front:', await inExpress('s:' + bob))
  console.log('fastify reads a cookie of express:', await inFastify(ann))
  console.log('without "s:":', await inFastify(ann.replace(/^s:/, '')))
  server.close(); fastify.close()
})
JS
node main.cjs | seen
