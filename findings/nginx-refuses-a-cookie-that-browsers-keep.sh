#!/usr/bin/env bash
# nginx as it comes answers 502 to a login whose cookie any browser would keep.
#
# With: nginx 1.22.1 of Debian 12; 2026-11-29
# Guess: Cookies of up to 4096 bytes of name and value pass, as the standard asks of browsers.
# Happens: All header lines of an answer have to fit into proxy_buffer_size, a page of 4096 bytes. Beside a few usual headers a cookie of 3,700 bytes
#   passes, and one of 4,000 is a 502, while the server behind it answered 200.
# Seen:
#   a cookie of 3700 bytes: 200
#   a cookie of 4000 bytes: 502
#   a cookie of 4000 bytes, proxy_buffer_size 16k: 200
# Matters: Sessions that are kept in the cookie fail behind nginx at the very request that fills them, after it took effect. The bound is that of the
#   way, not the browser's: leave room for the other headers, or set proxy_buffer_size.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

deb_get "nginx=1.22.1-*"
app=$(free_port) port=$(free_port) large=$(free_port)
cat >app.cjs <<'JS'
require('http').createServer((req, res) => {
  res.setHeader('Set-Cookie', `sid=${'x'.repeat(+req.url.slice(1) - 4)}; Path=/; HttpOnly; Secure; SameSite=Lax`)
  res.end()
}).listen(process.argv[2], '127.0.0.1')
JS
node app.cjs "$app" &
mkdir -p temp
cat >nginx.conf <<N
daemon off; pid $work/nginx.pid; error_log $work/error.log; $([[ $(id -u) != 0 ]] || echo "user root;")
events {}
http {
	access_log off;
	client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
	server { listen 127.0.0.1:$port; location / { proxy_pass http://127.0.0.1:$app; } }
	server { listen 127.0.0.1:$large; location / { proxy_pass http://127.0.0.1:$app; proxy_buffer_size 16k; proxy_busy_buffers_size 24k; proxy_buffers 8 16k; } }
}
N
nginx -p "$work" -c "$work/nginx.conf" >nginx.log 2>&1 &
status() { curl -s -o body -w '%{http_code}' "http://127.0.0.1:$1/$2"; }
await curl -sf "http://127.0.0.1:$port/100"
{
	echo "a cookie of 3700 bytes: $(status "$port" 3700)"
	echo "a cookie of 4000 bytes: $(status "$port" 4000)"
	echo "a cookie of 4000 bytes, proxy_buffer_size 16k: $(status "$large" 4000)"
} | seen
