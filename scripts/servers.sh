#!/usr/bin/env bash
# The servers that the tests need, all on the loopback address.
#
#   servers.sh up              start what is missing, wait until all answer, print how to reach them
#   servers.sh run COMMAND...  the same, then COMMAND with that in its environment; stops them afterwards
#   servers.sh down            stop what this script started
#   servers.sh status          one line for each server; fails unless all of them answer
#   servers.sh env             how to reach what answers: set -a; eval "$(scripts/servers.sh env)"
#   servers.sh purge           down, and remove everything that was downloaded
#
# What there is, by TESTSERVERS (default: all of it):
#
#   valkey    VALKEY_ADDR            Valkey 9, without a password
#   tls       VALKEY_TLS_ADDR        Valkey 9 that demands TLS (VALKEY_TLS_CA is the file with its certificate) and
#                                    a user: VALKEY_TLS_USERNAME, VALKEY_TLS_PASSWORD. That user may do what the
#                                    store needs, with keys that begin with sess: or user-sess:, and nothing else
#   cluster   VALKEY_CLUSTER_ADDRS   three primaries with a replica each
#   old       VALKEY_OLD_ADDR        a server that does not know SET with IFEQ: Redis 7.0, or Valkey 8.0 in a container
#   programs  VALKEY_SERVER          for tests that start servers of their own, and VALKEY_CLI, VALKEY_OLD_SERVER
#   mongo     MONGODB_URI            MongoDB, a replica set of one; or, from packages, FerretDB 2 on PostgreSQL with the
#                                    DocumentDB extension, which speaks MongoDB's protocol: no Debian has MongoDB
#   mongod    MONGO_SERVER           its program, for tests that start servers of their own: run like mongod
#   postgresql  POSTGRESQL_URL       PostgreSQL 18, as a user who may do everything
#   postgresql-old  POSTGRESQL_OLD_URL   PostgreSQL 15
#   postgresql-server  POSTGRESQL_SERVER   its program, for tests that start servers of their own: --port PORT --dir DIR
#   pgbouncer PGBOUNCER              PgBouncer's program, for tests that start one: pgbouncer FILE.ini
#   mariadb   MARIADB_DSN            MariaDB 10.11, as a user who may do everything
#   mariadb-new   MARIADB_NEW_DSN    MariaDB 11.8
#   mariadb-server  MARIADB_SERVER   the program of the older one, for tests that start servers of their own: --port PORT --dir DIR
#   mysql     MYSQL_DSN              MySQL: 8.4, or from packages what Debian's sid has
#   nginx     NGINX_PROGRAM          nginx's program, for tests that start one: nginx -p DIR -c FILE
#
# Where one of these variables is set already, that server is used as it is, and none is started in its place. The
# others come from compose.yaml where `docker compose` reaches an engine; else, on Debian, from packages that are
# unpacked below TESTSERVERS_DIR and run there, without root and without a change to the system. TESTSERVERS_FROM
# chooses between `compose` and `packages`. Where neither can be had, `up` fails and `run` says so and goes on: the
# tests then skip what they cannot do, and fail where CI is set.
#
# Other settings: TESTSERVERS_VALKEY_PORT, _TLS_PORT, _OLD_PORT, _MONGO_PORT, _POSTGRESQL_PORT,
# _POSTGRESQL_OLD_PORT, _MARIADB_PORT, _MARIADB_NEW_PORT, _MYSQL_PORT and _CLUSTER_PORT (the first of six, which must have their
# neighbours 10000 above them free as well); TESTSERVERS_KEEP=1 leaves running what `run` started; TESTSERVERS_MIRROR, _KEYRING, _SUITE, _OLD_SUITE and
# _MYSQL_SUITE say where packages come from.
set -euo pipefail
umask 022

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
DIR=${TESTSERVERS_DIR:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/cloakroom-testservers}
PARTS=${TESTSERVERS-valkey tls cluster old programs mongo mongod postgresql postgresql-old postgresql-server pgbouncer mariadb mariadb-new mariadb-server mysql nginx}
SUITE=${TESTSERVERS_SUITE:-forky}             # the first release of Debian with Valkey 9 and DocumentDB
OLD_SUITE=${TESTSERVERS_OLD_SUITE:-bookworm}  # with Redis 7.0
KEYRING=${TESTSERVERS_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
H=127.0.0.1

# compose.yaml goes by these.
export TESTSERVERS_VALKEY_PORT=${TESTSERVERS_VALKEY_PORT:-6490}
export TESTSERVERS_TLS_PORT=${TESTSERVERS_TLS_PORT:-6491}
export TESTSERVERS_OLD_PORT=${TESTSERVERS_OLD_PORT:-6492}
export TESTSERVERS_CLUSTER_PORT=${TESTSERVERS_CLUSTER_PORT:-7201}
export TESTSERVERS_CLUSTER_LAST=$((TESTSERVERS_CLUSTER_PORT + 5))
export TESTSERVERS_MONGO_PORT=${TESTSERVERS_MONGO_PORT:-27117}
export TESTSERVERS_POSTGRESQL_PORT=${TESTSERVERS_POSTGRESQL_PORT:-5532}
export TESTSERVERS_POSTGRESQL_OLD_PORT=${TESTSERVERS_POSTGRESQL_OLD_PORT:-5533}
export TESTSERVERS_MARIADB_PORT=${TESTSERVERS_MARIADB_PORT:-3406}
export TESTSERVERS_MARIADB_NEW_PORT=${TESTSERVERS_MARIADB_NEW_PORT:-3407}
export TESTSERVERS_MYSQL_PORT=${TESTSERVERS_MYSQL_PORT:-3408}

mkdir -p "$DIR"; DIR=$(cd "$DIR" && pwd -P)
[[ $DIR =~ ^[A-Za-z0-9_./+@-]+$ ]] || { echo "servers.sh: unusable characters in $DIR: set TESTSERVERS_DIR" >&2; exit 1; }
RUN=$DIR/run LOG=$DIR/log
export TESTSERVERS_TLS_DIR=$DIR/tls

say() { echo "servers.sh: $*" >&2; }
die() { say "$*"; exit 1; }

# ------------------------------------------------------------------- which ones

VARIABLES='VALKEY_ADDR VALKEY_TLS_ADDR VALKEY_TLS_CA VALKEY_TLS_USERNAME VALKEY_TLS_PASSWORD VALKEY_CLUSTER_ADDRS VALKEY_OLD_ADDR VALKEY_SERVER VALKEY_CLI VALKEY_OLD_SERVER MONGODB_URI MONGO_SERVER POSTGRESQL_URL POSTGRESQL_OLD_URL POSTGRESQL_SERVER PGBOUNCER MARIADB_DSN MARIADB_NEW_DSN MARIADB_SERVER MYSQL_DSN NGINX_PROGRAM'

# variable_of PART: the variable that says that a part need not be provided
variable_of() {
	case $1 in
	valkey) echo VALKEY_ADDR ;;
	tls) echo VALKEY_TLS_ADDR ;;
	cluster) echo VALKEY_CLUSTER_ADDRS ;;
	old) echo VALKEY_OLD_ADDR ;;
	programs) echo VALKEY_SERVER ;;
	mongo) echo MONGODB_URI ;;
	mongod) echo MONGO_SERVER ;;
	postgresql) echo POSTGRESQL_URL ;;
	postgresql-old) echo POSTGRESQL_OLD_URL ;;
	postgresql-server) echo POSTGRESQL_SERVER ;;
	pgbouncer) echo PGBOUNCER ;;
	mariadb) echo MARIADB_DSN ;;
	mariadb-new) echo MARIADB_NEW_DSN ;;
	mariadb-server) echo MARIADB_SERVER ;;
	mysql) echo MYSQL_DSN ;;
	nginx) echo NGINX_PROGRAM ;; # NGINX would be sockets to it
	*) die "TESTSERVERS: there is no \"$1\"" ;;
	esac
}

