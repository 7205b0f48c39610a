//go:build linux

package trace

import (
	"fmt"
	"slices"
	"strings"

	"github.com/simple-container/simple-container/final/internal/confine"
)

// A Filter says which calls are traced.
type Filter struct {
	names map[string]bool
	not   bool // all but these
}

// groups are the words that stand for many calls, strace's. %file is not among them: it is every call that takes
// a path.
var groups = [...]struct {
	name  string
	calls string
}{
	{"%desc", `close close_range copy_file_range dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait
		epoll_pwait2 epoll_wait eventfd eventfd2 fadvise64 fallocate fchdir fchmod fchown fcntl fdatasync fgetxattr
		flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate getdents getdents64 inotify_add_watch
		inotify_init inotify_init1 inotify_rm_watch ioctl lseek memfd_create mmap open openat openat2 pipe pipe2 poll
		ppoll pread64 preadv preadv2 pselect6 pwrite64 pwritev pwritev2 read readahead readv select sendfile signalfd
		signalfd4 splice sync_file_range syncfs tee timerfd_create timerfd_gettime timerfd_settime vmsplice write writev`},
	{"%ipc", `msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget mq_open mq_unlink
		mq_timedsend mq_timedreceive mq_notify mq_getsetattr`},
	{"%memory", `brk madvise mbind mincore mlock mlock2 mlockall mmap mprotect mremap msync munlock munlockall munmap
		pkey_alloc pkey_free pkey_mprotect process_madvise remap_file_pages`},
	{"%network", `accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg
		sendmmsg sendmsg sendto setsockopt shutdown socket socketcall socketpair`},
	{"%process", `clone clone3 execve execveat exit exit_group fork kill pidfd_open pidfd_send_signal rt_sigqueueinfo
		rt_tgsigqueueinfo tgkill tkill vfork wait4 waitid waitpid`},
	{"%signal", `kill pause pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
		rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sigaltstack signalfd signalfd4 tgkill tkill`},
}

// ParseFilter reads names of calls and groups with commas between; with ! first, all but these.
func ParseFilter(list string) (*Filter, error) {
	f := &Filter{names: map[string]bool{}}
	list, f.not = strings.CutPrefix(list, "!")
	for word := range strings.SplitSeq(list, ",") {
		names, err := expand(strings.TrimSpace(word))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			f.names[name] = true
		}
	}
	return f, nil
}

// expand is the calls that a word means.
func expand(word string) ([]string, error) {
	if word == "%file" {
		return fileCalls(), nil
	}
	for _, g := range groups {
		if g.name == word {
			return strings.Fields(g.calls), nil
		}
	}
	if strings.HasPrefix(word, "%") {
		return nil, fmt.Errorf("filter %q: want %%file, %%desc, %%ipc, %%memory, %%network, %%process or %%signal", word)
	}
	_, here := confine.CallNumber(native.arch, word)
	_, there := confine.CallNumber(compat.arch, word)
	if !here && !there {
		return nil, fmt.Errorf("filter %q: no system call has this name%s", word, similar(word))
	}
	return []string{word}, nil
}

// similar is a hint: calls whose names the word is part of.
func similar(word string) string {
	var list []string
	for _, name := range confine.CallNames(native.arch) {
		if word != "" && strings.Contains(name, word) && len(list) < 5 {
			list = append(list, name)
		}
	}
	if list == nil {
		return ""
	}
	return ": perhaps " + strings.Join(list, ", ")
}

// fileCalls are those that take a path.
func fileCalls() (names []string) {
	for _, s := range signatures {
		if slices.Contains(s.args, path) {
			names = append(names, s.name)
		}
	}
	return names
}

// wants tells whether a call is traced. A nil Filter wants all.
func (f *Filter) wants(c Call) bool { return f == nil || f.names[c.Name()] != f.not }
