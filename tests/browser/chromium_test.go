package browser

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// whole is a whole Chromium, and light its headless shell, which serves the tests to which both
// are the same in a third of the time: it keeps no pages for the back button, fetches no pages
// as whole ones ahead, and binds no sessions. Each is started by the first test that needs it.
// Where there is one of them alone, it is both.
var whole, light = programs()

// A process is one of a Chromium.
type process struct {
	path   string // or empty
	once   sync.Once
	ctx    context.Context
	cancel context.CancelFunc
	err    error
}

func programs() (whole, light *process) {
	whole = &process{path: find(os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "chrome")}
	light = &process{path: find(os.Getenv("CHROMIUM_SHELL"), "chromium-headless-shell")}
	switch {
	case light.path == "":
		return whole, whole
	case whole.path == "":
		return light, light
	}
	return whole, light
}

// find returns the first program that there is, or "".
func find(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// need returns the context of the running Chromium, or skips the test.
func (p *process) need(t *testing.T) context.Context {
	t.Helper()
	if p.path == "" {
		const what = "NO BROWSER: Chromium is not on the PATH and CHROMIUM is not set (scripts/chromium.sh finds one), so this is NOT TESTED"
		if os.Getenv("CI") != "" {
			t.Fatal(what)
		}
		t.Skip(what)
	}
	p.once.Do(func() { p.ctx, p.cancel, p.err = launch(p.path) })
	if p.err != nil {
		t.Fatalf("%s does not start: %v", p.path, p.err)
	}
	return p.ctx
}

// launch starts Chromium.
func launch(path string, more ...chromedp.ExecAllocatorOption) (context.Context, context.CancelFunc, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // it sees pages of this machine alone, and not every machine lets it have one
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("lang", "en-GB"),
		chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"), // names that are not the loopback address to it
		chromedp.Flag("ignore-certificate-errors-spki-list", certificate().pin),
		// Sessions are bound to keys, on a machine without a chip for them too.
		chromedp.Flag("enable-features", "DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting"),
	)
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(options, more...)...)
	quiet := func(string, ...any) {} // of events that are newer than the library
	ctx, cancel := chromedp.NewContext(alloc, chromedp.WithLogf(quiet), chromedp.WithErrorf(quiet))
	started := make(chan error, 1)
	go func() { started <- chromedp.Do(ctx) }() // without a deadline: the browser ends with this context
	var err error
	select {
	case err = <-started:
	case <-time.After(2 * servers.Patience): // the first start on a busy machine
		err = errors.New("it does not answer")
	}
	end := func() {
		within, release := context.WithTimeout(ctx, servers.Patience)
		defer release()
		_ = chromedp.Cancel(within) // as if its windows were closed; what fails here shows in stop
		cancel()
		stop() // returns when its processes and its folder are gone
	}
	if err != nil {
		cancel()
		stop()
	}
	return ctx, end, err
}

// close ends Chromium. It fails when a process or a file of it is left.
func (p *process) close() error {
	if p.cancel == nil || p.err != nil {
		return p.err
	}
	dir := profileOf(strconv.Itoa(chromedp.FromContext(p.ctx).Browser.Process().Pid))
	p.cancel()
	if dir == "" {
		return nil // no Linux
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the folder of Chromium is left: %s: %w", dir, err)
	}
	all, _ := filepath.Glob("/proc/[0-9]*") // cannot be malformed
	for _, proc := range all {
		if pid := filepath.Base(proc); profileOf(pid) == dir {
			return fmt.Errorf("a process of Chromium is left: %s", pid)
		}
	}
	return nil
}

// profileOf returns the folder that a process of Chromium was told to use: the first
// of them, and some of the others.
func profileOf(pid string) string {
	text, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline")) // it may have ended
	for arg := range strings.SplitSeq(string(text), "\x00") {
		if dir, ok := strings.CutPrefix(arg, "--user-data-dir="); ok {
			return dir
		}
	}
	return ""
}

// A browser has cookies of its own, which its tabs share.
type browser struct {
	*tab // the first one
}

// newBrowser opens a browser that was never used before. It is closed when the
// test is over.
func (p *process) newBrowser(t *testing.T) *browser {
	t.Helper()
	return &browser{newTab(p.need(t), t, chromedp.WithNewBrowserContext())}
}

// A tab shows one page. Whatever does not happen within servers.Patience fails
// the test, which then tells what the tab shows.
type tab struct {
	t     *testing.T
	ctx   context.Context
	pages int // that were left
}

func newTab(parent context.Context, t *testing.T, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, options...)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	started := make(chan error, 1)
	go func() { started <- chromedp.Do(ctx) }() // without a deadline: the tab ends with this context
	select {
	case err := <-started:
		if err != nil {
			t.Fatalf("a new tab: %v", err)
		}
	case <-time.After(servers.Patience):
		t.Fatal("a new tab does not open")
	}
	return b
}

// newTab opens another tab.
func (b *browser) newTab() *tab {
	b.t.Helper()
	return newTab(b.ctx, b.t)
}

// do runs an action of the browser.
func do[T any](b *tab, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, servers.Patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		b.fatalf("%s: %v", what, err)
	}
	return v
}

