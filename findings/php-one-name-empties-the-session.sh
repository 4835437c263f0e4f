#!/usr/bin/env bash
# One session value whose name has a vertical bar in it empties the whole session in PHP, and session_write_close returns true.
#
# With: php8.2-cli 8.2 of Debian 12; 2026-11-29
# Guess: A name that the format of sessions cannot hold is refused, or is left out.
# Happens: The serializer "php", which is the default, puts a "|" between name and value and gives up where a name has one; what is then written is nothing, over what was
#   there. It is not reported. A name that is a number is left out alone, with a warning; the serializer php_serialize keeps both.
# Seen:
#   php, name "price": wrote true; the next request has user, price
#   php, name "price|eur": wrote true; the next request has nothing, in a file of 0 bytes
#   php, name "7": wrote true; the next request has user
#   php_serialize, name "price": wrote true; the next request has user, price
#   php_serialize, name "price|eur": wrote true; the next request has user, price|eur
#   php_serialize, name "7": wrote true; the next request has user, 7
# Matters: Where names come from data, such as a filter or a product number, one click logs a user out and leaves no line in a log. Who reads such files elsewhere
#   finds an empty record with a cookie that is good: an empty session, and no broken one.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

deb_get "php8.2-cli=8.2.*"
cat >main.php <<'PHP'
<?php
ini_set('session.use_cookies', '0');
ini_set('session.cache_limiter', '');
ini_set('session.save_path', getcwd());
ini_set('session.serialize_handler', $argv[1]);
function request(string $id): void { session_id($id); session_start(); }
request('bob');
$_SESSION['user'] = 'bob';
session_write_close();
request('bob');
$_SESSION[$argv[2]] = 'x';
$wrote = @session_write_close();
request('bob');
$size = filesize('sess_bob');
$has = $_SESSION ? implode(', ', array_keys($_SESSION)) : "nothing, in a file of $size bytes";
file_put_contents('php://stdout', "$argv[1], name \"$argv[2]\": wrote " . var_export($wrote, true) . "; the next request has $has\n");
PHP
for serializer in php php_serialize; do
	for name in price 'price|eur' 7; do
		rm -f sess_bob
		php8.2 -n main.php $serializer "$name"
	done
done | seen
