#!/usr/bin/env bash
# A logout by "Max-Age=-1" leaves the session in wget, and an empty cookie in Java and Perl.
#
# With: net/http of Go 1.26.8, tough-cookie 6.1.0, curl 7.88.1, wget 1.21.3, python 3.11.2, libwww-perl 6.68 and openjdk-17 17.0.21 of Debian 12, cookie 2.0.2; 2026-11-30
# Guess: Zero and all that is below it end a cookie at once, as RFC 6265 says.
# Happens: wget uses -1 for a Max-Age that it could not read, and drops the whole line, so that the old value stays; -2 is read. To Java a negative
#   Max-Age is a cookie that lasts until the program ends. Perl takes the new value with any of these, 0 too, and keeps it for the run.
# Seen:
#   sid=; Max-Age=-1; Path=/
#     nothing: Go, curl, tough-cookie, Python
#     sid=: Perl
#     $Version="1"; sid="";$Path="/";$Domain="127.0.0.1": Java
#     sid=s: wget
#   sid=; Max-Age=-2; Path=/
#     nothing: Go, curl, tough-cookie, Python, wget
#     sid=: Perl
#     $Version="1"; sid="";$Path="/";$Domain="127.0.0.1": Java
#   sid=; Max-Age=0; Path=/
#     nothing: Go, curl, tough-cookie, Python, Java, wget
#     sid=: Perl
#   sid=; Max-Age=-1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT
#     nothing: Go, curl, tough-cookie, Python, Perl, Java
#     sid=s: wget
# Matters: The npm package cookie writes maxAge: -1 as it is, and the first line above is what it makes of it. After such a logout wget still sends
#   the old session, which only the server's end of it makes harmless; and an app that asks whether there is a cookie, before it starts a session,
#   finds one. Send Max-Age=0 with an Expires of 1970.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

cookie_clients_up
npm_get cookie@2.0.2
for line in "$(node -p "require('cookie').stringifySetCookie({ name: 'sid', value: '', maxAge: -1, path: '/' })")" 'sid=; Max-Age=-2; Path=/' 'sid=; Max-Age=0; Path=/' 'sid=; Max-Age=-1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT'; do
	echo "$line"
	cookie_clients "$site/?$(sets 'sid=s; Path=/')" "$site/?$(sets "$line")" "$site/"
done | seen
