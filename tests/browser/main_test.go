// Package browser uses examples/accounts as people do: in a real browser.
//
// The browser is the Chromium that CHROMIUM names, or one on the PATH, and for
// most tests its headless shell, which takes less time: what CHROMIUM_SHELL names,
// or one on the PATH. scripts/chromium.sh, which make test calls, finds or fetches
// them. Without a browser the tests are skipped, and fail where CI is set. One
// process of each serves all tests: what the tests call a browser is a profile of
// its own there, with its own cookies.
//
// axe-core looks at every page too; npm fetches it, as axe/package-lock.json says.
//
// The pictures in docs/images are of these pages. To take them anew:
//
//	cd tests && go test ./browser -run TestPictures -update
package browser

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/cloakroom-go/cloakroom/internal/suite"
)

var update = flag.Bool("update", false, "write the pictures in docs/images")

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen { // they wait for the browser, and for timeouts, most of the time
		if err := flag.Set("test.parallel", strconv.Itoa(3*runtime.GOMAXPROCS(0))); err != nil {
			panic(err)
		}
	}
	os.Exit(suite.Run(m, func(code int) int {
		ended := []error{program.remove()}
		for _, p := range slices.Compact([]*process{whole, light}) {
			ended = append(ended, p.close())
		}
		if err := errors.Join(ended...); err != nil {
			fmt.Fprintln(os.Stderr, "FAIL:", err)
			code = max(code, 1)
		}
		return code
	}))
}
