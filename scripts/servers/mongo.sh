# What scripts/servers.sh knows about MongoDB; it reads this file.
# shellcheck shell=bash disable=SC2154 # the variables are its

# FerretDB and the extension of PostgreSQL that it works with go together.
FERRETDB_VERSION=v2.7.0
POSTGRESQL=18

mongod() { # the program of a private server
	if [[ $(from) == compose ]]; then echo "$DIR/mongod/bin/mongod"; else echo "$DIR/ferretdb/bin/mongo-server"; fi
}

mongo_from_packages() {
	local build=$DIR/ferretdb-$FERRETDB_VERSION building=''
	if [[ ! -e $build/ferretdb ]]; then # while apt loads
		say "building FerretDB $FERRETDB_VERSION"
		GOFLAGS='' GOWORK=off CGO_ENABLED=0 GOBIN=$build.new go install -trimpath -ldflags '-s -w' \
			"github.com/FerretDB/FerretDB/v2/cmd/ferretdb@$FERRETDB_VERSION" >"$LOG/ferretdb-build.log" 2>&1 &
		building=$!
	fi
	unpack ferretdb "$SUITE" "postgresql-$POSTGRESQL-documentdb"
	if [[ $building ]]; then
		wait "$building" || { cat "$LOG/ferretdb-build.log" >&2; die "FerretDB cannot be built"; }
		rm -rf "$build"; mv "$build.new" "$build"
	fi
	ln -sfn "../../${build##*/}/ferretdb" "$DIR/ferretdb/bin/ferretdb"
	cmp -s "$REPO/scripts/servers/mongo-server" "$DIR/ferretdb/bin/mongo-server" || init_mongo_server "$DIR/ferretdb" || die "FerretDB's database cannot be made"
}

init_mongo_server() { # init_mongo_server ROOT: not by writing into a file that runs
	cp "$REPO/scripts/servers/mongo-server" "$1/bin/mongo-server.new"
	mv "$1/bin/mongo-server.new" "$1/bin/mongo-server"
	"$1/bin/mongo-server" --init >"$LOG/template.log" 2>&1 || { cat "$LOG/template.log" >&2; return 1; }
}

finish_ferretdb() {
	local bin=usr/lib/postgresql/$POSTGRESQL/bin extensions=usr/share/postgresql/$POSTGRESQL/extension
	(
		cd "$1"
		[[ -e $extensions/postgis.control ]] || cp "$extensions"/postgis-[0-9]*.control "$extensions/postgis.control"
		ln -s "../postgresql/$POSTGRESQL/lib/pg_documentdb_core.so" usr/lib/*-linux-*/ # which another extension is linked with
		mv "$bin/postgres" "$bin/postgres.elf" # initdb starts the one that is beside it
		printf '#!/bin/sh\nexec "${0%%/usr/lib/*}/bin/postgres" "$@"\n' >"$bin/postgres"
		chmod 755 "$bin/postgres"
	) && wrap "$1" "postgres=/$bin/postgres.elf" "initdb=/$bin/initdb" && init_mongo_server "$1"
}

image_mongod() { wrap "$1" mongod=/usr/bin/mongod; }

start_mongo() {
	! pid_of mongo >/dev/null || return 0
	need_port "$TESTSERVERS_MONGO_PORT"
	rm -rf "${RUN:?}/mongo"; mkdir -p "$RUN/mongo"
	(
		cd "$RUN/mongo"
		setsid bash -c 'echo $$ >pid; exec "$@"' - "$(mongod)" --port "$TESTSERVERS_MONGO_PORT" --dbpath "$RUN/mongo" \
			</dev/null >"$LOG/mongo.log" 2>&1 8>&- 9>&- &
	)
}

version_of_mongo() {
	if [[ $(from) == compose ]]; then compose exec -T mongo mongod --version; else "$(mongod)" --version; fi </dev/null 2>/dev/null | head -n 1
}
