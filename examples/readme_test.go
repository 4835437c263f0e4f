package examples

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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
	for _, name := range []string{"quickstart-gin", "quickstart-echo", "quickstart-nethttp", "quickstart-file"} {
		program, err := os.ReadFile(name + "/main.go")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(readme), "```go\n"+string(program)+"```\n") {
			t.Errorf("README.md does not show examples/%s/main.go as it is: copy it there", name)
		}
	}
}

// The guide for clients without cookies does so too.
func TestTheGuideShowsTheQuickstart(t *testing.T) {
	guide, err := os.ReadFile("../docs/api-clients.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("quickstart-api/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(guide), "```go\n"+string(program)+"```\n") {
		t.Error("docs/api-clients.md does not show examples/quickstart-api/main.go as it is: copy it there")
	}
}

// A promise in the README that names a test names one that exists.
func TestTheTestsThatTheREADMENamesExist(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var sources strings.Builder
	err = filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		sources.Write(source)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]+)`").FindAllStringSubmatch(string(readme), -1)
	if len(names) == 0 {
		t.Error("README.md names no test")
	}
	for _, name := range names {
		if !strings.Contains(sources.String(), "func "+name[1]+"(t *testing.T)") {
			t.Errorf("README.md names %s, which does not exist", name[1])
		}
	}
}

// What docs/recipes.md shows below the name of an Example is what runs in that one, line by
// line.
func TestTheRecipesShowWhatIsRun(t *testing.T) {
	recipes, err := os.ReadFile("../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../core/example_around_test.go")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)<!-- (Example\\w+) -->\n\n```go\n(.*?)```\n").FindAllStringSubmatch(string(recipes), -1)
	if len(shown) == 0 {
		t.Error("docs/recipes.md shows no Example")
	}
	for _, block := range shown {
		_, body, ok := strings.Cut(string(source), "func "+block[1]+"() {\n")
		body, _, _ = strings.Cut(body, "\n}\n")
		if !ok || !strings.Contains(flat(body), flat(block[2])) {
			t.Errorf("docs/recipes.md shows what is not in %s of core/example_around_test.go:\n%s", block[1], block[2])
		}
	}
}

// flat returns code without what is in front of its lines.
func flat(code string) string {
	return regexp.MustCompile("(?m)^\t+").ReplaceAllString(code, "")
}
