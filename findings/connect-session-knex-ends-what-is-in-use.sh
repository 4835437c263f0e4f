#!/usr/bin/env bash
# Without a maxAge, connect-session-knex ends a session a day after its last change, however much it is used.
#
# With: connect-session-knex 5.0.0, knex 3.3.0, pg 8.23.1, connect-pg-simple 10.0.0, express-session 1.19.0, express 5.3.0, PostgreSQL 18.4; 2026-11-29
# Guess: express-session touches the session with each request, and a store's default life counts from the last one, with a maxAge and without.
# Happens: set() gives a session whose cookie has no expiry one day; touch() leaves it alone, since it goes by cookie.expires. connect-pg-simple, on the same
#   server, extends both. (The source of connect-sqlite3 0.9.18 has the same two rules.)
# Seen:
#   connect-session-knex, with a maxAge: a request that only reads extends the record
#   connect-session-knex, without: a request that only reads leaves the record as it was
#   connect-pg-simple, with a maxAge: a request that only reads extends the record
#   connect-pg-simple, without: a request that only reads extends the record
# Matters: No maxAge is express-session's default. Who keeps a browser open and clicks all day is logged out 24 hours after the login, unless the app
#   happens to write something. After a move to or from such a store, sessions last longer or shorter with nothing else changed.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

postgres_up
npm_get connect-session-knex@5.0.0 knex@3.3.0 pg@8.23.1 connect-pg-simple@10.0.0 express-session@1.19.0 express@5.3.0
cat >main.mjs <<'JS'
import express from 'express'
import session from 'express-session'
import makeKnex from 'knex'
import pg from 'pg'
import { ConnectSessionKnexStore } from 'connect-session-knex'
import connectPgSimple from 'connect-pg-simple'
const url = process.argv[2], knex = makeKnex({ client: 'pg', connection: url }), pool = new pg.Pool({ connectionString: url })
const simple = new (connectPgSimple(session))({ pool, createTableIfMissing: true, pruneSessionInterval: false })
for (const [name, store, table, column] of [
  ['connect-session-knex', new ConnectSessionKnexStore({ knex, cleanupInterval: 0 }), 'sessions', 'expired'],
  ['connect-pg-simple', simple, 'session', 'expire']
]) {
  for (const [life, maxAge] of [['with a maxAge', 86_400_000], ['without', undefined]]) {
    const app = express()
    app.use(session({ store, secret: 'for this script only', resave: false, saveUninitialized: false, cookie: { maxAge } }))
    app.get('/login', (req, res) => { req.session.user = life; res.end() })
    app.get('/', (req, res) => res.end(req.session.user))
    const server = await new Promise(r => { const s = app.listen(0, '127.0.0.1', () => r(s)) }), base = `http://127.0.0.1:${server.address().port}`
    const cookie = (await fetch(base + '/login')).headers.getSetCookie()[0].split(';')[0]
    const expiry = async () => +(await pool.query(`SELECT extract(epoch FROM ${column}) AS at FROM ${table} WHERE sess->>'user' = $1`, [life])).rows[0].at
    const before = await expiry()
    await new Promise(r => setTimeout(r, 1500)) // connect-pg-simple stores whole seconds
    const read = await (await fetch(base, { headers: { cookie } })).text()
    if (read !== life) throw new Error(`read ${read}`)
    console.log(`${name}, ${life}: a request that only reads ${await expiry() > before ? 'extends the record' : 'leaves the record as it was'}`)
    server.close(); server.closeAllConnections()
  }
}
await knex.destroy(); await pool.end()
JS
node main.mjs "$postgres" | seen
