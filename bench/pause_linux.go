package main

import (
	"syscall"
	"time"
)

// pause waits until then, more exactly than [time.Sleep], which wakes up a millisecond late
// where nothing else happens. It holds a thread meanwhile.
func pause(then time.Time) {
	for {
		left := time.Until(then)
		if left <= 0 {
			return
		}
		t := syscall.NsecToTimespec(int64(left))
		_ = syscall.Nanosleep(&t, nil) // a signal may end it early
	}
}
