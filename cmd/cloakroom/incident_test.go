package main

import (
	"bytes"
	"database/sql"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What somebody meets who is in a hurry: a key that was not given, an empty variable, a
// typing error, a full disk.

// What no key opens is not what is not there: the commands that walk say what they left out.
func TestSessionsUnderAKeyThatWasNotGivenAreToldOf(t *testing.T) {
	t.Parallel()
	url := kinds["sqlite"](t)
	s := open(t, url)
	newApp(t, s, core.Config{SealKeys: []string{keyOne}}).visit("login=ada")
	for rec, err := range s.Store.UserIndex().(store.Lister).All(t.Context()) { // her list was lost
		if err != nil || s.Store.UserIndex().Delete(t.Context(), rec.ID) != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"CLOAKROOM_STORE": url}
	const says = "1 of 1 sessions that were looked at are left out: they are sealed under a key that was not given"
	for _, keys := range []string{"", keyTwo} {
		env["CLOAKROOM_SEAL_KEYS"] = keys
		for code, commands := range map[int][]string{
			exitFound:    {"list", "list --json", "users", "users --json"},
			exitNotFound: {"show AAAAAAAAAAAAAAAA"},
			exitOK:       {"watch --every 100ms --rounds 1"},
		} {
			for _, command := range commands {
				if r := operate(t, env, strings.Fields(command)...).want(t, code); strings.Count(r.err, says) != 1 || !strings.Contains(r.err, "CLOAKROOM_SEAL_KEYS") {
					t.Errorf("%s says %q", command, r.err)
				}
			}
		}
	}
	env["CLOAKROOM_SEAL_KEYS"] = keyOne
	if r := operate(t, env, "list").want(t, exitOK, "ada"); r.err != "" {
		t.Errorf("with all keys it says %q", r.err)
	}
	newApp(t, s, core.Config{SealKeys: []string{keyTwo}}).visit("login=bob")
	env["CLOAKROOM_SEAL_KEYS"] = keyTwo
	for _, args := range [][]string{{"revoke-user", "--walk", "ada"}, {"revoke-user", "--walk", "ada", "--json"}} {
		operate(t, env, args...).want(t, exitFound, "1 of 2 sessions that were looked at are left out", "0")
	}
	env["CLOAKROOM_SEAL_KEYS"] = keyTwo + "," + keyOne
	operate(t, env, "revoke-user", "--walk", "ada").want(t, exitOK, "1 session has ended")
	env["CLOAKROOM_SEAL_KEYS"] = keyOne
	operate(t, env, "list", "--user", "bob").want(t, exitFailed, "CLOAKROOM_SEAL_KEYS")
}

// What ends sessions writes into users' lists. Under the wrong key, or none, that would keep
// the user from logging in, or end nothing.
func TestNothingIsEndedUnderKeysThatAreNotTheApps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ apps, given string }{
		"no key": {keyOne, ""}, "another key": {keyOne, keyTwo}, "a key where nothing is sealed": {"", keyTwo},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := kinds["sqlite"](t)
			s := open(t, url)
			var cfg core.Config
			if c.apps != "" {
				cfg.SealKeys = []string{c.apps}
			}
			app := newApp(t, s, cfg)
			ada := app.visit("login=ada")
			env := map[string]string{"CLOAKROOM_STORE": url, "CLOAKROOM_SEAL_KEYS": c.given}
			for _, command := range []string{"revoke-user bob", "revoke-user --walk bob", "revoke-user ada", "revoke AAAAAAAAAAAAAAAA", "revoke --user bob AAAAAAAAAAAAAAAA"} {
				operate(t, env, strings.Fields(command)...).want(t, exitUsage, "CLOAKROOM_SEAL_KEYS")
			}
			lists := 0
			for _, err := range s.Store.UserIndex().(store.Lister).All(t.Context()) {
				if lists++; err != nil {
					t.Fatal(err)
				}
			}
			if lists != 1 {
				t.Errorf("there are %d lists, want that of ada alone", lists)
			}
			if body, _ := app.ask(ada, ""); body != "ada <nil>" {
				t.Errorf("she is %q", body)
			}
			app.visit("login=bob")
			env["CLOAKROOM_SEAL_KEYS"] = c.apps
			operate(t, env, "revoke-user", "bob").want(t, exitOK, "1 session has ended")
		})
	}
}

func TestSessionsThatAreNotSealedThoughThereIsAKeyAreToldOf(t *testing.T) {
	t.Parallel()
	url := kinds["sqlite"](t)
	newApp(t, open(t, url), core.Config{}).visit("login=ada")
	env := map[string]string{"CLOAKROOM_STORE": url, "CLOAKROOM_SEAL_KEYS": keyOne}
	operate(t, env, "users").want(t, exitOK, "0 users", "1 of 1 sessions", "not sealed")
}

// A user without a name is not everybody.
func TestAnEmptyUserIsRefused(t *testing.T) {
	t.Parallel()
	url := kinds["sqlite"](t)
	newApp(t, open(t, url), core.Config{}).visit("login=ada")
	env := map[string]string{"CLOAKROOM_STORE": url}
	for _, args := range [][]string{{"list", "--user", ""}, {"revoke", "--user", "", "AAAAAAAAAAAAAAAA"}, {"revoke-user", ""}} {
		if r := operate(t, env, args...).want(t, exitUsage, "is empty"); r.out != "" {
			t.Errorf("%q prints %q", args, r.out)
		}
	}
	operate(t, env, "count").want(t, exitOK, "1\n")
}