// call sends a command of the DevTools protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	return do(b, command.Method, func(ctx context.Context, t *chromedp.Target) (R, error) {
		return cdp.Call(ctx, t, command, params)
	})
}

// eval returns what an expression is worth in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return do(b, expression, chromedp.Evaluate[T](expression))
}

// on is an expression about the first element that a selector finds, which is e
// there. Without one it is otherwise.
func on(selector, expression, otherwise string) string {
	return fmt.Sprintf("(e => e ? %s : %s)(document.querySelector(%s))", expression, otherwise, quote(selector))
}

func quote(s string) string {
	text, _ := json.Marshal(s) // a string can be encoded
	return string(text)
}

// until waits until an expression is true in the page, whichever that is by then.
func (b *tab) until(what, expression string) {
	b.t.Helper()
	b.await(what, func(ctx context.Context) bool {
		// Fails while one page gives way to another.
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		return err == nil && ok
	})
}

func (b *tab) await(what string, is func(ctx context.Context) bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, servers.Patience)
	defer cancel()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for !is(ctx) {
		select {
		case <-pause.C:
		case <-ctx.Done():
			b.fatalf("waited in vain for: %s", what)
		}
	}
}

// leave does what makes the tab show another page, and waits until it does.
func (b *tab) leave(how string, action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	b.pages++
	eval[int](b, fmt.Sprintf("window.left = %d", b.pages))
	do(b, how, action)
	b.until("another page after "+how, fmt.Sprintf("window.left !== %d && document.readyState === 'complete'", b.pages))
}

// open shows what is at an address.
func (b *tab) open(url string) {
	b.t.Helper()
	b.leave("opening "+url, func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, page.Navigate, page.NavigateParams{URL: url})
		return v, err
	})
}

func (b *tab) reload() {
	b.t.Helper()
	b.leave("reloading", func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, page.Reload, page.ReloadParams{})
		return v, err
	})
}

// back is the back button.
func (b *tab) back() {
	b.t.Helper()
	history := do(b, "the history", chromedp.NavigationEntries())
	if history.CurrentIndex == 0 {
		b.fatalf("there is no page to go back to")
	}
	b.leave("going back", func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		entry := history.Entries[history.CurrentIndex-1]
		_, err = cdp.Call(ctx, t, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: entry.ID})
		return v, err
	})
}

// click presses the mouse button on what leads to another page.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.leave("clicking "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// fill puts text into a field, as if it were typed.
func (b *tab) fill(selector, text string) {
	b.t.Helper()
	do(b, "filling "+selector, chromedp.Focus(chromedp.CSS(selector)))
	eval[bool](b, on(selector, "(e.select(), true)", "false"))
	call(b, input.InsertText, input.InsertTextParams{Text: text})
}

// has reports whether the page has such an element.
func (b *tab) has(selector string) bool {
	b.t.Helper()
	return eval[bool](b, on(selector, "true", "false"))
}

// shows reports whether such an element can be seen.
func (b *tab) shows(selector string) bool {
	b.t.Helper()
	return eval[bool](b, on(selector, visible, "false"))
}

const visible = "e.checkVisibility({visibilityProperty: true, opacityProperty: true})"

// untilShown waits until such an element can be seen.
func (b *tab) untilShown(selector string) {
	b.t.Helper()
	b.until(selector, on(selector, visible, "false"))
}

// text returns what can be read in an element, or "" without one.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return strings.TrimSpace(eval[string](b, on(selector, "e.innerText", "''")))
}

// count returns how many such elements there are.
func (b *tab) count(selector string) int {
	b.t.Helper()
	return eval[int](b, "document.querySelectorAll("+quote(selector)+").length")
}

// attr returns an attribute of an element, or "" without one.
func (b *tab) attr(selector, name string) string {
	b.t.Helper()
	return eval[string](b, on(selector, "e.getAttribute("+quote(name)+") || ''", "''"))
}

// status is the HTTP status that the page came with.
func (b *tab) status() int {
	b.t.Helper()
	return eval[int](b, "performance.getEntriesByType('navigation')[0].responseStatus")
}

// path is where the page is, without scheme and host.
func (b *tab) path() string {
	b.t.Helper()
	return eval[string](b, "location.pathname + location.search")
}

// cookies returns the cookies that the browser would send to a URL.
func (b *tab) cookies(url string) []*network.Cookie {
	b.t.Helper()
	return call(b, network.GetCookies, network.GetCookiesParams{URLs: []string{url}}).Cookies
}

// cookie returns the cookie of the session that the browser has for a URL, and which is the
// only one there, but for the one that says that it is bound.
func (b *tab) cookie(url string) *network.Cookie {
	b.t.Helper()
	all := slices.DeleteFunc(b.cookies(url), isBoundCookie)
	if len(all) != 1 {
		b.fatalf("the browser has %d cookies for the app, want 1", len(all))
	}
	return all[0]
}

func (b *tab) fatalf(format string, args ...any) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, servers.Patience/3)
	defer cancel()
	shown, err := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.title + '\\n' + (document.body ? document.body.innerText : '')"))
	if err != nil {
		shown = err.Error()
	}
	b.t.Fatalf("%s\nThe tab shows %.1500s", fmt.Sprintf(format, args...), shown)
}

// pin is what Chromium calls the key of a certificate.
func pin(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}
