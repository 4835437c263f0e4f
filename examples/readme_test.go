package examples

import (
	"os"
	"strings"
	"testing"
)

// The README shows the quickstarts word for word, so that what a reader copies
// is what is built and run here.
func TestTheREADMEShowsTheQuickstarts(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"quickstart-gin", "quickstart-echo", "quickstart-nethttp"} {
		program, err := os.ReadFile(name + "/main.go")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(readme), "```go\n"+string(program)+"```\n") {
			t.Errorf("README.md does not show examples/%s/main.go as it is: copy it there", name)
		}
	}
}
