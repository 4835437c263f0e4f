// Package npm fetches packages of npm for the tests of the repository.
package npm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Need skips the test where Node.js 20 or newer, or npm, is missing, and fails it where CI
// is set. without says what is not tested then.
func Need(t testing.TB, without string) {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil || !nodeIsNewEnough() {
		what := "NO NODE.JS 20 or newer with npm, so " + without
		if os.Getenv("CI") != "" {
			t.Fatal(what)
		}
		t.Skip(what)
	}
}

var nodeIsNewEnough = sync.OnceValue(func() bool {
	out, err := exec.Command("node", "--version").Output()
	major, _, _ := strings.Cut(strings.TrimPrefix(string(out), "v"), ".")
	version, _ := strconv.Atoi(major) // 0 where it is no number
	return err == nil && version >= 20
})

// Install installs the packages that the lock file of a directory names, unless they are
// there already.
func Install(dir string) error {
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return err
	}
	mark := filepath.Join(dir, "node_modules", "installed-from.json")
	if have, err := os.ReadFile(mark); err == nil && bytes.Equal(have, lock) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return os.WriteFile(mark, lock, 0o600)
}
