#!/usr/bin/env bash
# Gin sends an answer without a body past the ResponseWriter that a middleware put in its place.
#
# With: github.com/gin-gonic/gin v1.12.0; 2026-11-29
# Guess: A middleware that sets c.Writer to a wrapper sees each answer, in WriteHeaderNow or in Write, before it leaves.
# Happens: Gin's WriteHeader notes the status and no more. A body makes it leave through Write; an answer without one is sent by the engine
#   after all middleware, through its own writer. And Write of the embedded writer calls its own WriteHeaderNow, not the wrapper's.
# Seen:
#   c.String(200): Write 1, WriteHeaderNow 0
#   c.Status(204): Write 0, WriteHeaderNow 0
#   c.Redirect(302) of a POST: Write 0, WriteHeaderNow 0
#   c.AbortWithStatus(403): Write 0, WriteHeaderNow 1
#   nothing: Write 0, WriteHeaderNow 0
# Matters: A session saved "before the first byte" in such a wrapper is not saved at all by handlers that answer 204, redirect after a form, or write nothing. The middleware
#   has to commit after c.Next() as well.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/gin-gonic/gin@v1.12.0
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http/httptest"

	"github.com/gin-gonic/gin"
)

type counting struct {
	gin.ResponseWriter
	write, header int
}

func (w *counting) Write(b []byte) (int, error) { w.write++; return w.ResponseWriter.Write(b) }
func (w *counting) WriteString(s string) (int, error) {
	w.write++
	return w.ResponseWriter.WriteString(s)
}
func (w *counting) WriteHeaderNow() { w.header++; w.ResponseWriter.WriteHeaderNow() }

func main() {
	gin.SetMode(gin.ReleaseMode)
	for _, t := range []struct {
		name   string
		method string
		handle gin.HandlerFunc
	}{
		{"c.String(200)", "GET", func(c *gin.Context) { c.String(200, "hello") }},
		{"c.Status(204)", "GET", func(c *gin.Context) { c.Status(204) }},
		{"c.Redirect(302) of a POST", "POST", func(c *gin.Context) { c.Redirect(302, "/") }},
		{"c.AbortWithStatus(403)", "GET", func(c *gin.Context) { c.AbortWithStatus(403) }},
		{"nothing", "GET", func(*gin.Context) {}},
	} {
		var w *counting
		app := gin.New()
		app.Use(func(c *gin.Context) { w = &counting{ResponseWriter: c.Writer}; c.Writer = w; c.Next() })
		app.Handle(t.method, "/", t.handle)
		app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(t.method, "/", nil))
		fmt.Printf("%s: Write %d, WriteHeaderNow %d\n", t.name, w.write, w.header)
	}
}
GO
go run . | seen
