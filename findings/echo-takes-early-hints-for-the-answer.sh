#!/usr/bin/env bash
# After 103 Early Hints, Echo sends 200 in place of the handler's status, and its Before hooks have run already.
#
# With: github.com/labstack/echo/v4 v4.16.4, net/http of Go 1.26.8; 2026-11-29
# Guess: WriteHeader(103) sends an informational answer, and the real one follows as if nothing had been.
# Happens: In net/http so it is. Echo takes 103 for the answer: Before hooks run then, and the status that the handler gives afterwards is dropped.
# Seen:
#   net/http: 201
#   echo: 200, the Before hook ran for 103
# Matters: Sessions that are saved in a Before hook are saved before the handler has done anything. It also happens behind
#   httputil.ReverseProxy, which passes on the hints of a server behind it.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/labstack/echo/v4@v4.16.4
cat >main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/labstack/echo/v4"
)

func get(h http.Handler) int {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	defer s.Close()
	r, err := http.Get(s.URL)
	if err != nil {
		panic(err)
	}
	r.Body.Close()
	return r.StatusCode
}

func main() {
	fmt.Printf("net/http: %d\n", get(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(103)
		w.WriteHeader(201)
	})))
	e, at := echo.New(), 0
	e.Logger.SetOutput(io.Discard)
	e.GET("/", func(c echo.Context) error {
		c.Response().Before(func() { at = c.Response().Status })
		c.Response().WriteHeader(103)
		return c.NoContent(201)
	})
	fmt.Printf("echo: %d, the Before hook ran for %d\n", get(e), at)
}
GO
go run . | seen
