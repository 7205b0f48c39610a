//go:build linux

// Package trace follows the system calls of a container: which, how often, how long, with what errors, and
// from that a seccomp profile that allows just those.
//
// Two engines give the same events. ptrace works everywhere, and stops the container's threads twice at every
// call (ptrace.go). eBPF runs two small programs in the kernel, on the tracepoints that every system call
// passes, and the container hardly notices (ebpf.go, program.go). Both count calls that have come back, those
// that cannot (exit), and, when a thread dies or the trace ends, the one it was in.
//
// It may import runtime and below, to find a container's processes and cgroup; it may not import metrics.
// Step 05 shows the idea (trace.go).
package trace
