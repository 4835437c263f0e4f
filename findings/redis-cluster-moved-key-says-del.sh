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

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

redis_cluster_up
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
