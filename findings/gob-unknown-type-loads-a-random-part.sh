#!/usr/bin/env bash
# A gob session with one type that the reader does not know is loaded in part, by chance another part each time.
#
# With: github.com/gorilla/sessions v1.4.0, github.com/gorilla/securecookie v1.1.2; 2026-11-29
# Guess: Get returns an error and an empty session.
# Happens: Get returns the error, and a session that holds what stood before the unknown type. gob writes a map in the random order of Go's
#   maps, so the user's name is there in some of the cookies and missing in others with the same data.
# Seen:
#   64 cookies with the same four values: 64 errors
#   the user is in some of the sessions and not in the others
# Matters: Instances of an older release read the cookies of a newer one while it is rolled out. Code that logs the error of Get and goes on,
#   as many handlers and gin-contrib/sessions do, serves half a session, and its next Save writes that half. On an error, throw the values away.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/gorilla/sessions@v1.4.0 github.com/gorilla/securecookie@v1.1.2
mkdir newer older
cat >newer/main.go <<'GO'
package main

import (
	"encoding/gob"
	"fmt"

	"github.com/gorilla/securecookie"
)

type Coat struct{ Colour string }

func main() {
	gob.Register(Coat{})
	codec := securecookie.New([]byte("0123456789abcdef0123456789abcdef"), nil)
	for range 64 {
		text, err := codec.Encode("sid", map[any]any{"user": "bob", "theme": "dark", "n": 1, "coat": Coat{"red"}})
		if err != nil {
			panic(err)
		}
		fmt.Println(text)
	}
}
GO
cat >older/main.go <<'GO'
package main

import (
	"bufio"
	"fmt"
	"net/http/httptest"
	"os"

	"github.com/gorilla/sessions"
)

func main() {
	store := sessions.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
	cookies, failed, with := 0, 0, 0
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); cookies++ {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", "sid="+lines.Text())
		s, err := store.Get(r, "sid")
		if err != nil {
			failed++
		}
		if s.Values["user"] == "bob" {
			with++
		}
	}
	fmt.Printf("%d cookies with the same four values: %d errors\n", cookies, failed)
	if 0 < with && with < cookies {
		fmt.Println("the user is in some of the sessions and not in the others")
	} else {
		fmt.Println("the user is in", with, "of them")
	}
}
GO
quiet go build -o bin/ ./newer ./older
bin/newer | bin/older | seen
