#!/usr/bin/env bash
# In connect-memcached a request that only reads the session takes back what another one saved meanwhile, with resave: false.
#
# With: connect-memcached 3.0.0, connect-redis 10.0.0, memorystore 1.6.8, express-session 1.19.0, express 5.3.0, redis 6.3.1, memcached 1.6.18 and redis-server 7.0.15 of Debian 12; 2026-11-29
# Guess: resave: false is there against just that: what a request did not change is touched, and a touch is about the expiry.
# Happens: The touch of connect-memcached is set() with the session as the request has it, from when it began. memorystore puts the new cookie into the
#   record that is there, and connect-redis sends EXPIRE.
# Seen:
#   connect-memcached: a slow request reads an empty cart; meanwhile a coat is saved; afterwards the cart holds nothing
#   memorystore: a slow request reads an empty cart; meanwhile a coat is saved; afterwards the cart holds coat
#   connect-redis: a slow request reads an empty cart; meanwhile a coat is saved; afterwards the cart holds coat
# Matters: Any slow page, a report or a long poll, loses what the visitor does beside it, and each request there writes the whole record. Look at a store's
#   touch before moving to it.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get connect-memcached@3.0.0 connect-redis@10.0.0 memorystore@1.6.8 express-session@1.19.0 express@5.3.0 redis@6.3.1
memcached_up
memcached=$port
redis_up
cat >main.mjs <<'JS'
import express from 'express'
import session from 'express-session'
import memorystore from 'memorystore'
import memcached from 'connect-memcached'
import { RedisStore } from 'connect-redis'
import { createClient } from 'redis'
const [redisPort, memcachedPort] = process.argv.slice(2)
const client = await createClient({ url: `redis://127.0.0.1:${redisPort}` }).connect()
const inMemcached = new (memcached(session))({ hosts: `127.0.0.1:${memcachedPort}` })
for (const [name, store] of [
  ['connect-memcached', inMemcached], ['memorystore', new (memorystore(session))({})], ['connect-redis', new RedisStore({ client })]
]) {
  const app = express()
  let started, finish
  const hasStarted = new Promise(r => { started = r }), mayFinish = new Promise(r => { finish = r })
  app.use(session({ store, secret: 'for this script only', resave: false, saveUninitialized: false, cookie: { maxAge: 3_600_000 } }))
  app.get('/login', (req, res) => { req.session.user = 'bob'; res.end() })
  app.get('/slow', async (req, res) => { const cart = req.session.cart ?? 'empty'; started(); await mayFinish; res.end(cart) })
  app.get('/buy', (req, res) => { req.session.cart = 'coat'; res.end() })
  app.get('/cart', (req, res) => res.end(req.session.cart ?? 'nothing'))
  const server = await new Promise(r => { const s = app.listen(0, '127.0.0.1', () => r(s)) }), base = `http://127.0.0.1:${server.address().port}`
  const cookie = (await fetch(base + '/login')).headers.getSetCookie()[0].split(';')[0]
  const get = async path => (await fetch(base + path, { headers: { cookie } })).text()
  const slow = get('/slow')
  await hasStarted
  await get('/buy')
  finish()
  console.log(`${name}: a slow request reads an ${await slow} cart; meanwhile a coat is saved; afterwards the cart holds ${await get('/cart')}`)
  server.close(); server.closeAllConnections()
}
client.destroy(); inMemcached.client.end()
JS
node main.mjs "$port" "$memcached" | seen
