//go:build linux

// Package boot is the container side that people read: /proc/self/exe started again in the new namespaces
// walks the list it inherited, call by call, on its main thread.
//
// It is recognised by its argv[0], in init, before heavier packages are initialised; it takes no decisions
// and parses nothing. It is the reference for the stub of package executor, and stands in where that cannot
// run. Step 01 shows the idea (child.go).
package boot

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// Name is the argv[0] of a container side. argv[1] is the descriptor of the list.
const Name = "simple-container boot"

func init() {
	if len(os.Args) < 2 || os.Args[0] != Name {
		return
	}
	runtime.LockOSThread() // namespaces, credentials and filters belong to the thread that makes the calls
	fd, err := strconv.Atoi(os.Args[1])
	if err == nil {
		err = load(fd)
	}
	if err != nil {
		os.Stderr.WriteString(Name + ": the list on descriptor " + os.Args[1] + ": " + err.Error() + "\n")
		os.Exit(125)
	}
	walk()
}

// load maps the list where it belongs: all addresses in it are final.
func load(fd int) error {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err
	}
	const protection, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE | unix.MAP_FIXED_NOREPLACE
	_, err := unix.MmapPtr(fd, 0, *(*unsafe.Pointer)(unsafe.Pointer(&base)), uintptr(stat.Size), protection, flags)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

var base = uintptr(op.Base)

// at is the word at an address.
func at(address uintptr) *uintptr { return *(**uintptr)(unsafe.Pointer(&address)) }

// walk makes the system calls of the list; list.go of package op has its layout. It ends in an execve, or an
// exit. Nothing here may allocate: after a clone in the list this is a process with one thread, and the rest
// of the Go runtime is not there.
func walk() {
	for call := *at(base); ; {
		flags := *at(call + 56)
		var args [6]uintptr
		for i := range args {
			args[i] = *at(call + 8 + 8*uintptr(i))
			if flags>>i&1 == 1 {
				args[i] = *at(args[i])
			}
		}
		result, errno := args[0], syscall.Errno(0)
		if number := *at(call); int(number) != op.Let {
			result, _, errno = syscall.RawSyscall6(number, args[0], args[1], args[2], args[3], args[4], args[5])
		}
		switch {
		case errno == 0:
			if place := *at(call + 64); place != 0 {
				*at(place) = result
			}
			if result == 0 {
				call = *at(call + 72)
			} else {
				call = *at(call + 80)
			}
		case accepted(flags>>8, uintptr(errno)):
			if errno != syscall.EAGAIN { // else the same op again
				call = *at(call + 88)
			}
		default:
			*at(base + 24), *at(base + 32) = *at(call + 96), uintptr(errno)
			call, *at(base + 8) = *at(base + 8), *at(base + 16)
		}
	}
}

// accepted looks for an error among those that an op accepts, a byte each.
func accepted(errnos, errno uintptr) bool {
	for ; errnos != 0; errnos >>= 8 {
		if errnos&0xff == errno {
			return true
		}
	}
	return false
}
