#!/usr/bin/env bash
# The lifetime of an express-session shrinks by a millisecond each time the clock ticks inside of one line.
#
# With: express-session 1.19.0; 2026-11-29
# Guess: cookie.originalMaxAge is what was set, and touch() sets that again.
# Happens: Setting maxAge sets expires to now + maxAge, and that setter computes originalMaxAge back as expires - now, with a second
#   look at the clock. Where a millisecond ends between the two, the value is one less from then on, and is stored.
# Seen:
#   set 2000, touched 100 times, no tick between the looks: 2000
#   set 2000, touched 100 times, a tick between the looks: 1899
# Matters: Another program that takes originalMaxAge for a constant, or compares it, finds drifting values; a test that expects 60000 fails once in
#   a thousand runs. Treat 59999 as what it is.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get express-session@1.19.0
cat >main.cjs <<'JS'
const { Cookie } = require('express-session')
const RealDate = Date
// A clock that moves on by step at each look.
const clock = step => class extends RealDate {
  static t = 1764400000000
  static now() { return this.t += step }
  constructor(...a) { super(...(a.length ? a : [globalThis.Date.now()])) }
}
for (const [step, say] of [[0, 'no tick'], [1, 'a tick']]) {
  globalThis.Date = clock(step)
  const cookie = new Cookie({ maxAge: 2000 })
  for (let i = 0; i < 100; i++) cookie.maxAge = cookie.originalMaxAge // what touch() does
  console.log(`set 2000, touched 100 times, ${say} between the looks: ${cookie.originalMaxAge}`)
}
JS
node main.cjs | seen
