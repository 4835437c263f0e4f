package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Documents show the quickstarts word for word, so that what a reader copies is what is
// built and run here.
func TestTheDocumentsShowTheQuickstarts(t *testing.T) {
	for name, document := range map[string]string{
		"quickstart":         "README.md",
		"quickstart-gin":     "docs/quickstarts.md",
		"quickstart-echo":    "docs/quickstarts.md",
		"quickstart-nethttp": "docs/quickstarts.md",
		"quickstart-file":    "docs/quickstarts.md",
		"quickstart-api":     "docs/api-clients.md",
	} {
		text, err := os.ReadFile("../" + document)
		if err != nil {
			t.Fatal(err)
		}
		program, err := os.ReadFile(name + "/main.go")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "```go\n"+string(program)+"```\n") {
			t.Errorf("%s does not show examples/%s/main.go as it is: copy it there", document, name)
		}
	}
}

// The commands that stand below the quickstarts print what stands beside them.
func TestTheCommandsPrintWhatStandsBesideThem(t *testing.T) {
	for document, programs := range map[string][]string{
		"README.md":           {"quickstart", "quickstart-gin"},
		"docs/quickstarts.md": {"quickstart-gin", "quickstart-echo", "quickstart-nethttp"},
	} {
		text, err := os.ReadFile("../" + document)
		if err != nil {
			t.Fatal(err)
		}
		lines := regexp.MustCompile(`(?m)^(curl -c jar .*?) +# ([^(\n]*)`).FindAllStringSubmatch(string(text), -1)
		if len(lines) < 2 {
			t.Errorf("%s shows %d commands", document, len(lines))
		}
		for _, program := range programs {
			t.Run(document+" "+program, func(t *testing.T) {
				t.Parallel()
				base, dir := start(t, program), t.TempDir()
				for _, line := range lines {
					cmd := exec.CommandContext(t.Context(), "sh", "-ec", strings.ReplaceAll(line[1], "http://127.0.0.1:8080", base))
					cmd.Dir = dir // where the jar is
					if out, err := cmd.Output(); err != nil || strings.TrimSpace(string(out)) != strings.TrimSpace(line[2]) {
						t.Errorf("%s prints %q, %v; want %q", line[1], out, err, line[2])
					}
				}
			})
		}
	}
}

// With what docs/quickstarts.md says in its place for Echo v4, the program for v5 is one
// that the compiler takes.
func TestTheQuickstartOfEchoIsOneForV4WithWhatIsSaid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/quickstarts.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("quickstart-echo/main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, said, _ := strings.Cut(string(text), "With v4 ")
	said, _, _ = strings.Cut(said, "\n\n")
	replaced := []string{"labstack/echo/v5", "labstack/echo/v4", "cloakroom/echov5session", "cloakroom/echosession"}
	for _, place := range regexp.MustCompile("`([^`]+)` in place of\\s+`([^`]+)`").FindAllStringSubmatch(said, -1) {
		replaced = append(replaced, place[2], place[1])
	}
	if len(replaced) != 8 {
		t.Fatalf("docs/quickstarts.md says %q of v4", said)
	}
	compiles(t, strings.NewReplacer(replaced...).Replace(string(program)))
}

// compiles checks that the compiler takes a program.
func compiles(t *testing.T, source string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", os.DevNull, file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, source)
	}
}

// The lines that docs/quickstarts.md shows for other stores make programs of the one with a
// file, which the compiler takes.
func TestTheLinesForOtherStoresMakeProgramsOfTheQuickstart(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/quickstarts.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("quickstart-file/main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Another store\n")
	section, _, _ = strings.Cut(section, "\n## ")
	shown := regexp.MustCompile("(?s)```go\n([^`]*?\")\n\n((?:store|db), err := .*?)```").FindAllStringSubmatch(section, -1)
	if len(shown) != 4 {
		t.Fatalf("docs/quickstarts.md has lines for %d stores", len(shown))
	}
	const (
		fileImport = "sqlitestore \"github.com/cloakroom-go/cloakroom/stores/sqlite\""
		fileOpen   = "store, err := sqlitestore.Open(context.Background(), \"sessions.db\", sqlitestore.Options{})\n"
	)
	postgres := shown[2]
	for _, lines := range shown {
		imports, open := lines[1], lines[2]
		if strings.Contains(imports, "mysql") { // the same with another driver
			imports = strings.Replace(postgres[1], `_ "github.com/jackc/pgx/v5/stdlib"`, imports, 1)
			_, rest, _ := strings.Cut(postgres[2], "\n")
			open += rest
		}
		open = "ctx := context.Background()\n" + open
		source := strings.NewReplacer(fileImport, imports, fileOpen, open).Replace(string(program))
		if strings.Contains(source, "sqlite") {
			t.Fatalf("the quickstart with a file opens it in another way:\n%s", program)
		}
		compiles(t, source)
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
