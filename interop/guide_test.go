package interop

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of behaviour into docs/express.md")

// TestTheGuideTellsTheBehaviour: docs/express.md has the answers as they are
// here.
func TestTheGuideTellsTheBehaviour(t *testing.T) {
	t.Parallel()
	const file, begin, end = "../docs/express.md", "<!-- behaviour: go test -run Guide ./interop -update -->\n", "<!-- end -->\n"
	guide, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(guide), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table, between %q and %q", file, begin, end)
	}
	want := before + begin + behaviourTable() + end + after
	if want == string(guide) {
		return
	}
	if !*update {
		t.Fatalf("%s tells another behaviour: run the test with -update", file)
	}
	if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

func behaviourTable() string {
	var b strings.Builder
	count := make(map[verdict]int)
	for _, row := range behaviours {
		count[row.verdict]++
	}
	fmt.Fprintf(&b, "Of %d statements about express-session 1.19.0, %d are the same in Cloakroom, %d are different on purpose, and %d are not applicable in Go.\n",
		len(behaviours), count[same], count[different], count[notInGo])
	for _, p := range parts {
		fmt.Fprintf(&b, "\n### %s\n\n| express-session | Cloakroom |\n|---|---|\n", p.title)
		for _, row := range behaviours {
			if !strings.HasPrefix(row.id, p.prefix+"-") {
				continue
			}
			answer := map[verdict]string{same: "The same.", different: "**Different.** ", notInGo: "Not applicable. "}[row.verdict]
			fmt.Fprintf(&b, "| %s | %s%s |\n", row.says, answer, row.why)
		}
	}
	return b.String()
}
