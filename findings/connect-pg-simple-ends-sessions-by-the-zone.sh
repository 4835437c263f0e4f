#!/usr/bin/env bash
# A session of connect-pg-simple with an hour left has ended for a connection whose TimeZone lies further east.
#
# With: connect-pg-simple 10.0.0, express-session 1.19.0, pg 8.23.1, PostgreSQL 18.4; 2026-11-29
# Guess: The expiry is written and compared as a point in time, to_timestamp(seconds), so no zone plays a part.
# Happens: The column of the table that comes with it is a timestamp without time zone. PostgreSQL turns the point in time into local time by the
#   connection's TimeZone, at the write and at each comparison.
# Seen:
#   written and read in UTC: there
#   read with TimeZone Asia/Tokyo: gone
# Matters: A new image, role or pooler with another TimeZone logs everybody out, or changes when all sessions end. A reader in another
#   language has to use the same zone. ALTER TABLE .. TYPE timestamptz USING expire AT TIME ZONE 'UTC' mends it.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get connect-pg-simple@10.0.0 express-session@1.19.0 pg@8.23.1
postgres_up
cat >main.cjs <<'JS'
const session = require('express-session'), pg = require('pg'), fs = require('fs')
const PgStore = require('connect-pg-simple')(session)
const url = new URL(process.env.postgres)
const pool = zone => new pg.Pool({ host: url.hostname, port: +url.port, user: 'postgres', database: 'postgres', options: `-c TimeZone=${zone}` })
const pools = [pool('UTC'), pool('Asia/Tokyo')]
const [utc, tokyo] = pools.map(pool => new PgStore({ pool, pruneSessionInterval: false }))
const call = (s, method, ...args) => new Promise((ok, no) => s[method](...args, (err, v) => err ? no(err) : ok(v)))
const there = async (s, id) => await call(s, 'get', id) ? 'there' : 'gone'
async function main() {
  await pools[0].query(fs.readFileSync(require.resolve('connect-pg-simple/table.sql'), 'utf8'))
  const until = ms => ({ user: 'bob', cookie: { expires: new Date(Date.now() + ms) } })
  await call(utc, 'set', 'a', until(3600_000))
  console.log('written and read in UTC:', await there(utc, 'a'))
  console.log('read with TimeZone Asia/Tokyo:', await there(tokyo, 'a'))
  for (const p of pools) await p.end()
}
main()
JS
node main.cjs | seen
