#!/usr/bin/env bash
# A session from a server whose clock is an hour behind is lost by wget and Perl, and by Java if Expires comes first, Max-Age or not.
#
# With: net/http of Go 1.26.8, tough-cookie 6.1.0, curl 7.88.1, wget 1.21.3, python 3.11.2, libwww-perl 6.68 and openjdk-17 17.0.21 of Debian 12; 2026-11-30
# Guess: Servers send Max-Age beside Expires for clients whose clock is another one: it has precedence.
# Happens: wget and Perl end a cookie as soon as one of the two says so. In Java the first of them holds. Perl and Java also keep a cookie with
#   Max-Age=0 if Expires, which lies ahead, came in front.
# Seen:
#   Expires an hour ago; Max-Age=600
#     sid=s: Go, curl, tough-cookie, Python
#     nothing: Perl, Java, wget
#   Max-Age=600; Expires an hour ago
#     sid=s: Go, curl, tough-cookie, Python, Java
#     nothing: Perl, wget
#   Expires in an hour; Max-Age=0
#     nothing: Go, curl, tough-cookie, Python, wget
#     sid=s: Perl, Java
# Matters: Go's http.Cookie writes Expires in front of Max-Age. A short session and a server that is behind, such as a machine that woke up and has
#   not set its clock yet, lock out these, and no client that goes by RFC 6265. To delete a cookie both have to say so.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

cookie_clients_up
at() { LC_ALL=C date -u -d "$1" '+%a, %d %b %Y %T GMT'; }
{
	echo 'Expires an hour ago; Max-Age=600'
	cookie_clients "$site/?$(sets "sid=s; Path=/; Expires=$(at '1 hour ago'); Max-Age=600")" "$site/"
	echo 'Max-Age=600; Expires an hour ago'
	cookie_clients "$site/?$(sets "sid=s; Path=/; Max-Age=600; Expires=$(at '1 hour ago')")" "$site/"
	echo 'Expires in an hour; Max-Age=0'
	cookie_clients "$site/?$(sets "sid=s; Path=/; Expires=$(at '1 hour'); Max-Age=0")" "$site/"
} | seen
