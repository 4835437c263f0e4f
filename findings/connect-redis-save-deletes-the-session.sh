#!/usr/bin/env bash
# req.session.save() deletes a session in connect-redis that has been kept alive past its first lifetime.
#
# With: connect-redis 10.0.0, express-session 1.19.0, express 5.3.0, redis 6.3.1, redis-server 7.0.15 of Debian 12; 2026-11-29
# Guess: A session that each request extends can be saved at any time.
# Happens: An extension is EXPIRE on the key; the JSON keeps its first expires. save() stores what was loaded, without an extension first, and
#   connect-redis takes the life from that expires: it has passed, so it sends DEL in place of SET. save() reports no error.
# Seen:
#   login: record true
#   2 s later, a request that reads: record true
#   4 s later, a request that saves: user bob, error null, record false
# Matters: "save before the redirect", the usual advice, logs out those who have been there for longer than maxAge. Who writes such records keeps
#   expires in the JSON as young as the key's own life.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get connect-redis@10.0.0 express-session@1.19.0 express@5.3.0 redis@6.3.1
redis_up
cat >main.mjs <<'JS'
import express from 'express'
import session from 'express-session'
import { createClient } from 'redis'
import { RedisStore } from 'connect-redis'
const client = await createClient({ url: process.argv[2] }).connect()
const app = express()
app.use(session({ store: new RedisStore({ client }), secret: 'for this script only', resave: false, saveUninitialized: false, cookie: { maxAge: 3000 } }))
app.get('/login', (req, res) => { req.session.user = 'bob'; res.end() })
app.get('/read', (req, res) => res.end(req.session.user))
app.get('/save', (req, res) => { const { user } = req.session; req.session.save(err => res.end(`user ${user}, error ${err}`)) })
const server = await new Promise(r => { const s = app.listen(0, '127.0.0.1', () => r(s)) }), sleep = ms => new Promise(r => setTimeout(r, ms))
const login = await fetch(`http://127.0.0.1:${server.address().port}/login`)
const cookie = login.headers.getSetCookie()[0].split(';')[0]
const get = async path => (await fetch(`http://127.0.0.1:${server.address().port}${path}`, { headers: { cookie } })).text()
const record = async () => (await client.keys('sess:*')).length === 1
console.log('login: record', await record())
await sleep(2000); await get('/read')
console.log('2 s later, a request that reads: record', await record())
await sleep(2000)
console.log(`4 s later, a request that saves: ${await get('/save')}, record ${await record()}`)
server.close(); client.destroy()
JS
node main.mjs "redis://127.0.0.1:$port" | seen
