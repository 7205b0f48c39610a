//go:build linux

package trace

import (
	"slices"
	"strings"
)

// A form is how an argument is read.
type form byte

const (
	number   form = iota // a signed number of 32 or 64 bits
	size                 // an unsigned one
	address              // a pointer whose memory is not looked at
	dirfd                // a descriptor, or AT_FDCWD
	path                 // a string: a file's path
	text                 // another string
	written              // memory of the length that the next argument says, on its way into the kernel
	socket               // struct sockaddr, of the length that the next argument says
	mode                 // permissions, in octal
	access               // R_OK and so on
	open                 // O_*
	at                   // AT_*
	protect              // PROT_*
	mapping              // MAP_*
	clone                // CLONE_* and a signal
	signal               // SIG*
	whence               // SEEK_*
	family               // AF_*
	sockType             // SOCK_*
	clock                // CLOCK_*
	futex                // FUTEX_*
	fcntl                // F_*
	waiting              // W*
	random               // GRND_*
	mounting             // MS_*
	unmount              // MNT_*
	prctl                // PR_*
	how                  // SIG_BLOCK and so on
	resource             // RLIMIT_*
	command              // in hexadecimal: of ioctl
	poll                 // EPOLL_CTL_*
	madvise              // MADV_*
)

// A signature is a call with the forms of its arguments.
type signature struct {
	name string
	args []form
}

