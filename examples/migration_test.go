package examples

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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
	// A URL as owners of a Redis have it.
	base, stdin := startWithStdin(t, "express-migration", "VALKEY_URL=redis://"+os.Getenv("VALKEY_ADDR"))
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
		eventually(t, func() error {
			// A visitor of his own: what he does is no one else's.
			if got, _ := newVisitor(t, base).do("POST", path, url.Values{"item": {"x"}, "user": {"x"}}); !strings.Contains(got, nowBy+":") {
				return fmt.Errorf("%s is not served by %s", path, nowBy)
			}
			return nil
		})
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

// What is missing is said in a word, with what to do.
func TestTheMigrationTellsWhatItNeeds(t *testing.T) {
	t.Parallel()
	binary := build(t, "express-migration")
	tools := t.TempDir()
	tool := func(name, script string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	said := func(env ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binary)
		cmd.Env = append(os.Environ(), append(env, "PATH="+tools)...)
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Error("it does not fail")
		}
		return string(out)
	}
	expect := func(got string, want ...string) {
		t.Helper()
		for _, want := range want {
			if !strings.Contains(got, want) {
				t.Errorf("it says %q, want %q", got, want)
			}
		}
	}
	expect(said(), "there is no npm", "install Node.js 20 or newer")
	tool("npm", "exit 1")
	expect(said(), "there is no node", "install Node.js 20 or newer")
	tool("node", "echo v18.20.4")
	expect(said(), "node is v18.20.4", "install Node.js 20 or newer")
	tool("node", "echo v20.0.0")
	expect(said("VALKEY_URL=valkey://127.0.0.1:1"), "there is no Valkey", "docker run", "scripts/servers.sh run", "VALKEY_URL=")
}

func startWithStdin(t *testing.T, program string, env ...string) (base string, stdin io.Writer) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = out.Close() })
	return startReading(t, program, in, env...), out
}
