package servers

import (
	"cmp"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"go.yaml.in/yaml/v3"
)

// A service is a server in compose.yaml.
type service struct {
	Image       string
	Environment map[string]string
	Command     []string
	Ports       []string
}

// read returns a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// part returns what an expression finds in a text: its group.
func part(t *testing.T, text, expression string) string {
	t.Helper()
	m := regexp.MustCompile(expression).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("nothing is like %q", expression)
	}
	return m[1]
}

func services(t *testing.T) map[string]service {
	t.Helper()
	var file struct{ Services map[string]service }
	if err := yaml.Unmarshal([]byte(read(t, "compose.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	return file.Services
}

// TestContainersAreReachedAsTheScriptSays compares compose.yaml with scripts/servers.sh,
// which starts the one or the other: a machine that has containers has no packages, so
// that no run shows both.
func TestContainersAreReachedAsTheScriptSays(t *testing.T) {
	script, all := read(t, "scripts/servers.sh"), services(t)
	var want []string
	for _, name := range strings.Fields(part(t, script, `PARTS=\$\{TESTSERVERS-([^}]+)\}`)) {
		program := strings.HasSuffix(name, "-server") || slices.Contains([]string{"programs", "mongod", "pgbouncer", "nginx"}, name)
		if !program {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	if have := slices.Sorted(maps.Keys(all)); !slices.Equal(have, want) {
		t.Errorf("compose.yaml has the services %q, and scripts/servers.sh the servers %q", have, want)
	}
	variable := regexp.MustCompile(`\$\{(TESTSERVERS_\w+_PORT):-(\d+)\}`)
	for name, s := range all {
		if len(s.Ports) != 1 || !strings.HasPrefix(s.Ports[0], "127.0.0.1:") {
			t.Errorf("%s: the ports %q, want one of the loopback address", name, s.Ports)
			continue
		}
		m := variable.FindStringSubmatch(s.Ports[0])
		if m == nil {
			t.Errorf("%s: the port %q has no variable", name, s.Ports[0])
			continue
		}
		if !strings.Contains(script, "export "+m[1]+"=${"+m[1]+":-"+m[2]+"}") {
			t.Errorf("%s: %s is %s in compose.yaml alone", name, m[1], m[2])
		}
		if port := part(t, script, `(?m)^\t`+name+`\) (?:echo|seq) "\$(\w+)"`); port != m[1] {
			t.Errorf("%s: its port is %s in compose.yaml, and %s in scripts/servers.sh", name, m[1], port)
		}
	}
}

// The versions, users, databases and limits of the databases for SQL are the same in
// containers and from packages, but for MySQL's version, which the head of the script
// tells of both.
func TestDatabasesForSQLAreTheSameInContainers(t *testing.T) {
	script, known, all := read(t, "scripts/servers.sh"), read(t, "scripts/servers/sql.sh"), services(t)
	for _, d := range []struct{ service, image, program, version string }{
		{"postgresql", "postgres", "postgresql-server", part(t, known, `POSTGRESQL_NEW=(\d+)`)},
		{"postgresql-old", "postgres", "postgresql-server", part(t, known, `POSTGRESQL_OLD=(\d+)`)},
		{"mariadb", "mariadb", "mariadb-server", part(t, script, `mariadb +MARIADB_DSN +MariaDB ([\d.]+)`)},
		{"mariadb-new", "mariadb", "mariadb-server", part(t, script, `mariadb-new +MARIADB_NEW_DSN +MariaDB ([\d.]+)`)},
		{"mysql", "mysql", "mysql-server", part(t, script, `mysql +MYSQL_DSN +MySQL: ([\d.]+)`)},
	} {
		s := all[d.service]
		if want := d.image + ":" + d.version; s.Image != want {
			t.Errorf("%s: the image %s, want %s", d.service, s.Image, want)
		}
		limit := part(t, read(t, "scripts/servers/"+d.program), `max.connections ?= ?(\d+)`)
		if got := part(t, strings.Join(s.Command, " "), `max.connections=(\d+)`); got != limit {
			t.Errorf("%s: %s connections, want %s", d.service, got, limit)
		}
		if d.image == "postgres" {
			u, err := url.Parse(part(t, known, `postgresql_url\(\) \{ echo "([^$]+)\$H`) + "host" + part(t, known, `postgresql_url\(\) .*\$1([^"]+)"`))
			if err != nil {
				t.Fatal(err)
			}
			user := cmp.Or(s.Environment["POSTGRES_USER"], "postgres")
			database := cmp.Or(s.Environment["POSTGRES_DB"], user)
			if u.User.String() != user || u.Path != "/"+database || s.Environment["POSTGRES_HOST_AUTH_METHOD"] != "trust" {
				t.Errorf("%s: the user %s and the database %s with %q, want what %s says, without a password", d.service, user, database, s.Environment, u)
			}
			continue
		}
		dsn, err := mysql.ParseDSN(strings.NewReplacer("$H", "host", "$1", "1").Replace(part(t, known, `mariadb_dsn\(\) \{ echo "([^"]+)"`)))
		if err != nil {
			t.Fatal(err)
		}
		prefix := strings.ToUpper(d.image)
		empty := cmp.Or(s.Environment[prefix+"_ALLOW_EMPTY_ROOT_PASSWORD"], s.Environment[prefix+"_ALLOW_EMPTY_PASSWORD"])
		if dsn.User != "root" || dsn.Passwd != "" || empty != "1" || s.Environment[prefix+"_DATABASE"] != dsn.DBName {
			t.Errorf("%s: %q, want what %s says", d.service, s.Environment, dsn.FormatDSN())
		}
	}
}
