//go:build linux

package trace

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A starter is a runtime, with the calls that no trace need have seen, and nothing runs without.
type starter struct {
	name  string
	calls []string
}

// starters are the runtimes that a profile can be made for. To each belongs how a program ends, and comes back from a
// signal, or goes on with a call that a stop had interrupted.
var starters = [...]starter{
	// What comes between the filter and the command (plan/execute.go), or says that there is none.
	{"final", []string{"capset", "execve", "exit", "exit_group", "restart_syscall", "rt_sigreturn", "write"}},
	// runc loads the filter early, unless the process has no_new_privs: it becomes the user and closes what it has
	// opened under it, and so does Go's own machinery.
	{"runc", []string{
		"capget", "capset", "chdir", "clone", "clone3", "close", "close_range", "epoll_create1", "epoll_ctl", "epoll_pwait",
		"eventfd2", "execve", "exit", "exit_group", "faccessat2", "fchown", "fcntl", "fstat", "fstatfs", "futex", "getcwd",
		"getdents64", "getpid", "getppid", "gettid", "getuid", "madvise", "mmap", "mprotect", "munmap", "nanosleep",
		"newfstatat", "openat", "pipe2", "prctl", "read", "readlinkat", "restart_syscall", "rseq", "rt_sigaction",
		"rt_sigprocmask", "rt_sigreturn", "sched_yield", "set_robust_list", "setgid", "setgroups", "setuid",
		"sigaltstack", "statx", "tgkill", "write",
	}},
}

// Starters are the names of the runtimes that a profile can be made for.
func Starters() (names []string) {
	for _, s := range starters {
		names = append(names, s.name)
	}
	return names
}

// Profile is the least profile under which what was seen runs, started by a runtime: those calls, those of the start,
// and no other. It is what Docker and Podman take (--security-opt seccomp=FILE), and linux.seccomp of a config.json.
// Calls that have no name here cannot be in it; they are returned.
//
// It allows what was seen, not what was not: a program that was traced without its errors may need more for them.
func (s Summary) Profile(starter string) (profile *specs.LinuxSeccomp, nameless []Call, err error) {
	names, archs := map[string]bool{}, map[specs.Arch]bool{native.arch: true}
	for _, s := range starters {
		for _, name := range s.calls {
			if s.name == starter {
				names[name] = true
			}
		}
	}
	if len(names) == 0 {
		return nil, nil, fmt.Errorf("runtime %q: profiles are made for %s", starter, strings.Join(Starters(), " and "))
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
	}, nameless, nil
}

// ProfileFile is a profile as the text of a file.
func ProfileFile(profile *specs.LinuxSeccomp) ([]byte, error) {
	text, err := json.MarshalIndent(profile, "", "  ")
	return append(text, '\n'), err
}