OURS='' # the parts that nobody else provides
for part in $PARTS; do
	variable=$(variable_of "$part")
	[[ ${!variable:-} ]] || OURS+=" $part"
done
ours() { [[ " $OURS " == *" $1 "* ]]; }
is_program() { [[ $1 == programs || $1 == mongod || $1 == *-server || $1 == pgbouncer || $1 == nginx ]]; }
servers() { local p; for p in $OURS; do is_program "$p" || echo "$p"; done; }

port_of() {
	case $1 in
	valkey) echo "$TESTSERVERS_VALKEY_PORT" ;;
	tls) echo "$TESTSERVERS_TLS_PORT" ;;
	old) echo "$TESTSERVERS_OLD_PORT" ;;
	mongo) echo "$TESTSERVERS_MONGO_PORT" ;;
	postgresql) echo "$TESTSERVERS_POSTGRESQL_PORT" ;;
	postgresql-old) echo "$TESTSERVERS_POSTGRESQL_OLD_PORT" ;;
	mariadb) echo "$TESTSERVERS_MARIADB_PORT" ;;
	mariadb-new) echo "$TESTSERVERS_MARIADB_NEW_PORT" ;;
	mysql) echo "$TESTSERVERS_MYSQL_PORT" ;;
	cluster) seq "$TESTSERVERS_CLUSTER_PORT" "$TESTSERVERS_CLUSTER_LAST" ;;
	esac
}

