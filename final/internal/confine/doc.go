// Package confine adds to the plan what a container may not do: capabilities, seccomp filters, no new
// privileges, rlimits, user and group ids, LSM labels.
//
// The order is the point: the bounding set first, the filter as late as it can be, nothing after that
// which it would forbid. It compiles the filters itself, once per profile. It may import the packages of
// the executors, whose calls it lists, and kernel for probes. The steps leave it out: root in their
// containers is root, and step 02 says at which paths that hurts (protectProc).
package confine
