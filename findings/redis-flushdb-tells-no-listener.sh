#!/usr/bin/env bash
# FLUSHDB ends all sessions and fires no keyspace event; a client with CLIENT TRACKING hears of it.
#
# With: redis-server 7.0.15 of Debian 12; 2026-11-29
# Guess: With notify-keyspace-events KEA, a key that goes away fires an event, however it goes: del, expired, evicted.
# Happens: FLUSHDB fires none. The other way to hear of keys, tracking, tells "everything", as a nil.
# Seen:
#   DEL: keyspace event del, tracking told of the key
#   FLUSHDB: keyspace event none, tracking told of everything
# Matters: A process that closes streams when their session ends, by keyspace events, keeps them open for those who were all logged out at once,
#   which is the moment it was built for.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

redis_up
redis-cli -p "$port" config set notify-keyspace-events KEA >/dev/null
npm_get redis@6.3.1
cat >main.mjs <<'JS'
import { createClient, RESP_TYPES } from 'redis'
const url = process.argv[2], events = [], told = []
const client = await createClient({ url }).connect()
const listener = await createClient({ url }).connect()
await listener.pSubscribe('__keyspace@0__:*', (event, channel) => events.push(event))
// A RESP3 connection that tracks what it reads: the pushes are read off the wire, as no client passes the nil on.
const socket = (await import('net')).connect(new URL(url).port, '127.0.0.1')
let wire = ''
socket.on('data', d => { wire += d })
const settle = () => new Promise(r => setTimeout(r, 300))
const round = async (name, end) => {
  await client.set('sess:a', 'x')
  wire = ''; socket.write('HELLO 3\r\nCLIENT TRACKING ON\r\nGET sess:a\r\n'); await settle()
  wire = ''; events.length = 0
  await end(); await settle()
  const push = wire.match(/>2\r\n\$10\r\ninvalidate\r\n(_|\*1)/)
  console.log(`${name}: keyspace event ${events.join() || 'none'}, tracking told of ${!push ? 'nothing' : push[1] === '_' ? 'everything' : 'the key'}`)
}
await round('DEL', () => client.del('sess:a'))
await round('FLUSHDB', () => client.flushDb())
socket.end(); client.destroy(); listener.destroy()
JS
node main.mjs "redis://127.0.0.1:$port" | seen
