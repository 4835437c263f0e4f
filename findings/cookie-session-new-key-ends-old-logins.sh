#!/usr/bin/env bash
# After a new key came in front, the old logins of cookie-session end when the browser closes, 30 days or not.
#
# With: cookie-session 2.1.1 (with cookies and keygrip), express 5.3.0, tough-cookie 6.1.0; 2026-11-29
# Guess: keys: [new, old] goes on taking what the old key signed, for as long as the cookie lasts.
# Happens: A session that the old key signed is read, and its signature is made anew by the new key, in a cookie without any of the options that the middleware
#   was given: it has no expiry, no SameSite, no Domain. The data keeps its 30 days; its signature goes with the browser, and without it the data is nothing.
#   As it is the reading that sets the cookie, to read an old session after the answer has begun throws, and to read a new one does not.
# Seen:
#   before: session ends in 30 days, SameSite lax; session.sig ends in 30 days, SameSite lax
#   new key, read after the answer began: ERR_HTTP_HEADERS_SENT
#   new key: bob
#   then: session ends in 30 days, SameSite lax; session.sig ends with the browser, SameSite none said
#   the browser closed and opened: nobody
# Matters: A rotation that was announced as unnoticed logs out, within a day or two, everybody who did not happen to change their session. Who takes such sessions over finds a
#   cookie of data without its signature. To write to each session once after a rotation, and so to send both cookies, avoids it.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get cookie-session@2.1.1 express@5.3.0 tough-cookie@6.1.0
cat >main.cjs <<'JS'
const express = require('express'), session = require('cookie-session'), { CookieJar } = require('tough-cookie')
const day = 86_400_000
const serve = keys => new Promise(ready => {
  const app = express()
  app.use(session({ name: 'session', keys, maxAge: 30 * day, sameSite: 'lax' }))
  app.get('/login', (req, res) => { req.session.user = 'bob'; res.end() })
  app.get('/stream', (req, res) => {
    res.flushHeaders()
    let said
    try { said = req.session.user } catch (err) { said = err.code }
    res.end(said)
  })
  app.get('/', (req, res) => res.end(req.session.user ?? 'nobody'))
  const server = app.listen(0, '127.0.0.1', () => ready(server))
})
const main = async () => {
  const before = await serve(['old']), after = await serve(['new', 'old'])
  let jar = new CookieJar()
  const get = async (server, path) => {
    const at = `http://127.0.0.1:${server.address().port}${path}`
    const answer = await fetch(at, { headers: { cookie: await jar.getCookieString(at) } })
    for (const c of answer.headers.getSetCookie()) await jar.setCookie(c, at)
    return answer.text()
  }
  const cookies = () => jar.serialize().then(s => s.cookies)
  const show = async () => (await cookies()).map(c => {
    const end = c.expires ? `in ${Math.round((new Date(c.expires) - Date.now()) / day)} days` : 'with the browser'
    return `${c.key} ends ${end}, SameSite ${c.sameSite ?? 'none said'}`
  }).join('; ')
  await get(before, '/login')
  console.log('before:', await show())
  console.log('new key, read after the answer began:', await get(after, '/stream'))
  console.log('new key:', await get(after, '/'))
  console.log('then:', await show())
  jar = await CookieJar.deserialize({ ...await jar.serialize(), cookies: (await cookies()).filter(c => c.expires) })
  console.log('the browser closed and opened:', await get(after, '/'))
  for (const server of [before, after]) { server.close(); server.closeAllConnections() }
}
main()
JS
node main.cjs | seen
