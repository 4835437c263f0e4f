#!/usr/bin/env bash
# A session cookie that curl saved is a comment to other programs that read the same file format.
#
# With: curl 7.88.1, wget 1.21.3, libhttp-cookies-perl 6.10 of Debian 12; 2026-11-29
# Guess: "Netscape cookie file" is one format: what curl -c writes, wget --load-cookies and HTTP::Cookies::Netscape read.
# Happens: curl marks HttpOnly by "#HttpOnly_" in front of the line. For who does not know that, a line with # is a comment: the cookies that
#   matter least are carried over, and the session, which is HttpOnly, is not.
# Seen:
#   to fill in
# Matters: A script that logs in with curl and downloads with wget is logged out, with a file that plainly holds the cookie. Strip the prefix.

source "$(dirname "$0")/lib.bash"

deb_get curl=7.88.1-10+deb12u14 libcurl4=7.88.1-10+deb12u14 wget=1.21.3-1+deb12u1 libhttp-cookies-perl=6.10-1 libhttp-message-perl libhttp-date-perl liburi-perl
port=$(free_port)
cat >server.cjs <<'JS'
require('http').createServer((req, res) => {
  if (req.url === '/login') res.setHeader('Set-Cookie', ['sid=s; Path=/; HttpOnly', 'theme=dark; Path=/'])
  res.end(req.headers.cookie ?? 'nothing')
}).listen(process.argv[2], '127.0.0.1')
JS
node server.cjs "$port" &
await curl -s "http://127.0.0.1:$port/"
curl -s -c jar "http://127.0.0.1:$port/login" >login.out
{
	echo "curl sends: $(curl -s -b jar "http://127.0.0.1:$port/")"
	echo "wget sends: $(wget -q -O - --load-cookies jar "http://127.0.0.1:$port/")"
	PERL5LIB=$work/root/usr/share/perl5 perl -MHTTP::Cookies::Netscape -MHTTP::Request -e '
		my $jar = HTTP::Cookies::Netscape->new(file => "jar"); my $r = HTTP::Request->new(GET => $ARGV[0]);
		$jar->add_cookie_header($r); print "HTTP::Cookies::Netscape sends: ", $r->header("Cookie") // "nothing", "\n"' "http://127.0.0.1:$port/"
} | seen
