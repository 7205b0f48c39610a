//go:build linux

package kernel

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// SecurityModules are those that are on and can call a process something, as /sys/kernel/security/lsm calls them:
// apparmor, selinux, or none. That file itself is there only where somebody has mounted securityfs.
func SecurityModules() (list []string) {
	if enabled, _ := ReadFile("/sys/module/apparmor/parameters/enabled"); strings.HasPrefix(enabled, "Y") {
		list = append(list, "apparmor")
	}
	// nodev	selinuxfs
	if types, _ := ReadFile("/proc/filesystems"); strings.Contains(types, "\tselinuxfs\n") {
		list = append(list, "selinux")
	}
	return list
}

// CheckProc refuses a /proc that is no procfs: files in it would take anything, and nothing would come of it.
func CheckProc() error {
	var fs unix.Statfs_t
	if err := unix.Statfs("/proc", &fs); err != nil {
		return fmt.Errorf("statfs /proc: %w", err)
	}
	if fs.Type != unix.PROC_SUPER_MAGIC {
		return errors.New("/proc is not procfs: mount -t proc proc /proc")
	}
	return nil
}
