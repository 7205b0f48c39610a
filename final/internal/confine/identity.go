//go:build linux

package confine

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// Identity makes the process the user that the specification wants, with the capabilities it grants. f is
// the filter that Finish will load. What could not be honoured, and is no error, comes back as warnings.
//
// The order is the point. Each call takes something away that the ones before it needed: the bounding set
// wants CAP_SETPCAP, the groups CAP_SETGID, the user CAP_SETUID, and after capset they are gone.
//
// With the change of user or capabilities, the kernel marks the process as one that nobody may trace or look
// into; its execve takes the mark off (PR_SET_DUMPABLE, prctl(2)).
func Identity(l *op.List, p *specs.Process, h Host, f *Filter) (warnings []string, err error) {
	s, warnings, err := setsOf(p, h)
	if err != nil {
		return nil, err
	}
	if err := checkUser(p.User); err != nil {
		return nil, err
	}
	umask(l, p.User)
	dropBounding(l, s.bounding, h.LastCapability)
	keepCapabilities(l, p.User)
	if h.DenySetgroups && len(p.User.AdditionalGids) > 0 {
		warnings = append(warnings, fmt.Sprintf(
			"process.user.additionalGids: %d: the user namespace denies setgroups", p.User.AdditionalGids))
	}
	if !h.DenySetgroups {
		setgroups(l, p.User, h.MayDenyGroups)
	}
	setresgid(l, p.User)
	setresuid(l, p.User)
	if f != nil && !p.NoNewPrivileges {
		capset(l, s.withAdmin(h), "what is granted, and CAP_SYS_ADMIN to load the filter")
	} else {
		capset(l, s, "what is granted")
	}
	ambient(l, s)
	if p.NoNewPrivileges {
		noNewPrivileges(l)
	}
	return warnings, nil
}

// checkUser refuses what the calls would take for something else.
func checkUser(user specs.User) error {
	const unchanged = ^uint32(0) // to setresuid(2), -1 means: stay who you are, which is root
	switch {
	case user.UID == unchanged:
		return fmt.Errorf("process.user.uid: %d: not a user", user.UID)
	case user.GID == unchanged:
		return fmt.Errorf("process.user.gid: %d: not a group", user.GID)
	case user.Umask != nil && *user.Umask > 0o777:
		return fmt.Errorf("process.user.umask: %#o: want at most 0777", *user.Umask)
	}
	for i, gid := range user.AdditionalGids {
		if gid == unchanged {
			return fmt.Errorf("process.user.additionalGids[%d]: %d: not a group", i, gid)
		}
	}
	return nil
}

// umask says which permissions new files do not get.
func umask(l *op.List, user specs.User) {
	mask := uint32(0o022)
	if user.Umask != nil {
		mask = *user.Umask
	}
	text := fmt.Sprintf("%#04o", mask)
	l.Add(op.Op{Name: "umask", Nr: unix.SYS_UMASK, Args: []op.Arg{op.Int(mask).As(text)},
		Shell: "umask " + text, Why: "it was 0 while devices and directories were made"})
}

// dropBounding drops what nobody in the container shall have, not even by a program with file capabilities.
// It includes those that are newer than this program.
func dropBounding(l *op.List, keep set, last int) {
	for number := range last + 1 {
		if keep.has(number) {
			continue
		}
		name := capabilityName(number)
		drop := op.Prctl("PR_CAPBSET_DROP", unix.PR_CAPBSET_DROP, op.Int(number).As(name))
		drop.Means = "process.capabilities.bounding: drop " + name
		drop.Shell = "setpriv --bounding-set -" + shellName(name)
		drop.Why = "newer than this program"
		if number < len(capabilities) {
			drop.Why = "no program, of any user, can ever " + capabilities[number].allows
		}
		l.Add(drop)
	}
}

// shellName is a capability's name for setpriv(1).
func shellName(name string) string {
	if short, ok := strings.CutPrefix(name, "CAP_"); ok {
		return strings.ToLower(short)
	}
	return "cap_" + name
}

// keepCapabilities lets the capabilities survive the change from root to another user, until capset says
// which of them stay. Execve forgets it.
func keepCapabilities(l *op.List, user specs.User) {
	if user.UID == 0 {
		return
	}
	keep := op.Prctl("PR_SET_KEEPCAPS", unix.PR_SET_KEEPCAPS, op.Int(1))
	keep.Why = "the next user is not root, and the list still needs capabilities"
	l.Add(keep)
}

