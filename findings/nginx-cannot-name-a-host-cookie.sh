#!/usr/bin/env bash
# In nginx $cookie___Host-session is the same for everybody, so a hash of it sends all visitors to one server.
#
# With: nginx 1.22.1 of Debian 12; 2026-11-29
# Guess: $cookie_NAME is the cookie called NAME, so a session sticks to a server by `hash $cookie___Host-session`.
# Happens: The name of a variable ends at the hyphen. nginx takes the line for a variable $cookie___Host, which is empty, followed by the text "-session", and
#   the configuration passes its test. Braces do not help: with them it is refused. A map of $http_cookie by a regular expression gets the cookie out.
# Seen:
#   hash $cookie_session: of 40 visitors 2 servers have some
#   hash $cookie___Host-session: of 40 visitors 1 server has all; the value is "-session"
#   hash ${cookie___Host-session}: the closing bracket in "cookie___Host" variable is missing
#   map $http_cookie: of 40 visitors 2 servers have some; the value is "id7"
# Matters: Giving the session cookie the prefix that browsers reward takes the balance away, or, in limit_req_zone, gives all visitors one allowance, and nothing
#   is logged. With two instances all seems well until one of them carries the load of both.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

deb_get "nginx=1.22.1-*" "curl=7.88.1-*"
front=$(free_port) one=$(free_port)
while two=$(free_port); [[ $two == "$one" || $two == "$front" ]]; do :; done
while [[ $one == "$front" ]]; do one=$(free_port); done

# configuration KEY
configuration() {
	cat <<CONF
daemon off; pid $work/pid; worker_processes 1; events {}
http {
	access_log off;
	client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
	map \$http_cookie \$host_session { "~(?:^|; )__Host-session=(?<id>[^;]+)" \$id; }
	upstream app { hash $1 consistent; server 127.0.0.1:$one; server 127.0.0.1:$two; }
	server { listen 127.0.0.1:$one; return 200 "one\n"; }
	server { listen 127.0.0.1:$two; return 200 "two\n"; }
	server { listen 127.0.0.1:$front; location / { proxy_pass http://app; } location /value { return 200 "$1"; } }
}
CONF
}
# visit COOKIE KEY: 40 visitors, with a session each, and the value of the seventh
visit() {
	configuration "$2" >conf
	nginx -p "$work" -c "$work/conf" -e error.log >>nginx.log 2>&1 &
	await curl -sf "127.0.0.1:$front/"
	servers=$(for n in {1..40}; do curl -s -H "Cookie: other=1; $1=id$n" "127.0.0.1:$front/"; done | sort -u | wc -l)
	value=$(curl -s -H "Cookie: other=1; $1=id7" "127.0.0.1:$front/value")
	kill $!
	wait $! || true
}
{
	visit session '$cookie_session'
	echo "hash \$cookie_session: of 40 visitors $servers servers have some"
	visit __Host-session '$cookie___Host-session'
	echo "hash \$cookie___Host-session: of 40 visitors $servers server has all; the value is \"$value\""
	configuration '${cookie___Host-session}' >conf
	echo "hash \${cookie___Host-session}: $(nginx -p "$work" -c "$work/conf" -e error.log -t 2>&1 | sed -nE 's/.*\[emerg\] ([0-9#]+: )?(.*) in .*/\2/p' | sort -u)"
	visit __Host-session '$host_session'
	echo "map \$http_cookie: of 40 visitors $servers servers have some; the value is \"$value\""
} | seen
