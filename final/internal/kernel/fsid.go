//go:build linux

package kernel

import (
	"os"

	"golang.org/x/sys/unix"
)

// ActAs makes the calling thread somebody else to file systems (setfsuid(2)), and leaves it its rights over files,
// which it would lose by that (capabilities(7)). The thread must be one that ends with this: that of OnThread.
//
// It is for mounts that are mapped: who has no id there can read and remove files, but not make any.
func ActAs(uid, gid int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var rights [2]unix.CapUserData
	if err := unix.Capget(&header, &rights[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	if err := unix.Setfsgid(gid); err != nil {
		return os.NewSyscallError("setfsgid", err)
	}
	if err := unix.Setfsuid(uid); err != nil {
		return os.NewSyscallError("setfsuid", err)
	}
	return os.NewSyscallError("capset", unix.Capset(&header, &rights[0]))
}
