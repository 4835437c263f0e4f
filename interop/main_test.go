package interop

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
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
	os.Exit(code)
}