# -------------------------------------------------------------------- packages

# A directory of its own for each server: new/, old/ and ferretdb/, with the unpacked files and, in bin/, scripts that
# start the programs through the unpacked loader, so that the system's own libraries do not matter.

mirror() { # the mirror that apt goes to for Debian itself
	if [[ ${TESTSERVERS_MIRROR:-} ]]; then
		echo "$TESTSERVERS_MIRROR"
	elif grep -qs '^ID=debian$' /etc/os-release; then
		apt-get update --print-uris 2>/dev/null | sed -nE "s#^'([^']+)/dists/[a-z]+/(In)?Release.*#\1#p" | head -n 1
	fi
}

have_packages() { [[ $(uname -s) == Linux ]] && command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && [[ $(mirror) ]]; }

private_apt() { # private_apt DIR SUITE: nothing of the system's apt but how it reaches its mirror
	local a=$1
	rm -rf "$a"; mkdir -p "$a"/{lists/partial,cache/archives/partial,debs}; : >"$a/status"
	[[ -r $KEYRING ]] || die "$KEYRING is missing: install debian-archive-keyring, or set TESTSERVERS_KEYRING"
	echo "deb [signed-by=$KEYRING] $(mirror) $2 main" >"$a/sources.list"
	{
		apt-config dump | grep -E '^Acquire::(http|https|ftp)::' || true
		cat <<-C
			Dir::Etc::main "/dev/null";
			Dir::Etc::parts "/dev/null";
			Dir::Etc::sourcelist "$a/sources.list";
			Dir::Etc::sourceparts "/dev/null";
			Dir::Etc::preferences "/dev/null";
			Dir::Etc::preferencesparts "/dev/null";
			Dir::State "$a";
			Dir::State::lists "$a/lists";
			Dir::State::status "$a/status";
			Dir::Cache "$a/cache";
			Debug::NoLocking "true";
			APT::Install-Recommends "false";
			APT::Sandbox::User "$(id -un)";
			Acquire::Languages "none";
			Acquire::Check-Valid-Until "false";
			Acquire::Retries "3";
		C
	} >"$a/apt.conf"
}

unpack() ( # unpack NAME SUITE PACKAGE...: those packages of that release, signed by Debian
	local a=$DIR/apt-$1 root=$DIR/$1 name=$1 suite=$2 spared=$SPARED wanted; shift 2
	export NEW=$root.new
	[[ ! -e $root/bin ]] || return 0
	say "unpacking $1 of Debian $suite"
	private_apt "$a" "$suite"
	export APT_CONFIG=$a/apt.conf
	apt-get -qq update
	# What the programs need of other packages are libraries. Should that not be so one day, all of it is unpacked.
	for wanted in "${1%%-[a-z]*}[-=]|lib" ''; do
		resolve "$a" "$spared" "$@"
		awk '/^Inst /{v=$3; sub(/^\(/,"",v); print $2 "=" v}' "$a/resolved" | grep -E "^($wanted)" >"$a/list"
		(cd "$a/debs" && xargs apt-get -qq download <"$a/list" >/dev/null)
		rm -rf "$NEW"; mkdir -p "$NEW"/usr/{lib,lib64,bin,sbin} "$NEW/bin"
		for link in lib lib64 sbin; do ln -s "usr/$link" "$NEW/$link"; done
		find "$a/debs" -name '*.deb' -print0 | xargs -0 -n 1 sh -c 'dpkg-deb --fsys-tarfile "$0" |
			tar -x -C "$NEW" --no-same-owner --no-same-permissions --keep-directory-symlink --exclude="./usr/share/[!mp]*" --exclude="./usr/share/man" \
			--exclude="./var" --exclude="./etc" --exclude="./bin" --exclude="./usr/lib/systemd" --exclude=bitcode'
		chmod -R u+w,a+rX "$NEW"
		if "finish_$name" "$NEW"; then
			rm -rf "$root" "$a"; mv "$NEW" "$root"
			return 0
		fi
		spared=''
	done
	die "the unpacked $1 does not run"
)

