package browser

import (
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// startExample builds and starts a program of examples, and returns its address.
func startExample(t *testing.T, name string) string {
	t.Helper()
	light.need(t)
	binary := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-o", binary}, buildFlags...), "./"+name)...)
	cmd.Dir = filepath.Join("..", "..", "examples")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	port := strconv.Itoa(servers.FreePort(t))
	addr := net.JoinHostPort("127.0.0.1", port)
	servers.Run(t, addr, "env", "PORT="+port, binary)
	return "http://" + addr
}

// press clicks what does not lead to another page.
func (b *tab) press(selector string) {
	b.t.Helper()
	do(b, "clicking "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// The page of examples/spa, in two tabs: both see what was added in either, a logout in one is
// one in the other, and what somebody wrote is text.
func TestTheSinglePageExample(t *testing.T) {
	t.Parallel()
	base := startExample(t, "spa")
	b := light.newBrowser(t)
	b.open(base)
	b.untilShown("#sign-in")
	b.fill("#sign-in input", "bob")
	b.press("#sign-in button")
	b.untilShown("#notes")
	if got := b.text("#user"); got != "bob" {
		t.Errorf("the page is for %q, want bob", got)
	}
	if got := eval[string](b.tab, "document.cookie"); got != "" {
		t.Errorf("a script reads the cookie: %q", got)
	}
	add := func(tab *tab, note string) {
		t.Helper()
		tab.fill("#add input", note)
		tab.press("#add button")
		tab.until("the note "+note, "document.querySelector('#list').innerText.includes("+quote(note)+")")
	}
	add(b.tab, "<b>milk</b>")

	other := b.newTab()
	other.open(base)
	other.untilShown("#notes")
	add(other, "bread")
	if got := other.text("#list"); got != "<b>milk</b>\nbread" {
		t.Errorf("the notes are %q", got)
	}

	other.press("#sign-out")
	other.untilShown("#sign-in")
	b.fill("#add input", "butter")
	b.press("#add button")
	b.untilShown("#sign-in")
	if b.shows("#notes") {
		t.Error("the notes are still to be seen")
	}
}

// The page of examples/websocket says that its user was signed out in another tab.
func TestTheWebSocketExample(t *testing.T) {
	t.Parallel()
	base := startExample(t, "websocket")
	b := light.newBrowser(t)
	b.open(base)
	b.until("that nobody is connected", "document.querySelector('#log').innerText.includes('Not connected.')")
	b.click("form[action='/login'] button")
	eval[bool](b.tab, "(socket.readyState === 1 ? say() : socket.onopen = say, true)\nfunction say() { socket.send('hello') }")
	b.until("an answer", "document.querySelector('#log').innerText.includes('bob: hello')")

	other := b.newTab()
	other.open(base)
	other.click("form[action='/logout'] button")
	b.until("that the user is signed out", "document.querySelector('#log').innerText.includes('You are signed out.')")
}
