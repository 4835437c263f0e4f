package leaks

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// without are the packages whose tests need not end as those of all others do.
var without = map[string]string{
	"predecessors": "runs other session libraries, likewise",
	"bench":        "runs other session libraries too, which log what they like and leave goroutines",
}

// unheard are the tests whose logs go elsewhere than to package suite, which looks
// for ids, secrets and data in them.
var unheard = map[string]string{
	"predecessors/main_test.go":         "see above; the tests look through the logs of Managers themselves",
	"bench/":                            "see above",
	"core/fuzz_test.go":                 "has a Manager without a store",
	"core/faults_test.go":               "looks for a session in what its logger is given",
	"core/vulnerabilities_test.go":      "has a logger that panics",
	"echov5session/echosession_test.go": "is Echo's own log, of the app's errors",
	"interop/routes_test.go":            "the same",
	"tests/internal/frameworks/":        "the same",
	"tests/constanttime/forge/forge.go": "forges cookies, and measures what that takes",
	"tests/leaks/packages_test.go":      "is this one",
	"tests/leaks/printing_test.go":      "prints to logs of its own",
	"tests/soakmemory/":                 "measures memory, and forges cookies by the million",
}

func TestNoTestThrowsItsLogAway(t *testing.T) {
	used := make(map[string]bool)
	everyFile(t, func(file string, source []byte) {
		test := strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "tests/") || strings.HasPrefix(file, "bench/")
		if !test || !bytes.Contains(source, []byte("slog.DiscardHandler")) {
			return
		}
		for prefix := range unheard {
			if strings.HasPrefix(file, prefix) {
				used[prefix] = true
				return
			}
		}
		t.Errorf("nobody looks for ids in what the tests of %s log: leave Config.Logger nil", file)
	})
	for prefix := range unheard {
		if !used[prefix] {
			t.Errorf("%s throws no log away", prefix)
		}
	}
}

// everyFile calls do with every Go file of the repository, named from its top.
func everyFile(t *testing.T, do func(file string, source []byte)) {
	t.Helper()
	top := filepath.Join("..", "..")
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".git")) {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := filepath.Rel(top, path)
		if err == nil {
			do(filepath.ToSlash(file), source)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The tests of every package end with package suite: see there.
func TestEveryPackageLooksForWhatItsTestsLeave(t *testing.T) {
	ends := make(map[string]bool) // by folder with tests
	everyFile(t, func(file string, source []byte) {
		if !strings.HasSuffix(file, "_test.go") {
			return
		}
		folder := path.Dir(file)
		ends[folder] = ends[folder] || bytes.Contains(source, []byte("func TestMain(")) &&
			(bytes.Contains(source, []byte("suite.Main")) || bytes.Contains(source, []byte("suite.Run(")) ||
				bytes.Contains(source, []byte("promises.Main(")) || folder == "internal/suite")
	})
	if len(ends) < 15 {
		t.Errorf("only %d packages have tests: this looks in the wrong place", len(ends))
	}
	for folder, right := range ends {
		if _, excepted := without[folder]; !right && !excepted {
			t.Errorf("the tests of %s do not look for what they leave: add a file with func TestMain(m *testing.M) { suite.Main(m) }", folder)
		}
	}
}
