//go:build linux

package confine

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// ioClasses by the kernel's number (ioprio_set(2)).
var ioClasses = [...]specs.IOPriorityClass{1: specs.IOPRIO_CLASS_RT, specs.IOPRIO_CLASS_BE, specs.IOPRIO_CLASS_IDLE}

const whoProcess, classShift = 1, 13

// ioPriority says how the process competes for disks. All that it starts inherit it. Without the field it is
// what the process's niceness makes of it, not what the runtime's caller has.
func ioPriority(l *op.List, io *specs.LinuxIOPriority) error {
	if io == nil {
		none := op.Op{Name: "ioprio_set", Nr: unix.SYS_IOPRIO_SET, Args: []op.Arg{
			op.Int(whoProcess).As("IOPRIO_WHO_PROCESS"), op.Int(0), op.Int(0).As("IOPRIO_CLASS_NONE"),
		}, Accept: []unix.Errno{unix.ENOSYS}, Shell: "ionice -c 0", Why: "not the I/O priority of whoever started the runtime"}
		l.Add(none)
		return nil
	}
	class := slices.Index(ioClasses[:], io.Class)
	if class <= 0 {
		return fmt.Errorf("process.ioPriority.class: %q: unknown class", io.Class)
	}
	if io.Priority < 0 || io.Priority > 7 {
		return fmt.Errorf("process.ioPriority.priority: %d: want 0 to 7", io.Priority)
	}
	l.Add(op.Op{Name: "ioprio_set", Nr: unix.SYS_IOPRIO_SET, Args: []op.Arg{
		op.Int(whoProcess).As("IOPRIO_WHO_PROCESS"), op.Int(0),
		op.Int(class<<classShift | io.Priority).As(fmt.Sprintf("IOPRIO_PRIO_VALUE(%s, %d)", io.Class, io.Priority)),
	}, Shell: fmt.Sprintf("ionice -c %d -n %d", class, io.Priority), Means: "process.ioPriority",
		Why: "for its reads and writes of disks, and for all that it starts"})
	return nil
}
