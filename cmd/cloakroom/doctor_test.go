package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/cloakroom-go/cloakroom/cmd/cloakroom/internal/doctor"
	"github.com/cloakroom-go/cloakroom/cmd/cloakroom/internal/target"
	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A planted is a misconfiguration that a test makes, and what doctor has to say of it.
type planted struct {
	name  string
	plant func(t *testing.T) (url string)
	env   map[string]string
	args  []string
	now   func() time.Time

	level doctor.Level
	check string
	says  string
}

var keyOne, keyTwo = strings.Repeat("one ", 10), strings.Repeat("two ", 10)

// on opens an empty store of a kind, and does something with it.
func on(kind string, do func(t *testing.T, s *target.Target)) func(t *testing.T) string {
	return func(t *testing.T) string {
		url := kinds[kind](t)
		do(t, open(t, url))
		return url
	}
}

// signedIn has some users sign in to an app with these settings.
func signedIn(cfg core.Config) func(t *testing.T, s *target.Target) {
	return func(t *testing.T, s *target.Target) {
		app := newApp(t, s, cfg)
		app.visit("login=ada")
		app.visit("login=bob&cart=apples")
	}
}

func create(t *testing.T, s *target.Target, id, data string) {
	t.Helper()
	if err := s.Store.Create(t.Context(), store.Record{ID: id, Data: []byte(data), TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
}

var plants = []planted{
	{
		name: "an eviction policy that logs users out by chance", level: doctor.Failure, check: "eviction", says: "allkeys-lru",
		plant: func(t *testing.T) string { return "valkey://" + start(t, "--maxmemory-policy", "allkeys-lru") },
	},
	{
		name: "no limit of memory", level: doctor.Warning, check: "memory", says: "maxmemory is not set",
		plant: func(t *testing.T) string { return "valkey://" + start(t) },
	},
	{
		name: "a limit of memory that is reached", level: doctor.Failure, check: "memory", says: "maxmemory is reached",
		plant: func(t *testing.T) string { return "valkey://" + start(t, "--maxmemory", "1kb") },
	},
	{
		name: "a server that takes no writes", level: doctor.Failure, check: "privileges", says: "out of memory",
		plant: func(t *testing.T) string { return "valkey://" + start(t, "--maxmemory", "1kb") },
	},
	{
		name: "no append-only file", level: doctor.Note, check: "persistence", says: "append-only",
		plant: func(t *testing.T) string { return "valkey://" + start(t) },
	},
	{
		name: "an old server", level: doctor.Note, check: "version", says: "IFEQ",
		plant: func(t *testing.T) string { return "valkey://" + startProgram(t, server(t, "VALKEY_OLD_SERVER")) },
	},
	{
		name: "a user who may not extend sessions", level: doctor.Failure, check: "privileges", says: "extend of sessions does not work",
		plant: func(t *testing.T) string {
			return "valkey://app:secret@" + start(t, "--user", "app", "on", ">secret", "~*", "&*", "+@all", "-pexpire")
		},
	},
	{
		name: "a user who may not look at the server", level: doctor.Note, check: "server", says: "could not be looked at",
		plant: func(t *testing.T) string {
			return "valkey://app:secret@" + start(t, "--user", "app", "on", ">secret", "~*", "&*", "+@all", "-info")
		},
	},
	{
		name: "a user to whom streams are not told", level: doctor.Note, check: "open streams", says: "CLIENT TRACKING",
		plant: func(t *testing.T) string {
			return "valkey://app:secret@" + start(t, "--user", "app", "on", ">secret", "~*", "&*", "+@all", "-client|tracking")
		},
	},
	{
		name: "a prefix that does not end", level: doctor.Warning, check: "prefix", says: "does not end",
		plant: func(t *testing.T) string { return "valkey://" + start(t) + "?prefix=app" },
	},
	{
		name: "the prefix of another app in ours", level: doctor.Warning, check: "prefix clash", says: "longer prefix",
		plant: on("valkey", func(t *testing.T, s *target.Target) {
			key := s.Prefix + "staff:" + unique()
			if err := s.Valkey.Do(t.Context(), s.Valkey.B().Set().Key(key).Value("{}").ExSeconds(60).Build()).Error(); err != nil {
				t.Fatal(err)
			}
		}),
	},
	{
		name: "another program under our prefix", level: doctor.Failure, check: "prefix clash", says: "hold no string",
		plant: on("valkey", func(t *testing.T, s *target.Target) {
			key := s.Prefix + unique()
			if err := s.Valkey.Do(t.Context(), s.Valkey.B().Lpush().Key(key).Element("x").Build()).Error(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Valkey.Do(context.Background(), s.Valkey.B().Del().Key(key).Build()).Error() })
		}),
	},
	{
		name: "a session without an end", level: doctor.Warning, check: "lives", says: "have no end",
		plant: on("valkey", func(t *testing.T, s *target.Target) {
			create(t, s, "endless", `{"cookie":{}}`)
			if err := s.Valkey.Do(t.Context(), s.Valkey.B().Persist().Key(s.Prefix+"endless").Build()).Error(); err != nil {
				t.Fatal(err)
			}
		}),
	},
	{
		name: "no index", level: doctor.Failure, check: "index", says: "no index on expires",
		plant: on("mongodb", func(t *testing.T, s *target.Target) {
			create(t, s, "one", `{"cookie":{}}`)
			if err := s.Mongo.Indexes().DropOne(t.Context(), "expires_1"); err != nil {
				t.Fatal(err)
			}
		}),
	},
	{
		name: "nothing that removes what has expired", level: doctor.Failure, check: "ttl job", says: "expired more than",
		plant: on("mongodb", func(t *testing.T, s *target.Target) {
			if err := s.Mongo.Indexes().DropOne(t.Context(), "expires_1"); err != nil { // or the job would be quicker than doctor
				t.Fatal(err)
			}
			doc := bson.D{{Key: "_id", Value: "old"}, {Key: "session", Value: "{}"}, {Key: "expires", Value: time.Now().Add(-time.Hour)}}
			if _, err := s.Mongo.InsertOne(t.Context(), doc); err != nil {
				t.Fatal(err)
			}
		}),
	},
	{
		name: "another program in the collection", level: doctor.Failure, check: "foreign records", says: "are no sessions",
		plant: on("mongodb", func(t *testing.T, s *target.Target) {
			if _, err := s.Mongo.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "mine"}, {Key: "n", Value: 1}}); err != nil {
				t.Fatal(err)
			}
		}),
	},
	{
		name: "no tables", level: doctor.Failure, check: "tables", says: "table is missing",
		plant: func(t *testing.T) string { return kinds["postgresql"](t) },
	},
	{
		name: "tables of another version", level: doctor.Failure, check: "tables", says: "version 2",
		plant: on("mysql", func(t *testing.T, s *target.Target) {
			s.SQL.ExecContext(t.Context(), "UPDATE "+s.Table+"_meta SET version = 2")
		}),
	},
	{
		name: "a user who may only read", level: doctor.Failure, check: "privileges", says: "create of sessions does not work",
		plant: func(t *testing.T) string {
			url := kinds["postgresql"](t)
			s, role := open(t, url), unique()
			for _, statement := range []string{
				`CREATE ROLE ` + role + ` LOGIN PASSWORD 'secret'`,
				`GRANT SELECT ON ` + s.Table + `, ` + s.Table + `_users, ` + s.Table + `_meta TO ` + role,
			} {
				if _, err := s.SQL.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			t.Cleanup(func() {
				for _, statement := range []string{`DROP OWNED BY ` + role, `DROP ROLE ` + role} {
					_, _ = s.SQL.ExecContext(context.Background(), statement)
				}
			})
			_, at, _ := strings.Cut(url, "@")
			return "postgres://" + role + ":secret@" + at
		},
	},
	{
		name: "an unlogged table", level: doctor.Warning, check: "durability", says: "unlogged",
		plant: on("postgresql", func(t *testing.T, s *target.Target) {
			if _, err := s.SQL.ExecContext(t.Context(), "ALTER TABLE "+s.Table+" SET UNLOGGED"); err != nil {
				t.Fatal(err)
			}
		}),
	},
	{
		name: "nobody who sweeps", level: doctor.Warning, check: "sweeper", says: "expired more than ten minutes ago",
		plant: on("postgresql", func(t *testing.T, s *target.Target) {
			create(t, s, "old", `{"cookie":{}}`)
			if _, err := s.SQL.ExecContext(t.Context(), "UPDATE "+s.Table+" SET expires = now() - interval '1 hour'"); err != nil {
				t.Fatal(err)
			}
		}),
	},
	{
		name: "a file that others can read", level: doctor.Warning, check: "file", says: "others than its owner",
		plant: on("sqlite", func(t *testing.T, s *target.Target) {
			if err := os.Chmod(s.File, 0o640); err != nil {
				t.Fatal(err)
			}
		}),
	},
	{
		name: "clocks that differ", level: doctor.Failure, check: "clock", says: "differs by -", // 2m, less what the answer took
		plant: func(t *testing.T) string { return kinds["valkey"](t) },
		now:   func() time.Time { return time.Now().Add(2 * time.Minute) },
	},
	{
		name: "clocks that differ a little", level: doctor.Warning, check: "clock", says: "differs by",
		plant: on("postgresql", func(*testing.T, *target.Target) {}),
		now:   func() time.Time { return time.Now().Add(-20 * time.Second) },
	},
	{
		name: "sealed records without the key", level: doctor.Failure, check: "sealing", says: "2 of 2 sessions are sealed under a key that was not given",
		plant: on("sqlite", signedIn(core.Config{SealKeys: []string{keyOne}})),
	},
	{
		name: "sealed records under another key", level: doctor.Warning, check: "sealing", says: "2 of 2 lists of users' sessions are sealed under a key that is not the first",
		plant: on("sqlite", signedIn(core.Config{SealKeys: []string{keyOne}})), env: map[string]string{"CLOAKROOM_SEAL_KEYS": keyTwo + "," + keyOne},
	},
	{
		name: "records that are not sealed", level: doctor.Failure, check: "sealing", says: "2 of 2 sessions are not sealed",
		plant: on("sqlite", signedIn(core.Config{})), env: map[string]string{"CLOAKROOM_SEAL_KEYS": keyOne},
	},
	{
		name: "ids that should be hashed", level: doctor.Failure, check: "hashed ids", says: "2 of 2 ids are not hashed",
		plant: on("sqlite", signedIn(core.Config{})), args: []string{"--ids", "hashed"},
	},
	{
		name: "ids that should not be hashed", level: doctor.Failure, check: "hashed ids", says: "2 of 2 ids look hashed",
		plant: on("sqlite", signedIn(core.Config{HashIDs: true})), args: []string{"--ids", "plain"},
	},
	{
		name: "instances that do not agree on hashed ids", level: doctor.Warning, check: "hashed ids", says: "2 ids look hashed and 2 do not",
		plant: on("sqlite", func(t *testing.T, s *target.Target) {
			signedIn(core.Config{HashIDs: true})(t, s)
			signedIn(core.Config{})(t, s)
		}),
	},
	{
		name: "records that are none", level: doctor.Failure, check: "foreign records", says: "1 of 1 sessions are no records",
		plant: on("sqlite", func(t *testing.T, s *target.Target) { create(t, s, "x", "a:1:{}") }),
	},
	{
		name: "a session of Express's, and one that is not in a list", level: doctor.Warning, check: "users' lists", says: "(1 looked for)",
		plant: on("sqlite", func(t *testing.T, s *target.Target) {
			express(t, s, "eve")
			newApp(t, s, core.Config{UserKey: "userId", Cookie: core.Cookie{Name: "shop"}}).visit("login=ada")
		}), args: []string{"--user-key", "userId"},
	},
	{
		name: "another name of the cookie", level: doctor.Warning, check: "users' lists", says: "no session of a user is in a list",
		plant: on("sqlite", signedIn(core.Config{Cookie: core.Cookie{Name: "shop"}})),
	},
}

func TestDoctorFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"CLOAKROOM_STORE": p.plant(t)}
			for name, value := range p.env {
				env[name] = value
			}
			r := operateAt(t.Context(), p.now, env, append([]string{"doctor", "--json"}, p.args...)...)
			code := exitFound
			if p.level == doctor.Note && r.code == exitOK {
				code = exitOK
			}
			r.want(t, code)
			found := false
			for _, f := range lines[doctor.Finding](t, r) {
				found = found || f.Level == p.level && f.Check == p.check && strings.Contains(f.Says, p.says) && f.Do != ""
			}
			if !found {
				t.Errorf("no finding of %q says %q, and what to do:\n%s", p.check, p.says, r.out)
			}
		})
	}
}

// Where nothing is wrong, doctor says so, on every store; and leaves nothing behind.
func TestDoctorFindsNothingWhereNothingIsWrong(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, url string) {
		s := open(t, url)
		signedIn(core.Config{HashIDs: true, SealKeys: []string{keyOne}})(t, s)
		env := map[string]string{"CLOAKROOM_STORE": url, "CLOAKROOM_SEAL_KEYS": keyOne}
		r := operate(t, env, "doctor", "--json", "--ids", "hashed")
		checks := make(map[string]doctor.Level)
		for _, f := range lines[doctor.Finding](t, r) {
			checks[f.Check] = f.Level
			if f.Level != doctor.OK && f.Level != doctor.Note && f.Check != "memory" && f.Check != "durability" { // which are the test servers'
				t.Errorf("%+v", f)
			}
		}
		for _, check := range []string{"connection", "privileges", "records", "hashed ids", "users' lists"} {
			if checks[check] != doctor.OK {
				t.Errorf("%s is %q", check, checks[check])
			}
		}
		operate(t, env, "count").want(t, exitOK, "2\n")
		if r := operate(t, env, "doctor", "--quiet", "--read-only", "--sample", "1"); strings.Contains(r.out, "privileges") || strings.Contains(r.out, "OK ") {
			t.Errorf("quiet and read-only it says %q", r.out)
		}
	})
}

