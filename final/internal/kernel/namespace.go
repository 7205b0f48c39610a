//go:build linux

package kernel

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Namespace is one kind of them (namespaces(7)).
type Namespace struct {
	Name string // as in /proc/PID/ns
	Flag uintptr
}

var Namespaces = []Namespace{
	{"mnt", unix.CLONE_NEWNS},
	{"uts", unix.CLONE_NEWUTS},
	{"ipc", unix.CLONE_NEWIPC},
	{"pid", unix.CLONE_NEWPID},
	{"net", unix.CLONE_NEWNET},
	{"cgroup", unix.CLONE_NEWCGROUP},
	{"user", unix.CLONE_NEWUSER},
}

// Create makes a namespace of the kind that ends at once, to see whether that can be done.
func (n Namespace) Create() error {
	if n.Flag == unix.CLONE_NEWUSER {
		return UserNamespace()
	}
	return OnThread(func() error {
		if err := unix.Unshare(int(n.Flag)); err != nil {
			return fmt.Errorf("unshare %s: %w", n.Name, err)
		}
		return nil
	})
}

// UserNamespace tries a user namespace. A process with several threads, as any Go program is, may not
// unshare it, so a child is cloned into one. It has no program to run: a directory cannot be executed, and
// the EACCES that says so is the proof that the clone went well.
var UserNamespace = sync.OnceValue(func() error {
	_, err := syscall.ForkExec("/", []string{"/"}, &syscall.ProcAttr{
		Sys: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER},
	})
	if errors.Is(err, syscall.EACCES) {
		return nil
	}
	return fmt.Errorf("clone CLONE_NEWUSER: %w", err)
})

// A Switch is a kernel parameter that has a value in the way of something.
type Switch struct{ Name, Value, Remedy string }

// UsersBarred tells which parameter keeps users from user namespaces, or from any rights in them. Not every kernel has
// each.
func UsersBarred() (s Switch, off bool) {
	for _, s := range []Switch{
		{"user.max_user_namespaces", "0", "user.max_user_namespaces=10000"},
		{"kernel.unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"},
		{"kernel.apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"},
	} {
		text, err := ReadFile("/proc/sys/" + strings.ReplaceAll(s.Name, ".", "/"))
		if err == nil && strings.TrimSpace(text) == s.Value {
			return s, true
		}
	}
	return s, false
}

// InUserNamespace tells whether this process's user ids are mapped: in the first namespace the map is "0 0 4294967295".
// Root there is not root here.
var InUserNamespace = sync.OnceValue(func() bool {
	text, err := ReadFile("/proc/self/uid_map")
	return err == nil && !slices.Equal(strings.Fields(text), []string{"0", "0", "4294967295"})
})

// OfUser tells whether this process is a user's: not root, or root of a user namespace that a user has made to call it
// in, as Podman does it, with the user's session. Who has logged in as root of one is at home there.
func OfUser() bool {
	session := os.Getenv("XDG_RUNTIME_DIR") != "" && os.Getenv("USER") != "root"
	return os.Geteuid() != 0 || session && InUserNamespace()
}

// OuterUser is this process's user as others know it who are not in its user namespace: by the map's line for it.
//
//	0 1000 1
func OuterUser() int {
	user := os.Geteuid()
	text, _ := ReadFile("/proc/self/uid_map") // without user namespaces there is none
	for line := range strings.Lines(text) {
		var first, outside, size int
		if _, err := fmt.Sscan(line, &first, &outside, &size); err == nil && first <= user && user-first < size {
			return outside + user - first
		}
	}
	return user
}

// Overlay tries an overlay mount as the steps make it, the upper layer on a tmpfs and the machine's own
// root below, in a mount namespace that ends with the probe.
var Overlay = sync.OnceValue(func() error {
	return OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("unshare mnt: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("mount / MS_REC|MS_PRIVATE: %w", err)
		}
		const place = "/run" // any directory that every system has; the tmpfs covers it for this thread alone
		if err := unix.Mount("tmpfs", place, "tmpfs", 0, ""); err != nil {
			return fmt.Errorf("mount tmpfs on %s: %w", place, err)
		}
		for _, dir := range []string{"upper", "work", "root"} {
			if err := os.Mkdir(place+"/"+dir, 0o755); err != nil {
				return err
			}
		}
		layers := fmt.Sprintf("lowerdir=/,upperdir=%s/upper,workdir=%s/work", place, place)
		if err := unix.Mount("overlay", place+"/root", "overlay", 0, layers); err != nil {
			return fmt.Errorf("mount overlay: %w", err)
		}
		return nil
	})
})

// NewUserNamespace makes a user namespace with mappings and returns a handle on it. It lives as long as
// somebody holds that; no process is in it. The process that makes it stops before its first instruction, and
// is ended.
func (d *Door) NewUserNamespace(uids, gids []syscall.SysProcIDMap) (namespace *os.File, err error) {
	call := Call{Op: "clone", Object: "CLONE_NEWUSER", Value: fmt.Sprintf("uids %v, gids %v", uids, gids), Shell: "unshare --user ..."}
	err = d.Do(call, func() error {
		mapped := syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER, UidMappings: uids, GidMappings: gids, GidMappingsEnableSetgroups: true,
		}
		return withStopped("namespace", mapped, func(pid int) (err error) {
			namespace, err = os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
			return err
		})
	})
	return namespace, err
}
