//go:build linux

package confine

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// A Filter is a program of the kernel's packet filter language that decides about each system call a process
// makes (seccomp(2)). It sees the number of the call, the ABI and the six arguments, no memory.
type Filter struct {
	Program []unix.SockFilter
	Flags   uint // SECCOMP_FILTER_FLAG_*

	// Listener is the descriptor of SCMP_ACT_NOTIFY, once the filter is loaded; nil if the profile has none.
	// It is closed at execve, which so must wait until the parent has fetched it (pidfd_getfd(2)).
	Listener *op.Var
}

// longest is how many instructions the kernel takes (BPF_MAXINSNS).
const longest = 4096

// unlisted is what happens to a program of an architecture that the profile does not name: nothing is known
// of its calls.
const unlisted = unix.SECCOMP_RET_KILL_PROCESS

// Compile translates a profile (linux.seccomp). flags are those that the running kernel knows. Without a
// profile, there is no filter.
//
// A program is a search tree: it halves the numbers of the calls until it is at a range of them with one
// outcome, so it looks at seven or eight before the answer, whatever the call. Since Linux 5.11, the kernel
// remembers for which calls that was simply yes.
//
// Profiles are read as libseccomp does, which engines write them for: a name that no ABI has is passed over;
// for one call, an entry without conditions is stronger than those with, and the first is the one that counts.
func Compile(profile *specs.LinuxSeccomp, flags uint) (*Filter, error) {
	if profile == nil || profile.DefaultAction == "" && len(profile.Syscalls) == 0 {
		return nil, nil
	}
	m, err := thisMachine()
	if err != nil {
		return nil, err
	}
	return m.compile(profile, flags)
}

func (m machine) compile(profile *specs.LinuxSeccomp, known uint) (*Filter, error) {
	flags, err := filterFlags(profile.Flags, known)
	if err != nil {
		return nil, err
	}
	p := &policy{}
	if p.abis, err = m.listed(profile.Architectures); err != nil {
		return nil, err
	}
	p.otherwise, err = outcome(profile.DefaultAction, profile.DefaultErrnoRet,
		"linux.seccomp.defaultAction", "linux.seccomp.defaultErrnoRet")
	if err != nil {
		return nil, err
	}
	for i, entry := range profile.Syscalls {
		if err := p.add(entry, fmt.Sprintf("linux.seccomp.syscalls[%d]", i)); err != nil {
			return nil, err
		}
	}
	f := &Filter{Flags: flags}
	if err := f.listen(profile, p); err != nil {
		return nil, err
	}
	f.Program = p.program()
	if len(f.Program) > longest {
		return nil, fmt.Errorf("linux.seccomp: the filter has %d instructions, and the kernel takes %d",
			len(f.Program), longest)
	}
	return f, nil
}

// listen asks for the listener of SCMP_ACT_NOTIFY: the descriptor from which an agent, at the other end of
// listenerPath, learns of the calls that wait for its answer.
func (f *Filter) listen(profile *specs.LinuxSeccomp, p *policy) error {
	if profile.ListenerPath == "" && profile.ListenerMetadata != "" {
		return fmt.Errorf("linux.seccomp.listenerMetadata: %q: there is no listenerPath", profile.ListenerMetadata)
	}
	if p.otherwise == unix.SECCOMP_RET_USER_NOTIF {
		return fmt.Errorf("linux.seccomp.defaultAction: %q: the container could not hand over the listener",
			profile.DefaultAction)
	}
	if !slices.ContainsFunc(p.rules, func(r rule) bool { return r.ret == unix.SECCOMP_RET_USER_NOTIF }) {
		f.Flags &^= unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV // nothing waits, and the kernel wants both or none
		return nil
	}
	if profile.ListenerPath == "" {
		return fmt.Errorf("linux.seccomp.listenerPath: none, and there is %s", specs.ActNotify)
	}
	f.Flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	f.Listener = op.NewVar("listener")
	return nil
}

var flagNames = []op.Flag{
	{Value: unix.SECCOMP_FILTER_FLAG_TSYNC, Name: "SECCOMP_FILTER_FLAG_TSYNC"},
	{Value: unix.SECCOMP_FILTER_FLAG_LOG, Name: "SECCOMP_FILTER_FLAG_LOG"},
	{Value: unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, Name: "SECCOMP_FILTER_FLAG_SPEC_ALLOW"},
	{Value: unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, Name: "SECCOMP_FILTER_FLAG_NEW_LISTENER"},
	{Value: unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Name: "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"},
}

// filterFlags reads the flags of a profile. A profile without the field gets SPEC_ALLOW: the defence against
// Spectre v4 that filters once brought with them makes every program slower, and Linux 5.16 gave it up too.
func filterFlags(names []specs.LinuxSeccompFlag, known uint) (uint, error) {
	if names == nil {
		return unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW & known, nil
	}
	flags := uint(0)
	for i, name := range names {
		at := slices.IndexFunc(flagNames, func(f op.Flag) bool { return f.Name == string(name) })
		if at < 0 || flagNames[at].Value == unix.SECCOMP_FILTER_FLAG_NEW_LISTENER {
			return 0, fmt.Errorf("linux.seccomp.flags[%d]: %q: unknown flag", i, name)
		}
		flag := uint(flagNames[at].Value)
		if flag&known == 0 {
			return 0, fmt.Errorf("linux.seccomp.flags[%d]: %q: the running kernel does not know it", i, name)
		}
		flags |= flag
	}
	// The container side has one thread, or such as end at its execve: there is nobody to synchronize.
	return flags &^ unix.SECCOMP_FILTER_FLAG_TSYNC, nil
}
