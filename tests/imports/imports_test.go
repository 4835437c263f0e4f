// Package imports tests what the packages of Cloakroom bring into the program of a
// user, their dependencies' dependencies included.
package imports

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const root = "github.com/cloakroom-go/cloakroom/"

// A store needs the contract and nothing else of Cloakroom: a command that looks
// after a database, for one, links no web server because of it. What a driver
// brings along is the driver's: MongoDB's has net/http.
func TestAStoreLinksNothingOfTheWeb(t *testing.T) {
	for _, test := range []struct {
		pkg    string
		driver bool   // has net/http
		uses   string // of Cloakroom, beside the contract
	}{
		{"core/store", false, ""},
		{"core/internal/mapstore", false, ""},
		{"stores/memory", false, ""},
		{"stores/valkey", false, ""},
		{"stores/mongo", true, ""},
		{"stores/sql", false, ""},
		{"stores/sqlite", false, "stores/sql"},
	} {
		t.Run(test.pkg, func(t *testing.T) {
			deps := linked(t, root+test.pkg)
			if !slices.Contains(deps, root+"core/store") {
				t.Fatalf("does not link core/store: this looks at the wrong packages, %d of them", len(deps))
			}
			for _, dep := range deps {
				ours := strings.HasPrefix(dep, root) && dep != root+test.pkg && dep != root+"core/store" && (test.uses == "" || dep != root+test.uses)
				if ours || dep == "net/http" && !test.driver {
					t.Errorf("links %s", dep)
				}
			}
		})
	}
}

// linked returns the import paths of all that a program with pkg consists of.
func linked(t *testing.T, pkg string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", pkg)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}
