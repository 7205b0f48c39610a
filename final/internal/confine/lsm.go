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

// A module is a security module that can call a process something.
type module struct {
	name, field, label string
	path, prefix       string // of the file for the next execve, below /proc; and what it wants to read before the label
	unknown            unix.Errno
	remedy             string // for a label that is unknown to it
}

func apparmor(p *specs.Process) module {
	return module{"apparmor", "process.apparmorProfile", p.ApparmorProfile, "self/attr/apparmor/exec", "exec ", unix.ENOENT,
		"no such profile is loaded: load it with apparmor_parser -r FILE (aa-status lists those that are)"}
}

func selinux(p *specs.Process) module {
	return module{"selinux", "process.selinuxLabel", p.SelinuxLabel, "self/attr/exec", "", unix.EINVAL,
		"the policy that is loaded knows no such context (seinfo lists what it knows)"}
}

// Labels tells the security modules what to call the command, from execve on (apparmor(7), attr in proc(5)): the
// process itself stays what it is. A label that there is not is refused now, not at the start.
//
// proc is a descriptor of the host's /proc, opened before anything of the container's was in sight. Whoever can put
// something else in the file's place has the command run without its label (CVE-2019-16884, CVE-2025-52881): so it is
// looked up in this very mount of procfs, and nothing that is mounted over the file, or is a link, leads elsewhere.
func Labels(l *op.List, proc *op.Var, p *specs.Process, h Host) error {
	for _, m := range []module{apparmor(p), selinux(p)} {
		switch present := slices.Contains(h.LSMs, m.name); {
		case m.label == "":
			continue
		case strings.ContainsRune(m.label, 0):
			return fmt.Errorf("%s: %q: not a name", m.field, m.label)
		case !present && m.name == "apparmor" && m.label == "unconfined":
			continue // so it is
		case !present:
			return fmt.Errorf("%s: %q: the running kernel is without %s", m.field, m.label, m.name)
		}
		m.write(l, proc, "the label of the command, from execve on")
	}
	return nil
}

// write writes the label to a file of the process's own in the host's /proc.
func (m module) write(l *op.List, proc *op.Var, why string) {
	const within = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS
	file := op.NewVar(m.name)
	open, write := op.Openat2(op.Val(proc), m.path, unix.O_WRONLY, within, file), op.Write(op.Val(file), m.prefix+m.label)
	open.Why, write.Why = "in the host's procfs: no other file can stand there", why
	// Engines recognize a label that was refused by the path, in backquotes, unless the text has the words of ENOENT.
	open.Means = fmt.Sprintf("%s: %q: `/proc/%s`", m.field, m.label, m.path)
	write.Means, write.Instead = open.Means, map[unix.Errno]string{m.unknown: m.remedy}
	l.Add(open, write, op.Close(op.Val(file)))
}

// Labelled tells whether a security module is to be told something of a process.
func Labelled(p *specs.Process) bool { return p.ApparmorProfile != "" || p.SelinuxLabel != "" }

// CheckMountLabel refuses a label for mounts that no security module would understand.
func CheckMountLabel(label string, h Host) error {
	if label != "" && !slices.Contains(h.LSMs, "selinux") {
		return fmt.Errorf("linux.mountLabel: %q: the running kernel is without selinux", label)
	}
	if strings.Contains(label, `"`) { // the quotes around it would end there, and options begin
		return fmt.Errorf("linux.mountLabel: %q: a label has no quotes", label)
	}
	return nil
}