// setgroups replaces the supplementary groups, which are root's of the host until then: also by none. Where that may be
// denied, and none are asked for, the caller's stay, as they do in a new user namespace that denies it.
func setgroups(l *op.List, user specs.User, mayBeDenied bool) {
	d := &op.Data{Text: fmt.Sprintf("%d", user.AdditionalGids)}
	shell := "setpriv --clear-groups"
	for i, gid := range user.AdditionalGids {
		d.Bytes = binary.NativeEndian.AppendUint32(d.Bytes, gid)
		if i == 0 {
			shell = "setpriv --groups "
		} else {
			shell += ","
		}
		shell += fmt.Sprint(gid)
	}
	list := op.Null()
	if len(d.Bytes) > 0 {
		list = op.Ref(d)
	}
	set := op.Op{Name: "setgroups", Nr: unix.SYS_SETGROUPS, Args: []op.Arg{op.Int(len(user.AdditionalGids)), list},
		Shell: shell, Why: "none of the groups of the caller",
		Means: fmt.Sprintf("process.user.additionalGids: %d", user.AdditionalGids)}
	if mayBeDenied && len(user.AdditionalGids) == 0 {
		set.Accept = []unix.Errno{unix.EPERM}
	}
	l.Add(set)
}

func setresgid(l *op.List, user specs.User) {
	gid := op.Int(user.GID)
	l.Add(op.Op{Name: "setresgid", Nr: unix.SYS_SETRESGID, Args: []op.Arg{gid, gid, gid},
		Shell: fmt.Sprintf("setpriv --regid %d", user.GID), Why: "the group first: another user may not change it",
		Means: fmt.Sprintf("process.user.gid: %d", user.GID)})
}

func setresuid(l *op.List, user specs.User) {
	uid := op.Int(user.UID)
	l.Add(op.Op{Name: "setresuid", Nr: unix.SYS_SETRESUID, Args: []op.Arg{uid, uid, uid},
		Shell: fmt.Sprintf("setpriv --reuid %d", user.UID), Why: "real, effective and saved: no way back",
		Means: fmt.Sprintf("process.user.uid: %d", user.UID)})
}

// withAdmin adds what it takes to load a filter without no_new_privs (seccomp(2)): else a program that runs
// as root for whoever starts it could be made to fail at the right place.
func (s sets) withAdmin(h Host) sets {
	admin := set(h.Held) & (1 << unix.CAP_SYS_ADMIN)
	s.effective |= admin
	s.permitted |= admin
	return s
}

// capset sets three of the sets. The kernel wants them in halves (capset(2), version 3).
func capset(l *op.List, s sets, why string) {
	header := op.Words(unix.LINUX_CAPABILITY_VERSION_3) // and pid 0, the process itself
	d := &op.Data{Text: fmt.Sprintf("{effective=permitted=%v, inheritable=%v}", s.permitted, s.inheritable)}
	if s.effective != s.permitted {
		d.Text = fmt.Sprintf("{effective=%v, permitted=%v, inheritable=%v}", s.effective, s.permitted, s.inheritable)
	}
	for shift := 0; shift < 64; shift += 32 {
		for _, half := range []set{s.effective, s.permitted, s.inheritable} {
			d.Bytes = binary.NativeEndian.AppendUint32(d.Bytes, uint32(half>>shift))
		}
	}
	l.Add(op.Op{Name: "capset", Nr: unix.SYS_CAPSET, Args: []op.Arg{op.Ref(header).As("{version 3, pid 0}"), op.Ref(d)},
		Why: why, Means: "process.capabilities: " + d.Text})
}

// ambient raises what programs of a user who is not root begin with. capset has taken away those that were
// not inheritable, but not those of the caller that still are.
func ambient(l *op.List, s sets) {
	if s.permitted&s.inheritable&^s.ambient != 0 {
		reset := op.Prctl("PR_CAP_AMBIENT", unix.PR_CAP_AMBIENT,
			op.Int(unix.PR_CAP_AMBIENT_CLEAR_ALL).As("PR_CAP_AMBIENT_CLEAR_ALL"))
		reset.Shell, reset.Why = "setpriv --ambient-caps -all", "none of the caller's"
		l.Add(reset)
	}
	for number := range 64 {
		if !s.ambient.has(number) {
			continue
		}
		name := capabilityName(number)
		raise := op.Prctl("PR_CAP_AMBIENT", unix.PR_CAP_AMBIENT,
			op.Int(unix.PR_CAP_AMBIENT_RAISE).As("PR_CAP_AMBIENT_RAISE"), op.Int(number).As(name))
		raise.Means = "process.capabilities.ambient: raise " + name
		raise.Shell, raise.Why = "setpriv --ambient-caps +"+shellName(name), "programs have it without being root"
		l.Add(raise)
	}
}

func noNewPrivileges(l *op.List) {
	o := op.Prctl("PR_SET_NO_NEW_PRIVS", unix.PR_SET_NO_NEW_PRIVS, op.Int(1))
	o.Shell, o.Why = "setpriv --no-new-privs", "set-user-ID programs and file capabilities give nothing from now on"
	l.Add(o)
}
