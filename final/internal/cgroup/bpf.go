//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// This file gives the kernel the device program (program.go), by bpf(2) itself: a library would cost every start more
// than the few dozen instructions are worth.

// allowMulti is BPF_F_ALLOW_MULTI (linux/bpf.h): with several programs on a group, all must say yes.
const allowMulti = 2

// programName tells our program from others on the same group, such as systemd's.
const programName = "container_dev"

// attachDevices puts a group under a device program, in the place of the one that was there: the new one is
// attached before the old one goes, so that there is no moment without.
func attachDevices(door *kernel.Door, dir string, fresh bool, rules []rule, open bool) error {
	group, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(group)
	var old []int
	defer func() {
		for _, fd := range old {
			_ = unix.Close(fd)
		}
	}()
	if !fresh {
		if old, err = attached(group); err != nil {
			return fmt.Errorf("bpf BPF_PROG_QUERY %s: %w", dir, err)
		}
	}
	var words []string
	for _, r := range rules {
		words = append(words, map[bool]string{true: "allow ", false: "deny "}[r.allow]+r.String())
	}
	call := kernel.Call{
		Op: "bpf", Object: dir, Value: "BPF_PROG_LOAD, BPF_PROG_ATTACH: " + strings.Join(words, "; "),
		Shell: "bpftool cgroup attach " + dir + " device pinned DEVICES multi",
	}
	return door.Do(call, func() error { return replacePrograms(group, old, deviceProgram(rules, open)) })
}

// replacePrograms loads a program and attaches it to a group in the place of others.
func replacePrograms(group int, old []int, program []insn) error {
	fd, err := loadDevices(program)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := attach(unix.BPF_PROG_ATTACH, group, fd, allowMulti); err != nil {
		return err
	}
	for _, fd := range old {
		if err := attach(unix.BPF_PROG_DETACH, group, fd, 0); err != nil {
			return err
		}
	}
	return nil
}

// loadDevices gives the program to the kernel, which checks it. Before Linux 5.11 programs are counted as
// locked memory, of which a user may have 64 KiB by default.
func loadDevices(program []insn) (fd int, err error) {
	fd, err = progLoad(program)
	if !errors.Is(err, unix.EPERM) {
		return fd, err
	}
	var before unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &before) != nil {
		return -1, err
	}
	if unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}) != nil {
		return -1, err
	}
	defer unix.Setrlimit(unix.RLIMIT_MEMLOCK, &before)
	return progLoad(program)
}

// The parts of union bpf_attr (bpf(2)) that are used here. An address is a pointer, not a number: Go moves what is on a
// stack, and then corrects pointers alone.
type (
	attrLoad struct {
		kind, count        uint32
		insns, license     unsafe.Pointer
		logLevel, logSize  uint32
		log                uint64
		kernVersion, flags uint32
		name               [unix.BPF_OBJ_NAME_LEN]byte
	}
	attrAttach struct{ target, program, kind, flags uint32 }
	attrQuery  struct {
		target, kind, flags, attached uint32
		ids                           unsafe.Pointer
		count, _                      uint32
	}
	attrID   struct{ id, next, flags uint32 }
	attrInfo struct {
		fd, size uint32
		info     unsafe.Pointer
	}
)

func progLoad(program []insn) (fd int, err error) {
	license := []byte("Apache-2.0\x00") // no function of the kernel is called that would ask for another
	attr := attrLoad{
		kind: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: uint32(len(program)),
		insns: unsafe.Pointer(&program[0]), license: unsafe.Pointer(&license[0]),
	}
	copy(attr.name[:], programName)
	return bpf(unix.BPF_PROG_LOAD, &attr)
}

func attach(command, group, program int, flags uint32) error {
	attr := attrAttach{uint32(group), uint32(program), unix.BPF_CGROUP_DEVICE, flags}
	_, err := bpf(command, &attr)
	return err
}

// attached returns our programs on a group, as descriptors.
func attached(group int) (programs []int, err error) {
	ids := make([]uint32, 64) // as many as the kernel lets attach
	attr := attrQuery{
		target: uint32(group), kind: unix.BPF_CGROUP_DEVICE,
		count: uint32(len(ids)), ids: unsafe.Pointer(&ids[0]),
	}
	if _, err := bpf(unix.BPF_PROG_QUERY, &attr); err != nil {
		return nil, err
	}
	for _, id := range ids[:attr.count] {
		fd, err := bpf(unix.BPF_PROG_GET_FD_BY_ID, &attrID{id: id})
		if errors.Is(err, unix.ENOENT) {
			continue // detached meanwhile
		}
		if err != nil {
			return programs, err
		}
		if nameOfProgram(fd) != programName {
			_ = unix.Close(fd)
			continue
		}
		programs = append(programs, fd)
	}
	return programs, nil
}

// nameOfProgram asks for struct bpf_prog_info, in which the name is at byte 64.
func nameOfProgram(fd int) string {
	var info [80]byte
	attr := attrInfo{uint32(fd), uint32(len(info)), unsafe.Pointer(&info)}
	if _, err := bpf(unix.BPF_OBJ_GET_INFO_BY_FD, &attr); err != nil {
		return ""
	}
	return unix.ByteSliceToString(info[64:])
}

func bpf[T any](command int, attr *T) (int, error) {
	for {
		r, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
		switch errno {
		case 0:
			return int(r), nil
		case unix.EAGAIN, unix.EINTR: // the check of the program was interrupted by a signal
			continue
		}
		return -1, errno
	}
}
