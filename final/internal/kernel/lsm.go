//go:build linux

package kernel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
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

// profilesFile lists AppArmor's profiles: docker-default (enforce)
const profilesFile = "/sys/kernel/security/apparmor/profiles"

// LoadsProfiles tells whether AppArmor can be given a profile: its files are within reach, and so is the program that
// turns the text of a profile into what the kernel takes.
func LoadsProfiles() error {
	if err := unix.Access(profilesFile, unix.R_OK); err != nil {
		return &os.PathError{Op: "access", Path: profilesFile, Err: err}
	}
	_, err := parser()
	return err
}

// parser finds apparmor_parser, also for who has no PATH to programs for root.
func parser() (path string, err error) {
	const name = "apparmor_parser"
	for _, path = range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err = exec.LookPath(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

// LoadProfile gives AppArmor a profile, unless it has one of that name.
func (d *Door) LoadProfile(name, text string) error {
	list, err := ReadFile(profilesFile)
	if err != nil {
		return err
	}
	if strings.Contains("\n"+list, "\n"+name+" (") {
		return nil
	}
	path, err := parser()
	if err != nil {
		return err
	}
	_, err = d.Feed(text, path, "--replace", "--skip-cache") // another may be as far as this; the one is like the other
	return err
}
