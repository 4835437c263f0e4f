package leaks

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// without are the packages whose tests need not end as those of all others do.
var without = map[string]string{
	"bench": "runs other session libraries too, which log what they like and leave goroutines",
}

// The tests of every package end with package suite: see there.
func TestEveryPackageLooksForWhatItsTestsLeave(t *testing.T) {
	top := filepath.Join("..", "..")
	ends := make(map[string]bool) // by folder with tests
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".git")) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(top, filepath.Dir(path))
		if err != nil {
			return err
		}
		folder = filepath.ToSlash(folder)
		ends[folder] = ends[folder] || bytes.Contains(source, []byte("func TestMain(")) &&
			(bytes.Contains(source, []byte("suite.Main(")) || bytes.Contains(source, []byte("suite.Run(")) ||
				bytes.Contains(source, []byte("promises.Main(")) || folder == "internal/suite")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(ends) < 15 {
		t.Errorf("only %d packages have tests: this looks in the wrong place", len(ends))
	}
	for folder, right := range ends {
		if _, excepted := without[folder]; !right && !excepted {
			t.Errorf("the tests of %s do not look for what they leave: add a file with func TestMain(m *testing.M) { suite.Main(m) }", folder)
		}
	}
}
