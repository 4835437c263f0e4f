#!/usr/bin/env bash
# A cookie called SESSION takes the place of one called session in curl and in Java.
#
# With: net/http of Go 1.26.8, tough-cookie 6.1.0, curl 7.88.1, wget 1.21.3, python 3.11.2, libwww-perl 6.68 and openjdk-17 17.0.21 of Debian 12; 2026-11-30
# Guess: The names of cookies differ by case, as RFC 6265 has it, so that two apps of one host can use both.
# Happens: curl and Java compare names without regard to case, and keep the one that came last, under the name that it came with. All others keep two.
# Seen:
#   session, then SESSION
#     SESSION=spring; session=flask: Go, tough-cookie, Python, Perl, wget
#     SESSION=spring: curl, Java
#   SESSION, then session
#     SESSION=spring; session=flask: Go, tough-cookie, Python, Perl, wget
#     session=flask: curl, Java
# Matters: SESSION is the default of Spring Session, and session that of Flask and hapi. Where one is put beside the other, or takes its place step by
#   step, a client of these two is logged out of each by the other, and no other is. Deleting the old name also deletes the new one there. Give a
#   cookie a name that differs by more than its case.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

cookie_clients_up
flask=$site/?$(sets 'session=flask; Path=/') spring=$site/?$(sets 'SESSION=spring; Path=/')
{
	echo 'session, then SESSION'
	cookie_clients "$flask" "$spring" "$site/"
	echo 'SESSION, then session'
	cookie_clients "$spring" "$flask" "$site/"
} | seen
