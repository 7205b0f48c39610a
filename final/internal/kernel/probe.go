//go:build linux

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"unsafe"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// A Feature is something of the kernel that a container needs or is better with.
type Feature struct {
	Name  string
	Since Version
	Use   string // what it is used for
	// Probe tries it, the first time it is called, and returns why it does not work, or nil. It leaves
	// nothing behind.
	Probe func() error
}

// Features returns the features that are probed, oldest first.
func Features() []Feature {
	return []Feature{
		{"memfd_create", Version{3, 17}, "a container's first program from memory", MemfdExec},
		{"fsopen", Version{5, 2}, "mounting by descriptor", newMountAPI},
		{"pidfd", Version{5, 3}, "signals that cannot hit the wrong process", pidfd},
		{"PTRACE_GET_SYSCALL_INFO", Version{5, 3}, "--trace", ptraceSyscallInfo},
		{"openat2", Version{5, 6}, "paths that cannot leave the image", rootedPaths},
		{"CLONE_INTO_CGROUP", Version{5, 7}, "limits from the first instruction on", cloneIntoCgroup},
		{"close_range", Version{5, 9}, "no descriptor of the host in a container", closeRange},
		{"cgroup.kill", cgroupKillSince, "ending a container in one write", CgroupKill},
	}
}

// MemfdExec tries to make an executable file in memory; the sysctl vm.memfd_noexec can forbid it.
var MemfdExec = sync.OnceValue(func() error {
	fd, err := unix.MemfdCreate("probe", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // MFD_EXEC came with Linux 6.3; before, all were executable
		fd, err = unix.MemfdCreate("probe", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return fmt.Errorf("memfd_create: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Access(fmt.Sprintf("/proc/self/fd/%d", fd), unix.X_OK); err != nil {
		return fmt.Errorf("memfd_create: not executable: %w", err)
	}
	return nil
})

// newMountAPI tries fsopen, which only prepares a mount.
var newMountAPI = sync.OnceValue(func() error {
	fd, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("fsopen tmpfs: %w", err)
	}
	return unix.Close(fd)
})

// pidfd tries a handle on this process, and signal 0 through it, which only asks.
var pidfd = sync.OnceValue(func() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return fmt.Errorf("pidfd_open: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, 0, nil, 0); err != nil {
		return fmt.Errorf("pidfd_send_signal: %w", err)
	}
	return nil
})

// rootedPaths tries a path resolved as if a directory were the root.
var rootedPaths = sync.OnceValue(func() error {
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	fd, err := unix.Openat2(unix.AT_FDCWD, ".", how)
	if err != nil {
		return fmt.Errorf("openat2 RESOLVE_IN_ROOT: %w", err)
	}
	return unix.Close(fd)
})

// closeRange tries a range that holds no descriptor.
var closeRange = sync.OnceValue(func() error {
	if err := unix.CloseRange(^uint(0)>>33, ^uint(0)>>33, 0); err != nil {
		return fmt.Errorf("close_range: %w", err)
	}
	return nil
})

// cloneIntoCgroup asks clone3 for a process in the cgroup of a descriptor that is not open. A kernel that
// knows the flag says EBADF; one that does not, or a seccomp filter, says something else. Either way no
// process is born.
var cloneIntoCgroup = sync.OnceValue(func() error {
	args := struct { // struct clone_args, clone(2)
		flags, pidfd, childTid, parentTid, exitSignal, stack, stackSize, tls, setTid, setTidSize, cgroup uint64
	}{flags: unix.CLONE_INTO_CGROUP, exitSignal: uint64(unix.SIGCHLD), cgroup: 1<<31 - 1}
	_, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
	if errno != unix.EBADF {
		return fmt.Errorf("clone3 CLONE_INTO_CGROUP: %w", errno)
	}
	return nil
})

// ptraceSyscallInfo traces a copy of this program that stops at execve, before its first instruction, asks
// what system call it is in, and ends it.
var ptraceSyscallInfo = sync.OnceValue(func() error {
	err := withStopped("probe", syscall.SysProcAttr{}, func(pid int) error {
		if _, err := unix.Wait4(pid, nil, unix.WALL, nil); err != nil {
			return fmt.Errorf("wait4: %w", err)
		}
		var info [88]byte // struct ptrace_syscall_info, ptrace(2)
		_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(pid),
			unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
		if errno != 0 {
			return fmt.Errorf("PTRACE_GET_SYSCALL_INFO: %w", errno)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ptrace: %w", err)
	}
	return nil
})

var cgroupKillSince = Version{5, 14}

// CgroupKill looks for the file cgroup.kill in a cgroup2 tree. The root has none; where there is no other
// group, the kernel's version must do.
var CgroupKill = sync.OnceValue(func() error {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup2"))
	if err != nil {
		return fmt.Errorf("read /proc/thread-self/mountinfo: %w", err)
	}
	groups := 0
	for _, m := range mounts {
		for _, place := range []string{m.Mountpoint, m.Mountpoint + "/*"} {
			kill, _ := filepath.Glob(place + "/cgroup.kill") // a bad pattern is the only error
			if len(kill) > 0 {
				return nil
			}
			group, _ := filepath.Glob(place + "/cgroup.events")
			groups += len(group)
		}
	}
	release, err := Release()
	if err != nil {
		return err
	}
	version, err := ParseVersion(release)
	if err == nil && (groups > 0 || version.Compare(cgroupKillSince) < 0) {
		err = fmt.Errorf("cgroup.kill: %w", fs.ErrNotExist)
	}
	return err
})