# Packages that ours depend on and can do without, and with them what only they need.
SPARED='perl|systemd|adduser|ssl-cert|locales|postgresql-common|postgresql-client-common|libgdal[0-9]+|libsfcgal[0-9]+|proj-data|libllvm[0-9]+'

resolve() { # resolve APT SPARED PACKAGE...: what has to be unpacked, if the spared ones are taken for installed
	local a=$1 spared=$2; shift 2
	: >"$a/status"
	apt-get -qq -s install "$@" >"$a/resolved" || die "apt cannot resolve $*"
	[[ $spared ]] || return 0
	sed -nE "s/^Inst ($spared) \(([^ ]+) .*\[([a-z0-9]+)\].*/Package: \1\nStatus: install ok installed\nMaintainer: none\nMulti-Arch: foreign\nVersion: \2\nArchitecture: \3\nDescription: spared\n/p" \
		"$a/resolved" >"$a/status.new"
	mv "$a/status.new" "$a/status"
	apt-get -qq -s install "$@" >"$a/resolved" || die "apt cannot resolve $*"
}

# finish_NAME ROOT: make the unpacked files ready, and fail where something is missing
finish_new() { wrap "$1" valkey-server=/usr/bin/valkey-server valkey-cli=/usr/bin/valkey-cli; }
finish_old() { wrap "$1" valkey-server=/usr/bin/redis-server valkey-cli=/usr/bin/redis-cli; }
finish_nginx() { VERSION=-v wrap "$1" nginx=/usr/sbin/nginx; }

