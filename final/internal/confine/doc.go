// Package confine adds to the plan what a container may not do: capabilities, seccomp filters, no new
// privileges, user and group ids, LSM labels; and what a process passes on: its scheduling, memory policy,
// personality and keyring.
//
// The order is the point: the bounding set first, the filter as late as it can be, nothing after that
// which it would forbid. All is pure functions of the specification and of a Host, what the parent knows
// about the machine. It compiles the filters itself, at each start, in a fifth of a millisecond: seccomp.go
// reads a profile, policy.go has it in the kernel's numbers, tree.go turns it into a search, bpf.go writes the
// instructions. It may import the packages of the executors, whose calls it lists, and kernel for probes. The
// steps leave it out: root in their containers is root, and step 02 says at which paths that hurts
// (protectProc).
package confine
