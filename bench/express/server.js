'use strict'
// The paths of workload.go, with express-session and a store of connect-redis or
// connect-pg-simple as their READMEs have them, but for options whose defaults
// they advise against. Where POSTGRESQL_URL is set, sessions are there, and else in
// Valkey. The server tells its address on a line, and ends when its input does.
const express = require('express')
const session = require('express-session')

const userName = 'alice'
const fillerValue = 'a value such as an app keeps: some text, 0123456789 0123456789'

const answer = (res, ok) => {
  res.statusCode = ok ? 200 : 500
  res.end(ok ? 'ok\n' : 'wrong\n')
}

async function openStore () {
  if (process.env.POSTGRESQL_URL) {
    const { Pool } = require('pg')
    const PgStore = require('connect-pg-simple')(session)
    const pool = new Pool({ connectionString: process.env.POSTGRESQL_URL, max: Number(process.env.POOL_SIZE) })
    return new PgStore({ pool, tableName: 'express', createTableIfMissing: true, pruneSessionInterval: false })
  }
  const { RedisStore } = require('connect-redis')
  const { createClient } = require('redis')
  const client = createClient({ url: 'redis://' + process.env.VALKEY_ADDR })
  await client.connect()
  return new RedisStore({ client, prefix: 'express:' })
}

async function main () {
  const store = await openStore()
  const app = express()
  app.disable('x-powered-by')
  app.use(session({
    name: 'sid',
    secret: process.env.SESSION_SECRET,
    resave: false,
    saveUninitialized: false,
    store
  }))

  app.get('/', (req, res) => answer(res, true))
  app.get('/read', (req, res) => answer(res, req.session.user === userName))
  app.get('/count', (req, res) => {
    req.session.n++
    answer(res, true)
  })
  app.get('/login', (req, res, next) => {
    const { theme, n } = req.session
    req.session.regenerate((err) => {
      if (err) return next(err)
      Object.assign(req.session, { theme, n, user: userName })
      answer(res, true)
    })
  })
  app.get('/make', (req, res) => {
    Object.assign(req.session, { theme: 'dark', n: 1000 })
    for (let i = 0; i < Math.floor(Number(req.query.filler) / 80); i++) {
      req.session['filler-' + String(i).padStart(5, '0')] = fillerValue
    }
    req.session.user = userName
    answer(res, true)
  })
  app.get('/show', (req, res) => res.end(`${req.session.user ?? ''} ${req.session.n ?? 0}`))

  const server = app.listen(0, '127.0.0.1', () => console.log('127.0.0.1:' + server.address().port))
  process.stdin.resume().on('end', () => process.exit())
}

main().catch((err) => {
  console.error(err)
  process.exit(1)
})