// signatures are the usual calls, sorted by name, with what strace's manual page and section 2 of the manual say
// of their arguments. Of others all six arguments are shown, as they are.
var signatures = [...]signature{
	{"accept", []form{number, address, address}},
	{"accept4", []form{number, address, address, sockType}},
	{"access", []form{path, access}},
	{"acct", []form{path}},
	{"alarm", []form{size}},
	{"arch_prctl", []form{command, address}},
	{"bind", []form{number, socket, size}},
	{"bpf", []form{number, address, size}},
	{"brk", []form{address}},
	{"capget", []form{address, address}},
	{"capset", []form{address, address}},
	{"chdir", []form{path}},
	{"chmod", []form{path, mode}},
	{"chown", []form{path, number, number}},
	{"chroot", []form{path}},
	{"clock_getres", []form{clock, address}},
	{"clock_gettime", []form{clock, address}},
	{"clock_nanosleep", []form{clock, number, address, address}},
	{"clone", []form{clone, address, address, address, address}},
	{"clone3", []form{address, size}},
	{"close", []form{number}},
	{"close_range", []form{size, size, command}},
	{"connect", []form{number, socket, size}},
	{"copy_file_range", []form{number, address, number, address, size, size}},
	{"creat", []form{path, mode}},
	{"dup", []form{number}},
	{"dup2", []form{number, number}},
	{"dup3", []form{number, number, open}},
	{"epoll_create", []form{number}},
	{"epoll_create1", []form{open}},
	{"epoll_ctl", []form{number, poll, number, address}},
	{"epoll_pwait", []form{number, address, number, number, address, size}},
	{"epoll_wait", []form{number, address, number, number}},
	{"eventfd2", []form{size, open}},
	{"execve", []form{path, address, address}},
	{"execveat", []form{dirfd, path, address, address, at}},
	{"exit", []form{number}},
	{"exit_group", []form{number}},
	{"faccessat", []form{dirfd, path, access}},
	{"faccessat2", []form{dirfd, path, access, at}},
	{"fadvise64", []form{number, number, size, number}},
	{"fallocate", []form{number, command, number, number}},
	{"fchdir", []form{number}},
	{"fchmod", []form{number, mode}},
	{"fchmodat", []form{dirfd, path, mode}},
	{"fchown", []form{number, number, number}},
	{"fchownat", []form{dirfd, path, number, number, at}},
	{"fcntl", []form{number, fcntl, address}},
	{"fdatasync", []form{number}},
	{"fgetxattr", []form{number, text, address, size}},
	{"flock", []form{number, command}},
	{"fork", nil},
	{"fsetxattr", []form{number, text, address, size, command}},
	{"fstat", []form{number, address}},
	{"fstatfs", []form{number, address}},
	{"fsync", []form{number}},
	{"ftruncate", []form{number, number}},
	{"futex", []form{address, futex, size, address, address, command}},
	{"getcwd", []form{address, size}},
	{"getdents64", []form{number, address, size}},
	{"getegid", nil},
	{"geteuid", nil},
	{"getgid", nil},
	{"getgroups", []form{number, address}},
	{"getpeername", []form{number, address, address}},
	{"getpgid", []form{number}},
	{"getpgrp", nil},
	{"getpid", nil},
	{"getppid", nil},
	{"getrandom", []form{address, size, random}},
	{"getresgid", []form{address, address, address}},
	{"getresuid", []form{address, address, address}},
	{"getrlimit", []form{resource, address}},
	{"getrusage", []form{number, address}},
	{"getsid", []form{number}},
	{"getsockname", []form{number, address, address}},
	{"getsockopt", []form{number, number, number, address, address}},
	{"gettid", nil},
	{"gettimeofday", []form{address, address}},
	{"getuid", nil},
	{"getxattr", []form{path, text, address, size}},
	{"inotify_add_watch", []form{number, path, command}},
	{"inotify_init1", []form{open}},
	{"inotify_rm_watch", []form{number, number}},
	{"ioctl", []form{number, command, address}},
	{"kill", []form{number, signal}},
	{"lchown", []form{path, number, number}},
	{"lgetxattr", []form{path, text, address, size}},
	{"link", []form{path, path}},
	{"linkat", []form{dirfd, path, dirfd, path, at}},
	{"listen", []form{number, number}},
	{"listxattr", []form{path, address, size}},
	{"lseek", []form{number, number, whence}},
	{"lsetxattr", []form{path, text, address, size, command}},
	{"lstat", []form{path, address}},
	{"madvise", []form{address, size, madvise}},
	{"memfd_create", []form{text, command}},
	{"mkdir", []form{path, mode}},
	{"mkdirat", []form{dirfd, path, mode}},
	{"mknod", []form{path, mode, command}},
	{"mknodat", []form{dirfd, path, mode, command}},
	{"mmap", []form{address, size, protect, mapping, number, command}},
	{"mount", []form{path, path, text, mounting, address}},
	{"mprotect", []form{address, size, protect}},
	{"mremap", []form{address, size, size, command, address}},
	{"munmap", []form{address, size}},
	{"nanosleep", []form{address, address}},
	{"newfstatat", []form{dirfd, path, address, at}},
	{"open", []form{path, open, mode}},
	{"openat", []form{dirfd, path, open, mode}},
	{"openat2", []form{dirfd, path, address, size}},
	{"pause", nil},
	{"pidfd_open", []form{number, command}},
	{"pidfd_send_signal", []form{number, signal, address, command}},
	{"pipe", []form{address}},
	{"pipe2", []form{address, open}},
	{"pivot_root", []form{path, path}},
	{"poll", []form{address, size, number}},
	{"ppoll", []form{address, size, address, address, size}},
	{"prctl", []form{prctl, address, address, address, address}},
	{"pread64", []form{number, address, size, number}},
	{"prlimit64", []form{number, resource, address, address}},
	{"pselect6", []form{number, address, address, address, address, address}},
	{"ptrace", []form{command, number, address, address}},
	{"pwrite64", []form{number, written, size, number}},
	{"quotactl", []form{command, path, number, address}},
	{"read", []form{number, address, size}},
	{"readlink", []form{path, address, size}},
	{"readlinkat", []form{dirfd, path, address, size}},
	{"readv", []form{number, address, number}},
	{"reboot", []form{command, command, command, address}},
	{"recvfrom", []form{number, address, size, command, address, address}},
	{"recvmsg", []form{number, address, command}},
	{"removexattr", []form{path, text}},
	{"rename", []form{path, path}},
	{"renameat", []form{dirfd, path, dirfd, path}},
	{"renameat2", []form{dirfd, path, dirfd, path, command}},
	{"restart_syscall", nil},
	{"rmdir", []form{path}},
	{"rseq", []form{address, size, command, command}},
	{"rt_sigaction", []form{signal, address, address, size}},
	{"rt_sigpending", []form{address, size}},
	{"rt_sigprocmask", []form{how, address, address, size}},
	{"rt_sigreturn", nil},
	{"rt_sigsuspend", []form{address, size}},
	{"rt_sigtimedwait", []form{address, address, address, size}},
	{"sched_getaffinity", []form{number, size, address}},
	{"sched_setaffinity", []form{number, size, address}},
	{"sched_yield", nil},
	{"seccomp", []form{number, command, address}},
	{"select", []form{number, address, address, address, address}},
	{"sendfile", []form{number, number, address, size}},
	{"sendmsg", []form{number, address, command}},
	{"sendto", []form{number, written, size, command, socket, size}},
	{"set_robust_list", []form{address, size}},
	{"set_tid_address", []form{address}},
	{"setgid", []form{number}},
	{"setgroups", []form{number, address}},
	{"sethostname", []form{text, size}},
	{"setns", []form{number, clone}},
	{"setpgid", []form{number, number}},
	{"setpriority", []form{number, number, number}},
	{"setresgid", []form{number, number, number}},
	{"setresuid", []form{number, number, number}},
	{"setrlimit", []form{resource, address}},
	{"setsid", nil},
	{"setsockopt", []form{number, number, number, address, size}},
	{"setuid", []form{number}},
	{"setxattr", []form{path, text, address, size, command}},
	{"shutdown", []form{number, number}},
	{"sigaltstack", []form{address, address}},
	{"signalfd4", []form{number, address, size, open}},
	{"socket", []form{family, sockType, number}},
	{"socketpair", []form{family, sockType, number, address}},
	{"splice", []form{number, address, number, address, size, command}},
	{"stat", []form{path, address}},
	{"statfs", []form{path, address}},
	{"statx", []form{dirfd, path, at, command, address}},
	{"swapoff", []form{path}},
	{"swapon", []form{path, command}},
	{"symlink", []form{path, path}},
	{"symlinkat", []form{path, dirfd, path}},
	{"sync", nil},
	{"sysinfo", []form{address}},
	{"tgkill", []form{number, number, signal}},
	{"time", []form{address}},
	{"timerfd_create", []form{clock, open}},
	{"timerfd_settime", []form{number, command, address, address}},
	{"times", []form{address}},
	{"tkill", []form{number, signal}},
	{"truncate", []form{path, number}},
	{"umask", []form{mode}},
	{"umount2", []form{path, unmount}},
	{"uname", []form{address}},
	{"unlink", []form{path}},
	{"unlinkat", []form{dirfd, path, at}},
	{"unshare", []form{clone}},
	{"uselib", []form{path}},
	{"utime", []form{path, address}},
	{"utimensat", []form{dirfd, path, address, at}},
	{"utimes", []form{path, address}},
	{"vfork", nil},
	{"wait4", []form{number, address, waiting, address}},
	{"waitid", []form{number, number, address, waiting, address}},
	{"write", []form{number, written, size}},
	{"writev", []form{number, address, number}},
}

// signatureOf finds the forms of a call's arguments.
func signatureOf(name string) (args []form, ok bool) {
	i, ok := slices.BinarySearchFunc(signatures[:], name, func(s signature, name string) int {
		return strings.Compare(s.name, name)
	})
	if !ok {
		return nil, false
	}
	return signatures[i].args, true
}

// A look is an argument whose memory is to be looked at on the way in.
type look struct {
	arg  int
	form form
}

// looks are the first two of a call.
func looks(name string) (list []look) {
	args, _ := signatureOf(name)
	for i, f := range args {
		if (f == path || f == text || f == written || f == socket) && len(list) < len(Event{}.Texts) {
			list = append(list, look{i, f})
		}
	}
	return list
}

// returnsAddress tells whether a call's result is one.
func returnsAddress(name string) bool {
	switch name {
	case "brk", "mmap", "mremap", "shmat":
		return true
	}
	return false
}
