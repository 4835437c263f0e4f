#!/usr/bin/env bash
# A session of ten minutes in next-session lasts for 0.6 seconds, for ever or for ten minutes, by the express-session store that keeps it.
#
# With: next-session 4.0.5, express-session 1.19.0, memorystore 1.6.8, connect-memcached 3.0.0, connect-redis 10.0.0, redis 6.3.1, memcached 1.6.18 and redis-server 7.0.15 of Debian 12; 2026-11-29
# Guess: promisifyStore, which its README tells to use, makes a store for express-session one for next-session.
# Happens: It makes promises of callbacks, and hands over the session as it is, with cookie.maxAge in seconds, where express-session has milliseconds.
#   memorystore takes 600 for 600 ms; connect-memcached divides by 1000 and sends 0, no expiry; connect-redis goes by cookie.expires, a date.
# Seen:
#   memorystore: saved; after a second: gone
#   connect-memcached: saved; after a second: there, without an expiry
#   connect-redis: saved; after a second: there, with an expiry in ten minutes
# Matters: The same three lines log visitors out while they read, or keep records until the server is full. Records of next-session look like those of
#   express-session, and are not: who takes them over goes by expires, and by maxAge not at all.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get next-session@4.0.5 express-session@1.19.0 memorystore@1.6.8 connect-memcached@3.0.0 connect-redis@10.0.0 redis@6.3.1
memcached_up
memcached=$port
redis_up
cat >main.mjs <<'JS'
import http from 'node:http'
import net from 'node:net'
import nextSession from 'next-session'
import { promisifyStore } from 'next-session/lib/compat'
import session from 'express-session'
import memorystore from 'memorystore'
import memcached from 'connect-memcached'
import { RedisStore } from 'connect-redis'
import { createClient } from 'redis'
const [redisPort, memcachedPort] = process.argv.slice(2)
const client = await createClient({ url: `redis://127.0.0.1:${redisPort}` }).connect()
const inMemory = new (memorystore(session))({}), inMemcached = new (memcached(session))({ hosts: `127.0.0.1:${memcachedPort}` })
const ask = line => new Promise(r => { const s = net.connect(memcachedPort, '127.0.0.1', () => s.write(line + '\r\n')); s.on('data', d => { r(`${d}`.trim()); s.destroy() }) })
const minutes = seconds => seconds > 60 && seconds <= 600 ? 'with an expiry in ten minutes' : `with an expiry in ${seconds} s`
const stores = {
  memorystore: [inMemory, async () => 'with an expiry'],
  'connect-memcached': [inMemcached, async id => { const t = (await ask(`mg ${id} t`)).replace('HD t', ''); return t === '-1' ? 'without an expiry' : minutes(+t) }],
  'connect-redis': [new RedisStore({ client }), async id => minutes(await client.ttl(`sess:${id}`))]
}
for (const [name, [store, expiry]] of Object.entries(stores)) {
  let saved
  const promised = promisifyStore(store), set = promised.set
  promised.set = async (...args) => { await set(...args); saved = 'saved' }
  const getSession = nextSession({ store: promised, cookie: { maxAge: 600 } })
  const server = http.createServer(async (req, res) => { (await getSession(req, res)).user = 'bob'; res.end() })
  await new Promise(r => server.listen(0, '127.0.0.1', r))
  const login = await fetch(`http://127.0.0.1:${server.address().port}`)
  const id = login.headers.get('set-cookie').match(/sid=([^;]*)/)[1]
  server.close(); server.closeAllConnections()
  await new Promise(r => setTimeout(r, 1000))
  console.log(`${name}: ${saved}; after a second: ${await promised.get(id) ? `there, ${await expiry(id)}` : 'gone'}`)
}
client.destroy(); inMemcached.client.end()
JS
node main.mjs "$port" "$memcached" | seen
