package sqlitestore

import (
	"os"
	"syscall"
)

// networkFileSystems are those that statfs(2) names, and that are not of this machine
// alone.
var networkFileSystems = map[uint32]string{
	0x6969:     "NFS",
	0x517b:     "SMB",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB",
	0x5346414f: "AFS",
	0x73757245: "Coda",
	0x00c36400: "Ceph",
	0x0bd00bd0: "Lustre",
	0x01021997: "9P",
}

// networkOf returns the kind of file system that a folder is on where that is one of the
// network, or "".
func networkOf(folder string) string {
	var s syscall.Statfs_t
	if syscall.Statfs(folder, &s) != nil {
		return ""
	}
	return networkFileSystems[uint32(s.Type)] //nolint:gosec,unconvert // of another type on other processors
}

// canWrite returns why the process cannot read and write a file, which it does not open, or nil.
func canWrite(file string) error {
	const readAndWrite = 4 | 2 // access(2)
	if err := syscall.Access(file, readAndWrite); err != nil {
		return &os.PathError{Op: "access", Path: file, Err: err}
	}
	return nil
}
