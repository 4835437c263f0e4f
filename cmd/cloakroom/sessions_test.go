package main

import (
	"context"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// onEveryStore runs a test on an empty store of each kind.
func onEveryStore(t *testing.T, test func(t *testing.T, url string)) {
	for kind, url := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, url(t))
		})
	}
}

func TestSessionsAreCountedListedShownAndEnded(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, url string) {
		s := open(t, url)
		app := newApp(t, s, core.Config{})
		laptop, phone, bob, nobody := app.visit("login=ada&cart=apples"), app.visit("login=ada"), app.visit("login=bob"), app.visit("cart=pears")
		id := express(t, s, "eve")
		env := map[string]string{"CLOAKROOM_STORE": url}
		do := func(args ...string) result {
			t.Helper()
			r := operate(t, env, args...)
			for _, cookie := range []string{laptop, phone, bob, nobody} {
				_, secret, _ := strings.Cut(cookie, "=")
				if key, _, _ := strings.Cut(strings.TrimPrefix(secret, "s%3A"), "."); key == "" || strings.Contains(r.out+r.err, key) {
					t.Errorf("%v prints an id", args)
				}
			}
			if strings.Contains(r.out+r.err, id) || strings.Contains(r.out+r.err, "\x1b") {
				t.Errorf("%v prints an id, or what a terminal takes for a command", args)
			}
			return r
		}

		if r := do("count").want(t, exitOK); r.out != "5\n" {
			t.Errorf("count prints %q", r.out)
		}
		do("count", "--json").want(t, exitOK, `{"sessions":5}`)
		users := lines[struct {
			User     string
			Sessions int
		}](t, do("users", "--json").want(t, exitOK, ""))
		if len(users) != 2 || users[0].User != "ada" || users[0].Sessions != 2 || users[1].User != "bob" {
			t.Errorf("users: %+v", users)
		}
		do("users").want(t, exitOK, "ada", "2 users; 2 sessions of nobody")
		do("users", "--limit", "1").want(t, exitOK)
		do("users", "--user-key", "userId").want(t, exitOK, "eve")

		all := lines[session](t, do("list", "--json").want(t, exitOK))
		made := map[bool]int{}
		for _, s := range all {
			made[s.Express]++
			if s.Handle == "" || s.Bytes == 0 || s.Expires == nil || s.Created == nil && !s.Express {
				t.Errorf("listed as %+v", s)
			}
		}
		if made[false] != 4 || made[true] != 1 {
			t.Errorf("%v are listed by who made them", made)
		}
		do("list").want(t, exitOK, "HANDLE", "bob", "Express")
		if r := do("list", "--limit", "1", "--json"); strings.Count(r.out, "\n") != 1 {
			t.Errorf("of one, %q is listed", r.out)
		}

		do("list", "--user", "ada", "--idle-timeout", "24h").want(t, exitOK, "LAST SEEN", "s ago", "password", "browser")
		ada := lines[session](t, do("list", "--user", "ada", "--json").want(t, exitOK))
		if len(ada) != 2 || ada[0].Created == nil || !slices.Equal(ada[0].Methods, []string{"password"}) || ada[0].Seen != nil {
			t.Errorf("ada has %+v", ada)
		}
		do("list", "--user", "ada", "--cookie", "other").want(t, exitOK, "is --cookie what the apps have?")

		at := slices.IndexFunc(all, func(s session) bool { return s.Handle == ada[1].Handle }) // that of the laptop
		if at < 0 {
			t.Fatal("a session has two handles")
		}
		if r := do("show", all[at].Handle).want(t, exitOK, "cart", "8 B", "ada"); strings.Contains(r.out, "apples") {
			t.Error("a value is shown unasked")
		}
		do("show", all[at].Handle, "--json", "--values").want(t, exitOK, `"value":"apples"`, `"bytes":8`)
		do("show", "nobody's").want(t, exitNotFound, "no such session with that handle")
		do("show").want(t, exitUsage)

		do("revoke", "--user", "bob", ada[0].Handle).want(t, exitNotFound)
		do("revoke", "--user", "ada", ada[0].Handle).want(t, exitOK, "1 session has ended")
		if body, _ := app.ask(phone, ""); body != " <nil>" {
			t.Errorf("the phone is %q", body)
		}
		anonymous := slices.IndexFunc(all, func(s session) bool { return s.User == "" && !s.Express })
		do("revoke", all[anonymous].Handle).want(t, exitOK)
		if body, _ := app.ask(nobody, ""); body != " <nil>" {
			t.Errorf("nobody is %q", body)
		}
		do("revoke-user", "ada", "--json").want(t, exitOK, `{"ended":1}`)
		if body, _ := app.ask(laptop, ""); body != " <nil>" {
			t.Errorf("the laptop is %q", body)
		}
		do("revoke-user", "ada").want(t, exitOK, "0 sessions have ended", "is --cookie")
		do("revoke-user", "eve", "--user-key", "userId").want(t, exitOK, "1 session has ended")
		if body, _ := app.ask(bob, ""); body != "bob <nil>" {
			t.Errorf("bob is %q", body)
		}
		if r := do("count"); r.out != "1\n" {
			t.Errorf("%q is left", r.out)
		}
	})
}

