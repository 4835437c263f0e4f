#!/usr/bin/env bash
# wget, Perl and Java send the cookie of /shop to /shopping as well, and curl alone sends the one of /shop/ to /shop.
#
# With: net/http of Go 1.26.8, tough-cookie 6.1.0, curl 7.88.1, wget 1.21.3, python 3.11.2, libwww-perl 6.68 and openjdk-17 17.0.21 of Debian 12; 2026-11-30
# Guess: Path=/shop is /shop and what lies below it; the next character has to be a slash, as RFC 6265 says.
# Happens: Three clients ask whether the one string begins with the other. curl takes a slash at the end off before it compares, so that it makes no
#   difference there.
# Seen:
#   Path=/shop, a request for /shop/cart
#     sid=s: Go, curl, tough-cookie, Python, Perl, Java, wget
#   Path=/shop, a request for /shopping
#     nothing: Go, curl, tough-cookie, Python
#     sid=s: Perl, Java, wget
#   Path=/shop/, a request for /shop
#     nothing: Go, tough-cookie, Python, Perl, Java, wget
#     sid=s: curl
# Matters: Two apps of a host, /shop and /shopping or /v1 and /v10, with a cookie of one name see one another's from some clients: one that finds a
#   value it did not sign may delete or replace it. And Path=/shop/, which seems to be the way out, loses the session at /shop, where people arrive,
#   but not in a test with curl. Give each app a name of its own.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

cookie_clients_up
{
	echo 'Path=/shop, a request for /shop/cart'
	cookie_clients "$site/shop/?$(sets 'sid=s; Path=/shop')" "$site/shop/cart"
	echo 'Path=/shop, a request for /shopping'
	cookie_clients "$site/shop/?$(sets 'sid=s; Path=/shop')" "$site/shopping"
	echo 'Path=/shop/, a request for /shop'
	cookie_clients "$site/shop/?$(sets 'sid=s; Path=/shop/')" "$site/shop"
} | seen
