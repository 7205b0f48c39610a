//go:build linux

package confine

import (
	"slices"
	"strings"
)

//go:generate go run syscalls_generate.go

// A call is a system call: its name, and its number in each ABI, -1 where there is none.
type call struct {
	name    string
	numbers [abiCount]int32
}

// lookup finds a call by its name. The table is sorted, and laid out by the linker.
func lookup(name string) *call {
	i, ok := slices.BinarySearchFunc(calls[:], name, func(c call, name string) int {
		return strings.Compare(c.name, name)
	})
	if !ok {
		return nil
	}
	return &calls[i]
}

// The calls of x86 that stand for several: the first argument says which (socketcall(2), ipc(2)).
const (
	socketcall = 102
	ipc        = 117
)

// A part is a call of x86 that can be made in another way too, whether it has a number of its own or not. A
// filter that forbids socket(2) must forbid both.
type part struct {
	name  string
	of    int32 // socketcall or ipc
	which uint64
}

// parts are sorted by name.
var parts = [...]part{
	{"accept", socketcall, 5}, {"accept4", socketcall, 18}, {"bind", socketcall, 2},
	{"connect", socketcall, 3}, {"getpeername", socketcall, 7}, {"getsockname", socketcall, 6},
	{"getsockopt", socketcall, 15}, {"listen", socketcall, 4}, {"msgctl", ipc, 14},
	{"msgget", ipc, 13}, {"msgrcv", ipc, 12}, {"msgsnd", ipc, 11},
	{"recv", socketcall, 10}, {"recvfrom", socketcall, 12}, {"recvmmsg", socketcall, 19},
	{"recvmsg", socketcall, 17}, {"semctl", ipc, 3}, {"semget", ipc, 2},
	{"semop", ipc, 1}, {"semtimedop", ipc, 4}, {"send", socketcall, 9},
	{"sendmmsg", socketcall, 20}, {"sendmsg", socketcall, 16}, {"sendto", socketcall, 11},
	{"setsockopt", socketcall, 14}, {"shmat", ipc, 21}, {"shmctl", ipc, 24},
	{"shmdt", ipc, 22}, {"shmget", ipc, 23}, {"shutdown", socketcall, 13},
	{"socket", socketcall, 1}, {"socketpair", socketcall, 8},
}

// partOf finds a call among the parts of others.
func partOf(name string) *part {
	i, ok := slices.BinarySearchFunc(parts[:], name, func(p part, name string) int {
		return strings.Compare(p.name, name)
	})
	if !ok {
		return nil
	}
	return &parts[i]
}

// condition is true for the calls of socketcall or ipc that are this part. The upper half of ipc's number is
// a version, which the kernel does not look at for most.
func (p *part) condition() condition {
	if p.of == ipc {
		return condition{mask: 0xffff, value: p.which, op: equal}
	}
	return condition{mask: ^uint64(0), value: p.which, op: equal}
}
