// Package trace follows the system calls of a container: which, how often, how long, with what errors, and
// from that a seccomp profile that allows just those.
//
// Two tracers give the same events: ptrace, which can do everything and slows the container down, and eBPF
// programs on the raw_syscalls tracepoints, filtered by cgroup, which cost next to nothing. It may import
// runtime and below, to find a container's processes and cgroup; it may not import metrics. Step 05 shows
// the idea (trace.go).
package trace
