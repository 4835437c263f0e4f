#!/usr/bin/env bash
# wget drops the cookie of a login at /login that is for /app, without a word.
#
# With: net/http of Go 1.26.8, tough-cookie 6.1.0, curl 7.88.1, wget 1.21.3, python 3.11.2, libwww-perl 6.68 and openjdk-17 17.0.21 of Debian 12; 2026-11-30
# Guess: A server may set a cookie for any path of its own: RFC 6265 gave up the older rule that the path has to be one of the request.
# Happens: wget keeps to the older rule. With the same cookie at /app/login it is logged in.
# Seen:
#   Path=/app, set by /login
#     sid=s: Go, curl, tough-cookie, Python, Perl, Java
#     nothing: wget
#   Path=/app, set by /app/login
#     sid=s: Go, curl, tough-cookie, Python, Perl, Java, wget
# Matters: A script that mirrors or backs up an app behind a login gets the login page a thousand times, with status 200. So it is where a proxy in
#   front rewrites the paths of requests and leaves those of cookies alone. A wider Path, or a login below the path of its cookie, serves all.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

cookie_clients_up
for login in /login /app/login; do
	echo "Path=/app, set by $login"
	cookie_clients "$site$login?$(sets 'sid=s; Path=/app')" "$site/app/"
done | seen
