package examples

import (
	"bufio"
	"bytes"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The commands of docs/api-clients.md do what stands beside them.
func TestQuickstartAPI(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../docs/api-clients.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(guide), "```sh\n")
	commands, _, _ := strings.Cut(rest, "```")
	if _, err := exec.LookPath("curl"); err != nil || !strings.HasPrefix(commands, "token=$(curl") {
		t.Fatalf("the guide begins with other commands, or there is no curl (%v)", err)
	}
	script := strings.ReplaceAll(commands, "http://127.0.0.1:8080", start(t, "quickstart-api"))
	out, err := exec.CommandContext(t.Context(), "sh", "-ec", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"by":"header","user":"bob"}`, "204 No Content", "\nSession-Token: \r\n", "401 Unauthorized", `Www-Authenticate: Bearer error="invalid_token"`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the commands do not say %q:\n%s", want, out)
		}
	}
}

// The accounts app and its client for the command line, both as processes.
func TestTheClientOfTheAccountsApp(t *testing.T) {
	t.Parallel()
	app, cli, token := build(t, "accounts"), build(t, "accounts/cli"), filepath.Join(t.TempDir(), "settings", "token")
	cmd := exec.Command(app, "-addr", "127.0.0.1:0", "-store", "memory")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	said := bufio.NewReader(stdout)
	line := ""
	next := func(part string) {
		t.Helper()
		for line = ""; !strings.Contains(line, part); {
			if line, err = said.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	next("http://")
	base := strings.TrimSpace(line)
	v := newVisitor(t, base)
	v.do("POST", "/signup", url.Values{"name": {"Ann"}, "email": {"ann@example.com"}})
	next("/signup/confirm?token=")
	_, invitation, _ := strings.Cut(strings.TrimSpace(line), "?token=")
	v.do("POST", "/signup/confirm", url.Values{"token": {invitation}, "password": {"correct horse"}})

	run := func(server, stdin string, args ...string) (out string, failed bool) {
		t.Helper()
		c := exec.CommandContext(t.Context(), cli, append([]string{"-url", server, "-token", token}, args...)...)
		c.Stdin = strings.NewReader(stdin)
		text, err := c.CombinedOutput()
		return string(text), err != nil
	}
	expect := func(want string, fails bool, stdin string, args ...string) {
		t.Helper()
		if out, failed := run(base, stdin, args...); failed != fails || !strings.Contains(out, want) {
			t.Fatalf("%q: fails: %v, says %q, want %q", args, failed, out, want)
		}
	}
	expect("Log in first", true, "", "me")
	expect("do not go together", true, "wrong\n", "sign-in", "ann@example.com")
	if _, err := os.Stat(token); err == nil {
		t.Error("there is a token before the login")
	}
	expect("Hello, Ann.", false, "correct horse\n", "sign-in", "ann@example.com")
	info, err := os.Stat(token)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file of the token: %v, %v", info, err)
	}
	expect("Ann <ann@example.com>", false, "", "me")
	expect("Command line", false, "", "devices")
	if out, failed := run(strings.Replace(base, "127.0.0.1", "localhost", 1), "", "me"); !failed || !strings.Contains(out, "Log in first") {
		t.Errorf("at another address the client says %q: the token is for the server that gave it", out)
	}
	if got, _ := v.do("GET", "/devices", nil); !strings.Contains(got, "Command line") {
		t.Error("the page of devices does not have the client")
	}

	// The browser signs the client out, and the other way round.
	old, err := os.ReadFile(token)
	if err != nil {
		t.Fatal(err)
	}
	v.do("POST", "/devices/end-others", url.Values{})
	expect("Log in first", true, "", "me")
	expect("Hello, Ann.", false, "correct horse", "sign-in", "ann@example.com")
	if text, err := os.ReadFile(token); err != nil || bytes.Equal(text, old) {
		t.Errorf("the second login left the token as it was (%v)", err)
	}
	out, _ := run(base, "", "devices")
	for device := range strings.Lines(out) {
		if !strings.HasPrefix(device, "*") {
			expect("", false, "", "end", strings.Fields(device)[0])
		}
	}
	if got, _ := v.do("GET", "/profile", nil); !strings.HasPrefix(got, "401") {
		t.Errorf("the browser is still signed in: %.60s", got)
	}
	expect("", false, "", "sign-out")
	if _, err := os.Stat(token); err == nil {
		t.Error("the logout left the token")
	}
	expect("Log in first", true, "", "me")
	expect("use one of", true, "", "dance")

	go func() { _, _ = io.Copy(io.Discard, said) }()
}
