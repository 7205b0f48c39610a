//go:build linux

package trace

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// A scope is how the programs know the container's threads: by its cgroup in the cgroup2 tree, with all below it.
// That tree is there on hybrid machines too, where it has no controllers, and the runtime makes a group in it for
// every container. (A v1 group cannot be asked for in a program.) Where there is none at all, it is by the PID
// namespace, if the container has one of its own: groups of processes by number would miss those that exec puts in.
type scope struct {
	group *os.File  // the cgroup's directory; nil to go by the PID namespace
	pids  namespace // the container's
}

// A namespace is one in the numbers by which programs know it: of the file system nsfs, and in it.
type namespace struct{ device, inode uint64 }

// initPids is the inode of the first PID namespace (linux/proc_ns.h).
const initPids = 0xEFFFFFFC

func pidNamespace(pid string) (n namespace, err error) {
	var stat unix.Stat_t
	path := "/proc/" + pid + "/ns/pid"
	if err := unix.Stat(path, &stat); err != nil {
		return n, fmt.Errorf("stat %s: %w", path, err)
	}
	device := uint64(unix.Major(stat.Dev))<<20 | uint64(unix.Minor(stat.Dev)) // as the kernel has it inside
	return namespace{device, stat.Ino}, nil
}

// newScope finds out how to know a container.
func newScope(t Target) (s scope, err error) {
	if s.pids, err = pidNamespace(fmt.Sprint(t.Pid)); err != nil {
		return s, err
	}
	if t.Cgroup != "" {
		s.group, err = os.Open(t.Cgroup)
		if err != nil {
			return s, err
		}
		return s, nil
	}
	ours, err := pidNamespace("self")
	if err == nil && ours == s.pids {
		err = errors.New("the container has neither a cgroup2 group nor a PID namespace of its own to be known by")
	}
	return s, err
}

func (s scope) close() {
	if s.group != nil {
		s.group.Close()
	}
}

// check leaves the program if the thread is none of the container's.
func (s scope) check(p *program) {
	if s.group != nil {
		p.add(asm.LoadMapPtr(asm.R1, 0).WithReference(mapGroup), asm.Mov.Imm(asm.R2, 0), asm.FnCurrentTaskUnderCgroup.Call(),
			asm.JNE.Imm(asm.R0, 1, "out"))
		return
	}
	s.ask(p)
	p.add(asm.JNE.Imm(asm.R0, 0, "out"))
}

// ask has the kernel write the thread's numbers in the container's PID namespace on the stack (since Linux 5.7); R0
// is not 0 if it is in another one.
func (s scope) ask(p *program) {
	p.add(asm.LoadImm(asm.R1, int64(s.pids.device), asm.DWord), asm.LoadImm(asm.R2, int64(s.pids.inode), asm.DWord))
	p.stackAddress(asm.R3, stackPids)
	p.add(asm.Mov.Imm(asm.R4, 8), asm.FnGetNsCurrentPidTgid.Call())
}

// number writes the thread's numbers in the container into the record.
func (s scope) number(p *program) {
	other := p.label("other")
	s.ask(p)
	p.add(asm.JNE.Imm(asm.R0, 0, other), asm.LoadMem(asm.R1, asm.RFP, stackPids, asm.DWord),
		asm.StoreMem(regRecord, recordIn, asm.R1, asm.DWord))
	p.mark(other)
}
