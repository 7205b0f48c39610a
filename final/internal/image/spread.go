//go:build linux

package image

import (
	"os"

	"golang.org/x/sys/unix"
)

// spread tells ext4 that what is made in a directory has nothing to do with each other, as people do for /home with
// `chattr +T`: each gets a part of the disk of its own. In one part with everything else a layer would be slow to
// unpack, as ext4 does not use the inodes again that were freed in the last minutes, and looks at each of them for
// each file that it makes. Other file systems know no such wish, and have no such need.
func spread(dir string) {
	const topOfTree = 0x00020000 // FS_TOPDIR_FL, ioctl_iflags(2)
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	defer f.Close()
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|topOfTree) // it was only a wish
	}
}
