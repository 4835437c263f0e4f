#!/usr/bin/env bash
# In securecookie an empty block key is not the same as none, and an older pair of keys covers that up.
#
# With: github.com/gorilla/securecookie v1.1.2; 2026-11-29
# Guess: []byte("") as block key, from an environment variable that is not set, means what nil means: no encryption.
# Happens: The constructor takes it, and every Encode and Decode fails. Where an older pair stands behind it, EncodeMulti goes on
#   to that one without a word: cookies are signed with the key that was to be retired.
# Seen:
#   nil: encoded, error <nil>
#   empty: not encoded, crypto/aes: invalid key size 0
#   empty, with the old pair behind it: encoded, error <nil>
#   the old pair alone reads it: bob
# Matters: A rotation of keys looks done, and all is signed out when the old key is taken away. Turn an empty setting into nil yourself,
#   and decode a cookie of your own with the first pair alone when the app starts.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/gorilla/securecookie@v1.1.2
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/gorilla/securecookie"
)

func main() {
	newKey, oldKey := []byte(strings.Repeat("n", 32)), []byte(strings.Repeat("o", 32))
	unset := []byte(os.Getenv("BLOCK_KEY_THAT_IS_NOT_SET"))
	old := securecookie.CodecsFromPairs(oldKey, nil)
	try := func(name string, codecs ...securecookie.Codec) string {
		text, err := securecookie.EncodeMulti("sid", "bob", codecs...)
		if text == "" {
			reason := err.(securecookie.MultiError)[0].(securecookie.Error)
			fmt.Printf("%s: not encoded, %v\n", name, strings.TrimPrefix(reason.Error(), "securecookie: error - caused by: "))
			return ""
		}
		fmt.Printf("%s: encoded, error %v\n", name, err)
		return text
	}
	try("nil", securecookie.CodecsFromPairs(newKey, nil)...)
	try("empty", securecookie.CodecsFromPairs(newKey, unset)...)
	text := try("empty, with the old pair behind it", securecookie.CodecsFromPairs(newKey, unset, oldKey, nil)...)
	var user string
	if err := securecookie.DecodeMulti("sid", text, &user, old...); err != nil {
		user = err.Error()
	}
	fmt.Println("the old pair alone reads it:", user)
}
GO
go run . | seen
