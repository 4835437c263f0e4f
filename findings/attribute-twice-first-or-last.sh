#!/usr/bin/env bash
# Of an attribute that a Set-Cookie line has twice, the last holds in Go, curl, tough-cookie and wget, and the first in Python, Perl and Java.
#
# With: net/http of Go 1.26.8, tough-cookie 6.1.0, curl 7.88.1, wget 1.21.3, python 3.11.2, libwww-perl 6.68 and openjdk-17 17.0.21 of Debian 12; 2026-11-30
# Guess: The last one holds, as RFC 6265 says; so a gateway can append what it wants to have.
# Happens: Python, Perl and Java go by the older rule, that the first one holds.
# Seen:
#   Path=/shop; Path=/, a request for /
#     sid=s: Go, curl, tough-cookie, wget
#     nothing: Python, Perl, Java
#   Path=/; Path=/shop, a request for /
#     nothing: Go, curl, tough-cookie, wget
#     sid=s: Python, Perl, Java
# Matters: "Add '; Path=/' to each Set-Cookie", in a proxy or a middleware that cannot know what is there, is right by RFC 6265, and wrong for a part of all programs. Take the old one out, or set it where the cookie is made.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

cookie_clients_up
for paths in 'Path=/shop; Path=/' 'Path=/; Path=/shop'; do
	echo "$paths, a request for /"
	cookie_clients "$site/shop/?$(sets "sid=s; $paths")" "$site/"
done | seen
