# What scripts/servers.sh knows about databases that speak SQL; it reads this file.
# shellcheck shell=bash disable=SC2154 # the variables are its

# The newest PostgreSQL, and one that is old and still served.
POSTGRESQL_NEW=18
POSTGRESQL_OLD=15

# The one release of Debian with MySQL. It moves.
MYSQL_SUITE=${TESTSERVERS_MYSQL_SUITE:-sid}

postgresql_root() { # postgresql_root PART: where the programs are
	[[ $1 == postgresql-old ]] && echo "$DIR/postgresqlold" || echo "$DIR/postgresql"
}

sql_from_packages() {
	if ours postgresql || ours postgresql-server; then
		unpack postgresql "$SUITE" "postgresql-$POSTGRESQL_NEW"
		init_sql_server postgresql-server "$DIR/postgresql"
	fi
	if ours postgresql-old; then
		unpack postgresqlold "$OLD_SUITE" "postgresql-$POSTGRESQL_OLD"
		init_sql_server postgresql-server "$DIR/postgresqlold"
	fi
	if ours pgbouncer; then unpack pgbouncer "$OLD_SUITE" pgbouncer; fi
	if ours mariadb || ours mariadb-server; then
		unpack mariadb "$OLD_SUITE" mariadb-server-core
		init_sql_server mariadb-server "$DIR/mariadb"
	fi
	if ours mariadb-new; then
		unpack mariadbnew "$SUITE" mariadb-server-core
		init_sql_server mariadb-server "$DIR/mariadbnew"
	fi
	if ours mysql; then # that its release of Debian is in pieces today is no reason to do without all others
		if unpack mysql "$MYSQL_SUITE" mysql-server-core; then
			init_sql_server mysql-server "$DIR/mysql"
		else
			say "mysql: cannot be had, so MySQL is NOT TESTED"
		fi
	fi
}

init_sql_server() { # init_sql_server NAME ROOT: not by writing into a file that runs
	! cmp -s "$REPO/scripts/servers/$1" "$2/bin/$1" || return 0
	cp "$REPO/scripts/servers/$1" "$2/bin/$1.new"
	mv "$2/bin/$1.new" "$2/bin/$1"
	"$2/bin/$1" --init >"$LOG/template-$1.log" 2>&1 || { cat "$LOG/template-$1.log" >&2; rm -f "$2/bin/$1"; die "a database of $1 cannot be made"; }
}

finish_pgbouncer() { wrap "$1" pgbouncer=/usr/sbin/pgbouncer; }
image_postgresql() { finish_postgresql "$1"; }
finish_mariadb() { wrap "$1" mariadbd=/usr/sbin/mariadbd; }
finish_mariadbnew() { finish_mariadb "$1"; }
finish_mysql() { wrap "$1" mysqld=/usr/sbin/mysqld; }
finish_postgresql() { finish_postgres "$1" $POSTGRESQL_NEW; }
finish_postgresqlold() { finish_postgres "$1" $POSTGRESQL_OLD; }

finish_postgres() { # finish_postgres ROOT VERSION
	local bin=usr/lib/postgresql/$2/bin
	(
		cd "$1"
		mv "$bin/postgres" "$bin/postgres.elf" # initdb starts the one that is beside it
		printf '#!/bin/sh\nexec "${0%%/usr/lib/*}/bin/postgres" "$@"\n' >"$bin/postgres"
		chmod 755 "$bin/postgres"
	) && wrap "$1" "postgres=/$bin/postgres.elf" "initdb=/$bin/initdb"
}

have_mysql() { ours mysql && [[ -e $DIR/mysql/bin/mysql-server ]]; }

start_sql() { # start_sql PART PORT PROGRAM
	! pid_of "$1" >/dev/null || return 0
	need_port "$2"
	rm -rf "${RUN:?}/$1"; mkdir -p "$RUN/$1"
	(
		cd "$RUN/$1"
		setsid bash -c 'echo $$ >pid; exec "$@"' - "$3" --port "$2" --dir "$RUN/$1" </dev/null >"$LOG/$1.log" 2>&1 8>&- 9>&- &
	)
}

# A port is open before statements are taken.
postgresql_ready() { grep -q '^ready' "$RUN/$1/data/postmaster.pid"; } # postgresql_ready PART

postgresql_url() { echo "postgres://postgres@$H:$1/postgres?sslmode=disable"; }
mariadb_dsn() { echo "root@tcp($H:$1)/test"; }