wrap() { # wrap ROOT NAME=FILE...: bin/NAME starts that program, which says its version if asked by VERSION
	local root=$1 loader file name; shift
	loader=$(cd "$root" && ls usr/lib/*/ld-linux*.so.* | head -n 1)
	for file; do
		name=${file%%=*} file=${file#*=}
		cat >"$root/bin/$name" <<-W
			#!/bin/sh
			r=\$(cd "\${0%/*}/.." && pwd)
			exec "\$r/$loader" --library-path "\$r/${loader%/*}" --argv0 "\$r$file" "\$r$file" "\$@"
		W
		chmod 755 "$root/bin/$name"
		"$root/bin/$name" "${VERSION:---version}" >"$LOG/wrap.log" 2>&1 || { cat "$LOG/wrap.log" >&2; return 1; }
	done
}

programs_from_packages() {
	if ours mongo || ours mongod; then mongo_from_packages; fi
	sql_from_packages
	ours programs || ours valkey || ours tls || ours cluster && unpack new "$SUITE" valkey-server valkey-tools
	ours programs || ours old && unpack old "$OLD_SUITE" redis-server redis-tools
	ours nginx && unpack nginx "$SUITE" nginx
	return 0
}

new() { "$DIR/new/bin/valkey-cli" -h $H -p "$@"; }

# ------------------------------------------------- servers from these packages

# A server is ours when the process of its pid file lives and works in its directory.
lives() { [[ $(readlink "/proc/$1/cwd" 2>/dev/null) == "$RUN"/* ]]; }
pid_of() { local p; p=$(cat "$RUN/$1/pid" 2>/dev/null) && lives "$p" && echo "$p"; }
port_open() { (exec 3<>"/dev/tcp/$H/$1") 2>/dev/null; }
need_port() { ! port_open "$1" || die "port $1 is in use by another program: choose others (TESTSERVERS_..._PORT, see the top of scripts/servers.sh)"; }

await() { # await SECONDS WHAT COMMAND...
	local end=$((SECONDS + $1)) what=$2; shift 2
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || die "$what does not answer; see $LOG"
		sleep 0.05
	done
}

start() { # start NAME PORT ROOT OPTIONS...
	local name=$1 port=$2 root=$3; shift 3
	! pid_of "$name" >/dev/null || return 0
	need_port "$port"
	rm -rf "${RUN:?}/$name"; mkdir -p "$RUN/$name"
	"$DIR/$root/bin/valkey-server" --bind $H --port "$port" --dir "$RUN/$name" --pidfile "$RUN/$name/pid" \
		--logfile "$LOG/$name.log" --daemonize yes --save '' --appendonly no --enable-debug-command local "$@" 8>&- 9>&-
}

stop() {
	local p n=100
	p=$(pid_of "$1") || return 0
	kill -s TERM "$p" 2>/dev/null || true
	while lives "$p" && ((n-- > 0)); do sleep 0.05; done
	if lives "$p"; then kill -s KILL "$p" 2>/dev/null || true; fi
	rm -f "$RUN/$1/pid"
}

demands() { # what a server needs that demands TLS and a user
	if [[ ! -e $DIR/tls/key.pem ]]; then # by the program that Go's crypto/tls brings for this
		rm -rf "$DIR/tls" "$DIR/tls.new"; mkdir -p "$DIR/tls.new"
		(cd "$DIR/tls.new" && GOFLAGS=-trimpath GOWORK=off go run "$(go env GOROOT)/src/crypto/tls/generate_cert.go" \
			--ca --ecdsa-curve P256 --host "localhost,$H" --duration 87600h >/dev/null 2>"$LOG/certificate.log") || die "no certificate: see $LOG/certificate.log"
		mv "$DIR/tls.new" "$DIR/tls"
	fi
	cat >"$DIR/tls/users.acl" <<-A
		user default off
		user $TLS_USER on >$TLS_PASSWORD resetkeys ~sess:* ~user-sess:* resetchannels -@all $TLS_COMMANDS
	A
	chmod 644 "$DIR/tls"/*
}
TLS_USER=cloakroom
TLS_PASSWORD=only-for-tests # of a server that only this machine reaches
TLS_COMMANDS='+get +set +del +pexpire +ping
	+eval +evalsha +script|load
	+client|setinfo +client|tracking +client|caching +multi +exec +pttl
	+wait +discard +unsubscribe +punsubscribe +sunsubscribe
	+scan +unlink +role'
TLS_COMMANDS=${TLS_COMMANDS//$'\n\t'/ } # what the options of the store need, line by line

pong() { [[ $(new "$1" ping) == PONG ]]; }
tls_pong() { [[ $(new "$1" --tls --cacert "$DIR/tls/cert.pem" --user $TLS_USER --pass $TLS_PASSWORD --no-auth-warning ping) == PONG ]]; }

cluster_complete() { # cluster_complete PORT: it knows all six, all slots are served, each primary has its replica
	local i; i=$(new "$1" cluster info) && [[ $i == *cluster_state:ok* && $i == *cluster_size:3* && $i == *cluster_known_nodes:6* ]] &&
		[[ $(new "$1" cluster nodes | grep -cE '[ ,]slave .* connected$') == 3 ]]
}

cluster_runs() {
	local p
	for p in $(port_of cluster); do pid_of "cluster-$p" >/dev/null || return 1; done
	cluster_complete "$TESTSERVERS_CLUSTER_PORT" >/dev/null 2>&1
}

start_cluster() {
	local p i=0 first=$TESTSERVERS_CLUSTER_PORT id
	for p in $(port_of cluster); do stop "cluster-$p"; done
	for p in $(port_of cluster); do
		need_port $((p + 10000))
		start "cluster-$p" "$p" new --cluster-enabled yes --cluster-config-file nodes.conf --cluster-node-timeout 60000 \
			--cluster-announce-ip $H --cluster-allow-replica-migration no --repl-diskless-sync-delay 0
	done
	for p in $(port_of cluster); do await 10 "cluster node $p" pong "$p"; done
	for p in $(port_of cluster); do
		new "$p" cluster set-config-epoch $((++i)) >/dev/null
		((i > 3)) || new "$p" cluster addslotsrange $((16384 * (i - 1) / 3)) $((16384 * i / 3 - 1)) >/dev/null
		((i == 1)) || new "$first" cluster meet $H "$p" >/dev/null
	done
	for p in $(seq $((first + 3)) $((first + 5))); do
		id=$(new $((p - 3)) cluster myid)
		await 20 "cluster node $p" replicate "$p" "$id"
	done
	for p in $(port_of cluster); do await 30 "cluster node $p" cluster_complete "$p"; done
	for p in $(seq $((first + 3)) $((first + 5))); do await 30 "replica $p" follows "$p"; done
}
follows() { [[ $(new "$1" info replication) == *master_link_status:up* ]]; }
replicate() { [[ $(new "$1" cluster replicate "$2") == OK ]]; }

up_packages() {
	programs_from_packages
	ours valkey && start valkey "$TESTSERVERS_VALKEY_PORT" new
	if ours tls; then
		demands
		start tls "$TESTSERVERS_TLS_PORT" new --port 0 --tls-port "$TESTSERVERS_TLS_PORT" --tls-auth-clients no --aclfile "$DIR/tls/users.acl" \
			--tls-cert-file "$DIR/tls/cert.pem" --tls-key-file "$DIR/tls/key.pem" --tls-ca-cert-file "$DIR/tls/cert.pem"
	fi
	ours old && start old "$TESTSERVERS_OLD_PORT" old
	ours mongo && start_mongo
	ours postgresql && start_sql postgresql "$TESTSERVERS_POSTGRESQL_PORT" "$DIR/postgresql/bin/postgresql-server"
	ours postgresql-old && start_sql postgresql-old "$TESTSERVERS_POSTGRESQL_OLD_PORT" "$DIR/postgresqlold/bin/postgresql-server"
	ours mariadb && start_sql mariadb "$TESTSERVERS_MARIADB_PORT" "$DIR/mariadb/bin/mariadb-server"
	ours mariadb-new && start_sql mariadb-new "$TESTSERVERS_MARIADB_NEW_PORT" "$DIR/mariadbnew/bin/mariadb-server"
	have_mysql && start_sql mysql "$TESTSERVERS_MYSQL_PORT" "$DIR/mysql/bin/mysql-server"
	ours cluster && { cluster_runs || start_cluster; }
	ours valkey && await 10 valkey pong "$TESTSERVERS_VALKEY_PORT"
	ours tls && await 10 tls tls_pong "$TESTSERVERS_TLS_PORT"
	ours old && await 10 old pong_old "$TESTSERVERS_OLD_PORT"
	ours mongo && await 30 mongo port_open "$TESTSERVERS_MONGO_PORT"
	ours postgresql && await 30 postgresql postgresql_ready postgresql
	ours postgresql-old && await 30 postgresql-old postgresql_ready postgresql-old
	ours mariadb && await 30 mariadb port_open "$TESTSERVERS_MARIADB_PORT"
	ours mariadb-new && await 30 mariadb-new port_open "$TESTSERVERS_MARIADB_NEW_PORT"
	have_mysql && await 60 mysql port_open "$TESTSERVERS_MYSQL_PORT"
	return 0
}
pong_old() { [[ $("$DIR/old/bin/valkey-cli" -h $H -p "$1" ping) == PONG ]]; }

down_packages() {
	local d
	for d in "$RUN"/*/; do stop "$(basename "$d")"; done
}

# --------------------------------------------------------------------- compose

compose() { docker compose --project-name cloakroom-testservers --file "$REPO/compose.yaml" "$@"; }
have_compose() { command -v docker >/dev/null && docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; }

up_compose() {
	local services; services=$(servers)
	if ours tls; then demands; fi
	# Containers that do not run on this kernel's terms still have programs that do.
	if [[ $(uname -s) == Linux ]]; then
		if ours programs; then from_image new valkey usr; from_image old old usr; fi
		if ours mongod; then from_image mongod mongo usr/lib usr/bin/mongod; fi
		if ours postgresql-server; then
			from_image postgresql postgresql usr/lib usr/share/postgresql
			init_sql_server postgresql-server "$DIR/postgresql"
		fi
	fi
	# shellcheck disable=SC2086 # one word for each
	[[ -z $services ]] || compose up --detach --wait --quiet-pull $services >&2
}

from_image() { # from_image NAME SERVICE PATH...: files of that service's image, as if unpacked from packages
	local image id name=$1 root=$DIR/$1
	[[ ! -e $root/bin ]] || return 0
	image=$(compose config --images "$2"); shift 2
	id=$(docker create "$image")
	rm -rf "$root.new"; mkdir -p "$root.new"
	docker export "$id" | tar -x -C "$root.new" --no-same-owner --no-same-permissions "$@"
	docker rm "$id" >/dev/null
	mkdir -p "$root.new/bin"
	chmod -R u+w,a+rX "$root.new"
	"image_$name" "$root.new" || die "the programs of $image do not run here"
	rm -rf "$root"; mv "$root.new" "$root"
}

image_new() { wrap "$1" valkey-server=/usr/local/bin/valkey-server valkey-cli=/usr/local/bin/valkey-cli; }
image_old() { image_new "$1"; }

source "$REPO/scripts/servers/mongo.sh"
source "$REPO/scripts/servers/sql.sh"

# -------------------------------------------------------------------- commands

# from: where the servers come from, decided once and kept until they are stopped
from() {
	local kept; kept=$(cat "$RUN/from" 2>/dev/null) || true
	if [[ $kept == packages || $kept == compose ]] && "have_$kept"; then
		echo "$kept"
	elif [[ ${TESTSERVERS_FROM:-} ]]; then
		echo "$TESTSERVERS_FROM"
	elif have_compose; then
		echo compose
	elif have_packages; then
		echo packages
	fi
}

answers() { local p; for p in $(port_of "$1"); do port_open "$p" || return 1; done; }

up() {
	local source
	[[ $OURS ]] || return 0
	source=$(from)
	mkdir -p "$RUN" "$LOG"
	case $source in
	compose | packages) echo "$source" >"$RUN/from"; "up_$source" ;;
	'') die "no servers: neither does docker compose answer nor is this Debian with apt; set $(for part in $OURS; do variable_of "$part"; done | paste -sd' ')" ;;
	*) die "TESTSERVERS_FROM is \"$source\", want compose or packages" ;;
	esac
	versions
}

