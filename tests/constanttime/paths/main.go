// Paths verifies forged cookies, each wrong in one character of its signature,
// and writes down for each which statements ran how often. It is built and run
// by the test of package constanttime.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/coverage"
	"runtime/debug"

	"github.com/cloakroom-go/cloakroom/tests/constanttime/forge"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir string) error {
	// Nothing may happen by chance: a pool that is emptied has to be filled again.
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(1)
	m, cookies, err := forge.Cookies()
	if err != nil {
		return err
	}
	for i, cookie := range cookies {
		into := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(into, 0o755); err != nil {
			return err
		}
		if err := coverage.ClearCounters(); err != nil {
			return err
		}
		if _, err := m.Load(context.Background(), cookie); err != nil {
			return err
		}
		if err := coverage.WriteCountersDir(into); err != nil {
			return err
		}
		if err := coverage.WriteMetaDir(into); err != nil {
			return err
		}
	}
	return nil
}
