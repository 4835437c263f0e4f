#!/usr/bin/env bash
# A restart of etcd gives every session its whole life again.
#
# With: etcd-server and etcd-client 3.4.23 of Debian 12; 2026-11-29
# Guess: A lease of ten minutes ends ten minutes after it was granted or kept alive.
# Happens: What is on disk is the length of a lease, not its end. Whoever becomes the leader counts from there with the whole length, which is the restart of a
#   single server and, by the source, each new leader of a cluster. And a put without its lease takes a key out of it, so that the key has no end at all.
# Seen:
#   granted for 600 seconds; after 30 of them at most 571 are left
#   restarted: more than 575 are left, and the session is there
#   changed by a put without the lease: the lease has no key, the session is there
# Matters: "Logged out after ten minutes" does not hold in a week with many deployments or elections, and no session of Thursday need be over on Friday. A store on
#   etcd keeps the moment of the end in the value and looks at it; the lease is for the cleaning alone.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

deb_get "etcd-server=3.4.23-*" "etcd-client=3.4.23-*"
export ETCDCTL_API=3
port=$(free_port)
while peers=$(free_port); [[ $peers == "$port" ]]; do :; done
serve() {
	etcd --data-dir data --listen-client-urls "http://127.0.0.1:$port" --advertise-client-urls "http://127.0.0.1:$port" --listen-peer-urls "http://127.0.0.1:$peers" \
		--initial-advertise-peer-urls "http://127.0.0.1:$peers" --initial-cluster "default=http://127.0.0.1:$peers" >>etcd.log 2>&1 &
	server=$!
	await etcdctl --endpoints "127.0.0.1:$port" endpoint health
}
ctl() { etcdctl --endpoints "127.0.0.1:$port" "$@"; }
left() { ctl lease timetolive "$lease" | sed -n 's/.*remaining(\(-\{0,1\}[0-9]*\)s).*/\1/p'; }
serve
lease=$(ctl lease grant 600 | cut -d ' ' -f 2)
ctl put --lease="$lease" session bob >put.log
sleep 30
before=$(left)
kill "$server"; wait "$server" || true
serve
after=$(left)
there() { [[ $(ctl get --print-value-only session) == "$1" ]] && echo "the session is there" || echo "the session is gone"; }
{
	((before <= 571)) && echo "granted for 600 seconds; after 30 of them at most 571 are left"
	((after > 575)) && echo "restarted: more than 575 are left, and $(there bob)" || echo "restarted: $after are left"
	ctl put session alice >put.log
	[[ $(ctl lease timetolive --keys "$lease") == *'attached keys([])' ]] && echo "changed by a put without the lease: the lease has no key, $(there alice)"
} | seen
