package sqlitestore

import "testing"

func TestFileSystemsOfTheNetworkAreKnown(t *testing.T) {
	for number, want := range map[uint32]string{0x6969: "NFS", 0xfe534d42: "SMB", 0xef53: "" /* ext4 */, 0x01021994: "" /* tmpfs */} {
		if got := networkFileSystems[number]; got != want {
			t.Errorf("%#x is %q, want %q", number, got, want)
		}
	}
}
