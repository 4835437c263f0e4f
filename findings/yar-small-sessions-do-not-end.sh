#!/usr/bin/env bash
# A session of @hapi/yar ends when its cache says so if it is large, and goes on without end while it is small.
#
# With: @hapi/yar 11.0.3, @hapi/hapi 21.4.10; 2026-11-29
# Guess: cache.expiresIn is the life of a session, a day by default, whatever is in it.
# Happens: Up to maxCookieSize, 1024 characters once it is sealed, the whole session is in the cookie, and neither the seal nor the cookie has an end by
#   default. Above that it is in the cache, under the expiry of the cache. One session passes from the one to the other as values come and go.
# Seen:
#   10 characters in the cart: in the cookie; at once bob; later than expiresIn bob
#   2000 characters in the cart: in the cache; at once bob; later than expiresIn nobody
# Matters: Those who buy much are logged out after a day, and nobody else: a fault that no test account shows. Who counts or moves the records of the cache
#   finds the large sessions alone. maxCookieSize: 0 has one rule for all; with cookies give cookieOptions a ttl as well.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get @hapi/yar@11.0.3 @hapi/hapi@21.4.10
cat >main.mjs <<'JS'
import Hapi from '@hapi/hapi'
import yar from '@hapi/yar'
const server = Hapi.server({ port: 0, host: '127.0.0.1' }), expiresIn = 10000
await server.register({ plugin: yar, options: { cache: { expiresIn }, storeBlank: false, cookieOptions: { password: 'a password for this script, and no other', isSecure: false } } })
server.route([
  { method: 'GET', path: '/buy/{n}', handler: req => { req.yar.set({ user: 'bob', cart: 'x'.repeat(req.params.n) }); return '' } },
  { method: 'GET', path: '/', handler: req => req.yar.get('user') ?? 'nobody' }
])
await server.start()
const get = (path, cookie = '') => fetch(server.info.uri + path, { headers: { cookie } })
const lines = await Promise.all([10, 2000].map(async n => {
  const cookie = (await get(`/buy/${n}`)).headers.get('set-cookie').split(';')[0]
  const atOnce = await (await get('/', cookie)).text()
  await new Promise(r => setTimeout(r, expiresIn + 1000))
  const later = await (await get('/', cookie)).text()
  const { _store } = (await server.states.parse(cookie)).states.session
  return `${n} characters in the cart: in the ${_store ? 'cookie' : 'cache'}; at once ${atOnce}; later than expiresIn ${later}`
}))
console.log(lines.join('\n'))
await server.stop()
JS
node main.mjs | seen