versions() {
	local part port version
	for part in $(servers); do
		port=$(port_of "$part" | head -n 1)
		case $part in
		mongo) version=$(version_of_mongo) ;;
		postgresql*) version=$([[ $(from) == compose ]] || "$(postgresql_root "$part")/bin/postgres" --version) ;;
		mariadb) version=$([[ $(from) == compose ]] || "$DIR/mariadb/bin/mariadbd" --version) ;;
		mariadb-new) version=$([[ $(from) == compose ]] || "$DIR/mariadbnew/bin/mariadbd" --version) ;;
		mysql) version=$([[ $(from) == compose ]] || ! have_mysql || "$DIR/mysql/bin/mysqld" --version) ;;
		tls) version=$([[ $(from) == compose ]] || new "$port" --tls --cacert "$DIR/tls/cert.pem" --user $TLS_USER --pass $TLS_PASSWORD --no-auth-warning hello 2>/dev/null | grep -A1 '^version' | tail -n 1) ;;
		*) version=$(info_of "$port") ;;
		esac
		say "$part: port $port, ${version:-version unknown}"
		[[ $part != mongo || $(from) == compose ]] || say "mongo: is not MongoDB, so failovers of a replica set are NOT TESTED"
	done
}

info_of() { # info_of PORT: what a server says that it is
	local line name='' version=''
	exec 3<>"/dev/tcp/$H/$1" || return 0
	printf 'INFO server\r\nQUIT\r\n' >&3
	while read -r -t 5 line <&3; do
		line=${line%$'\r'}
		case $line in
		server_name:*) name=${line#*:} ;;
		valkey_version:*) version=${line#*:} ;;
		redis_version:*) [[ $version ]] || version=${line#*:} ;;
		esac
	done
	exec 3>&-
	echo "${name:-redis} $version"
}

