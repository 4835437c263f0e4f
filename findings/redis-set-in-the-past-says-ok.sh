#!/usr/bin/env bash
# SET with an expiry in the past answers OK and stores nothing; EXPIREAT in the past fires "del" and not "expired".
#
# With: redis-server 7.0.15 of Debian 12; 2026-11-29
# Guess: A time that has passed is refused, as EX 0 is; what ends by its expiry fires "expired".
# Happens: Only 0 and less are refused. Any other time in the past is taken: OK, and the key is not there, or no longer. EXPIREAT in the past, on the
#   other hand, is a DEL, and fires that.
# Seen:
#   SET a x EX 0: ERR invalid expire time in 'set' command
#   SET a x PXAT 1000: OK, exists 0, events set expire expired
#   SET over a live key with PXAT 1000: OK, exists 0
#   EXPIREAT of a live key to 1: 1, exists 0, events del
# Matters: A process whose clock is behind stores sessions that are gone at once, and every command succeeds. One that counts ends by "expired" misses
#   those that an app ended by expiry.

source "$(dirname "$0")/lib.bash"

deb_get redis-server=5:7.0.15-1~deb12u7 redis-tools=5:7.0.15-1~deb12u7 libjemalloc2 liblzf1 libatomic1 libhiredis0.14 liblua5.1-0 lua-bitop lua-cjson libsystemd0
port=$(free_port)
redis-server --bind 127.0.0.1 --port "$port" --save "" --dir "$work" >redis.log &
await redis-cli -p "$port" ping
redis-cli -p "$port" config set notify-keyspace-events KEA >/dev/null
r() { redis-cli -p "$port" "$@"; }
{ redis-cli -p "$port" psubscribe '__keyspace@0__:*' >events & }
await grep -q psubscribe events
# fired: the events since the last time, once a key of our own has come through
fired() {
	r set mark x >/dev/null; await grep -q :mark events
	sed -n '/^__keyspace@0__:a$/{n;p}' events | paste -sd' ' | grep . || echo none
	r del mark >/dev/null; await test "$(grep -c :mark events)" = 2; : >events
}
{
	echo "SET a x EX 0: $(r set a x ex 0)"
	fired >/dev/null
	echo "SET a x PXAT 1000: $(r set a x pxat 1000), exists $(r exists a), events $(fired)"
	r set a x >/dev/null
	echo "SET over a live key with PXAT 1000: $(r set a y pxat 1000), exists $(r exists a)"
	r set a x >/dev/null
	fired >/dev/null
	echo "EXPIREAT of a live key to 1: $(r expireat a 1), exists $(r exists a), events $(fired)"
} | seen
