package servers

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
)

// FillDisk makes a file of all the room that there is on the disk where it is: a small one
// that the test has mounted. Whoever removes the file makes room again.
func FillDisk(tb testing.TB, name string) {
	tb.Helper()
	f, err := os.Create(name)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		tb.Fatalf("the disk cannot be filled: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
