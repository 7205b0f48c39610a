//go:build linux

package trace

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// starting are the calls that no trace need have seen, and nothing runs without: what the runtime does between the
// filter and the command (plan/start.go), or to say that it could not; how a program ends; how it comes back from a
// signal, and goes on with the call that a stop had interrupted.
var starting = [...]string{"capset", "execve", "exit", "exit_group", "restart_syscall", "rt_sigreturn", "write"}

// Profile is the least profile under which what was seen runs: those calls, and no other. It is what Docker and Podman
// take (--security-opt seccomp=FILE), and linux.seccomp of a config.json. Calls that have no name here cannot be in
// it; they are returned.
//
// It allows what was seen, not what was not: a program that was traced without its errors may need more for them.
func (s Summary) Profile() (profile *specs.LinuxSeccomp, nameless []Call) {
	names, archs := map[string]bool{}, map[specs.Arch]bool{native.arch: true}
	for _, name := range starting {
		names[name] = true
	}
	for _, c := range s.Counts {
		if arch := c.Call.Arch(); arch == "" || c.Call.nameless() {
			nameless = append(nameless, c.Call)
			continue
		}
		names[c.Call.Name()], archs[c.Call.Arch()] = true, true
	}
	permission := uint(1) // EPERM
	return &specs.LinuxSeccomp{
		DefaultAction:   specs.ActErrno,
		DefaultErrnoRet: &permission,
		Architectures:   slices.Sorted(maps.Keys(archs)),
		Syscalls:        []specs.LinuxSyscall{{Names: slices.Sorted(maps.Keys(names)), Action: specs.ActAllow}},
	}, nameless
}

// ProfileFile is a profile as the text of a file.
func ProfileFile(profile *specs.LinuxSeccomp) ([]byte, error) {
	text, err := json.MarshalIndent(profile, "", "  ")
	return append(text, '\n'), err
}
