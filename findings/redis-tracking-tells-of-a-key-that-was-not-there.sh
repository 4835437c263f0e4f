#!/usr/bin/env bash
# CLIENT TRACKING tells of a session that did not exist when it was asked for, also to who asked by EXISTS, and it tells once.
#
# With: redis-server 7.0.15 of Debian 12; 2026-11-29
# Guess: What is tracked are values that were delivered to a client: a GET that found nothing has nothing to invalidate, and EXISTS and PTTL deliver none.
# Happens: Every key that a reading command named is tracked, found or not, by whichever command. The first change is told, and no other until the key
#   is read again, be it the same value that is written.
# Seen:
#   GET of no key, then SET: told
#   EXISTS of no key, then SET: told
#   PTTL, then PEXPIRE: told
#   GET, then SET of the same value: told
#   GET, then SET twice: told once
# Matters: A watcher of ten thousand sessions need not load them: EXISTS or PTTL arms it and answers in one step, without a gap. A cache of "there is no such
#   session" is kept right as well. But each message has to be followed by a read, or it was the last one.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

redis_up
cat >main.cjs <<'JS'
const socket = require('net').connect(process.argv[2], '127.0.0.1'), { execFileSync } = require('child_process')
let wire = ''
socket.on('data', d => { wire += d })
const send = async line => { wire = ''; socket.write(line + '\r\nPING\r\n'); while (!wire.includes('+PONG')) await new Promise(setImmediate) }
const other = (...args) => execFileSync('redis-cli', ['-p', process.argv[2], ...args])
async function main() {
  await send('HELLO 3'); await send('CLIENT TRACKING ON')
  for (const [name, before, read, ...writes] of [
    ['GET of no key, then SET', null, 'GET k', 'SET k x'],
    ['EXISTS of no key, then SET', null, 'EXISTS k', 'SET k x'],
    ['PTTL, then PEXPIRE', 'x', 'PTTL k', 'PEXPIRE k 60000'],
    ['GET, then SET of the same value', 'x', 'GET k', 'SET k x'],
    ['GET, then SET twice', 'x', 'GET k', 'SET k y', 'SET k z'],
  ]) {
    other('DEL', 'k')
    if (before) other('SET', 'k', before)
    await send(read)
    let told = 0
    for (const write of writes) { other(...write.split(' ')); await send('PING'); told += wire.split('invalidate').length - 1 }
    console.log(`${name}: ${told ? 'told' : 'not told'}${writes.length > 1 && told === 1 ? ' once' : ''}`)
  }
  socket.end()
}
main()
JS
node main.cjs "$port" | seen
