package interop

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/cloakroom-go/cloakroom/internal/suite"
)

func TestMain(m *testing.M) {
	if of := os.Getenv(processEnv); of != "" {
		suite.Overhear()
		if err := runProcess(of); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen { // most tests wait most of the time
		if err := flag.Set("test.parallel", "16"); err != nil {
			panic(err)
		}
	}
	os.Exit(suite.Run(m, func(code int) int {
		if expressStarted.Load() {
			if p, err := oneExpress(); err == nil {
				if err := p.stop(); err != nil {
					fmt.Println("FAIL: the process of Express:", err)
					code = max(code, 1)
				}
			}
		}
		f := &figures
		fmt.Printf("interop: %d pairs, %d rounds of random operations, %d statements of behaviour, %d requests\n",
			f.pairs.Load(), f.rounds.Load(), f.statements.Load(), f.operations.Load())
		for _, line := range reports.lines {
			fmt.Println("interop:", line)
		}
		return code
	}))
}
