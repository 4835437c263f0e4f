#!/usr/bin/env bash
# A Lua script in Redis that decodes a session's JSON and encodes it again changes what it did not touch.
#
# With: redis-server 7.0.15 of Debian 12 (its cjson); 2026-11-29
# Guess: cjson.encode(cjson.decode(s)) is s, but for the order of members.
# Happens: An empty list becomes an empty object, whole numbers of more than 14 digits are rounded, and a slash gets a backslash.
# Seen:
#   {"cart":[]} -> {"cart":{}}
#   {"account":123456789012345} -> {"account":1.2345678901234e+14}
#   {"back":"/shop"} -> {"back":"\/shop"}
#   {"note":null} -> {"note":null}
# Matters: "One field of the session, set atomically in a script" breaks other fields: a cart's list is no list for Go any more (cannot unmarshal
#   object into []T), an id names another account. Pass the whole new text to the script, and let it compare and store.

source "$(dirname "$0")/lib.bash"

deb_get redis-server=5:7.0.15-1~deb12u7 redis-tools=5:7.0.15-1~deb12u7 libjemalloc2 liblzf1 libatomic1 libhiredis0.14 liblua5.1-0 lua-bitop lua-cjson libsystemd0
port=$(free_port)
redis-server --bind 127.0.0.1 --port "$port" --save "" --dir "$work" >redis.log &
await redis-cli -p "$port" ping
for json in '{"cart":[]}' '{"account":123456789012345}' '{"back":"/shop"}' '{"note":null}'; do
	echo "$json -> $(redis-cli -p "$port" eval 'return cjson.encode(cjson.decode(ARGV[1]))' 0 "$json")"
done | seen
