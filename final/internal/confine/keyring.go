//go:build linux

package confine

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// Keyring gives the process a session keyring of its own (session-keyring(7)): that of the caller holds the
// caller's keys. Who joins a container joins its keyring, by the name, and needs to be allowed to search it.
// It must come while the process is the container's root, and before pivot_root. proc is as for Labels.
func Keyring(l *op.List, proc *op.Var, id string, p *specs.Process, h Host) {
	if p.SelinuxLabel != "" && slices.Contains(h.LSMs, "selinux") {
		m := selinux(p)
		m.path = "self/attr/keycreate"
		m.write(l, proc, "the label of the keys that the process makes until execve")
	}
	join := op.Op{Name: "keyctl", Nr: unix.SYS_KEYCTL, Args: []op.Arg{
		op.Int(unix.KEYCTL_JOIN_SESSION_KEYRING).As("KEYCTL_JOIN_SESSION_KEYRING"), op.Str("_ses." + id),
	}, Shell: "keyctl session _ses." + id, Why: "the keys of the caller stay outside"}
	join.Accept = []unix.Errno{unix.ENOSYS} // a kernel without keys has none to hide
	allow := op.Op{Name: "keyctl", Nr: unix.SYS_KEYCTL, Args: []op.Arg{
		op.Int(unix.KEYCTL_SETPERM).As("KEYCTL_SETPERM"),
		op.Int(unix.KEY_SPEC_SESSION_KEYRING).As("KEY_SPEC_SESSION_KEYRING"),
		op.Int(keyringPermissions).As("0x3f1b0000"),
	}, Shell: "keyctl setperm @s 0x3f1b0000", Why: "all to who has it; view, read, search and link to its user"}
	allow.Accept = join.Accept
	l.Add(join, allow)
}

// keyringPermissions are what the kernel gives a new session keyring, and for the user, to search
// (keyctl_setperm(3)): 8 bits each for the possessor, the user, the group and others.
const keyringPermissions = 0x3f1b0000
