#!/usr/bin/env bash
# BSON.serialize leaves undefined members out, and the MongoDB driver, which calls it, writes them as null.
#
# With: bson 7.3.4, mongodb 7.9.0; 2026-11-29
# Guess: The driver stores what the bson package makes of a document.
# Happens: The two have opposite defaults for ignoreUndefined. What a test with bson alone shows is not what is in the collection: an
#   express-session cookie stored as an object (connect-mongo with stringify: false) has null for each option that was not set.
# Seen:
#   bson alone: originalMaxAge, path
#   with the options of a MongoClient: originalMaxAge, secure, domain, sameSite, path
#   maxAge of 24 days: int
#   maxAge of 25 days: double
# Matters: A Go reader has to take null for false and for "", and a number of milliseconds as int32 and as double, which changes at 2^31 ms, in
#   the middle of the usual lifetimes.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get bson@7.3.4 mongodb@7.9.0
cat >main.cjs <<'JS'
const { BSON, MongoClient } = require('mongodb')
const driver = new MongoClient('mongodb://127.0.0.1').bsonOptions // this makes no connection
const day = 24 * 3600 * 1000
const cookie = { originalMaxAge: day, secure: undefined, domain: undefined, sameSite: undefined, path: '/' }
const names = bytes => Object.keys(BSON.deserialize(bytes)).join(', ')
console.log('bson alone:', names(BSON.serialize(cookie)))
console.log('with the options of a MongoClient:', names(BSON.serialize(cookie, driver)))
for (const days of [24, 25]) {
  console.log(`maxAge of ${days} days:`, { 1: 'double', 16: 'int' }[BSON.serialize({ n: days * day })[4]])
}
JS
node main.cjs | seen
