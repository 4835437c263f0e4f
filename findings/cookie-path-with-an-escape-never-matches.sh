#!/usr/bin/env bash
# A cookie for a path with an escaped character, /caf%C3%A9, never comes back from Go's jar, tough-cookie and Java.
#
# With: net/http of Go 1.26.8, tough-cookie 6.1.0, curl 7.88.1, wget 1.21.3, python 3.11.2, libwww-perl 6.68 and openjdk-17 17.0.21 of Debian 12; 2026-11-30
# Guess: A Path that was copied from the address of the request fits that address.
# Happens: curl, Python, Perl and wget compare it with the address as it is sent. Go, tough-cookie and Java decode the address first, and not the
#   Path. The decoded form in Path is sent by those alone that decode, and cannot always be written: a header has no letters beyond ASCII.
# Seen:
#   Path=/caf%C3%A9
#     nothing: Go, tough-cookie, Java
#     sid=s: curl, Python, Perl, wget
#   Path=/my%20shop
#     nothing: Go, tough-cookie, Java
#     sid=s: curl, Python, Perl, wget
#   Path=/my-shop
#     sid=s: Go, curl, tough-cookie, Python, Perl, Java, wget
# Matters: Tenants by path, each with a session of its own, work until one has a name with a space or an accent in it: then everything that signs in
#   by these clients, and each test that uses them, is logged out at once for that tenant. Make paths that carry cookies of plain letters and digits.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

cookie_clients_up
for path in /caf%C3%A9 /my%20shop /my-shop; do
	echo "Path=$path"
	cookie_clients "$site$path/?$(sets "sid=s; Path=$path")" "$site$path/cart"
done | seen
