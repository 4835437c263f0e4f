package valkeystore_test

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

// A recorder notes what is so when somebody writes.
type recorder struct {
	net.Conn
	note func()
}

// Write implements [net.Conn].
func (r recorder) Write(b []byte) (int, error) {
	r.note()
	return len(b), nil
}

// Who is ready to send a command does so before what is there is written, so that it can be
// in the next write.
func TestOthersGoBeforeAWrite(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // else the other one may run at once
	const writes = 1000
	var (
		ran    atomic.Bool
		before int
	)
	conn, _ := valkeystore.Polite(recorder{note: func() {
		if ran.Load() {
			before++
		}
	}})
	for range writes {
		done := make(chan struct{})
		ran.Store(false)
		go func() {
			defer close(done)
			ran.Store(true)
		}()
		if _, err := conn.Write(nil); err != nil {
			t.Fatal(err)
		}
		<-done
	}
	// The scheduler is free to take the writer first, and now and then it does.
	if before < writes/2 {
		t.Errorf("before %d of %d writes another goroutine had its turn, want most", before, writes)
	}
}

// Where the app computes more than it has processors for, nobody is let go first for a while.
func TestAWriteIsInAHurryWhereOthersCompute(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var ended atomic.Bool
	defer ended.Store(true)
	go func() {
		for !ended.Load() { // uses up each of its time slices
			continue
		}
	}()
	conn, hurries := valkeystore.Polite(recorder{note: func() {}})
	for !hurries() {
		if _, err := conn.Write(nil); err != nil {
			t.Fatal(err)
		}
	}
}
