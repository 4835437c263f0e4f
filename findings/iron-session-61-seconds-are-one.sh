#!/usr/bin/env bash
# An iron-session with a ttl of 61 seconds has a cookie of one second; with a ttl of 60 it has one of 60.
#
# With: iron-session 9.0.1; 2026-11-29
# Guess: Max-Age is ttl, or grows with it.
# Happens: From 61 seconds on a minute is taken off as an allowance for clocks, and below nothing is. So a longer ttl makes a shorter cookie,
#   up to 119 seconds. And ttl: 0, "no expiry", is Max-Age 2147483647, which browsers cut to 400 days.
# Seen:
#   ttl 3600: Max-Age=3540
#   ttl 90: Max-Age=30
#   ttl 61: Max-Age=1
#   ttl 60: Max-Age=60
#   ttl 30: Max-Age=30
#   ttl 0: Max-Age=2147483647
# Matters: A short session, for one step of a login or for a test, is gone at once when its ttl is raised a little, while save() resolves and
#   the answer carries Set-Cookie. Who takes such cookies over has to know that seal and cookie end at different times.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get iron-session@9.0.1
cat >main.mjs <<'JS'
import { getIronSession } from 'iron-session'
for (const ttl of [3600, 90, 61, 60, 30, 0]) {
  const answer = new Response()
  const session = await getIronSession(new Request('http://localhost/'), answer, { cookieName: 'sid', password: 'a password for this script alone', ttl })
  session.user = 'bob'
  await session.save()
  console.log(`ttl ${ttl}: ${answer.headers.get('set-cookie').match(/Max-Age=[-0-9]+/)[0]}`)
}
JS
node main.mjs | seen
