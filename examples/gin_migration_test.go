package examples

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
)

// TestTheGinMigrationLogsNobodyOut moves a browser that is signed in, while others stay.
func TestTheGinMigrationLogsNobodyOut(t *testing.T) {
	base, stdin := startWithStdin(t, "gin-migration")
	v, other := newVisitor(t, base), newVisitor(t, base)
	visit := func(v *visitor, method, path string, form url.Values, want string) {
		t.Helper()
		if got, _ := v.do(method, path, form); strings.TrimSpace(got) != "200 "+want {
			t.Fatalf("%s %s: %q, want %q", method, path, got, want)
		}
	}
	visit(v, "GET", "/", nil, "the former app: nobody, 1 views")
	visit(v, "POST", "/login", url.Values{"user": {"bob"}}, "the former app: bob, 1 views")
	move := func(share, nowBy string) {
		t.Helper()
		if _, err := io.WriteString(stdin, share+"\n"); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			if got, _ := newVisitor(t, base).do("GET", "/", nil); !strings.Contains(got, nowBy) {
				return fmt.Errorf("%s %% do not move", share)
			}
			return nil
		})
	}
	move("100", "the new app")
	visit(v, "GET", "/", nil, "the new app: bob, 2 views")
	move("0", "the former app")
	visit(v, "GET", "/", nil, "the new app: bob, 3 views") // who has moved stays
	visit(other, "GET", "/", nil, "the former app: nobody, 1 views")
	visit(v, "POST", "/logout", nil, "the new app: nobody, 0 views")
	visit(v, "GET", "/", nil, "the former app: nobody, 1 views")
}
