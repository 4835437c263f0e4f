#!/usr/bin/env bash
# koa-session does not save a nickname that is changed from "plumless" to "buckeroo".
#
# With: koa-session 7.0.2, koa 3.3.0; 2026-11-29
# Guess: A session whose JSON differs from the one that was loaded is saved.
# Happens: koa-session compares the CRC-32 of the two, 32 bits that were made for noise on a line. Texts of one length with the same CRC-32, as these two words are,
#   keep it inside of a longer text too. The handler sees the change, the answer is a 200, and nothing is stored and no cookie is sent.
# Seen:
#   in a store, plumless to buckeroo: the handler says buckeroo, the next request plumless
#   in a store, plumless to alice: the handler says alice, the next request alice
#   in a cookie, plumless to buckeroo: the handler says buckeroo, the next request plumless
#   in a cookie, plumless to alice: the handler says alice, the next request alice
# Matters: One change in four billion is lost by chance, without a trace, and the same change is lost each time it is tried. What shall be saved for sure is
#   saved by ctx.session.save(), or each time with rolling: true.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get koa-session@7.0.2 koa@3.3.0
cat >main.mjs <<'JS'
import Koa from 'koa'
import session from 'koa-session'
const kept = new Map()
const store = { get: async id => kept.get(id), set: async (id, value) => { kept.set(id, structuredClone(value)) }, destroy: async id => { kept.delete(id) } }
for (const [where, options] of [['store', { store }], ['cookie', {}]]) {
  for (const next of ['buckeroo', 'alice']) {
    const app = new Koa()
    app.keys = ['for this script only']
    app.use(session(options, app))
    app.use(ctx => { if (ctx.query.nick) ctx.session.nick = ctx.query.nick; ctx.body = ctx.session.nick })
    const server = app.listen(0, '127.0.0.1')
    await new Promise(r => server.once('listening', r))
    let cookie = ''
    const get = async query => {
      const answer = await fetch(`http://127.0.0.1:${server.address().port}/${query}`, { headers: { cookie } })
      const set = answer.headers.getSetCookie()
      if (set.length) cookie = set.map(c => c.split(';')[0]).join('; ')
      return answer.text()
    }
    await get('?nick=plumless')
    console.log(`in a ${where}, plumless to ${next}: the handler says ${await get('?nick=' + next)}, the next request ${await get('')}`)
    server.close()
    server.closeAllConnections()
  }
}
JS
node main.mjs | seen
