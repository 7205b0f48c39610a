//go:build linux

package confine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// A Label is what a security module is told to call the program of the next execve.
type Label struct {
	file  *op.Var // an open file of /proc/self/attr
	text  string
	means string
}

// OpenLabels opens the files that the labels of a process are written to (apparmor(7), attr in proc(5)). It
// must come before pivot_root, where /proc is the host's: in the container's, a mount could stand in for the
// file, and the process would run without its label.
//
// proc is a descriptor of the host's /proc, for a process that does not see it any more; nil for one that does.
func OpenLabels(l *op.List, proc *op.Var, p *specs.Process, h Host) ([]Label, error) {
	var labels []Label
	for _, module := range []struct{ name, field, value, path, prefix string }{
		{"apparmor", "process.apparmorProfile", p.ApparmorProfile, "self/attr/apparmor/exec", "exec "},
		{"selinux", "process.selinuxLabel", p.SelinuxLabel, "self/attr/exec", ""},
	} {
		switch present := slices.Contains(h.LSMs, module.name); {
		case module.value == "":
			continue
		case strings.ContainsRune(module.value, 0):
			return nil, fmt.Errorf("%s: %q: not a name", module.field, module.value)
		case !present && module.name == "apparmor" && module.value == "unconfined":
			continue // so it is
		case !present:
			return nil, fmt.Errorf("%s: %q: the running kernel is without %s", module.field, module.value, module.name)
		}
		// Engines recognize a label that was refused by the path, in backquotes.
		means := fmt.Sprintf("%s: %q: `%s`", module.field, module.value, "/proc/"+module.path)
		label := Label{op.NewVar(module.name), module.prefix + module.value, means}
		open := openProc(proc, module.path, label.file)
		open.Means = means
		open.Why = "while /proc is the host's: in the container's, another file could stand there"
		l.Add(open)
		labels = append(labels, label)
	}
	return labels, nil
}

// openProc opens a file of the host's /proc to be written: by its path, or below proc where that is not nil.
func openProc(proc *op.Var, path string, file *op.Var) op.Op {
	if proc == nil {
		return op.Open("/proc/"+path, unix.O_WRONLY, file)
	}
	return op.Openat2(op.Val(proc), path, unix.O_WRONLY, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_MAGICLINKS, file)
}

// CheckMountLabel refuses a label for mounts that no security module would understand.
func CheckMountLabel(label string, h Host) error {
	if label != "" && !slices.Contains(h.LSMs, "selinux") {
		return fmt.Errorf("linux.mountLabel: %q: the running kernel is without selinux", label)
	}
	return nil
}

// write names the label for the next execve.
func (label Label) write(l *op.List) {
	write := op.Write(op.Val(label.file), label.text)
	write.Means, write.Why = label.means, "the label of the command, from execve on"
	l.Add(write)
}
