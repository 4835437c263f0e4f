#!/usr/bin/env bash
# A token of a machine whose clock is ten seconds ahead is good or not by the library, and by whether it says nbf.
#
# With: github.com/golang-jwt/jwt/v5 v5.3.1, github.com/go-jose/go-jose/v4 v4.1.9, github.com/lestrrat-go/jwx/v3 v3.4.0, jsonwebtoken 9.0.3, jose 6.2.18; 2026-11-29
# Guess: Libraries for JWT forgive a clock a few seconds, or none does; and iat, which RFC 7519 gives no rule for, changes nothing.
# Happens: With their defaults go-jose forgives a minute, and the others nothing. jwx refuses a token that was issued in the future, and so does go-jose after its minute;
#   the rest do not look at iat. Those look at nbf, which many issuers set to the same moment.
# Seen:
#   10 seconds ahead, iat: golang-jwt yes, go-jose yes, jwx no, jsonwebtoken yes, jose yes
#   10 seconds ahead, iat and nbf: golang-jwt no, go-jose yes, jwx no, jsonwebtoken no, jose no
#   600 seconds ahead, iat: golang-jwt yes, go-jose no, jwx no, jsonwebtoken yes, jose yes
#   600 seconds ahead, iat and nbf: golang-jwt no, go-jose no, jwx no, jsonwebtoken no, jose no
# Matters: After a login at an identity provider the first token is checked within a second, so a clock that is a second slow fails the login with one library, now and
#   then, and a second try works. Two services that check one token disagree on it. Say the leeway in each of them.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/golang-jwt/jwt/v5@v5.3.1 github.com/go-jose/go-jose/v4@v4.1.9 github.com/lestrrat-go/jwx/v3@v3.4.0
npm_get jsonwebtoken@9.0.3 jose@6.2.18
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwa"
	jwx "github.com/lestrrat-go/jwx/v3/jwt"
)

func says(err error) string {
	if err != nil {
		return "no"
	}
	return "yes"
}

func main() {
	key, token := []byte(os.Args[1]), os.Args[2]
	_, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return key, nil }, jwt.WithValidMethods([]string{"HS256"}))
	fmt.Printf("golang-jwt %s, ", says(err))
	t, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		panic(err)
	}
	var claims josejwt.Claims
	if err := t.Claims(key, &claims); err != nil {
		panic(err)
	}
	fmt.Printf("go-jose %s, ", says(claims.Validate(josejwt.Expected{Time: time.Now()})))
	_, err = jwx.Parse([]byte(token), jwx.WithKey(jwa.HS256(), key))
	fmt.Printf("jwx %s", says(err))
}
GO
cat >main.mjs <<'JS'
import jsonwebtoken from 'jsonwebtoken'
import { SignJWT, jwtVerify } from 'jose'
import { execFileSync } from 'node:child_process'
const key = 'a key for this script, and no other', bytes = new TextEncoder().encode(key)
for (const ahead of [10, 600]) {
  for (const claims of ['iat', 'iat and nbf']) {
    const now = Math.floor(Date.now() / 1000) + ahead
    const token = await new SignJWT({ sub: 'bob', iat: now, exp: now + 3600, ...(claims === 'iat' ? {} : { nbf: now }) }).setProtectedHeader({ alg: 'HS256' }).sign(bytes)
    const inGo = execFileSync('./in-go', [key, token], { encoding: 'utf8' })
    let a = 'yes', b = 'yes'
    try { jsonwebtoken.verify(token, key) } catch { a = 'no' }
    await jwtVerify(token, bytes).catch(() => { b = 'no' })
    console.log(`${ahead} seconds ahead, ${claims}: ${inGo}, jsonwebtoken ${a}, jose ${b}`)
  }
}
JS
quiet go mod tidy
quiet go build -o in-go main.go
node main.mjs | seen
