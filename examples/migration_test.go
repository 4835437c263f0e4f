package examples

import (
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A visitor goes on while every route moves to Gin and back: what is told is what
// a reader of docs/express.md sees.
func TestTheMigration(t *testing.T) {
	t.Parallel()
	for _, need := range []struct {
		there bool
		what  string
	}{
		{os.Getenv("VALKEY_ADDR") != "", "NO VALKEY SERVER: VALKEY_ADDR is not set"},
		{exec.Command("npm", "--version").Run() == nil, "NO NODE.JS: npm does not run"},
	} {
		if !need.there && os.Getenv("CI") != "" {
			t.Fatal(need.what)
		} else if !need.there {
			t.Skip(need.what)
		}
	}
	base, stdin := startWithStdin(t, "express-migration")
	v := newVisitor(t, base)
	expect := func(got, want string) {
		t.Helper()
		if got != "200 "+want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	view := func(want string) {
		t.Helper()
		got, _ := v.do("GET", "/", nil)
		expect(got, want)
	}
	post := func(path, field, value string) string {
		t.Helper()
		got, _ := v.do("POST", path, url.Values{field: {value}})
		return got
	}
	move := func(path, nowBy string) {
		t.Helper()
		if _, err := io.WriteString(stdin, path+"\n"); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			// A visitor of his own: what he does is no one else's.
			if got, _ := newVisitor(t, base).do("POST", path, url.Values{"item": {"x"}, "user": {"x"}}); strings.Contains(got, nowBy+":") {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s is not served by %s", path, nowBy)
			}
		}
	}

	view("Express: view 1, user nobody, cart empty")
	expect(post("/cart", "item", "coat"), "Express: cart coat")
	move("/cart", "Gin")
	expect(post("/cart", "item", "hat"), "Gin: cart coat hat")
	view("Express: view 2, user nobody, cart coat hat")
	move("/login", "Gin")
	before := v.cookieCalled("connect.sid")
	expect(post("/login", "user", "bob"), "Gin: hello, bob")
	if v.cookieCalled("connect.sid") == before {
		t.Error("the login kept the id")
	}
	view("Express: view 3, user bob, cart coat hat")
	move("/cart", "Express")
	expect(post("/cart", "item", "scarf"), "Express: cart coat hat scarf")
	move("/logout", "Gin")
	expect(post("/logout", "", ""), "Gin: goodbye")
	view("Express: view 1, user nobody, cart empty")
	move("/logout", "Express")
	expect(post("/logout", "", ""), "Express: goodbye")
}

func startWithStdin(t *testing.T, program string) (base string, stdin io.Writer) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = out.Close() })
	return startReading(t, program, in), out
}