down() {
	local source; source=$(cat "$RUN/from" 2>/dev/null) || return 0
	case $source in
	compose) compose down --volumes --timeout 5 >&2 || say "docker compose does not answer" ;;
	packages) down_packages ;;
	esac
	rm -rf "$RUN"
}

env_() {
	local variable part bin=$DIR/new/bin
	for variable in $VARIABLES; do
		[[ -z ${!variable:-} ]] || printf '%s=%q\n' "$variable" "${!variable}"
	done
	if ours valkey && answers valkey; then echo "VALKEY_ADDR=$H:$TESTSERVERS_VALKEY_PORT"; fi
	if ours tls && answers tls; then
		echo "VALKEY_TLS_ADDR=$H:$TESTSERVERS_TLS_PORT"
		echo "VALKEY_TLS_CA=$DIR/tls/cert.pem"
		echo "VALKEY_TLS_USERNAME=$TLS_USER"
		echo "VALKEY_TLS_PASSWORD=$TLS_PASSWORD"
	fi
	if ours cluster && answers cluster; then echo "VALKEY_CLUSTER_ADDRS=$(port_of cluster | sed "s/^/$H:/" | paste -sd, -)"; fi
	if ours old && answers old; then echo "VALKEY_OLD_ADDR=$H:$TESTSERVERS_OLD_PORT"; fi
	if ours mongo && answers mongo; then echo "MONGODB_URI=mongodb://$H:$TESTSERVERS_MONGO_PORT/"; fi
	if ours postgresql && answers postgresql; then echo "POSTGRESQL_URL=$(postgresql_url "$TESTSERVERS_POSTGRESQL_PORT")"; fi
	if ours postgresql-old && answers postgresql-old; then echo "POSTGRESQL_OLD_URL=$(postgresql_url "$TESTSERVERS_POSTGRESQL_OLD_PORT")"; fi
	if ours postgresql-server && [[ -e $DIR/postgresql/bin/postgresql-server ]]; then echo "POSTGRESQL_SERVER=$DIR/postgresql/bin/postgresql-server"; fi
	for part in pgbouncer nginx; do
		if ours $part && [[ -e $DIR/$part/bin/$part ]]; then
			echo "$(variable_of $part)=$DIR/$part/bin/$part"
		elif ours $part && [[ $(from) == compose ]] && command -v $part >/dev/null; then
			echo "$(variable_of $part)=$(command -v $part)" # there is no image whose program would run here
		fi
	done
	if ours mariadb && answers mariadb; then printf 'MARIADB_DSN=%q\n' "$(mariadb_dsn "$TESTSERVERS_MARIADB_PORT")"; fi
	if ours mariadb-new && answers mariadb-new; then printf 'MARIADB_NEW_DSN=%q\n' "$(mariadb_dsn "$TESTSERVERS_MARIADB_NEW_PORT")"; fi
	if ours mariadb-server && [[ -e $DIR/mariadb/bin/mariadb-server ]]; then echo "MARIADB_SERVER=$DIR/mariadb/bin/mariadb-server"; fi
	if ours mysql && answers mysql; then printf 'MYSQL_DSN=%q\n' "$(mariadb_dsn "$TESTSERVERS_MYSQL_PORT")"; fi
	if ours mongod && [[ -e $(mongod) ]]; then echo "MONGO_SERVER=$(mongod)"; fi
	if ours programs && [[ -e $bin/valkey-server ]]; then
		echo "VALKEY_SERVER=$bin/valkey-server"
		echo "VALKEY_CLI=$bin/valkey-cli"
		[[ ! -e $DIR/old/bin/valkey-server ]] || echo "VALKEY_OLD_SERVER=$DIR/old/bin/valkey-server"
	fi
}