func TestWhatIsMistypedIsToldOf(t *testing.T) {
	t.Parallel()
	url := kinds["sqlite"](t)
	app := newApp(t, open(t, url), core.Config{})
	app.visit("login=ada")
	app.visit("login=ada")
	app.visit("login=bob")
	env := map[string]string{"CLOAKROOM_STORE": url}
	operate(t, env, "revoke").want(t, exitUsage, "cloakroom revoke HANDLE")
	operate(t, env, "lisst").want(t, exitUsage, "cloakroom -h")
	operate(t, env, "list", "--usr", "ada").want(t, exitUsage, "cloakroom list -h")
	for _, timeout := range []string{"-1s", "0", "1us"} {
		operate(t, env, "count", "--timeout", timeout).want(t, exitUsage, "--timeout", "at least 1ms")
	}
	bob := lines[session](t, operate(t, env, "list", "--user", "bob", "--json"))
	operate(t, env, "revoke", "--user", "ada", bob[0].Handle).want(t, exitNotFound, "without --user")
	if r := operate(t, env, "list", "--user", "ada", "--limit", "1", "--json").want(t, exitOK); strings.Count(r.out, "\n") != 1 {
		t.Errorf("of one, %q is listed", r.out)
	}
	for _, bad := range []string{"valkey://127.0.0.1:6379?prefx=hunter2", "valkey://u:p&hunter2=@127.0.0.1:6379?hunter2"} {
		if r := operate(t, map[string]string{"CLOAKROOM_STORE": bad}, "count").want(t, exitUsage, "prefix"); strings.Contains(r.err, "hunter2") {
			t.Errorf("of %q it says %q", bad, r.err)
		}
	}
	nothing := kinds["postgresql"](t)
	if r := operate(t, map[string]string{"CLOAKROOM_STORE": nothing}, "count").want(t, exitFailed, "tables are missing"); strings.Count(r.err, "cloakroom:") != 1 {
		t.Errorf("it says %q", r.err)
	}
}

// Two databases of one server are two stores.
// A file of SQLite without sessions is another one than was meant: it is told of, and left as
// it is. The target of a copy may be new.
func TestAFileWithoutSessionsIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "app.db")
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE of_the_app (id INTEGER)"); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"CLOAKROOM_STORE": "sqlite:" + file}
	for _, args := range [][]string{{"count"}, {"list"}, {"doctor"}, {"revoke-user", "ada"}} {
		operate(t, env, args...).want(t, exitUsage, "no sessions of Cloakroom")
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, before) {
		t.Errorf("the file is another one now, %v", err)
	}
	full := kinds["sqlite"](t)
	open(t, full)
	operate(t, newMove(t, full, "sqlite:"+file), "copy", "--journal", filepath.Join(t.TempDir(), "journal")).want(t, exitOK)
	operate(t, env, "count").want(t, exitOK)
}

func TestADatabaseOfValkeyIsCopiedToAnother(t *testing.T) {
	t.Parallel()
	first := "valkey://" + start(t)
	second := first + "/1"
	cookie := newApp(t, open(t, first), core.Config{}).visit("login=ada")
	m := newMove(t, first, second)
	operate(t, m, "copy", "--journal", m["JOURNAL"]).want(t, exitOK, "verified")
	if body, _ := newApp(t, open(t, second), core.Config{}).ask(cookie, ""); body != "ada <nil>" {
		t.Errorf("she is %q", body)
	}
}

// The certificate of a server is looked at, and it is said what is wrong with it.
func TestACertificateThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(kinds["tls"](t))
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = ""
	operate(t, map[string]string{"CLOAKROOM_STORE": u.String()}, "count").want(t, exitFailed, "certificate is not trusted")
}

var errFullDisk = errors.New("no space left")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFullDisk }

// What could not be printed is no success.
func TestResultsThatCannotBePrinted(t *testing.T) {
	t.Parallel()
	url := kinds["sqlite"](t)
	newApp(t, open(t, url), core.Config{}).visit("login=ada")
	for _, command := range []string{"secret", "count", "users", "list", "doctor", "revoke-user eve", "watch --every 100ms --rounds 1"} {
		var said bytes.Buffer
		code := run(t.Context(), strings.Fields(command), world{
			in: strings.NewReader(""), out: fullDisk{}, err: &said, now: time.Now,
			getenv: func(name string) string { return map[string]string{"CLOAKROOM_STORE": url}[name] },
		})
		if code != exitFailed || strings.Count(said.String(), errFullDisk.Error()) != 1 {
			t.Errorf("%s: exit code %d, %q", command, code, said.String())
		}
	}
	if _, err := (&output{Writer: io.Discard}).Write(nil); err != nil {
		t.Error(err)
	}
}

// A session with nothing in it has no values in JSON, and they are a list.
func TestASessionWithoutValues(t *testing.T) {
	t.Parallel()
	url := kinds["sqlite"](t)
	newApp(t, open(t, url), core.Config{}).visit("login=ada")
	env := map[string]string{"CLOAKROOM_STORE": url}
	all := lines[session](t, operate(t, env, "list", "--json"))
	operate(t, env, "show", "--json", all[0].Handle).want(t, exitOK, `"values":[]`)
}
