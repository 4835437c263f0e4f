#!/usr/bin/env bash
# Moving a slot to another node of a cluster fires "del" for sessions that live on.
#
# With: redis-server 7.0.15 of Debian 12; 2026-11-29
# Guess: MIGRATE moves a key; del is for keys that are gone.
# Happens: The node that gives the key away fires del for it, exactly as for a logout. The key is alive at the other node.
# Seen:
#   events of the giving node: del
#   the key at the other node: alive
# Matters: What ends streams or drops caches at "del" does so for every session of the slots that move, when a cluster grows. After an event, read the
#   session again and believe that.

source "$(dirname "$0")/lib.bash"

deb_get redis-server=5:7.0.15-1~deb12u7 redis-tools=5:7.0.15-1~deb12u7 libjemalloc2 liblzf1 libatomic1 libhiredis0.14 liblua5.1-0 lua-bitop lua-cjson libsystemd0
serve() {
	mkdir -p "$1"
	redis-server --bind 127.0.0.1 --port "$1" --cluster-port $(($1 - 1000)) --save '' --dir "$work/$1" --cluster-enabled yes >"$1.log" &
	await redis-cli -p "$1" ping
}
a=$(free_port) b=$(free_port)
serve "$a"; serve "$b"
redis-cli -p "$a" cluster addslotsrange 0 8191 >/dev/null
redis-cli -p "$b" cluster addslotsrange 8192 16383 >/dev/null
redis-cli -p "$b" cluster set-config-epoch 2 >/dev/null
redis-cli -p "$a" cluster meet 127.0.0.1 "$b" $((b - 1000)) >/dev/null
await eval 'redis-cli -p "$a" cluster info | grep -q cluster_state:ok && redis-cli -p "$b" cluster info | grep -q cluster_state:ok'
key=sess:{7}; slot=$(redis-cli -p "$a" cluster keyslot "$key")
from=$a to=$b; ((slot < 8192)) || from=$b to=$a
redis-cli -p "$from" set "$key" alive >/dev/null
redis-cli -p "$from" config set notify-keyspace-events KEA >/dev/null
redis-cli -p "$from" psubscribe '__keyspace@0__:*' >events &
await grep -q psubscribe events
ids=$(redis-cli -p "$from" cluster myid) idt=$(redis-cli -p "$to" cluster myid)
redis-cli -p "$to" cluster setslot "$slot" importing "$ids" >/dev/null
redis-cli -p "$from" cluster setslot "$slot" migrating "$idt" >/dev/null
redis-cli -p "$from" migrate 127.0.0.1 "$to" "$key" 0 5000 >/dev/null
redis-cli -p "$to" cluster setslot "$slot" node "$idt" >/dev/null
redis-cli -p "$from" cluster setslot "$slot" node "$idt" >/dev/null
await grep -q "$key" events
{
	echo "events of the giving node: $(sed -n '/^__keyspace@0__:sess/{n;p}' events | paste -sd' ')"
	echo "the key at the other node: $(redis-cli -p "$to" get "$key")"
} | seen
