package browser

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/cloakroom-go/cloakroom/internal/npm"
)

// A violation is a rule of axe that a page breaks.
type violation struct {
	Rule, Help string
	Where      []string
}

// axe runs axe-core in the page and returns what it finds. %s is what it looks for.
const axe = `axe.run(document, {resultTypes: ["violations"], %s}).then(r => r.violations.map(v =>
	({Rule: v.id, Help: v.help, Where: v.nodes.map(n => n.target.join(" ") + ": " + n.failureSummary)})))`

// schemes are the colour schemes, and what is looked for in each: in the first every rule of
// WCAG 2.2 to AA, of good practice, and those that axe calls experimental, such as that a
// control is called what it shows; in the second what has to do with colours, since all
// else is the same.
var schemes = []struct{ name, rules string }{
	{"light", `runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice", "experimental"],
		rules: {"target-size": {enabled: true}, "label-content-name-mismatch": {enabled: true}}`},
	{"dark", `runOnly: {type: "rule", values: ["color-contrast", "link-in-text-block"]}`},
}

// screensForAll are what every page is looked at on: a small phone, a phone, a desk.
var screensForAll = []int64{320, 375, 1280}

// barriers returns what axe finds on the page at a width and in a colour scheme.
func (b *tab) barriers(width int64, scheme int) []violation {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: schemes[scheme].name},
		{Name: "prefers-reduced-motion", Value: "reduce"}, // or a colour is on its way to another
	}})
	do(b, "the size", chromedp.EmulateViewport(width, 800))
	return do(b, "axe", chromedp.Evaluate[[]violation](fmt.Sprintf(axe, schemes[scheme].rules), chromedp.EvalAwaitPromise))
}

// accessible fails the test where axe finds anything on the page, or the page is wider than
// the screen, at each width and in both colour schemes.
func (b *tab) accessible(library, page string) {
	b.t.Helper()
	eval[bool](b, library+"; true")
	for i, scheme := range schemes {
		for _, width := range screensForAll {
			for _, v := range b.barriers(width, i) {
				b.t.Errorf("%s at %d, %s: %s (%s)\n\t%s", page, width, scheme.name, v.Help, v.Rule, strings.Join(v.Where, "\n\t"))
			}
			if wide := eval[int64](b, "document.documentElement.scrollWidth"); wide > width {
				b.t.Errorf("%s is %d wide on a screen of %d", page, wide, width)
			}
		}
	}
}

// Whoever cannot see a page, or sees it badly, or has no mouse, can use it.
func TestNoPageHasBarriers(t *testing.T) {
	t.Parallel()
	light.need(t)
	npm.Need(t, "the pages were not looked at with axe")
	if err := npm.Install("axe"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("axe/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	library := string(text)

	a := start(t)
	boss, ann := someone(), someone()
	boss.email, boss.name = admin, "Margaret Heafield-Hamilton"
	b := light.newBrowser(t)

	// It finds what there is.
	b.open(otherSite(t, `<style>@media (prefers-color-scheme: dark) { button { color: #999; background: #777 } }</style><button aria-label="Other">Go</button>`))
	eval[bool](b.tab, library+"; true")
	for i, rule := range []string{"label-content-name-mismatch", "color-contrast"} {
		if found := b.barriers(320, i); !slices.ContainsFunc(found, func(v violation) bool { return v.Rule == rule }) {
			t.Fatalf("a page with a barrier: axe finds %v, want %s", found, rule)
		}
	}

	look := func(path string) {
		t.Helper()
		b.open(a.URL + path)
		b.accessible(library, path)
	}
	shown := func(what string) { // what a click has led to
		t.Helper()
		b.accessible(library, what)
	}

	look("/")
	look("/cart")
	look("/signup")
	b.fill("#signup-form [name=name]", boss.name)
	b.fill("#signup-form [name=email]", boss.email)
	b.click("#signup-form button")
	shown("the page after a sign-up")
	look("/signup/confirm?token=" + a.confirmation(t, boss.email))
	b.fill("#confirm-form [name=password]", boss.password)
	b.click("#confirm-form button")
	b.mustBe(boss)
	shown("the shop with a message")
	b.add(2)
	shown("the shop with something in the cart")
	look("/cart")
	look("/profile")
	b.changePassword("a guess at it", "a few other words")
	shown("the profile with an error")
	for _, agent := range agents {
		a.as(t, agent, boss)
	}
	a.enter(t, "/signup", ann)
	look("/devices")
	look("/login")
	look("/admin")
	eval[bool](b.tab, "document.querySelectorAll('details').forEach(d => d.open = true), true")
	shown("the operator's page with everything open")
	look("/admin?q=nobody&event=forged")
	look("/show")
	for _, name := range []string{"lost-updates", "late-request", "stolen-cookies"} {
		look("/show/" + name)
		b.click("main form button")
		shown("the result of " + name)
	}
	look("/nothing/here")

	// The session ends elsewhere under the open page.
	b.open(a.URL + "/devices")
	a.send(t, "POST", "/logout", a.cookieOf(b), map[string][]string{})
	b.untilShown("#ended")
	shown("the end of the session")
	b.click("#ended a[href^='/login']")
	b.logIn(user{boss.email, boss.name, "a guess at it"})
	shown("the login with an error")

	// The devices, where they are locked: which TestADeviceThatIsLockedToItsBrowser needs.
	if b = whole.newBrowser(t); b.cannotBind() == "" {
		locked := startOwnTLS(t)
		locked.signUp(b.tab, ann)
		b.untilBound(locked.URL)
		b.open(locked.URL + "/devices")
		if !b.shows("#devices .locked") {
			b.fatalf("the device is not locked")
		}
		shown("the page with a device that is locked")
	}
}
