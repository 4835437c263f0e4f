// Package servers gives tests the servers that they need: those that the
// environment names, and private ones that a test may kill, pause and misuse.
//
// scripts/servers.sh, which make test calls, sets the variables of the
// environment; its first lines list them. Private servers are started from the
// programs that VALKEY_SERVER (VALKEY_OLD_SERVER for one that is older) and
// MONGO_SERVER name, on free ports of the loopback address and in directories of
// their own. They end when the test is over, and also when the test's process
// dies; what they logged is shown where the test failed.
//
// A test whose server cannot be had is skipped, and fails where CI is set.
package servers

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long a server may take for anything. Only what fails waits
// for so long.
const Patience = time.Minute

// Env returns the value of a variable of the environment that names a server.
// Without one the test is skipped.
func Env(tb testing.TB, name string) string {
	tb.Helper()
	value := os.Getenv(name)
	if value != "" {
		return value
	}
	const what = "NO SERVER: %s is not set (scripts/servers.sh sets it), so this is NOT TESTED"
	if os.Getenv("CI") != "" {
		tb.Fatalf(what, name)
	}
	tb.Skipf(what, name)
	return ""
}

// tempDir is tb.TempDir, but for its cleanup, which would run while the server
// still writes, and for the length of its name.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "cloakroom-*") //nolint:usetesting // see above
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		for range 20 { // a process of the server may still be on its way out
			if os.RemoveAll(dir) == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	return dir
}

// Await waits until do returns nil, and fails the test when that takes too long.
func Await(tb testing.TB, what string, do func() error) {
	tb.Helper()
	end := time.Now().Add(Patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := do()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			tb.Fatalf("waited in vain for: %s: %v", what, err)
		}
		<-time.After(pause)
	}
}

// AwaitMore waits until count has grown by n, for as long as that takes, and fails the test
// when it stands still for too long.
func AwaitMore(tb testing.TB, what string, n int64, count func() int64) {
	tb.Helper()
	from := count()
	for last := from; last-from < n; last = count() {
		Await(tb, what, func() error {
			if count() == last {
				return fmt.Errorf("%d of %d", last-from, n)
			}
			return nil
		})
	}
}

var given struct {
	sync.Mutex
	locks map[int]*os.File
}

// FreePort returns a port that nobody uses and that no test of this machine is
// given before this process ends. It lies below those that systems hand out by
// themselves, so that it stays free while its server is down.
func FreePort(tb testing.TB) int {
	tb.Helper()
	given.Lock()
	defer given.Unlock()
	if given.locks == nil {
		given.locks = make(map[int]*os.File)
	}
	for range 1000 {
		var random [4]byte
		_, _ = rand.Read(random[:]) // never fails
		port := 20000 + int(binary.BigEndian.Uint32(random[:])%10000)
		if given.locks[port] != nil {
			continue
		}
		lock := lockPort(port)
		if lock == nil {
			continue
		}
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			_ = l.Close()
			given.locks[port] = lock
			return port
		}
		_ = lock.Close()
	}
	tb.Fatal("no free port")
	return 0
}

// lockPort locks a port against the tests of other processes, for as long as the
// file stays open.
func lockPort(port int) *os.File {
	dir := filepath.Join(os.TempDir(), "cloakroom-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		_ = f.Close()
		return nil
	}
	return f
}
