package interop

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A behaviour is one statement about express-session 1.19.0, what Cloakroom
// makes of it, and how that is known.
type behaviour struct {
	id      string
	says    string // of express-session
	verdict verdict
	why     string       // what is done in place of it, and why; empty where it is the same
	shows   func(*check) // runs on every side
	tests   []string     // the names of other tests that show it
}

type verdict string

const (
	same      verdict = "same"
	different verdict = "different"
	notInGo   verdict = "not applicable"
)

// How many statements there are in each part, so that none goes unanswered.
var parts = []struct {
	prefix, title string
	statements    int
}{
	{"CFG", "Options", 21},
	{"ENT", "Which requests have a session", 9},
	{"RD", "Reading the cookie", 11},
	{"LD", "Loading and making a session", 12},
	{"SES", "The session object", 6},
	{"MET", "Its methods", 16},
	{"CK", "Its cookie", 20},
	{"HSH", "What counts as a change", 8},
	{"DEC", "What is saved, and when the cookie is set", 14},
	{"SC", "The Set-Cookie line", 13},
	{"SEC", "Whether a request is secure", 4},
	{"END", "The end of the response", 11},
	{"ERR", "Errors", 8},
	{"MEM", "The store in memory", 5},
}

// TestEveryStatementIsAnswered: there is one answer to each, a difference has
// its reason, and what is the same is shown by a test.
func TestEveryStatementIsAnswered(t *testing.T) {
	t.Parallel()
	answers := make(map[string]behaviour)
	for _, b := range behaviours {
		if _, twice := answers[b.id]; twice {
			t.Errorf("%s is answered twice", b.id)
		}
		answers[b.id] = b
		switch {
		case b.says == "":
			t.Errorf("%s says nothing", b.id)
		case b.verdict == same && b.why != "":
			t.Errorf("%s is the same, but %q", b.id, b.why)
		case b.verdict != same && b.why == "":
			t.Errorf("%s is %s without a reason", b.id, b.verdict)
		case b.verdict != notInGo && b.shows == nil && b.tests == nil:
			t.Errorf("%s is %s, but nothing shows it", b.id, b.verdict)
		}
	}
	n := 0
	for _, p := range parts {
		n += p.statements
		for i := range p.statements {
			if id := fmt.Sprintf("%s-%d", p.prefix, i+1); answers[id].id == "" {
				t.Errorf("%s is not answered", id)
			}
		}
	}
	if len(answers) != n {
		t.Errorf("%d answers to %d statements", len(answers), n)
	}
	figures.statements.Add(int64(len(answers)))
}

// TestTheTestsThatTheAnswersNameExist: "TestX" is a test of any module, other
// names are those of a scenario of adaptertest or a case of storetest.
func TestTheTestsThatTheAnswersNameExist(t *testing.T) {
	t.Parallel()
	var tests, cases strings.Builder
	read := func(into *strings.Builder, pattern string) {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			into.Write(source)
		}
	}
	for _, pattern := range []string{"*_test.go", "../core/*_test.go", "../stores/*/*_test.go", "../tests/*/*_test.go"} {
		read(&tests, pattern)
	}
	read(&cases, "../core/adaptertest/*.go")
	read(&cases, "../core/storetest/*.go")
	for _, b := range behaviours {
		for _, name := range b.tests {
			if strings.HasPrefix(name, "Test") {
				if !strings.Contains(tests.String(), "func "+name+"(t *testing.T)") {
					t.Errorf("%s: there is no %s", b.id, name)
				}
			} else if !strings.Contains(cases.String(), fmt.Sprintf("{%q, ", name)) {
				t.Errorf("%s: there is no scenario %q", b.id, name)
			}
		}
	}
}

// TestBehaviour runs what shows the statements, on express-session and on
// Cloakroom.
func TestBehaviour(t *testing.T) {
	t.Parallel()
	needNode(t)
	db := newValkey(t)
	for _, b := range behaviours {
		if b.shows == nil {
			continue
		}
		for _, name := range append([]string{express}, goSides...) {
			t.Run(b.id+"/"+name, func(t *testing.T) {
				t.Parallel()
				b.shows(&check{T: t, db: db, side: name, express: name == express})
			})
		}
	}
}

// A check is the run of one statement on one side.
type check struct {
	*testing.T
	db      database
	side    string
	express bool
}

// either returns what is right for the side: where the two differ.
func either[T any](c *check, ofExpress, ofCloakroom T) T {
	if c.express {
		return ofExpress
	}
	return ofCloakroom
}

func (c *check) app(s settings) side { c.Helper(); return start(c, c.side, c.db, s) }

// refused checks that the app does not start.
func (c *check) refused(s settings) {
	c.Helper()
	if _, err := tryToStart(c, c.side, c.db, s); err == nil {
		c.Errorf("%s accepts %+v", c.side, s)
	}
}

// loggedIn starts an app and returns it with a visitor who has a session with
// the key user, and its id.
func (c *check) loggedIn(s settings) (side, *visitor, string) {
	c.Helper()
	app, v := c.app(s), newVisitor(c)
	v.set(app, "user", `"bob"`)
	return app, v, v.id(app)
}

// holding starts an app and returns it with a visitor whose session is that
// record, and its id.
func (c *check) holding(s settings, record string) (side, *visitor, string) {
	c.Helper()
	app, v, id := c.app(s), newVisitor(c), rand.Text()
	c.db.put(c, id, record)
	v.header.Set("Cookie", "connect.sid="+sign(s.on(c.db).Secrets[0], id))
	return app, v, id
}

// do takes some steps and returns the reply.
func (v *visitor) steps(s side, steps string) reply {
	v.t.Helper()
	return v.do(s, "POST", "/do", steps)
}

// is checks anything.
func is[T comparable](c *check, what string, got, want T) {
	c.Helper()
	if got != want {
		c.Errorf("%s: %s is %v, want %v", c.side, what, got, want)
	}
}

// sets returns how many session cookies a reply sets, and the last of them.
func (r reply) sets() (n int, last *http.Cookie) {
	for _, line := range r.header.Values("Set-Cookie") {
		if c, err := http.ParseSetCookie(line); err == nil && c.Name == "connect.sid" {
			n, last = n+1, c
		}
	}
	return n, last
}

func (r reply) cookies() int { n, _ := r.sets(); return n }

func (c *check) stored(id string) string {
	c.Helper()
	text, _ := c.db.record(c, id)
	return text
}

// sign returns the value of a cookie, made without Cloakroom.
func sign(secret, id string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id))
	return url.QueryEscape("s:" + id + "." + base64.RawStdEncoding.EncodeToString(mac.Sum(nil)))
}

var defaultID = regexp.MustCompile(`^[A-Za-z0-9_-]{32}$`)

const plainCookie = `"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}`
