//go:build linux

// Package executor starts the container side of a plan: a process, in new namespaces, that carries out a
// list of system calls.
//
// There are two forms of it, and the list is the same for both, to the byte. The stub is a static program of
// some sixty instructions that is laid out in a sealed memfd, the list beside it as data: one thread, no
// allocation, nothing that the container could overwrite. Its instructions are Go assembler, one file per
// processor. The other form is package boot: this program again, in Go, for people to read, and for machines
// that cannot run the stub. Step 01's child.go shows the work they do.
package executor

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/boot"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/op"
)

// A Command is a container side to be started. Its process has no environment.
type Command struct {
	List       *op.List
	Name       string     // what ps shows until the list's execve
	Files      []*os.File // descriptor i of the process is Files[i]; nil leaves it closed
	Cloneflags uintptr    // CLONE_NEW*: the namespaces it begins in (clone(2))
	Cgroup     *os.File   // the directory of a v2 cgroup to begin in; nil is the caller's
	Reexec     bool       // walk the list in Go (package boot), not in the stub
}

// A Process is a container side that has been started.
type Process struct {
	Pid   int
	Pidfd *os.File // a handle on it, which does not pass to another process as a pid does
}

// Wait waits for its end. It is a child of ours.
func (p *Process) Wait() (status unix.WaitStatus, err error) {
	for {
		_, err = unix.Wait4(p.Pid, &status, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return status, err
		}
	}
}

// ErrNoStub says that this machine cannot run the stub. Command.Reexec works.
var ErrNoStub = errors.New("no stub")

// StubWorks tells whether this machine can run the stub: whoever makes a list that depends on the executor asks first.
func StubWorks() bool { return hasStub && kernel.MemfdExec() == nil }

// Start starts the process. It must be called from a goroutine that is locked to its thread, if that
// thread's namespaces are not those of the others.
func (c *Command) Start() (*Process, error) {
	image, err := c.List.Encode()
	if err != nil {
		return nil, err
	}
	argv := []string{boot.Name, strconv.Itoa(len(c.Files)), c.Name}
	parts := [][]byte{image}
	if !c.Reexec {
		if !hasStub {
			return nil, fmt.Errorf("%w for this processor", ErrNoStub)
		}
		parts = [][]byte{program(len(image)), image}
	}
	memory, err := sealed(!c.Reexec, parts...)
	if err != nil {
		return nil, err
	}
	defer memory.Close()
	files := make([]uintptr, 0, len(c.Files)+1)
	for _, file := range c.Files {
		if file == nil {
			files = append(files, ^uintptr(0))
			continue
		}
		files = append(files, file.Fd())
	}
	files = append(files, memory.Fd())
	if c.Reexec {
		program, err := self()
		if err != nil {
			return nil, err
		}
		defer program.Close()
		files = append(files, program.Fd())
	} else {
		argv = []string{c.Name}
	}
	// The number that it has in the child: what it has here may be another file's there. The list closes it.
	path := fmt.Sprintf("/proc/self/fd/%d", len(files)-1)

	pidfd := -1
	attributes := &syscall.SysProcAttr{Cloneflags: c.Cloneflags, PidFD: &pidfd}
	if c.Cloneflags&unix.CLONE_NEWUSER != 0 {
		attributes.AmbientCaps = allCapabilities()
	}
	if c.Cgroup != nil {
		attributes.UseCgroupFD, attributes.CgroupFD = true, int(c.Cgroup.Fd())
	}
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{Env: []string{}, Files: files, Sys: attributes})
	if err != nil {
		return nil, fmt.Errorf("clone %s: %w", c.Name, err)
	}
	return &Process{Pid: pid, Pidfd: os.NewFile(uintptr(pidfd), "pidfd")}, nil
}

// allCapabilities are for the first process of a user namespace. It has them all, but no id yet: until the
// parent has written the maps it is nobody, and nobody's execve keeps the ambient ones only (capabilities(7)).
func allCapabilities() (list []uintptr) {
	for capability := range uintptr(unix.CAP_LAST_CAP + 1) {
		list = append(list, capability)
	}
	return list
}

// Program is a list as a static program of its own, for a file: it does what the list says, and nothing else.
func Program(list *op.List) ([]byte, error) {
	if !hasStub {
		return nil, fmt.Errorf("%w for this processor", ErrNoStub)
	}
	image, err := list.Encode()
	if err != nil {
		return nil, err
	}
	return append(program(len(image)), image...), nil
}

// self returns this program as a file that cannot be written to, whoever opens it again: the container finds
// it as /proc/PID/exe (CVE-2019-5736). It is the file itself in a mount of its own, which is read-only and
// mounted nowhere, so that nobody can change that; or a copy, before Linux 5.12 and without the right to mount.
func self() (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/proc/self/exe", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err == nil {
		err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
		if err == nil {
			return os.NewFile(uintptr(fd), "/proc/self/exe"), nil
		}
		unix.Close(fd)
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	return sealed(true, program)
}

// sealed returns a file in memory that nobody can change any more (memfd_create(2)): it is mapped by a
// process that is in the container's hands later.
func sealed(executable bool, parts ...[]byte) (*os.File, error) {
	flags := unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	if executable {
		flags |= unix.MFD_EXEC
	} else {
		flags |= unix.MFD_NOEXEC_SEAL
	}
	fd, err := unix.MemfdCreate("plan", flags)
	if errors.Is(err, unix.EINVAL) { // both flags came with Linux 6.3; before, all were executable
		fd, err = unix.MemfdCreate("plan", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		if errors.Is(err, unix.EACCES) {
			err = fmt.Errorf("%w: sysctl vm.memfd_noexec forbids it", err)
		}
		return nil, fmt.Errorf("memfd_create: %w", errors.Join(err, ErrNoStub))
	}
	file := os.NewFile(uintptr(fd), "plan")
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	for _, part := range parts {
		if err == nil {
			_, err = file.Write(part)
		}
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("memfd: %w", err)
	}
	return file, nil
}