// A session whose list was lost is ended by a walk.
func TestRevokeUserWalks(t *testing.T) {
	t.Parallel()
	url := kinds["sqlite"](t)
	s := open(t, url)
	app := newApp(t, s, core.Config{})
	cookie := app.visit("login=ada")
	for rec, err := range s.Store.UserIndex().(store.Lister).All(t.Context()) {
		if err != nil || s.Store.UserIndex().Delete(t.Context(), rec.ID) != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"CLOAKROOM_STORE": url}
	operate(t, env, "revoke-user", "ada").want(t, exitOK, "0 sessions have ended")
	if body, _ := app.ask(cookie, ""); body != "ada <nil>" {
		t.Fatalf("she is %q: this tests nothing", body)
	}
	operate(t, env, "revoke-user", "--walk", "ada").want(t, exitOK, "1 session has ended")
	if body, _ := app.ask(cookie, ""); body != " <nil>" {
		t.Errorf("she is %q", body)
	}
}

// An open stream learns at once that the operator has ended its session, by a store that
// can tell.
func TestAStreamLearnsOfARevocation(t *testing.T) {
	t.Parallel()
	url := kinds["valkey"](t)
	app := newApp(t, open(t, url), core.Config{PollInterval: patience})
	cookie := app.visit("login=ada")
	_, value, _ := strings.Cut(cookie, "=")
	s, err := app.m.Load(t.Context(), value)
	if err != nil {
		t.Fatal(err)
	}
	ended := s.Ended(t.Context())
	operate(t, map[string]string{"CLOAKROOM_STORE": url}, "revoke-user", "ada").want(t, exitOK, "1 session has ended")
	select {
	case <-ended:
	case <-t.Context().Done():
		t.Error("the stream was not told")
	}
}

func TestASecretIsMade(t *testing.T) {
	t.Parallel()
	first, second := operate(t, nil, "secret").want(t, exitOK), operate(t, nil, "secret", "--json").want(t, exitOK, `{"secret":"`)
	if !regexp.MustCompile(`^[A-Za-z0-9+/]{43}=\n$`).MatchString(first.out) || strings.Contains(second.out, strings.TrimSpace(first.out)) {
		t.Errorf("the secrets are %q and %q", first.out, second.out)
	}
}

// What is wrong with a URL is said without quoting it.
func TestAURLThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for url, code := range map[string]int{
		"": exitUsage, "sessions.db": exitUsage, "ftp://u:hunter2@host/": exitUsage,
		"valkey://u:hunter2@host:port:port": exitUsage, "valkey://u:hunter2:1": exitUsage, "postgres://u:hunter2@h:x/": exitUsage, "mysql://u:hunter2@host": exitUsage,
		"mongodb://u:hunter2@host/?w=0&journal=x": exitUsage, "sqlite:/nowhere/sessions.db": exitUsage,
		"valkey://u:hunter2@127.0.0.1:1": exitFailed, "postgres://u:hunter2@127.0.0.1:1/db": exitFailed,
		"mysql://u:hunter2@127.0.0.1:1/db": exitFailed, "valkey://u:hunter2@h?ca=x": exitUsage,
	} {
		if r := operate(t, map[string]string{"CLOAKROOM_STORE": url}, "count").want(t, code); strings.Contains(r.err, "hunter2") || r.err == "" {
			t.Errorf("of %q it says %q", url, r.err)
		}
	}
	for _, url := range []string{"mongodb://127.0.0.1:1/db?colection=hunter2", "mongodb+srv://u:p@db.test/db?srvMaxHosts=1&colection=hunter2"} {
		if r := operate(t, map[string]string{"CLOAKROOM_STORE": url}, "count").want(t, exitUsage, "colection", "collection, objects"); strings.Contains(r.err, "hunter2") {
			t.Errorf("of %q it says %q", url, r.err)
		}
	}
	split := "mongodb://u:pass?hunter2=x@127.0.0.1:1/db" // what is taken for a parameter is of a password
	if r := operate(t, map[string]string{"CLOAKROOM_STORE": split}, "count").want(t, exitUsage); strings.Contains(r.err, "hunter2") {
		t.Errorf("it says %q", r.err)
	}
	operate(t, nil, "frobnicate").want(t, exitUsage)
	operate(t, nil, "count", "--frobnicate").want(t, exitUsage)
	operate(t, nil).want(t, exitOK, "needs no signing secret", "revoke-user", "completion")
	operate(t, nil, "completion", "bash").want(t, exitOK, "bash completion")
}

// A server that takes connections and says nothing is waited for as long as --timeout says,
// whatever the URL says.
func TestAServerThatSaysNothingIsGivenUpAfterTheTimeout(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, as := range []string{"", "&master_set=ours"} {
		env := map[string]string{"CLOAKROOM_STORE": "valkey://" + silent.Addr().String() + "?dial_timeout=1h&write_timeout=1h" + as}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		operateAt(ctx, nil, env, "count", "--timeout", "50ms").want(t, exitFailed, "valkey")
	}
}

// One handle of 64 begins with a dash, and is no flag for it.
func TestAHandleMayBeginWithADash(t *testing.T) {
	t.Parallel()
	url := kinds["sqlite"](t)
	open(t, url)
	env := map[string]string{"CLOAKROOM_STORE": url}
	for _, handle := range []string{"-gjHnwWq_VbLPhip", "--jHnwWq_VbLPhip"} {
		operate(t, env, "show", handle, "--json").want(t, exitNotFound, "no such session with that handle")
		operate(t, env, "revoke", handle, "--user", "ada").want(t, exitNotFound)
		operate(t, env, "revoke", "--", handle).want(t, exitNotFound)
	}
	root := newRoot(world{})
	root.InitDefaultHelpFlag()
	for _, cmd := range append(root.Commands(), root) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if len("--"+f.Name) == handleSize {
				t.Errorf("--%s is as long as a handle", f.Name)
			}
		})
		root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
			if len("--"+f.Name) == handleSize {
				t.Errorf("--%s is as long as a handle", f.Name)
			}
		})
	}
}