func TestDoctorSaysOfAServerThatIsDown(t *testing.T) {
	t.Parallel()
	addr := start(t)
	env := map[string]string{"CLOAKROOM_STORE": fmt.Sprintf("valkey://app:wrong@%s", addr)}
	operate(t, env, "doctor").want(t, exitFound, "FAIL  connection", "WRONGPASS")
	operate(t, map[string]string{"CLOAKROOM_STORE": "valkey://" + addr + "/123456"}, "doctor").
		want(t, exitFound, "FAIL  connection", "has no database 123456")
	silent, err := net.Listen("tcp", "127.0.0.1:0") // as a server without TLS is, which waits for the end of a line
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	operate(t, map[string]string{"CLOAKROOM_STORE": "valkeys://" + silent.Addr().String() + "?dial_timeout=50ms"}, "doctor").
		want(t, exitFound, "FAIL  connection", "no answer in time from "+silent.Addr().String()+", over TLS")
	for _, f := range lines[doctor.Finding](t, operate(t, env, "doctor", "--json").want(t, exitFound)) {
		if f.Level != doctor.Failure || f.Do == "" {
			t.Errorf("%+v", f)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	operate(t, map[string]string{"CLOAKROOM_STORE": "sqlite:" + file}, "doctor").want(t, exitFound, "no database of SQLite")
	operate(t, env, "doctor", "--ids", "perhaps").want(t, exitUsage)
}
