//go:build unix

package transfer

import (
	"errors"
	"os"
	"syscall"
)

// lock keeps other runs from using the file.
func lock(f *os.File) error {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil { //nolint:gosec // it was an int before
		return errors.New("another copy is using it")
	}
	return nil
}
