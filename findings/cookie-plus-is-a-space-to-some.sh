#!/usr/bin/env bash
# A plus sign in a cookie, as base64 has it, is a space to Gin and to Rack, and a space that Gin sets is a plus sign to everybody but these.
#
# With: github.com/gin-gonic/gin v1.12.0, net/http of Go 1.26.8, cookie 0.7.2, ruby-rack 2.2.22, php8.2-cgi 8.2 and python3-django 3.2.25 of Debian 12; 2026-11-29
# Guess: A value that needs no escaping is what it says; whoever escapes does it as in a path, where only %2B is a plus sign.
# Happens: c.SetCookie and c.Cookie of Gin, and Rack, escape as a query does, with "+" for a space. cookie and PHP decode percents and leave "+" alone;
#   net/http and Django decode nothing.
# Seen:
#   sent as a+b: Gin "a b", Rack "a b", cookie "a+b", PHP "a+b", net/http "a+b", Django "a+b"
#   sent as a%2Bb: Gin "a+b", Rack "a+b", cookie "a+b", PHP "a+b", net/http "a%2Bb", Django "a%2Bb"
#   "a b" set by Gin goes out as a+b
# Matters: A token in plain base64, set by net/http and read by c.Cookie, is wrong for those who have a "+" in it, half of all tokens of 32 bytes: a signature that
#   fails by the visitor. Between languages use base64url, and no name or message that somebody typed.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

npm_get cookie@0.7.2
go_get github.com/gin-gonic/gin@v1.12.0
deb_get "ruby3.1=3.1.2-*" "ruby-rack=2.2.22-*" "php8.2-cgi=8.2.*" "python3-django=3:3.2.25-*"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/gin-gonic/gin"
)

// With "set" it prints what Gin sends for "a b"; else what Gin and net/http read in the header.
func main() {
	gin.SetMode(gin.ReleaseMode)
	w := httptest.NewRecorder()
	c, _ := gin.CreateTestContext(w)
	c.Request = httptest.NewRequest("GET", "/", nil)
	if os.Args[1] == "set" {
		c.SetCookie("v", "a b", 0, "/", "", false, true)
		value, _, _ := strings.Cut(strings.TrimPrefix(w.Header().Get("Set-Cookie"), "v="), ";")
		fmt.Printf("\"a b\" set by Gin goes out as %s\n", value)
		return
	}
	c.Request.Header.Set("Cookie", os.Args[2])
	byGin, err := c.Cookie("v")
	if err != nil {
		panic(err)
	}
	byGo, err := c.Request.Cookie("v")
	if err != nil {
		panic(err)
	}
	fmt.Println(map[string]string{"gin": byGin, "go": byGo.Value}[os.Args[1]])
}
GO
quiet go build -o goreads .
echo '<?php echo $_COOKIE["v"];' >read.php
read_by() { # read_by WHO HEADER
	case $1 in
	Gin) ./goreads gin "$2" ;;
	net/http) ./goreads go "$2" ;;
	cookie) node -p 'require("cookie").parse(process.argv[1]).v' "$2" ;;
	PHP) HTTP_COOKIE=$2 REDIRECT_STATUS=1 REQUEST_METHOD=GET SCRIPT_FILENAME=$work/read.php php-cgi8.2 -n | sed '1,/^\r*$/d' ;;
	Rack) ruby3.1 --disable-gems -I root/usr/share/rubygems-integration/all/gems/rack-2.2.22/lib -I root/usr/lib/ruby/3.1.0 -I "$(dirname "$(find root -name rbconfig.rb | head -n 1)")" \
		-e 'require "rack/utils"; puts Rack::Utils.parse_cookies_header(ARGV[0])["v"]' "$2" ;;
	Django) PYTHONPATH=root/usr/lib/python3/dist-packages /usr/bin/python3 -c 'import sys; from django.http.cookie import parse_cookie; print(parse_cookie(sys.argv[1])["v"])' "$2" ;;
	esac
}
{
	for sent in a+b a%2Bb; do
		line=
		for who in Gin Rack cookie PHP net/http Django; do line+=", $who \"$(read_by "$who" "v=$sent")\""; done
		echo "sent as $sent: ${line#, }"
	done
	./goreads set
} | seen
