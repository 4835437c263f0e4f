#!/usr/bin/env bash
# A login that http.TimeoutHandler gave up on takes the visitor's session away, with what was in it.
#
# With: github.com/alexedwards/scs/v2 v2.9.0, net/http of Go 1.26.8; 2026-11-29
# Guess: Who gets a 503 for "took too long" has what they had before.
# Happens: The handler is not stopped. It renews the token, by which the old one is deleted from the store, and is told of no error. With the sessions inside of
#   TimeoutHandler the new one is saved, and its cookie goes into headers that nobody sends any more. With the sessions around it they were saved when the 503
#   was written, so that what comes later is saved nowhere.
# Seen:
#   sessions inside of TimeoutHandler: 503 without a cookie; the handler was told <nil> by RenewToken; then the browser has: no cart, no user; sessions in the store: 1
#   sessions around TimeoutHandler: 503 without a cookie; the handler was told <nil> by RenewToken; then the browser has: no cart, no user; sessions in the store: 0
#   no TimeoutHandler: 200 with a cookie; the handler was told <nil> by RenewToken; then the browser has: cart, user; sessions in the store: 1
# Matters: A database that is slow for a moment empties the carts of those who log in, since a session is renewed at a login, as it has to be; and a session may stay in the
#   store that is logged in and that nobody holds. A new id belongs to the answer that carries it: where that
#   one is thrown away, it must not be made. In a handler the slow work is done before the renewal, and ends with the request's context.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/alexedwards/scs/v2@v2.9.0
cat >main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"time"

	"github.com/alexedwards/scs/v2"
)

func run(says string, wrap func(m *scs.SessionManager, login http.Handler, watched func(http.Handler) http.Handler) http.Handler) {
	m := scs.New()
	slow, done, renewed := make(chan struct{}), make(chan struct{}), error(nil)
	login := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-slow // a database
		if renewed = m.RenewToken(r.Context()); renewed == nil {
			m.Put(r.Context(), "user", "bob")
		}
	})
	mux := http.NewServeMux()
	mux.Handle("/shop", m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.Put(r.Context(), "cart", "a coat") })))
	mux.Handle("/", m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i, name := range []string{"cart", "user"} {
			if i > 0 {
				io.WriteString(w, ", ")
			}
			if !m.Exists(r.Context(), name) {
				io.WriteString(w, "no ")
			}
			io.WriteString(w, name)
		}
	})))
	mux.Handle("/login", wrap(m, login, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(done)
			h.ServeHTTP(w, r)
		})
	}))
	server := httptest.NewServer(mux)
	defer server.Close()
	jar, _ := cookiejar.New(nil)
	client := http.Client{Jar: jar}
	get := func(path string) (*http.Response, string) {
		res, err := client.Get(server.URL + path)
		if err != nil {
			panic(err)
		}
		b, _ := io.ReadAll(res.Body)
		return res, string(b)
	}
	get("/shop")
	if says == "no TimeoutHandler" {
		close(slow)
	}
	res, _ := get("/login")
	cookie := "without a cookie"
	if len(res.Cookies()) > 0 {
		cookie = "with a cookie"
	}
	if says != "no TimeoutHandler" {
		close(slow)
	}
	<-done // what goes on after the answer has come to its end as well
	_, has := get("/")
	all, _ := m.Store.(scs.IterableStore).All()
	fmt.Printf("%s: %d %s; the handler was told %v by RenewToken; then the browser has: %s; sessions in the store: %d\n", says, res.StatusCode, cookie, renewed, has, len(all))
}

func main() {
	const patience = 100 * time.Millisecond
	type wrapper = func(http.Handler) http.Handler
	run("sessions inside of TimeoutHandler", func(m *scs.SessionManager, login http.Handler, watched wrapper) http.Handler {
		return http.TimeoutHandler(watched(m.LoadAndSave(login)), patience, "took too long")
	})
	run("sessions around TimeoutHandler", func(m *scs.SessionManager, login http.Handler, watched wrapper) http.Handler {
		return m.LoadAndSave(http.TimeoutHandler(watched(login), patience, "took too long"))
	})
	run("no TimeoutHandler", func(m *scs.SessionManager, login http.Handler, watched wrapper) http.Handler {
		return watched(m.LoadAndSave(login))
	})
}
GO
quiet go mod tidy
go run . | seen
