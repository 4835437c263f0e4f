package sqlitestore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFileSystemsOfTheNetworkAreKnown(t *testing.T) {
	for number, want := range map[uint32]string{0x6969: "NFS", 0xfe534d42: "SMB", 0xef53: "" /* ext4 */, 0x01021994: "" /* tmpfs */} {
		if got := networkFileSystems[number]; got != want {
			t.Errorf("%#x is %q, want %q", number, got, want)
		}
	}
}

// A descriptor of a file that a process closes takes all locks of the process off that file
// (fcntl(2)), those of SQLite's as well: another process could then remove the log.
func TestASecondStoreOnTheFileLeavesTheLocksOfTheFirst(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sessions.db")
	openOn(t, file)
	before := locksOn(t, file)
	if before == 0 {
		t.Fatal("an open store has no lock on its file")
	}
	openOn(t, file)
	if after := locksOn(t, file); after < before {
		t.Errorf("%d locks are left of %d", after, before)
	}
}

// A folder that is mounted somewhere is often reached by a link.
func TestALinkToNoFileYetIsFollowed(t *testing.T) {
	file, link := filepath.Join(t.TempDir(), "sessions.db"), filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	openOn(t, link)
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		t.Errorf("the file that the link leads to: %v, %v", info, err)
	}
}

func openOn(t *testing.T, file string) {
	t.Helper()
	s, err := Open(t.Context(), file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.Count(t.Context()); err != nil { // a reader, too
		t.Fatal(err)
	}
}

// locksOn returns how many locks this process has on a file.
func locksOn(t *testing.T, file string) (n int) {
	t.Helper()
	var info syscall.Stat_t
	if err := syscall.Stat(file, &info); err != nil {
		t.Fatal(err)
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(locks)) {
		if strings.Contains(line, fmt.Sprintf(" %d ", os.Getpid())) && strings.Contains(line, fmt.Sprintf(":%d ", info.Ino)) {
			n++
		}
	}
	return n
}
