#!/usr/bin/env bash
# Of the cookies that curl saved, wget leaves out the HttpOnly ones, and Python and Perl those without an expiry.
#
# With: curl 7.88.1, wget 1.21.3, python 3.11.2 and libhttp-cookies-perl 6.10 of Debian 12; 2026-11-29
# Guess: The "Netscape cookie file" is one format: what curl -c writes, the others load.
# Happens: curl marks HttpOnly by "#HttpOnly_" in front of the line, which is a comment to who does not know it, and a cookie that lasts until the
#   browser closes by the expiry 0, which is long ago to who takes it for a time.
# Seen:
#   curl sends: lang=en; sid=s; theme=dark; token=t
#   wget sends: lang=en; theme=dark
#   HTTP::Cookies::Netscape sends: lang=en; token=t
#   MozillaCookieJar sends: lang=en; token=t
# Matters: A session cookie usually is HttpOnly and without an expiry. A script that logs in with curl and goes on in another program is logged out,
#   with a file that plainly holds the cookie. Strip the prefix, and write an expiry in place of 0.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

deb_get "curl=7.88.1-*" "libcurl4=7.88.1-*" "wget=1.21.3-*" "libhttp-cookies-perl=6.10-*" "python3.11-minimal=3.11.2-*" "libpython3.11-stdlib=3.11.2-*"
port=$(free_port)
cat >server.cjs <<'JS'
require('http').createServer((req, res) => {
  if (req.url === '/login') res.setHeader('Set-Cookie', ['sid=s; Path=/; HttpOnly', 'theme=dark; Path=/', 'lang=en; Path=/; Max-Age=3600', 'token=t; Path=/; Max-Age=3600; HttpOnly'])
  res.end((req.headers.cookie ?? 'nothing').split('; ').sort().join('; '))
}).listen(process.argv[2], '127.0.0.1')
JS
node server.cjs "$port" &
await curl -s "http://127.0.0.1:$port/"
curl -s -c jar "http://127.0.0.1:$port/login" >login.out
{
	echo "curl sends: $(curl -s -b jar "http://127.0.0.1:$port/")"
	echo "wget sends: $(wget -q -O - --load-cookies jar "http://127.0.0.1:$port/")"
	PERL5LIB=$work/root/usr/share/perl5:$(echo "$work/root/usr/lib/"*/perl5/*) perl -MHTTP::Cookies::Netscape -MHTTP::Request -e '
		my $jar = HTTP::Cookies::Netscape->new(file => "jar"); my $r = HTTP::Request->new(GET => $ARGV[0]);
		$jar->add_cookie_header($r); print "HTTP::Cookies::Netscape sends: ", join("; ", sort(split(/; /, $r->header("Cookie")))), "\n"' "http://127.0.0.1:$port/"
	python3.11 -c '
import http.cookiejar, sys, urllib.request
jar = http.cookiejar.MozillaCookieJar("jar"); jar.load(ignore_discard=True)
print("MozillaCookieJar sends:", urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar)).open(sys.argv[1]).read().decode())' "http://127.0.0.1:$port/"
} | seen
