package sqlitestore

import "syscall"

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
