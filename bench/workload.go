package main

import (
	"fmt"
	"strconv"
	"strings"
)

// Each app has a session of three keys, theme, n and user, and answers:
//
//	/                 okBody; the session is not touched
//	/read             okBody if user is userName, else 500
//	/count            okBody, after n was incremented and stored
//	/login            okBody, after the session got a new id, the old one was ended and user set
//	/make?filler=N    okBody, after a session was made, with N bytes in further keys
//	/make?as=USER     the same, after USER signed in with it
//	/signin           okBody, after somebody signed in who had no session, each time another user
//	/show             the user and n, with a space between
//
// The first four are measured. They compare inside the handler, so that what
// is measured has no part in it that is not about sessions.
const (
	pathNothing = "/"
	pathRead    = "/read"
	pathCount   = "/count"
	pathLogin   = "/login"
	pathMake    = "/make"
	pathSignIn  = "/signin"
	pathShow    = "/show"
)

// The keys and the value that is read.
const (
	userKey  = "user"
	countKey = "n"
	themeKey = "theme"
	userName = "alice"
	theme    = "dark"

	countFrom = 1000 // small numbers cost Go less than others
)

var (
	okBody    = []byte("ok\n")
	wrongBody = []byte("wrong\n")
)

// A workload is one kind of request.
type workload struct {
	name, what string
	path       string
	anonymous  bool // comes without a cookie
	filler     int  // bytes in the session besides its three keys
	signedIn   bool // the session is that of a user
}

var workloads = []workload{
	{name: "W1", what: "no cookie, session untouched", path: pathNothing, anonymous: true},
	{name: "W2", what: "a session, untouched", path: pathNothing},
	{name: "W3", what: "one string read", path: pathRead},
	{name: "W4", what: "a counter incremented and saved", path: pathCount},
	{name: "W5 4 KB", what: "W3 with 4 KB of data", path: pathRead, filler: 4 << 10},
	{name: "W5 64 KB", what: "W3 with 64 KB of data", path: pathRead, filler: 64 << 10},
	{name: "W6", what: "login: new id, old session ended, user set", path: pathLogin},
}

// ofUsers are about sessions whose users signed in. Cloakroom puts these into a list of the
// user's sessions; scs, which has no such thing, gives the session a new id and a key.
var ofUsers = []workload{
	{name: "W3 of a user", what: "W3 with the session of a user who signed in", path: pathRead, signedIn: true},
	{name: "W4 of a user", what: "W4 with the session of a user who signed in", path: pathCount, signedIn: true},
	{name: "SignIn", what: "the first sign-in of a user, without a session", path: pathSignIn, anonymous: true},
}

// workloadOf returns the one of that name.
func workloadOf(name string) workload {
	for _, w := range workloads {
		if w.name == name {
			return w
		}
	}
	panic("there is no workload " + name)
}

// suits reports whether a subject can be asked for that at all.
func (w workload) suits(s subject) bool {
	switch {
	case w.signedIn, w.path == pathSignIn:
		return s.store == memory && (s.ours() || s.library == scsName || s.library == scsIdleName)
	case s.store == noStore:
		return w.name == "W1"
	case s.store == cookie: // holds 4 KB, and cannot end a session
		return w.filler == 0 && w.path != pathLogin
	case (s.store == mongoS || s.store == postgresS) && s.library == ginLibrary: // holds 4 KB, too
		return w.filler == 0
	}
	return true
}

// fillerValue is 80 bytes with its key, quotes, a colon and a comma.
const fillerValue = "a value such as an app keeps: some text, 0123456789 0123456789"

// fillerKeys returns the names of the keys that hold so many bytes.
func fillerKeys(bytes int) []string {
	keys := make([]string, bytes/80)
	for i := range keys {
		keys[i] = fmt.Sprintf("filler-%05d", i)
	}
	return keys
}

// fillerOf reads the query of /make.
func fillerOf(value string) int {
	n, _ := strconv.Atoi(value) // 0 where there is none
	return n
}

// shown is the answer of /show.
func shown(user string, n int) string { return user + " " + strconv.Itoa(n) }

// check fails unless the app does what it is measured for. A benchmark of
// wrong answers is worth nothing.
func check(s subject, a *app, w workload) error {
	if s.store == noStore {
		v := a.visitor()
		v.ask(w.path, "")
		if status := v.send(); status != 200 || v.body() != string(okBody) {
			return fmt.Errorf("%s answers %d %q, want %q", w.path, status, v.body(), okBody)
		}
		return nil
	}

	v := a.visitor()
	expect := func(path, cookie string, status int, body string) error {
		v.ask(path, cookie)
		if got := v.send(); got != status || body != "" && v.body() != body {
			return fmt.Errorf("%s answers %d %q, want %d %q", path, got, v.body(), status, body)
		}
		return nil
	}
	first := func(errs ...error) error {
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	}
	ok, empty := string(okBody), shown("", 0)

	session, err := a.newSession(w)
	if err != nil {
		return err
	}
	if w.path == pathSignIn {
		if err := expect(pathSignIn, "", 200, ok); err != nil {
			return err
		}
		if len(v.setCookie(nil)) == 0 {
			return fmt.Errorf("%s sets no cookie", pathSignIn)
		}
	}
	err = first(
		expect(pathNothing, "", 200, ok),
		expect(pathRead, "", 500, ""), // who is not known is not alice
		expect(pathShow, "", 200, empty),
		expect(pathNothing, session, 200, ok),
		expect(pathRead, session, 200, ok),
		expect(pathShow, session, 200, shown(userName, countFrom)),
		expect(pathRead, forged(session), 500, ""),
	)
	if err != nil {
		return err
	}

	for i := 1; i <= 3; i++ {
		if err := expect(pathCount, session, 200, ok); err != nil {
			return err
		}
		if s.store == cookie {
			session = string(v.setCookie(nil))
		}
		if err := expect(pathShow, session, 200, shown(userName, countFrom+i)); err != nil {
			return err
		}
	}

	if s.store == cookie {
		return nil
	}
	if err := expect(pathLogin, session, 200, ok); err != nil {
		return err
	}
	renewed := string(v.setCookie(nil))
	if renewed == "" || renewed == session {
		return fmt.Errorf("%s sets the cookie %q, want a new one", pathLogin, renewed)
	}
	return first(
		expect(pathRead, renewed, 200, ok),
		expect(pathShow, renewed, 200, shown(userName, countFrom+3)),
		expect(pathRead, session, 500, ""),
	)
}

// forged returns the cookie with another id or signature.
func forged(cookie string) string {
	name, value, _ := strings.Cut(cookie, "=")
	middle := len(value) / 2
	other := byte('A')
	if value[middle] == other {
		other = 'B'
	}
	return name + "=" + value[:middle] + string(other) + value[middle+1:]
}
