#!/usr/bin/env bash
# A cookie with Domain=localhost is lost by Python, Perl and Java, and kept by the others.
#
# With: net/http of Go 1.26.8, tough-cookie 6.1.0, curl 7.88.1, wget 1.21.3, python 3.11.2, libwww-perl 6.68 and openjdk-17 17.0.21 of Debian 12; 2026-11-30
# Guess: To name the host itself as the Domain changes nothing but that names below it get the cookie as well.
# Happens: Python, Perl and Java go by the older rules: a domain has to have a dot in it, and a host without one counts as being in .local. Without
#   Domain, or with an address in it, all keep the cookie.
# Seen:
#   http://localhost, no Domain
#     sid=s: Go, curl, tough-cookie, Python, Perl, Java, wget
#   http://localhost, Domain=localhost
#     sid=s: Go, curl, tough-cookie, wget
#     nothing: Python, Perl, Java
#   http://127.0.0.1, Domain=127.0.0.1
#     sid=s: Go, curl, tough-cookie, Python, Perl, Java, wget
# Matters: COOKIE_DOMAIN=localhost in the settings for development, where production has example.com, works with Node.js, Go and curl; a test in Python or Java is logged out at each step. The same goes for hosts of one word in a company's network or among containers:
#   http://app/. Leave Domain out there.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

cookie_clients_up
here=http://localhost:$port
{
	echo 'http://localhost, no Domain'
	cookie_clients "$here/?$(sets 'sid=s; Path=/')" "$here/"
	echo 'http://localhost, Domain=localhost'
	cookie_clients "$here/?$(sets 'sid=s; Path=/; Domain=localhost')" "$here/"
	echo 'http://127.0.0.1, Domain=127.0.0.1'
	cookie_clients "$site/?$(sets 'sid=s; Path=/; Domain=127.0.0.1')" "$site/"
} | seen