status() {
	local part program rc=0
	for part in $PARTS; do
		if ! ours "$part"; then
			variable=$(variable_of "$part")
			echo "$part: ${!variable} (from the environment)"
		elif is_program "$part"; then
			case $part in
			programs) program=$DIR/new/bin/valkey-server ;;
			mongod) program=$(mongod) ;;
			*) program=$DIR/${part%-server}/bin/$part ;;
			esac
			[[ -e $program ]] && echo "$part: $program" || { echo "$part: missing"; rc=1; }
		elif answers "$part"; then
			echo "$part: answers on port $(port_of "$part" | paste -sd' ' -)"
		else
			echo "$part: stopped"; rc=1
		fi
	done
	return $rc
}

# Two that work at the same time, in two work trees perhaps, share the servers: 9 is held while they are started and
# stopped, 8 while they are used.
locked() {
	if command -v flock >/dev/null; then exec 9>"$DIR/lock"; flock 9; fi
	"$@"
	exec 9>&-
}

release() { # after run: stop the servers unless they are used by others, or were started by up
	exec 8>&-
	[[ -z ${TESTSERVERS_KEEP:-} && ! -e $RUN/keep ]] || return 0
	if command -v flock >/dev/null; then
		exec 8>"$DIR/users"
		flock -n 8 || return 0
	fi
	down
}

run() {
	if command -v flock >/dev/null; then exec 8>"$DIR/users"; flock -s 8; fi
	trap 'locked release' EXIT
	trap 'exit 130' INT TERM HUP
	if ! bash "${BASH_SOURCE[0]}" start; then
		cat >&2 <<-W
			**************************************************************************
			The tests that need a server are LEFT OUT, as far as there is none: see
			above. Start docker, or name servers by the variables that the top of
			scripts/servers.sh lists.
			**************************************************************************
		W
		[[ -z ${CI:-} ]] || die "in CI that is a failure"
	fi
	set -a; eval "$(env_)"; set +a
	"$@" 8>&- 9>&-
}

command=${1:-help}
(($# == 0)) || shift
case $command in
start) locked up ;; # what run does first
up) locked up; [[ ! -d $RUN ]] || touch "$RUN/keep"; env_ ;;
run) (($#)) || die "run what?"; run "$@" ;;
down) locked down ;;
status) status ;;
env) env_ ;;
purge) locked down; rm -rf "${DIR:?}" ;;
*) sed -n '2,/^set -euo/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
